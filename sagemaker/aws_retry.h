/*
 * aws_retry.h: when and how soon a call is tried again: AWS's standard mode. Its constants are one row, so that other
 * rules are another row.
 */
#ifndef SAGEMAKER_AWS_RETRY_H
#define SAGEMAKER_AWS_RETRY_H

#include "sagemaker/util.h"

/* Why an attempt failed, as far as trying again goes. */
enum retry_class {
	RETRY_NEVER,
	RETRY_TRANSIENT,   /* a fault of the moment: 5xx, a broken connection */
	RETRY_TIMEOUT,     /* the same after a connect or read timeout */
	RETRY_THROTTLED,   /* asked to come later: the request was not acted on */
	RETRY_CREDENTIALS, /* expired: once, with keys read anew */
	RETRY_CLOCK,       /* the clocks differ: once, with the server's time */
};

struct retry_rules {
	int attempts; /* in all */
	int quota;    /* tokens at first and at most */
	int cost, timeout_cost, success_refund;
	long base_ms, max_ms; /* delay before retry i: random part of min(base * 2^i, max) */
};
extern const struct retry_rules RETRY_STANDARD;

/* A token bucket: many failures in a row stop retrying for everybody. Thread-safe. */
struct retry_quota {
	pthread_mutex_t mu; /* guards tokens; leaf */
	int tokens;
};

void retry_quota_init(struct retry_quota *q, const struct retry_rules *r);
void retry_quota_release(struct retry_quota *q);
/* retry_take: pays for a retry; the amount, or 0 when there is not enough. */
int retry_take(struct retry_quota *q, const struct retry_rules *r, enum retry_class why);
/* retry_success: gives back what the last retry took, or a little when there was none (paid 0). */
void retry_success(struct retry_quota *q, const struct retry_rules *r, int paid);
/* retry_delay: milliseconds before retry i (0 is the first). */
long retry_delay(const struct retry_rules *r, int i);

#endif
