#include "sagemaker/cancel.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "sagemaker/util.h"

struct hook {
	struct hook *next;
	void (*fn)(void *);
	void *arg;
};

struct cancel {
	atomic_uint refs;
	atomic_bool set;
	pthread_mutex_t mu; /* guards hooks, running, runner; leaf: never held while a hook runs */
	pthread_cond_t changed; /* set became true, or running ended */
	struct hook *hooks;
	struct hook *running; /* the hook that runner is in just now */
	pthread_t runner;
};

struct cancel *cancel_new(void)
{
	struct cancel *c = calloc(1, sizeof *c);
	pthread_condattr_t monotonic;

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	pthread_mutex_init(&c->mu, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return c;
}

struct cancel *cancel_ref(struct cancel *c)
{
	if (c)
		atomic_fetch_add(&c->refs, 1);
	return c;
}

void cancel_unref(struct cancel *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	while (c->hooks) {
		struct hook *k = c->hooks;

		c->hooks = k->next;
		free(k);
	}
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->mu);
	free(c);
}

void cancel_unrefp(struct cancel **c)
{
	cancel_unref(*c);
}

bool cancel_is_set(const struct cancel *c)
{
	return c && atomic_load(&c->set);
}

void cancel_set(struct cancel *c)
{
	if (!c || atomic_exchange(&c->set, true))
		return;
	cancel_ref(c); /* a hook may drop the last other reference */
	pthread_mutex_lock(&c->mu);
	c->runner = pthread_self();
	while (c->hooks) {
		struct hook *k = c->hooks;

		c->hooks = k->next;
		c->running = k;
		pthread_mutex_unlock(&c->mu);
		k->fn(k->arg);
		pthread_mutex_lock(&c->mu);
		c->running = NULL;
		free(k);
		pthread_cond_broadcast(&c->changed);
	}
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mu);
	cancel_unref(c);
}

void cancel_on(struct cancel *c, void (*fn)(void *), void *arg)
{
	struct hook *k = NULL;

	if (!c)
		return;
	if (!cancel_is_set(c))
		k = calloc(1, sizeof *k);
	if (k) {
		SCOPED_LOCK(&c->mu);
		/* Tested again under the lock: cancel_set empties the list under it after setting the flag. */
		if (!cancel_is_set(c)) {
			*k = (struct hook){c->hooks, fn, arg};
			c->hooks = k;
			return;
		}
	}
	/* Set already; or out of memory, where the work ends early rather than could not be ended. */
	free(k);
	fn(arg);
}

void cancel_off(struct cancel *c, void (*fn)(void *), void *arg)
{
	if (!c)
		return;
	SCOPED_LOCK(&c->mu);
	for (struct hook **at = &c->hooks; *at; at = &(*at)->next) {
		struct hook *k = *at;

		if (k->fn == fn && k->arg == arg) {
			*at = k->next;
			free(k);
			return;
		}
	}
	while (c->running && c->running->fn == fn && c->running->arg == arg &&
	       !pthread_equal(c->runner, pthread_self()))
		pthread_cond_wait(&c->changed, &c->mu);
}

bool cancel_sleep(struct cancel *c, long ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	if (!c) {
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			;
		return false;
	}
	SCOPED_LOCK(&c->mu);
	while (!cancel_is_set(c) &&
	       pthread_cond_timedwait(&c->changed, &c->mu, &until) != ETIMEDOUT)
		;
	return cancel_is_set(c);
}
