/*
 * Listings of endpoints/ and invoke/.
 *
 * The table is the listing's memory: pages go into it as they come, and every reader has a mark, the seq it has seen. An account
 * with one page of endpoints is asked when what is known is older than a second, and the reader waits for it, 2 s at most. Where
 * a listing takes several pages the reader gets at once what is known, and a listing in the background brings it up to date.
 * Before the first listing there is nothing to give: then readers get the pages as they come.
 *
 * Between two pages the kernel's request is parked. It holds the directory's lock, which mkdir and rmdir need, so it is answered
 * within 2 s in any case: with two of the entries that are always there, kept back for that, and when there are none left with
 * ETIMEDOUT. An empty answer would be the end, and a listing cut short would look like a whole one.
 */
#include <errno.h>

#include "fs/endpoints_room.h"

#define CROWD_MS \
 5000 /* look-ups of different names that follow each other sooner are a way through the listing */

/* A request that waits for news. Who takes it out of the list, under endpoints.mu, answers it and frees it. */
struct parked {
	struct parked *next;
	struct endpoints *s;
	struct req *r;
	struct dirfill *f;
	const struct stream_kind *kind;
	struct timer timer;
	bool listed;      /* in the list */
	bool interrupted; /* before it was */
};

/* What a reader is to get now. */
enum turn { NOTHING, PART, WHOLE, BROKEN };

/* ---- the background listing */

/* A long listing is not begun again at once. */
static int64_t pause_ms(const struct endpoints *s)
{
	return s->listing.pages > 1 ? MAX(FRESH_MS, 2 * s->listing.took_ms) : FRESH_MS;
}

static bool listing_lately(const struct endpoints *s)
{
	if (!s->listed_ever || s->listing.pages < 2)
		return false;
	return s->listing.running || now_ms() - s->listing.ended < pause_ms(s);
}

bool may_ask_locked(struct endpoints *s)
{
	const double most = 16, per_ms = 2 / 1000.0;
	const int64_t now = now_ms();
	struct allowance *a = &s->asks;

	a->left = a->at ? MIN(most, a->left + (double)(now - a->at) * per_ms) : most;
	a->at = now;
	if (a->left < 1)
		return false;
	a->left--;
	return true;
}

static void listing_job(void *arg, struct cancel *c)
{
	struct endpoints *s = arg;
	struct err e;

	int rc = ask_all(s, c, &e);
	if (rc)
		mount_fail(s->m, ROOM_ENDPOINTS, &e);
	pthread_mutex_lock(&s->mu);
	s->listing.running = false;
	s->listing.ended = now_ms();
	s->listing.why = e;
	pthread_mutex_unlock(&s->mu);
	stream_news(s);
}

static void start_locked(struct endpoints *s)
{
	if (s->listing.running)
		return;
	s->listing.running = jobs_run(s->m->jobs, listing_job, s) == 0;
	if (!s->listing.running)
		err_set(&s->listing.why, ENOMEM, "list endpoints: out of memory");
}

void stream_refresh_locked(struct endpoints *s)
{
	if (!s->listing.ended || now_ms() - s->listing.ended >= pause_ms(s))
		start_locked(s);
}

/* Whether different names are looked up in short order; one may be looked up several times on the way. */
static bool crowd_locked(struct endpoints *s, const struct ep *ep)
{
	const int64_t now = now_ms();

	if (s->looked != ep && s->looked && now - s->looked_at < CROWD_MS)
		s->crowd_at = now;
	s->looked = ep;
	s->looked_at = now;
	return s->crowd_at && now - s->crowd_at < CROWD_MS;
}

/* Where a listing is one call, a name is described, but not many more in a second than a person looks up. Else it is described
 * when it is looked up alone; names one after the other are somebody's way through the listing. */
bool believed_locked(struct endpoints *s, const struct ep *ep)
{
	bool crowd = crowd_locked(s, ep);

	if (listing_lately(s))
		return true;
	if (s->listing.pages > 1 ? !crowd : may_ask_locked(s))
		return false;
	stream_refresh_locked(s);
	return true;
}

/* ---- what a reader gets */

/* Adds what the reader has not seen. The list of all begins with the newest. */
static int add_new_locked(struct endpoints *s, struct dirfill *f, const struct stream_kind *kind,
			  size_t *n)
{
	struct dirmark *mark = dirfill_mark(f);

	for (const struct ep *ep = s->all; ep && ep->seq > mark->seen; ep = ep->next) {
		if (!ep_shown(ep))
			continue;
		if (dirfill_add(f, ep->name, 0, kind->type))
			return -1;
		(*n)++;
	}
	mark->seen = s->seq;
	return 0;
}

/* Adds the next of the entries that are always there. */
static bool add_extra(struct dirfill *f, const struct stream_kind *kind)
{
	const struct stream_extra *x = &kind->extras[dirfill_mark(f)->step];

	if (!x->name || dirfill_add(f, x->name, 0, x->type))
		return false;
	dirfill_mark(f)->step++;
	return true;
}

static enum turn whole_locked(struct endpoints *s, struct dirfill *f,
			      const struct stream_kind *kind)
{
	size_t n = 0;

	if (add_new_locked(s, f, kind, &n))
		return BROKEN;
	while (add_extra(f, kind))
		;
	return WHOLE;
}

/* A permission that was taken away takes the names along. */
static bool is_denied(const struct endpoints *s)
{
	return s->listing.why.no == EACCES;
}

/* The reader's turn now that there may be news. */
static enum turn news_locked(struct endpoints *s, struct dirfill *f, const struct stream_kind *kind)
{
	size_t n = 0;

