/*
 * invoke_room.h: inside invoke/. Other rooms include invoke.h.
 *
 *   invoke.c           the room's life, its directory
 *   invoke_wait.c      requests that wait: for a job, a clock, an endpoint, a relative's held body
 *   invoke_file.c      NAME as a file: attributes, open, .error
 *   invoke_handle.c    an open file: body, reads and writes
 *   invoke_exchange.c  one invocation in flight and who waits for it
 *   invoke_failure.c   where failures are shown
 *   invoke_names.c, invoke_balance.c, invoke_answers.c, relatives.c: no mount in them
 *
 * Locks: handle.mu, then the lock of invoke_answers.c; invoke.mu alone. Replies, cancel_set() and calls into other rooms are
 * made with none of them held.
 */
#ifndef FS_INVOKE_ROOM_H
#define FS_INVOKE_ROOM_H

#include <errno.h>
#include <limits.h>
#include <sys/queue.h>

#include "fs/endpoints.h"
#include "fs/invoke.h"
#include "fs/invoke_answers.h"
#include "fs/invoke_balance.h"
#include "fs/invoke_names.h"
#include "fs/thread.h"
#include "sagemaker/runtime.h"

#define FRESH_MS      5000 /* what is known of an endpoint is believed for so long */
#define LIST_LIMIT_MS 2000 /* a listing answers from what is known then */
#define HELD_LIMIT_MS 2000 /* relatives wait so long for a held body */
#define TYPE_MAX      64
#define ERROR_FILE    ".error"

struct waiting;
struct exchange;
TAILQ_HEAD(waitings, waiting);
TAILQ_HEAD(exchanges, exchange);

/* DescribeEndpoint was refused for it. */
#define UNDESCRIBED_MAX 32
#define UNDESCRIBED_MS  60000

struct undescribed {
	char endpoint[ENDPOINT_NAME_MAX + 1];
	int64_t until;
};

struct invoke {
	struct mount *m;
	int procfd;
	struct answers *answers;
	struct timer expiry;

	pthread_mutex_t mu;   /* guards what follows, and members of struct waiting */
	pthread_cond_t quiet; /* an exchange or a waiting request ended */
	bool stopping;
	struct waitings waitings;                        /* not answered yet */
	unsigned n_waitings;                             /* alive, answered or not */
	struct exchanges exchanges;                      /* in flight */
	struct undescribed undescribed[UNDESCRIBED_MAX]; /* a ring */
	unsigned next_undescribed;
	bool expiry_armed;
};

/* invoke/NAME, its node's data; immutable, shared by reference count. */
struct invoke_file {
	struct invoke *room;
	atomic_uint refs;
	char name[NAME_MAX + 1];
	char endpoint[ENDPOINT_NAME_MAX + 1]; /* "" for .error */
	const char *type;                     /* that the name's extension chooses, or NULL */
};
struct invoke_file *file_new(struct invoke *s, const char *name, const char *endpoint,
			     const char *type);
struct invoke_file *file_ref(struct invoke_file *f);
void file_unref(struct invoke_file *f);
/* file_stat: attributes with answer's size and time (NULL: none). */
void file_stat(const struct invoke_file *f, const struct answer *a, struct stat *st);
/* file_answer: what the caller of r would read of f now. NULL: nothing. */
struct answer *file_answer(const struct invoke_file *f, const struct req *r);
extern const struct node_ops invoke_file_ops, invoke_error_ops;

/* --- invoke_wait.c
 * A request that is answered later, by the first of several that may: its job, its timer, news, its interrupt (EINTR). Who
 * claims it answers it, then calls waiting_done(). */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	unsigned refs;
	bool claimed;
	struct invoke *room;
	struct req *r;
	struct timer timer;
	int64_t deadline; /* now_ms() */
	/* When the timer fires, and at news; each may claim. NULL: none. */
	void (*late)(struct waiting *w);
	void (*news)(struct waiting *w, const char *endpoint);
	void (*job)(struct waiting *w, struct cancel *c);
	void (*finish)(struct waiting *w); /* answers it, once claimed */
	/* What was asked. Nodes are held by the request. */
	struct node *node;
	struct invoke_file *file; /* referenced */
	struct chain *chain;      /* referenced */
	struct dirfill *fill;
	int flags; /* of open */
	char type[TYPE_MAX];
};
/* waiting_new: armed for interrupts. NULL: it is already answered (memory, interrupt). The caller holds one reference and ends
 * with waiting_unref(), claimed or not. */
