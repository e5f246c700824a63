#include <errno.h>

#include "fs/jobs.h"
#include "fs/thread.h"

struct post {
	struct post *next;
	void (*fn)(void *arg);
	void *arg;
};

struct watch {
	pthread_mutex_t mu;     /* guards what follows and the armed timers' members; a leaf */
	pthread_cond_t changed; /* something to do earlier than thought, or a function ended */
	struct timer *timers;   /* by due time */
	struct post *first, **last;
	struct timer *running;
	bool stop;
	pthread_t thread;
};

static void unlink_locked(struct watch *w, struct timer *t)
{
	struct timer **at = &w->timers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->armed = false;
}

static void insert_locked(struct watch *w, struct timer *t)
{
	struct timer **at = &w->timers;

	while (*at && (*at)->due <= t->due)
		at = &(*at)->next;
	t->next = *at;
	t->armed = true;
	*at = t;
}

static struct post *take_post_locked(struct watch *w)
{
	struct post *p = w->first;

	if (p)
		w->first = p->next;
	if (!w->first)
		w->last = &w->first;
	return p;
}

static struct timer *take_due_locked(struct watch *w)
{
	struct timer *t = w->timers;

	if (!t || t->due > now_ms())
		return NULL;
	unlink_locked(w, t);
	w->running = t;
	return t;
}

/* Runs one thing that is due, without the lock. False: nothing is. */
static bool run_one_locked(struct watch *w)
{
	struct post *p = take_post_locked(w);
	struct timer *t = p ? NULL : take_due_locked(w);

	if (!p && !t)
		return false;
	pthread_mutex_unlock(&w->mu);
	if (p)
		p->fn(p->arg);
	else
		t->fn(t); /* t may be gone after it */
	free(p);
	pthread_mutex_lock(&w->mu);
	w->running = NULL;
	pthread_cond_broadcast(&w->changed);
	return true;
}

static void *watch_thread(void *arg)
{
	struct watch *w = arg;

	pthread_mutex_lock(&w->mu);
	for (;;) {
		if (run_one_locked(w))
			continue;
		if (w->stop)
			break;
		if (w->timers) {
			struct timespec until = thread_deadline(w->timers->due);
			pthread_cond_timedwait(&w->changed, &w->mu, &until);
		} else {
			pthread_cond_wait(&w->changed, &w->mu);
		}
	}
	pthread_mutex_unlock(&w->mu);
	return NULL;
}

struct watch *watch_new(struct err *e)
{
	struct watch *w = calloc(1, sizeof *w);

	if (!w) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&w->mu, NULL);
	thread_cond_init(&w->changed);
	w->last = &w->first;
	int no = thread_start(&w->thread, watch_thread, w);
	if (no) {
		errno = no;
		err_errno(e, "cannot start a thread");
		free(w);
		return NULL;
	}
	return w;
}

/* Posts that are queued still run, so that nobody waits for one in vain; timers do not. */
void watch_stop(struct watch *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->mu);
	w->stop = true;
	while (w->timers)
		unlink_locked(w, w->timers);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->mu);
	pthread_join(w->thread, NULL);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	for (struct post *p; (p = take_post_locked(w));)
		free(p);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->mu);
	free(w);
}

void timer_arm(struct watch *w, struct timer *t, long ms)
{
	SCOPED_LOCK(&w->mu);

	if (t->armed)
		unlink_locked(w, t);
	if (w->stop)
		return;
	t->due = now_ms() + ms;
	insert_locked(w, t);
	if (w->timers == t)
		pthread_cond_broadcast(&w->changed);
}

bool timer_disarm(struct watch *w, struct timer *t)
{
	SCOPED_LOCK(&w->mu);
	bool was = t->armed;

	while (w->running == t && !pthread_equal(pthread_self(), w->thread))
		pthread_cond_wait(&w->changed, &w->mu);
	if (t->armed) /* perhaps only since a moment: fn may re-arm its timer */
		unlink_locked(w, t);
	return was;
}

int watch_post(struct watch *w, void (*fn)(void *arg), void *arg)
{
	struct post *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	*p = (struct post){NULL, fn, arg};
	SCOPED_LOCK(&w->mu);
	*w->last = p;
	w->last = &p->next;
	pthread_cond_broadcast(&w->changed);
	return 0;
}
