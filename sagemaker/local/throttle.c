#include "sagemaker/local/throttle.h"

#include <pthread.h>
#include <stdlib.h>

#include "sagemaker/local/request.h"

struct throttle {
	double per_second;
	pthread_mutex_t mu; /* guards what follows */
	double tokens, at;
};

struct throttle *throttle_new(double per_second)
{
	struct throttle *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	*t = (struct throttle){
		.per_second = per_second, .tokens = MAX(per_second, 1), .at = time_mono()};
	pthread_mutex_init(&t->mu, NULL);
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->mu);
	free(t);
}

bool throttle_take(struct throttle *t)
{
	double now = time_mono();

	SCOPED_LOCK(&t->mu);
	t->tokens = MIN(t->tokens + (now - t->at) * t->per_second, MAX(t->per_second, 1));
	t->at = now;
	if (t->tokens < 1)
		return false;
	t->tokens--;
	return true;
}
