#include "fs/invoke_room.h"

/* One that waits for an exchange. Its request may be answered by the exchange's end or by its interrupt: who sets `claimed`. */
struct waiter {
	LIST_ENTRY(waiter) link;
	unsigned refs; /* handle.mu: the request's, exchange_await()'s */
	bool claimed, listed;
	struct exchange *x; /* referenced */
	struct req *r;
	struct reader what;
};

LIST_HEAD(waiters, waiter);

/* References: the engine's (until done), the handle's flight, each waiter's. */
struct exchange {
	TAILQ_ENTRY(exchange) link; /* invoke.mu */
	atomic_uint refs;
	struct handle *h; /* referenced */
	struct body *body;
	struct cancel *cancel;
	struct answer *answer; /* ENOMEM until done() has filled it; constant once finished */
	uint64_t ticket;
	bool listed;            /* invoke.mu */
	atomic_bool dropped;    /* cancelled because nobody wants the answer */
	bool finished;          /* handle.mu */
	unsigned wanted;        /* handle.mu: requests that have not been interrupted */
	struct waiters waiters; /* handle.mu */
};

static void exchange_unref(struct exchange *x)
{
	if (atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (x->body)
		body_unref(x->body);
	cancel_unref(x->cancel);
	answer_unref(x->answer);
	if (x->h)
		handle_unref(x->h);
	free(x);
}

static struct exchange *exchange_ref(struct exchange *x)
{
	atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
	return x;
}

struct exchange *exchange_new_locked(struct handle *h)
{
	struct exchange *x = calloc(1, sizeof *x);

	if (!x)
		return NULL;
	atomic_init(&x->refs, 1);
	LIST_INIT(&x->waiters);
	x->cancel = cancel_new();
	x->answer = answer_new(ENOMEM, NULL, 0);
	if (!x->cancel || !x->answer) {
		exchange_unref(x);
		return NULL;
	}
	atomic_store(&x->refs, 2);
	x->h = handle_ref_locked(h);
	x->body = h->body;
	atomic_fetch_add(&x->body->refs, 1);
	x->ticket = h->expected ? h->expected : answers_ticket(h->file->room->answers);
	h->expected = 0;
	h->dirty = false;
	h->unread = true;
	if (h->flight) /* answers its own waiters; the engine has it still */
		exchange_unref(h->flight);
	h->flight = x;
	return x;
}

static bool list(struct exchange *x)
{
	struct invoke *s = x->h->file->room;

	SCOPED_LOCK(&s->mu);
	if (s->stopping)
		return false;
	TAILQ_INSERT_TAIL(&s->exchanges, x, link);
	x->listed = true;
	return true;
}

static void unlist(struct exchange *x)
{
	struct invoke *s = x->h->file->room;

	SCOPED_LOCK(&s->mu);
	if (!x->listed)
		return;
	TAILQ_REMOVE(&s->exchanges, x, link);
	x->listed = false;
	pthread_cond_broadcast(&s->quiet);
}

void answer_slice(struct req *r, const struct answer *a, size_t at, size_t size)
{
	if (a && a->no)
		reply_err(r, a->no);
	else if (!a || at >= a->len)
		reply_data(r, "", 0);
	else
		reply_data(r, a->data + at, MIN(size, a->len - at));
}

static void waiter_unref(struct waiter *w)
{
	struct exchange *x = w->x;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
	pthread_mutex_lock(&x->h->mu);
	bool last = --w->refs == 0;
	pthread_mutex_unlock(&x->h->mu);
	if (!last)
		return;
	exchange_unref(x);
	free(w);
}

/* The answer is there: to all that wait, one after the other, never with the lock (a reply waits for a running interrupt). */
static void answer_waiters(struct exchange *x)
{
	const struct answer *a = x->answer;
	struct handle *h = x->h;
	struct waiter *w;
	size_t at = 0;

	for (;;) {
		pthread_mutex_lock(&h->mu);
		w = LIST_FIRST(&x->waiters);
		if (w) {
			LIST_REMOVE(w, link);
			w->claimed = true;
			if (w->what.read)
				at = handle_slice_locked(h, w->what.off);
		}
		pthread_mutex_unlock(&h->mu);
		if (!w)
			return;
		if (w->what.read)
			answer_slice(w->r, a, at, w->what.size);
		else
			reply_err(w->r, a->no);
		waiter_unref(w);
	}
}

/* Ends the exchange: its answer is set. */
static void finish(struct exchange *x)
{
	struct handle *h = x->h;
	struct invoke *s = h->file->room;
	struct answer *old = NULL;

	store_answer(s, h->file->name, h->chain, x->ticket, x->answer);
	pthread_mutex_lock(&h->mu);
	bool newest = h->flight == x;
	if (newest) {
		h->flight = NULL;
		old = h->answer;
		h->answer = answer_ref(x->answer);
	}
	x->finished = true;
	pthread_mutex_unlock(&h->mu);
	answer_unref(old);
	answer_waiters(x);
	if (newest)
		exchange_unref(x);
	waiting_news(s, NULL);
	unlist(x);
	exchange_unref(x);
}

/* On the engine's thread. */
static void done(void *arg, struct http_resp *resp, const struct buf *container,
		 const struct err *e)
{
	static const char dropped[] =
		"interrupted before the answer came: write the request again\n";
	struct exchange *x = arg;

	if (!e->no) {
		size_t len = resp->body.len;
		char *data = buf_steal(&resp->body);
		if (data)
			answer_fill(x->answer, 0, data, len);
	} else if (atomic_load(&x->dropped)) {
		answer_fill(x->answer, ECANCELED, strdup(dropped), sizeof dropped - 1);
	} else {
		failure_fill(x->answer, x->h->file, x->h->chain, e, container);
	}
	finish(x);
}

void exchange_start(struct exchange *x)
{
	const struct handle *h = x->h;
	struct invoke *s = h->file->room;
	struct invoke_req q = {.endpoint = h->file->endpoint,
			       .content_type = h->type,
			       .body = buf_cstr(&x->body->bytes),
			       .body_len = x->body->bytes.len,
			       .cancel = x->cancel};
	struct http_resp none = {0};
	struct err e = {0};

	if (!list(x))
		err_set(&e, ESHUTDOWN, "the file system is being unmounted");
	else if (runtime_invoke(s->m->aws, &q, done, x, &e) == 0)
		return;
	done(x, &none, NULL, &e);
}

struct exchange *exchange_idle_locked(struct handle *h)
{
	struct exchange *x = h->flight;

	if (!x || x->wanted > 0)
		return NULL;
	h->flight = NULL;
	return x;
}

void exchange_cancel(struct exchange *x)
{
	if (!x)
		return;
	atomic_store(&x->dropped, true);
	cancel_set(x->cancel);
	exchange_unref(x);
}

/*
 * Ctrl-C: answer at once. The exchange goes on: many programs are interrupted by signals that mean nothing (a child ended, Go
 * preempts) and read again; they find the same answer, not a second invocation. Who really gives up closes the file or writes
 * something else: then it is cancelled.
 */
static void interrupted(void *arg)
{
	struct waiter *w = arg;
	struct exchange *x = w->x;
	struct handle *h = x->h;

	pthread_mutex_lock(&h->mu);
	if (w->claimed) {
		pthread_mutex_unlock(&h->mu);
		return;
	}
	w->claimed = true;
	if (w->listed)
		LIST_REMOVE(w, link);
	bool useless = --x->wanted == 0 && h->flight != x && !x->finished;
	pthread_mutex_unlock(&h->mu);
	if (useless)
		exchange_cancel(exchange_ref(x));
	reply_err(w->r, EINTR);
	waiter_unref(w);
}

/* The exchange that h's next answer comes from, referenced: the one in flight, or a new one (*fresh) for what is unsent. NULL: h has
 * its answer, or (-1) there is no memory for another. */
static int current_locked(struct handle *h, struct exchange **x, struct exchange **fresh)
{
	*fresh = h->dirty ? exchange_new_locked(h) : NULL;
	if (h->dirty)
		return -1;
	*x = h->flight ? exchange_ref(h->flight) : NULL;
	if (*x)
		(*x)->wanted++;
	return 0;
}

/* The request joins those that wait for x, unless it was interrupted or x has ended meanwhile. */
static void join(struct waiter *w)
{
	struct exchange *x = w->x;
	struct handle *h = x->h;
	bool now = false;
	size_t at = 0;

	pthread_mutex_lock(&h->mu);
	if (!w->claimed && x->finished) {
		w->claimed = now = true;
		at = w->what.read ? handle_slice_locked(h, w->what.off) : 0;
	} else if (!w->claimed) {
		w->listed = true;
		LIST_INSERT_HEAD(&x->waiters, w, link);
	}
	pthread_mutex_unlock(&h->mu);
	if (!now)
		return;
	if (w->what.read)
		answer_slice(w->r, x->answer, at, w->what.size);
	else
		reply_err(w->r, x->answer->no);
	waiter_unref(w);
}

/* h has its answer: no need to wait. */
static void answer_now(struct handle *h, struct req *r, const struct reader *what)
{
	if (!what->read) {
		reply_err(r, 0);
		return;
	}
	pthread_mutex_lock(&h->mu);
	size_t at = handle_slice_locked(h, what->off);
	_cleanup_answer_ struct answer *a = answer_ref(h->answer);
	pthread_mutex_unlock(&h->mu);
	answer_slice(r, a, at, what->size);
}

void exchange_await(struct handle *h, struct req *r, const struct reader *what)
{
	struct exchange *x = NULL, *fresh = NULL;

	pthread_mutex_lock(&h->mu);
	int ok = current_locked(h, &x, &fresh);
	if (what->read && ok == 0)
		h->begun = false; /* a write after a read begins a new request */
	pthread_mutex_unlock(&h->mu);
	if (ok < 0) {
		reply_err(r, ENOMEM);
		return;
	}
	if (!x) {
		answer_now(h, r, what);
		return;
	}
	struct waiter *w = calloc(1, sizeof *w);
	if (w) {
		*w = (struct waiter){.refs = 2, .x = x, .r = r, .what = *what};
		req_on_interrupt(r, interrupted, w);
		join(w);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
		waiter_unref(w);
	} else {
		reply_err(r, ENOMEM);
		exchange_unref(x);
	}
	if (fresh)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): references are counted */
		exchange_start(fresh);
}

/* One that is not cancelled yet, referenced. */
static struct exchange *next_in_flight(struct invoke *s)
{
	struct exchange *x;

	SCOPED_LOCK(&s->mu);
	TAILQ_FOREACH(x, &s->exchanges, link)
	if (!atomic_load(&x->dropped))
		return exchange_ref(x);
	return NULL;
}

void exchange_stop(struct invoke *s, long ms)
{
	struct timespec until = thread_deadline(now_ms() + ms);
	struct exchange *x;
	int no = 0;

	while ((x = next_in_flight(s)))
		exchange_cancel(x);
	pthread_mutex_lock(&s->mu);
	while (!TAILQ_EMPTY(&s->exchanges) && no == 0)
		no = pthread_cond_timedwait(&s->quiet, &s->mu, &until);
	pthread_mutex_unlock(&s->mu);
}
