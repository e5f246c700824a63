#include "fs/invoke_room.h"

/* References: one of the request (dropped by waiting_done), one of the caller of waiting_new, one of the armed timer, one of the
 * running job. */
void waiting_unref(struct waiting *w)
{
	struct invoke *s = w->room;

	pthread_mutex_lock(&s->mu);
	bool last = --w->refs == 0;
	if (last) {
		s->n_waitings--;
		pthread_cond_broadcast(&s->quiet);
	}
	pthread_mutex_unlock(&s->mu);
	if (!last)
		return;
	if (w->file)
		file_unref(w->file);
	chain_unref(w->chain);
	free(w);
}

static void waiting_ref(struct waiting *w)
{
	SCOPED_LOCK(&w->room->mu);
	w->refs++;
}

static bool claim_locked(struct waiting *w)
{
	if (w->claimed)
		return false;
	w->claimed = true;
	TAILQ_REMOVE(&w->room->waitings, w, link);
	return true;
}

bool waiting_claim(struct waiting *w)
{
	SCOPED_LOCK(&w->room->mu);
	return claim_locked(w);
}

void waiting_done(struct waiting *w)
{
	if (timer_disarm(w->room->m->watch, &w->timer))
		waiting_unref(w);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
	waiting_unref(w);
}

static void interrupted(void *arg)
{
	struct waiting *w = arg;

	if (!waiting_claim(w))
		return;
	reply_err(w->r, EINTR);
	waiting_done(w);
}

static void timer_fired(struct timer *t)
{
	struct waiting *w = t->arg;

	w->late(w);
	waiting_unref(w);
}

struct waiting *waiting_new(struct invoke *s, struct req *r, const struct waiting *what)
{
	struct waiting *w = malloc(sizeof *w);

	if (!w) {
		reply_err(r, ENOMEM);
		return NULL;
	}
	*w = *what;
	w->room = s;
	w->r = r;
	w->refs = 2;
	w->timer = (struct timer){.fn = timer_fired, .arg = w};
	if (w->file)
		file_ref(w->file);
	chain_ref(w->chain);
	pthread_mutex_lock(&s->mu);
	TAILQ_INSERT_TAIL(&s->waitings, w, link);
	s->n_waitings++;
	bool stopping = s->stopping;
	pthread_mutex_unlock(&s->mu);
	if (stopping && waiting_claim(w)) {
		reply_err(r, ESHUTDOWN);
		waiting_done(w);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
		waiting_unref(w);
		return NULL;
	}
	req_on_interrupt(r, interrupted, w);
	return w;
}

void waiting_timer(struct waiting *w, long ms)
{
	pthread_mutex_lock(&w->room->mu);
	bool over = w->claimed;
	if (!over) {
		w->refs++;
		timer_arm(w->room->m->watch, &w->timer, ms);
	}
	pthread_mutex_unlock(&w->room->mu);
}

static void run_job(void *arg, struct cancel *c)
{
	struct waiting *w = arg;

	w->job(w, c);
	waiting_unref(w);
}

void waiting_job(struct waiting *w)
{
	waiting_ref(w);
	if (jobs_run(w->room->m->jobs, run_job, w) == 0)
		return;
	if (waiting_claim(w)) {
		reply_err(w->r, ENOMEM);
		waiting_done(w);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
	waiting_unref(w);
}

/* All that wait now, referenced, in *out; their number. */
static size_t snapshot(struct invoke *s, struct waiting ***out)
{
	struct waiting *w;
	size_t n = 0;

	SCOPED_LOCK(&s->mu);
	*out = TAILQ_EMPTY(&s->waitings) ? NULL : calloc(s->n_waitings, sizeof(struct waiting *));
	if (!*out)
		return 0;
	TAILQ_FOREACH(w, &s->waitings, link)
	{
		w->refs++;
		(*out)[n++] = w;
	}
	return n;
}

void waiting_news(struct invoke *s, const char *endpoint)
{
	_cleanup_free_ struct waiting **all = NULL;
	size_t n = snapshot(s, &all);

	for (size_t i = 0; i < n; i++) {
		if (all[i]->news)
			all[i]->news(all[i], endpoint);
		waiting_unref(all[i]);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): freed by its attribute */
}

void waiting_stop(struct invoke *s)
{
	struct waiting *w;

	for (;;) {
		pthread_mutex_lock(&s->mu);
		s->stopping = true;
		w = TAILQ_FIRST(&s->waitings);
		if (w)
			claim_locked(w);
		pthread_mutex_unlock(&s->mu);
		if (!w)
			return;
		reply_err(w->r, ESHUTDOWN);
		waiting_done(w);
	}
}