	if (!s->listing.running)
		return s->listed_ever && !is_denied(s) ? whole_locked(s, f, kind) : BROKEN;
	if (!dirfill_mark(f)->parts)
		return NOTHING;
	if (add_new_locked(s, f, kind, &n))
		return BROKEN;
	return n ? PART : NOTHING;
}

/* The reader's turn when it has waited for as long as it may. */
static enum turn limit_locked(struct endpoints *s, struct dirfill *f,
			      const struct stream_kind *kind)
{
	if (!dirfill_mark(f)->parts)
		return whole_locked(s, f, kind);
	if (!add_extra(f, kind))
		return BROKEN;
	add_extra(f, kind);
	return PART;
}

static void answer_broken(struct endpoints *s, struct req *r, struct dirfill *f,
			  const struct stream_kind *kind)
{
	struct err e;

	pthread_mutex_lock(&s->mu);
	bool silent = s->listing.running;
	e = s->listing.why;
	pthread_mutex_unlock(&s->mu);
	if (silent || !e.no)
		err_set(&e, ETIMEDOUT,
			"list endpoints: the service has not answered for some seconds; what was listed is not all");
	mount_fail(s->m, kind->room, &e);
	reply_dir_broken(r, f, e.no);
}

static void answer(struct endpoints *s, struct req *r, struct dirfill *f,
		   const struct stream_kind *kind, enum turn turn)
{
	if (turn == PART)
		reply_dir_part(r, f);
	else if (turn == WHOLE)
		reply_dir(r, f);
	else
		answer_broken(s, r, f, kind);
}

/* ---- parked requests */

static bool take_out_locked(struct parked *p)
{
	struct parked **at = &p->s->parked;

	if (!p->listed)
		return false;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->listed = false;
	return true;
}

/* p is out of the list. */
static void answer_parked(struct parked *p, enum turn turn)
{
	timer_disarm(p->s->m->watch, &p->timer);
	answer(p->s, p->r, p->f, p->kind, turn);
	free(p);
}

static void on_limit(struct timer *t)
{
	struct parked *p = t->arg;
	struct endpoints *s = p->s;

	pthread_mutex_lock(&s->mu);
	bool mine = take_out_locked(p);
	enum turn turn = mine ? limit_locked(s, p->f, p->kind) : NOTHING;
	if (mine)
		in_vain_locked(s);
	pthread_mutex_unlock(&s->mu);
	if (mine)
		answer_parked(p, turn);
}

static void on_interrupt(void *arg)
{
	struct parked *p = arg;

	pthread_mutex_lock(&p->s->mu);
	bool mine = take_out_locked(p);
	p->interrupted = true;
	pthread_mutex_unlock(&p->s->mu);
	if (!mine)
		return;
	timer_disarm(p->s->m->watch, &p->timer);
	reply_err(p->r, EINTR);
	free(p);
}

/* News may have come since the reader was found to have none. */
static void park(struct endpoints *s, struct req *r, struct dirfill *f,
		 const struct stream_kind *kind)
{
	struct parked *p = calloc(1, sizeof *p);

	if (!p) {
		reply_err(r, ENOMEM);
		return;
	}
	*p = (struct parked){.s = s, .r = r, .f = f, .kind = kind};
	p->timer = (struct timer){.fn = on_limit, .arg = p};
	req_on_interrupt(r, on_interrupt, p);
	pthread_mutex_lock(&s->mu);
	enum turn turn = p->interrupted ? NOTHING : news_locked(s, f, kind);
	bool waits = turn == NOTHING && !p->interrupted;
	if (waits) {
		p->listed = true;
		p->next = s->parked;
		s->parked = p;
		/* who has been given a part gets the rest or ETIMEDOUT: not sooner than need be */
		timer_arm(s->m->watch, &p->timer,
			  dirfill_mark(f)->parts ? PROMISE_LIMIT_MS : limit_ms_locked(s));
	}
	pthread_mutex_unlock(&s->mu);
	if (waits)
		return;
	if (p->interrupted)
		reply_err(r, EINTR);
	else
		answer(s, r, f, kind, turn);
	free(p);
}

void stream_news(struct endpoints *s)
{
	struct parked *p;

	do {
		enum turn turn = NOTHING;

		pthread_mutex_lock(&s->mu);
		for (p = s->parked; p; p = p->next) {
			turn = news_locked(s, p->f, p->kind);
			if (turn != NOTHING)
				break;
		}
		if (p)
			take_out_locked(p);
		pthread_mutex_unlock(&s->mu);
		if (p)
			answer_parked(p, turn);
	} while (p);
}

/* ---- */

/* The first answer: before any listing only what every directory has, so that a reader is not kept waiting for nothing. */
static enum turn begin_locked(struct endpoints *s, struct dirfill *f,
			      const struct stream_kind *kind)
{
	const bool fresh = s->listed_ever && now_ms() - s->listed_at < FRESH_MS;

	if (fresh || (s->listed_ever && s->listing.pages > 1 && !is_denied(s))) {
		stream_refresh_locked(s);
		return whole_locked(s, f, kind);
	}
	start_locked(s);
	if (s->listed_ever)
		return NOTHING;
	dirfill_mark(f)->parts = true;
	return PART;
}

void endpoints_stream(struct endpoints *s, struct req *r, struct dirfill *f,
		      const struct stream_kind *kind)
{
	pthread_mutex_lock(&s->mu);
	enum turn turn = dirfill_mark(f)->parts ? NOTHING : begin_locked(s, f, kind);
	pthread_mutex_unlock(&s->mu);
	if (turn == NOTHING)
		park(s, r, f, kind);
	else
		answer(s, r, f, kind, turn);
}
