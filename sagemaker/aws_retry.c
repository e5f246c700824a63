#include "sagemaker/aws_retry.h"

#include <sys/random.h>

const struct retry_rules RETRY_STANDARD = {
	.attempts = 3,
	.quota = 500,
	.cost = 5,
	.timeout_cost = 10,
	.success_refund = 1,
	.base_ms = 1000,
	.max_ms = 20000,
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
	int cost = why == RETRY_TIMEOUT ? r->timeout_cost : r->cost;

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

long retry_delay(const struct retry_rules *r, int i)
{
	long most = i < 20 ? MIN(r->base_ms << i, r->max_ms) : r->max_ms;
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof dice, 0) != sizeof dice)
		return most;
	return (long)((uint64_t)most * dice >> 32);
}
