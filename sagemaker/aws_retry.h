/*
 * aws_retry.h: when and how soon a call is tried again: AWS's standard mode. Its constants are one row, so that other
 * rules are another row (source: botocore's retries/standard.py and quota.py).
 */
#ifndef SAGEMAKER_AWS_RETRY_H
#define SAGEMAKER_AWS_RETRY_H

#include "sagemaker/util.h"

/* Why an attempt failed, as far as trying again goes. */
enum retry_class {
	RETRY_NEVER,
	RETRY_TRANSIENT, /* a fault of the moment: 5xx, a broken connection */
	RETRY_TIMEOUT,   /* the same after a connect or read timeout */
	RETRY_THROTTLED, /* asked to come later: the request was not acted on */
	RETRY_PAID,      /* those before this one cost tokens and time, those after it neither */
	RETRY_CROWDED,   /* status 429 and no code that says more: throttling to some rules only */
	RETRY_CREDENTIALS, /* expired: once, with keys read anew */
	RETRY_CLOCK,       /* the clocks differ: once, with the server's time */
	RETRY_EXPIRED, /* the one or the other: once, with the server's time if that is far off, else with new keys */
};

struct retry_rules {
	int attempts; /* in all */
	int quota;    /* tokens at first and at most */
	int success_refund;
	long max_ms;

	struct {
		int cost;
		long base_ms; /* delay before retry i: random part of min(base * 2^i, max) */
	} by[RETRY_PAID];

	long heed_ms;      /* x-amz-retry-after may lengthen a delay by so much; 0: not looked at */
	bool crowd_is_429; /* RETRY_CROWDED is throttling */
};
/* RETRY_STANDARD: what applies; RETRY_2026: what AWS_NEW_RETRIES_2026=true asks for. */
extern const struct retry_rules RETRY_STANDARD, RETRY_2026;

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
/* retry_delay: milliseconds before retry i (0 is the first). asked: what the reply's x-amz-retry-after says (milliseconds), NULL
 * without; what is no number from 0 is ignored. */
long retry_delay(const struct retry_rules *r, enum retry_class why, int i, const char *asked);

#endif
