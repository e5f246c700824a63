/* reads_queue.c: which chunks are to come, the jobs that fetch them, and what is fetched ahead. */
#include <errno.h>

#include "fs/reads_internal.h"

#define WORKERS_MAX 4 /* fetches at once: each holds a compressed chunk in memory */
#define AHEAD_MAX   3 /* chunks */

/* A chunk that is to come. */
struct fetch {
	struct fetch *next;
	struct model *md;
	struct archive *a;
	size_t i;
	bool running;
	struct wait *waits;
};

struct reads *reads_new(struct models *s, struct blocks *blocks)
{
	struct reads *q = calloc(1, sizeof *q);

	if (!q)
		return NULL;
	q->s = s;
	q->blocks = blocks;
	pthread_mutex_init(&q->mu, NULL);
	thread_cond_init(&q->changed);
	return q;
}

static void fetch_free(struct fetch *f)
{
	archive_unref(f->a);
	free(f);
}

void reads_free(struct reads *q)
{
	if (!q)
		return;
	for (struct fetch *next, *f = q->list; f; f = next) {
		next = f->next;
		fetch_free(f);
	}
	blocks_free(q->blocks);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->mu);
	free(q);
}

struct blocks *reads_blocks(struct reads *q)
{
	return q->blocks;
}

void reads_forget(struct reads *q, const char *key)
{
	_cleanup_(archive_unrefp)
	struct archive *a = archive_new(NULL, key, "");

	if (a)
		blocks_forget(q->blocks, a->id);
}

static struct fetch *find_locked(struct reads *q, const struct archive *a, size_t i)
{
	for (struct fetch *f = q->list; f; f = f->next) {
		if (f->i == i && streq(f->a->id, a->id))
			return f;
	}
	return NULL;
}

/* A fetch of this chunk, at the end of the list. NULL: memory. */
static struct fetch *add_locked(struct reads *q, struct model *md, struct archive *a, size_t i)
{
	struct fetch *f = calloc(1, sizeof *f), **last = &q->list;

	if (!f)
		return NULL;
	f->md = md;
	f->a = archive_ref(a);
	f->i = i;
	while (*last)
		last = &(*last)->next;
	*last = f;
	return f;
}

/* Out of the list; its waits are the caller's. */
static struct wait *take_out(struct reads *q, struct fetch *f)
{
	SCOPED_LOCK(&q->mu);

	for (struct fetch **p = &q->list; *p; p = &(*p)->next) {
		if (*p == f) {
			*p = f->next;
			break;
		}
	}
	pthread_cond_broadcast(&q->changed);
	return steal(f->waits);
}

static void worker(void *arg, struct cancel *cancel);

/* One more job, when there are fewer than may be. */
static bool worker_locked(struct reads *q)
{
	if (q->workers >= WORKERS_MAX)
		return true;
	if (jobs_run(q->s->m->jobs, worker, q) < 0)
		return q->workers > 0;
	q->workers++;
	return true;
}

enum queued reads_enqueue(struct reads *q, struct wait *w, size_t i)
{
	SCOPED_LOCK(&q->mu);
	struct block *k = blocks_find(q->blocks, w->a->id, i);

	block_put(k);
	if (k)
		return NOW;
	struct fetch *f = find_locked(q, w->a, i);
	if (!f)
		f = add_locked(q, w->md, w->a, i);
	if (!f || !worker_locked(q))
		return NEVER;
	w->at_once = false;
	w->next = f->waits;
	f->waits = w;
	return LATER;
}

/* A fetch is over: k, or NULL and why. Its waits go on. */
static void over(struct reads *q, struct fetch *f, struct block *k, const struct err *e)
{
	struct wait *w = take_out(q, f), *next;

	for (; w; w = next) {
		next = w->next;
		if (k)
			wait_go_on(q, w);
		else
			wait_fail(w, e);
	}
	fetch_free(f);
}

/* The next one to run: somebody waits for it, or it is ahead. */
static struct fetch *pick_locked(struct reads *q)
{
	struct fetch *ahead = NULL;

	for (struct fetch *f = q->list; f; f = f->next) {
		if (!f->running && f->waits)
			return f;
		if (!f->running && !ahead)
			ahead = f;
	}
	return ahead;
}

static struct fetch *next_fetch(struct reads *q)
{
	SCOPED_LOCK(&q->mu);
	struct fetch *f = pick_locked(q);

	if (f)
		f->running = true;
	else
		q->workers--;
	return f;
}

static void worker(void *arg, struct cancel *cancel)
{
	struct reads *q = arg;
	struct fetch *f;

	while ((f = next_fetch(q))) {
		struct err e = {0};
		_cleanup_(block_putp)
		struct block *k = cancel_is_set(cancel)
					  ? NULL
					  : fetch_chunk(q->blocks, f->md, f->a, f->i, cancel, &e);

		if (!k && !e.no)
			err_set(&e, ECANCELED, "the mount ends");
		over(q, f, k, &e);
	}
}

/* How many chunks past i this reader will want soon. */
static size_t window_locked(struct archive *a, size_t i, bool on)
{
	if (i == a->last + 1)
		a->streak++;
	else if (i != a->last)
		a->streak = 0;
	a->last = i;
	return MIN((size_t)a->streak + on, (size_t)AHEAD_MAX);
}

void reads_ahead(struct reads *q, struct model *md, struct archive *a, size_t i, bool on)
{
	SCOPED_LOCK(&q->mu);
	size_t end = MIN(i + 1 + window_locked(a, i, on), a->index.n);

	for (size_t j = i + 1; j < end; j++) {
		struct block *k = blocks_find(q->blocks, a->id, j);

		block_put(k);
		if (k || find_locked(q, a, j))
			continue;
		if (!add_locked(q, md, a, j) || !worker_locked(q))
			return;
	}
}

/* The fetch that this thread is to run, or NULL: look again. */
static struct fetch *own_fetch(struct reads *q, struct model *md, struct archive *a, size_t i,
			       struct err *e)
{
	SCOPED_LOCK(&q->mu);
	struct fetch *f = find_locked(q, a, i);

	if (f && f->running) {
		struct timespec until = thread_deadline(now_ms() + 100);

		pthread_cond_timedwait(&q->changed, &q->mu, &until);
		return NULL;
	}
	if (!f)
		f = add_locked(q, md, a, i);
	if (f)
		f->running = true;
	else
		err_set(e, ENOMEM, "out of memory");
	return f;
}

struct block *reads_block(struct reads *q, struct model *md, struct archive *a, size_t i,
			  struct cancel *c, struct err *e)
{
	for (;;) {
		struct block *k = blocks_find(q->blocks, a->id, i);

		if (k)
			return k;
		if (cancel_is_set(c)) {
			err_set(e, ECANCELED, "cancelled");
			return NULL;
		}
		err_clear(e);
		struct fetch *f = own_fetch(q, md, a, i, e);
		if (!f && e->no)
			return NULL;
		if (!f)
			continue;
		k = fetch_chunk(q->blocks, md, a, i, c, e);
		over(q, f, k, e);
		return k;
	}
}
