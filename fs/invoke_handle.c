#include "fs/invoke_room.h"

#include <fcntl.h>

#define KEEP_BODY \
 ((size_t)64 << 10) /* a body's memory up to here is kept for the next request of the handle */

void body_unref(struct body *b)
{
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	buf_release(&b->bytes);
	free(b);
}

static struct body *body_new(void)
{
	struct body *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->bytes.max = RUNTIME_MAX_BODY;
	return b;
}

struct handle *handle_new(struct invoke_file *f, struct chain *chain, int flags,
			  struct answer *answer)
{
	struct handle *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	pthread_mutex_init(&h->mu, NULL);
	h->file = file_ref(f);
	h->chain = chain_ref(chain);
	h->answer = answer_ref(answer);
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	h->append = flags & O_APPEND;
	h->refs = 1;
	return h;
}

struct handle *handle_ref_locked(struct handle *h)
{
	h->refs++;
	return h;
}

void handle_unref(struct handle *h)
{
	pthread_mutex_lock(&h->mu);
	bool last = --h->refs == 0;
	pthread_mutex_unlock(&h->mu);
	if (!last)
		return;
	if (h->body)
		body_unref(h->body);
	file_unref(h->file);
	chain_unref(h->chain);
	answer_unref(h->answer);
	pthread_mutex_destroy(&h->mu);
	free(h);
}

/*
 * The answer begins at file offset 0, or where the request ended if the first read is there: `exec 3<>x; echo req >&3; cat <&3`
 * and os.write, os.read go on from that offset; pread(0), and a seek back, mean the beginning.
 */
size_t handle_slice_locked(struct handle *h, off_t off)
{
	if (h->unread)
		h->origin = off == h->end ? off : 0;
	else if (off < h->origin)
		h->origin = 0;
	h->unread = false;
	return (size_t)(off - h->origin);
}

/* Nobody waits for the held body any more. True: tell those who did. */
static bool give_up_locked(struct handle *h)
{
	if (!h->expected)
		return false;
	answers_give_up(h->file->room->answers, h->expected);
	h->expected = 0;
	return true;
}

/* An empty body of our own, with memory of an earlier one if that is not too much. */
static int fresh_body_locked(struct handle *h)
{
	struct body *b = h->body;

	h->balance = (struct balance){0};
	h->scanned = 0;
	if (b && atomic_load(&b->refs) == 1 && b->bytes.cap <= KEEP_BODY) {
		buf_reset(&b->bytes);
		return 0;
	}
	if (b)
		body_unref(b);
	h->body = body_new();
	return h->body ? 0 : -1;
}

/* While an exchange sends the body, it may not change: go on with a copy. */
static int own_body_locked(struct handle *h)
{
	struct body *old = h->body;

	if (atomic_load(&old->refs) == 1)
		return 0;
	struct body *b = body_new();
	if (!b)
		return -1;
	if (buf_add(&b->bytes, old->bytes.data, old->bytes.len) < 0) {
		body_unref(b);
		return -1;
	}
	h->body = b;
	body_unref(old);
	return 0;
}

/* A lower offset than the first write's: the body begins there instead. */
static int shift_locked(struct handle *h, size_t by)
{
	struct buf *b = &h->body->bytes;

	if (!buf_reserve(b, by))
		return -1;
	memmove(b->data + by, b->data, b->len);
	memset(b->data, 0, by);
	b->len += by;
	buf_terminate(b);
	h->base -= (off_t)by;
	h->balance = (struct balance){0};
	h->scanned = 0;
	return 0;
}

static int zeros_locked(struct buf *b, size_t upto)
{
	size_t n = upto > b->len ? upto - b->len : 0;
	char *to = buf_reserve(b, n);

	if (!to)
		return -1;
	memset(to, 0, n);
	b->len += n;
	buf_terminate(b);
	return 0;
}

static int store_locked(struct handle *h, const char *p, size_t size, size_t at)
{
	struct buf *b = &h->body->bytes;

	if (zeros_locked(b, at) < 0)
		return -1;
	size_t over = MIN(size, b->len - at);
	if (over)
		memcpy(b->data + at, p, over);
	if (at < h->scanned) {
		h->balance = (struct balance){0};
		h->scanned = 0;
	}
	return buf_add(b, p + over, size - over);
}

/* Whether the body, after size bytes at `at` (before its beginning: negative), is as large as an endpoint takes. */
static bool fits(size_t len, off_t at, size_t size)
{
	if (size > RUNTIME_MAX_BODY || at < -RUNTIME_MAX_BODY || at > RUNTIME_MAX_BODY)
		return false;
	off_t end = MAX((off_t)len, at + (off_t)size);
	return end - MIN(at, 0) <= RUNTIME_MAX_BODY;
}

static int begin_locked(struct handle *h, off_t off)
{
	if (h->begun)
		return own_body_locked(h);
	if (fresh_body_locked(h) < 0)
		return -1;
	h->begun = true;
	h->base = off;
	return 0;
}