struct waiting *waiting_new(struct invoke *s, struct req *r, const struct waiting *what);
bool waiting_claim(struct waiting *w);
void waiting_done(struct waiting *w);
void waiting_unref(struct waiting *w);
/* waiting_job: run w->job on a job thread (w->timer is left alone). Answers ENOMEM when that cannot be. */
void waiting_job(struct waiting *w);
void waiting_timer(struct waiting *w, long ms);
/* waiting_news: call news of all that wait. endpoint NULL: an answer came, or will not come. */
void waiting_news(struct invoke *s, const char *endpoint);
/* waiting_stop: answer all (ESHUTDOWN). */
void waiting_stop(struct invoke *s);

/* invoke_ask: what is known of the endpoint, from the service when that is old. Job thread. Without permission to describe it, its phase
 * is unknown and the service decides at the invocation. */
int invoke_ask(struct invoke *s, const char *endpoint, struct endpoint_info *out, struct cancel *c,
	       struct err *e) _must_check_;

/* --- invoke_handle.c */
struct body { /* what is written; shared with the exchanges that send it, then copied before it changes */
	atomic_uint refs;
	struct buf bytes;
};

void body_unref(struct body *b);

struct handle {
	struct invoke_file *file;
	struct chain *chain; /* who opened it */
	bool writable, append, json;
	char type[TYPE_MAX];

	pthread_mutex_t mu; /* guards what follows and the waiters of its exchanges */
	unsigned refs;      /* the kernel's, its exchanges' */
	struct body *body;  /* NULL: none since the last release of memory */
	bool begun;         /* body belongs to the request that writes continue */
	bool dirty;         /* it has bytes that were not sent */
	int refused;        /* errno of a write that was refused: the request is void */
	off_t base, end;    /* file offsets: of the body's first byte, after the last write */
	struct balance balance;
	size_t scanned;          /* bytes of body that balance has seen */
	uint64_t expected;       /* ticket: body is held, relatives wait; 0: not */
	struct exchange *flight; /* the newest request, unanswered; referenced */
	struct answer *answer;   /* what reads see; referenced; NULL: nothing */
	bool unread;             /* the next read is the first since the request */
	off_t origin;            /* file offset of the answer's first byte */
};
struct handle *handle_new(struct invoke_file *f, struct chain *chain, int flags,
			  struct answer *answer);
struct handle *handle_ref_locked(struct handle *h);
void handle_unref(struct handle *h);
/* handle_slice_locked: where in the answer a read at off begins; marks the answer as read. */
size_t handle_slice_locked(struct handle *h, off_t off);
/* handle_cut: ftruncate. */
void handle_cut(struct handle *h, off_t size);
void invoke_read(struct req *r, struct node *n, void *h, size_t size, off_t off);
void invoke_write(struct req *r, struct node *n, void *h, const void *p, size_t size, off_t off);
void invoke_flush(struct req *r, struct node *n, void *h);
void invoke_release(struct req *r, struct node *n, void *h);

/* --- invoke_exchange.c */
struct reader {    /* what the waiter's request was */
	bool read; /* else flush */
	size_t size;
	off_t off;
};
/* exchange_new_locked: h's body as a request; h->flight is it. Give it to exchange_start() without the lock. NULL: memory. */
struct exchange *exchange_new_locked(struct handle *h);
void exchange_start(struct exchange *x);
/* exchange_await: r is answered when h's request is; unsent bytes are sent for it. h->mu not held. */
void exchange_await(struct handle *h, struct req *r, const struct reader *what);
/* exchange_idle_locked: nobody waits for h's flight: takes it from h, for exchange_cancel() without the lock; else NULL. */
struct exchange *exchange_idle_locked(struct handle *h);
void exchange_cancel(struct exchange *x); /* takes x, which may be NULL */
/* exchange_stop: cancel all and wait, at most ms. */
void exchange_stop(struct invoke *s, long ms);
void answer_slice(struct req *r, const struct answer *a, size_t at, size_t size);

/* --- invoke_failure.c
 * failure_fill: *e as the answer to a request of file f, for the writer's relatives; shown in .error, the log and the endpoint's
 * `error`. container (what it said) may be NULL. */
void failure_fill(struct answer *a, struct invoke_file *f, struct chain *writer,
		  const struct err *e, const struct buf *container);
/* failure_show: .error and log only: no request was made. */
void failure_show(struct invoke *s, struct chain *who, const struct err *e);
/* invoke_refuse: reply_err with an errno that callers of these files may see. */
void invoke_refuse(struct req *r, int no);
/* error_text: what .error shows to reader. NULL: out of memory. */
struct answer *error_text(struct invoke *s, const struct chain *reader);
/* store_answer: answers_put; old ones are dropped in time. */
void store_answer(struct invoke *s, const char *file, struct chain *writer, uint64_t ticket,
		  struct answer *a);

#endif
