#include "sagemaker/aws_retry.h"

#include <ctype.h>
#include <errno.h>
#include <sys/random.h>

const struct retry_rules RETRY_STANDARD = {
	.attempts = 3,
	.quota = 500,
	.success_refund = 1,
	.max_ms = 20000,
	.by = {[RETRY_TRANSIENT] = {5, 1000},
	       [RETRY_TIMEOUT] = {10, 1000},
	       [RETRY_THROTTLED] = {5, 1000}},
};

const struct retry_rules RETRY_2026 = {
	.attempts = 3,
	.quota = 500,
	.success_refund = 1,
	.max_ms = 20000,
	.by = {[RETRY_TRANSIENT] = {14, 50},
	       [RETRY_TIMEOUT] = {14, 50},
	       [RETRY_THROTTLED] = {5, 1000}},
	.heed_ms = 5000,
	.crowd_is_429 = true,
};

void retry_quota_init(struct retry_quota *q, const struct retry_rules *r)
{
	pthread_mutex_init(&q->mu, NULL);
	q->tokens = r->quota;
}

void retry_quota_release(struct retry_quota *q)
{
	pthread_mutex_destroy(&q->mu);
}

int retry_take(struct retry_quota *q, const struct retry_rules *r, enum retry_class why)
{
	int cost = r->by[why].cost;

	SCOPED_LOCK(&q->mu);
	if (cost > q->tokens)
		return 0;
	q->tokens -= cost;
	return cost;
}

void retry_success(struct retry_quota *q, const struct retry_rules *r, int paid)
{
	SCOPED_LOCK(&q->mu);
	q->tokens = MIN(q->tokens + (paid ? paid : r->success_refund), r->quota);
}

/* -1: no number from 0. */
static long read_ms(const char *text)
{
	char *end;

	if (!text || !isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	long ms = strtol(text, &end, 10);
	return errno || *end ? -1 : ms;
}

long retry_delay(const struct retry_rules *r, enum retry_class why, int i, const char *asked)
{
	long most = i < 20 ? MIN(r->by[why].base_ms << i, r->max_ms) : r->max_ms;
	long ms = r->heed_ms ? read_ms(asked) : -1;
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof dice, 0) != sizeof dice)
		dice = UINT32_MAX;
	long own = (long)((uint64_t)most * dice >> 32);
	return MAX(own, MIN(ms, own + r->heed_ms));
}
