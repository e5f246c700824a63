#include <errno.h>

#include "sagemaker/http_internal.h"

static void insert_locked(struct http *h, struct timer *t)
{
	struct timer **at = &h->timers;

	while (*at && (*at)->due <= t->due)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	t->queued = true;
}

static void on_timer_cancel(void *arg)
{
	struct timer *t = arg;
	struct http *h = t->h;

	SCOPED_LOCK(&h->mu);
	t->due = 0;
	if (!t->queued)
		return;
	struct timer **at = &h->timers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	insert_locked(h, t);
	http_wake(h);
}

static struct timer *next_due(struct http *h, int64_t now)
{
	SCOPED_LOCK(&h->mu);
	struct timer *t = h->timers;

	if (!t || (t->due > now && !h->stopping))
		return NULL;
	h->timers = t->next;
	t->queued = false;
	return t;
}

void http_run_timers(struct http *h)
{
	int64_t now = http_now();

	for (struct timer *t; (t = next_due(h, now));) {
		cancel_off(t->cancel, on_timer_cancel, t);
		cancel_unref(t->cancel);
		t->fn(t->arg);
		free(t);
	}
}

int http_timer(struct http *h, long ms, struct cancel *cancel, void (*fn)(void *), void *arg,
	       struct err *e)
{
	struct timer *t = calloc(1, sizeof *t);

	if (!t)
		return err_set(e, ENOMEM, "could not set a timer: out of memory");
	*t = (struct timer){
		.h = h, .due = http_now() + ms, .cancel = cancel_ref(cancel), .fn = fn, .arg = arg};
	cancel_on(cancel, on_timer_cancel, t);
	pthread_mutex_lock(&h->mu);
	bool stopping = h->stopping;
	if (!stopping)
		insert_locked(h, t);
	pthread_mutex_unlock(&h->mu);
	if (stopping) {
		cancel_off(cancel, on_timer_cancel, t);
		cancel_unref(cancel);
		free(t);
		return err_set(e, ECANCELED, "cancelled");
	}
	http_wake(h);
	return 0;
}
