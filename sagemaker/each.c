#include "sagemaker/each.h"

#include <errno.h>
#include <pthread.h>

#define MOST_THREADS 32

struct work {
	size_t n;
	each_fn *fn;
	void *arg;
	struct cancel *cancel;

	pthread_mutex_t mu; /* guards what follows */
	size_t next;
	bool failed;
	struct err why;
};

static bool take(struct work *w, size_t *i)
{
	SCOPED_LOCK(&w->mu);

	if (!w->failed && cancel_is_set(w->cancel)) {
		w->failed = true;
		err_set(&w->why, ECANCELED, "cancelled");
	}
	if (w->failed || w->next == w->n)
		return false;
	*i = w->next++;
	return true;
}

static void *work(void *arg)
{
	struct work *w = arg;
	struct err e = {0};
	size_t i;

	while (take(w, &i)) {
		if (w->fn(w->arg, i, &e) == 0)
			continue;
		SCOPED_LOCK(&w->mu);
		if (!w->failed)
			w->why = e;
		w->failed = true;
	}
	return NULL;
}

int each_parallel(size_t n, unsigned threads, each_fn *fn, void *arg, struct cancel *c,
		  struct err *e)
{
	struct work w = {.n = n, .fn = fn, .arg = arg, .cancel = c};
	pthread_t others[MOST_THREADS];
	size_t wanted = MIN(MIN((size_t)threads, n), (size_t)MOST_THREADS + 1), got = 0;

	pthread_mutex_init(&w.mu, NULL);
	/* the caller's thread works too; one that cannot be had is not missed */
	while (got + 1 < wanted && pthread_create(&others[got], NULL, work, &w) == 0)
		got++;
	work(&w);
	for (size_t i = 0; i < got; i++)
		pthread_join(others[i], NULL);
	pthread_mutex_destroy(&w.mu);
	if (w.failed && e)
		*e = w.why;
	return w.failed ? -1 : 0;
}
