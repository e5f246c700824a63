/*
 * One timer and at most one job that asks, for all that is in transition, waited for, or not finished; nothing else is asked by
 * itself. Several at once are one ListEndpoints, then a DescribeEndpoint for each whose status changed.
 */
#include <errno.h>

#include "fs/endpoints_room.h"

#define POLL_MAX       64 /* described singly per round; the rest in the next */
#define BACKOFF_MAX_MS 30000
#define FOLLOWED_MS    5000 /* where nothing is in transition, but somebody follows the events */

/* How often, by who waits and for how long already. */
static const struct pace {
	bool waited;
	int64_t younger_ms;
	long every_ms;
} paces[] = {
	{true,  120000,    250 },
        {true,  600000,    1000},
        {true,  INT64_MAX, 5000},
	{false, 120000,    1000},
        {false, INT64_MAX, 5000},
};

/* To be asked at the service. Before CreateEndpoint is accepted there is nothing to ask. */
static bool to_ask(const struct ep *ep)
{
	if (ep_trying(ep))
		return false;
	return ep_in_transition(ep) || (ep->waiters && !ep_settled(ep)) || ep->followers ||
	       (ep->deletion && !ep->deletion->running && ep->deletion->accepted &&
		!deletion_over(ep));
}

/* Work of ours that waits for its time. */
static bool to_work(const struct endpoints *s, const struct ep *ep)
{
	return tags_due_locked(s, ep) || (ep->deletion && !ep->deletion->running) ||
	       (ep->attempt && ep->attempt->leftovers && !ep->attempt->running);
}

/* One that the service has not been told of. Of an endpoint that a Describe misses though it was made a moment ago only
 * DeleteEndpoint says whether it is there. */
static bool untold_due(const struct ep *ep, int64_t now)
{
	const struct deletion *d = ep->deletion;

	if (d->theirs && (ep->gone || ep->missed))
		return true; /* the other mount has done it */
	return d->again <= now && (ep->missed || !ep_in_progress(ep));
}

static bool deletion_due(const struct ep *ep, int64_t now)
{
	const struct deletion *d = ep->deletion;

	if (!d || d->running || ep_trying(ep))
		return false;
	if (!d->accepted)
		return untold_due(ep, now);
	if (d->released && deletion_over(ep))
		return true; /* nothing is asked any more: its time does not matter */
	return d->again <= now && (deletion_over(ep) || (ep_exists(ep) && !ep_in_transition(ep)));
}

static bool attempt_due(const struct ep *ep, int64_t now)
{
	const struct attempt *t = ep->attempt;

	return t && t->leftovers && !t->running && t->again <= now;
}

static long pace_of(const struct ep *ep, int64_t now)
{
	bool waited = ep->waiters > 0;

	if (ep->followers && !waited && !ep_in_transition(ep) && !ep->deletion)
		return FOLLOWED_MS;
	int64_t age = now - (waited ? ep->waiting_since : ep->since);

	for (size_t i = 0; i < ARRAY_SIZE(paces); i++)
		if (paces[i].waited == waited && age < paces[i].younger_ms)
			return paces[i].every_ms;
	return 5000;
}

/* Milliseconds until the next round, -1: none is needed. */
static long next_round_locked(const struct endpoints *s)
{
	const int64_t now = now_ms();
	long best = -1;

	for (const struct ep *ep = s->all; ep; ep = ep->next) {
		if (!to_ask(ep) && !to_work(s, ep))
			continue;
		long ms = pace_of(ep, now);
		best = best < 0 ? ms : MIN(best, ms);
	}
	return best < 0 ? -1 : MAX(best, s->backoff_ms);
}

void poll_kick_locked(struct endpoints *s, long ms)
{
	const int64_t due = now_ms() + ms;

	if (s->stopping || s->polling || (s->armed && s->due <= due))
		return;
	s->armed = true;
	s->due = due;
	timer_arm(s->m->watch, &s->timer, ms);
}

void poll_kick(struct endpoints *s, long ms)
{
	SCOPED_LOCK(&s->mu);
	poll_kick_locked(s, ms);
}