/* Bytes into the body. 0, or the errno. */
static int put_locked(struct handle *h, const char *p, size_t size, off_t off)
{
	if (begin_locked(h, off) < 0)
		return ENOMEM;
	size_t len = h->body->bytes.len;
	off_t at = h->append ? (off_t)len : off - h->base;

	if (!fits(len, at, size))
		return EFBIG;
	if (at < 0 && shift_locked(h, (size_t)-at) < 0)
		return ENOMEM;
	if (store_locked(h, p, size, (size_t)MAX(at, 0)) < 0)
		return ENOMEM;
	h->dirty = h->unread = true;
	h->end = off + (off_t)size;
	return 0;
}

/* The body cannot be sent whole, so it is not sent at all. The refusal is the answer to this request. */
static void refuse_locked(struct handle *h, int no)
{
	h->refused = no;
	h->begun = true; /* what follows would be the rest of it */
	h->dirty = false;
	if (h->body)
		body_unref(h->body);
	h->body = NULL;
}

static void tell_refused(struct handle *h, int no)
{
	struct invoke *s = h->file->room;
	_cleanup_answer_ struct answer *a = answer_new(no, NULL, 0);
	struct err e = {0};

	if (!a)
		return;
	if (no == EFBIG)
		err_set(&e, no,
			"the request is too large: an endpoint takes at most %d bytes at once",
			RUNTIME_MAX_BODY);
	else
		err_set(&e, no, "out of memory for the request");
	failure_fill(a, h->file, h->chain, &e, NULL);
	store_answer(s, h->file->name, h->chain, answers_ticket(s->answers), a);
	pthread_mutex_lock(&h->mu);
	struct answer *old = h->answer;
	h->answer = answer_ref(a);
	pthread_mutex_unlock(&h->mu);
	answer_unref(old);
}

void invoke_write(struct req *r, struct node *n, void *handle, const void *p, size_t size,
		  off_t off)
{
	struct handle *h = handle;
	struct exchange *stale = NULL;
	bool given_up = false;
	int no;

	(void)n;
	pthread_mutex_lock(&h->mu);
	if (!h->begun) {
		h->refused = 0;
		stale = exchange_idle_locked(h);
		given_up = give_up_locked(h);
	}
	bool first = !h->refused;
	no = first ? put_locked(h, p, size, off) : h->refused;
	if (first && no)
		refuse_locked(h, no);
	pthread_mutex_unlock(&h->mu);
	exchange_cancel(stale);
	if (given_up)
		waiting_news(h->file->room, NULL);
	if (first && no)
		tell_refused(h, no);
	if (no)
		reply_err(r, no);
	else
		reply_write(r, size);
}

void invoke_read(struct req *r, struct node *n, void *handle, size_t size, off_t off)
{
	(void)n;
	exchange_await(handle, r, &(struct reader){.read = true, .size = size, .off = off});
}

/* Whether more must come before the body is a whole JSON text. */
static bool unfinished_locked(struct handle *h)
{
	const struct buf *b = &h->body->bytes;

	if (!h->json)
		return false;
	balance_feed(&h->balance, b->data + h->scanned, b->len - h->scanned);
	h->scanned = b->len;
	return balance_open(&h->balance);
}

static void hold_locked(struct handle *h)
{
	struct answers *s = h->file->room->answers;

	if (h->expected)
		return;
	h->expected = answers_ticket(s);
	answers_expect(s, h->file->name, h->chain, h->expected);
}

void invoke_flush(struct req *r, struct node *n, void *handle)
{
	struct handle *h = handle;

	(void)n;
	pthread_mutex_lock(&h->mu);
	int no = h->refused;
	bool send = h->dirty;
	if (send && unfinished_locked(h)) {
		hold_locked(h);
		send = false;
	}
	pthread_mutex_unlock(&h->mu);
	if (send)
		exchange_await(h, r, &(struct reader){.read = false});
	else
		reply_err(r, no);
}

/* What is still unsent goes out, and nobody waits here: relatives do (answers_expect). An answer that nobody waits for is not
 * worth its invocation: its writer was interrupted. */
void invoke_release(struct req *r, struct node *n, void *handle)
{
	struct handle *h = handle;
	struct exchange *x = NULL, *idle = NULL;

	(void)n;
	pthread_mutex_lock(&h->mu);
	if (h->dirty)
		x = exchange_new_locked(h);
	else
		idle = exchange_idle_locked(h);
	bool given_up = !x && give_up_locked(h);
	pthread_mutex_unlock(&h->mu);
	exchange_cancel(idle);
	if (x)
		exchange_start(x);
	if (given_up)
		waiting_news(h->file->room, NULL);
	reply_err(r, 0);
	handle_unref(h);
}

void handle_cut(struct handle *h, off_t size)
{
	pthread_mutex_lock(&h->mu);
	off_t keep = MAX(size - h->base, 0);
	if (!h->dirty) {
		h->begun = false;
	} else if (own_body_locked(h) == 0 && keep < (off_t)h->body->bytes.len) {
		h->body->bytes.len = (size_t)keep;
		buf_terminate(&h->body->bytes);
		h->balance = (struct balance){0};
		h->scanned = 0;
		h->dirty = h->begun = keep > 0;
	}
	bool given_up = !h->dirty && give_up_locked(h);
	pthread_mutex_unlock(&h->mu);
	if (given_up)
		waiting_news(h->file->room, NULL);
}
