#include "sagemaker/local/pool.h"

#include <errno.h>

struct work {
	struct work *next;
	void (*fn)(void *);
	void *arg;
};

struct pool {
	unsigned n;
	pthread_t *threads;
	pthread_mutex_t mu; /* guards what follows */
	pthread_cond_t more;
	struct work *first, **last;
	bool ending;
};

static struct work *take_locked(struct pool *p)
{
	while (!p->first && !p->ending)
		pthread_cond_wait(&p->more, &p->mu);
	struct work *w = p->first;
	if (!w)
		return NULL;
	p->first = w->next;
	if (!p->first)
		p->last = &p->first;
	return w;
}

static void *run(void *arg)
{
	struct pool *p = arg;

	for (;;) {
		pthread_mutex_lock(&p->mu);
		struct work *w = take_locked(p);
		pthread_mutex_unlock(&p->mu);
		if (!w)
			return NULL;
		w->fn(w->arg);
		free(w);
	}
}

struct pool *pool_new(unsigned threads, struct err *e)
{
	struct pool *p = calloc(1, sizeof *p);

	if (p)
		p->threads = calloc(threads, sizeof *p->threads);
	if (!p || !p->threads) {
		free(p);
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->more, NULL);
	p->last = &p->first;
	for (; p->n < threads; p->n++) {
		int no = pthread_create(&p->threads[p->n], NULL, run, p);
		if (no) {
			errno = no;
			err_errno(e, "cannot start a thread");
			pool_free(p);
			return NULL;
		}
	}
	return p;
}

int pool_run(struct pool *p, void (*fn)(void *), void *arg)
{
	struct work *w = calloc(1, sizeof *w);

	if (!w)
		return -1;
	*w = (struct work){NULL, fn, arg};
	SCOPED_LOCK(&p->mu);
	*p->last = w;
	p->last = &w->next;
	pthread_cond_signal(&p->more);
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mu);
	p->ending = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->mu);
	for (unsigned i = 0; i < p->n; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->mu);
	free(p->threads);
	free(p);
}