/* Takes what is due from the table, copying names: no entry is kept hold of while the network is waited for. */
struct round {
	char ask[POLL_MAX][64];
	size_t n_ask;
	bool unlisted;
};

static void collect_locked(struct endpoints *s, struct round *r)
{
	r->unlisted = s->unlisted;
	for (const struct ep *ep = s->all; ep && r->n_ask < POLL_MAX; ep = ep->next)
		if (to_ask(ep))
			memcpy(r->ask[r->n_ask++], ep->name, 64);
}

static void keep_stale_locked(struct endpoints *s, struct round *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_ask; i++) {
		const struct ep *ep = ep_find_locked(s, r->ask[i]);

		if (ep && (ep->stale || !ep_exists(ep)))
			memmove(r->ask[kept++], r->ask[i], 64);
	}
	r->n_ask = kept;
}

static size_t pages_of_list(struct endpoints *s)
{
	SCOPED_LOCK(&s->mu);
	return s->listing.pages;
}

/* One list, or single questions where these are fewer calls. */
static int ask_round(struct endpoints *s, struct round *r, struct cancel *c, struct err *e)
{
	int rc = 0;

	if (!r->unlisted && r->n_ask > MAX(pages_of_list(s), 1u)) {
		if (ask_all(s, c, e))
			return e->no == EACCES ? 0 : -1; /* the next round does without */
		for (size_t i = 0; i < r->n_ask; i++)
			ep_tell(s, r->ask[i]);
		SCOPED_LOCK(&s->mu);
		keep_stale_locked(s, r);
	}
	for (size_t i = 0; i < r->n_ask && !cancel_is_set(c); i++)
		if (ask_one(s, r->ask[i], c, e))
			rc = -1;
	return rc;
}

/* Starts the work that is due; each runs as a job of its own. */
static void start_work(struct endpoints *s)
{
	struct deletion *deletion;
	struct attempt *attempt;

	do {
		const int64_t now = now_ms();

		deletion = NULL;
		attempt = NULL;
		pthread_mutex_lock(&s->mu);
		for (struct ep *ep = s->all; ep && !deletion && !attempt; ep = ep->next) {
			attempt = attempt_due(ep, now) ? ep->attempt : NULL;
			deletion = deletion_due(ep, now) ? ep->deletion : NULL;
		}
		if (deletion)
			deletion->running = true;
		if (attempt)
			attempt->running = true;
		pthread_mutex_unlock(&s->mu);
		if (deletion)
			deletion_run(deletion);
		if (attempt)
			attempt_recover(attempt);
	} while (deletion || attempt);
}

/* Waiting readers look again even when nothing changed: what they know is fresh now. */
static void poll_job(void *arg, struct cancel *c)
{
	struct endpoints *s = arg;
	struct round r = {0};
	struct err e;

	pthread_mutex_lock(&s->mu);
	collect_locked(s, &r);
	pthread_mutex_unlock(&s->mu);
	int rc = ask_round(s, &r, c, &e);
	if (rc)
		ep_log(s, LOG_LEVEL_DEBUG, "%s", e.text);
	tags_read(s, c);
	start_work(s);

	SCOPED_LOCK(&s->mu);
	s->polling = false;
	s->backoff_ms = rc ? MIN(MAX(s->backoff_ms * 2, 500), BACKOFF_MAX_MS) : 0;
	long ms = next_round_locked(s);
	if (ms >= 0)
		poll_kick_locked(s, ms);
}

void poll_fire(struct timer *t)
{
	struct endpoints *s = t->arg;

	pthread_mutex_lock(&s->mu);
	s->armed = false;
	bool go = !s->stopping && !s->polling && next_round_locked(s) >= 0;
	s->polling = go;
	pthread_mutex_unlock(&s->mu);
	if (go && jobs_run(s->m->jobs, poll_job, s)) {
		SCOPED_LOCK(&s->mu);
		s->polling = false;
		poll_kick_locked(s, 1000);
	}
}
