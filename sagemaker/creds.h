/*
 * creds.h: the caller's AWS keys, found where and in the order that botocore finds them (docs/credentials.md), kept and
 * renewed for all threads. Thread-safe.
 *
 * What lies in the environment or the shared files is there at once, and read anew when the files change. What must be
 * fetched (a role, a login, the machine's own keys) is fetched by one thread of struct creds, which begins when the
 * first such keys are wanted, once for however many ask: nobody else ever waits, so any thread may ask.
 */
#ifndef SAGEMAKER_CREDS_H
#define SAGEMAKER_CREDS_H

#include "sagemaker/cancel.h"
#include "sagemaker/config.h"
#include "sagemaker/err.h"

struct http;
struct buf;

struct keys {
	char access[128];
	char secret[256];
	char token[8192]; /* "" without */
};

struct creds;

/* creds_new: borrows c and h for its life; h NULL: an own engine, made when it is needed. */
struct creds *creds_new(const struct config *c, struct http *h, struct err *e) _must_check_;

/* creds_get: copies today's keys; never waits. 0: they are in *out. 1: they are being fetched: creds_wait says when. -1: there
 * are none (EACCES with what was looked for where, or what made them unusable), or creds_stop was called (ECANCELED).
 * Keys that end within 15 minutes are renewed meanwhile, those that end within 10 are waited for while that goes well. */
int creds_get(struct creds *cr, struct keys *out, struct err *e) _must_check_;

/* creds_wait: false: the fetching is over, ask creds_get again. true: ready will be called once, on another thread, when it is over
 * or cancel (may be NULL) is set; e is NULL where creds_get has more to say, else why there are no keys. w and what it names
 * live until then. */
struct creds_waiter {
	void (*ready)(void *arg, const struct err *e);
	void *arg;
	struct cancel *cancel;
	/* creds.c's own: */
	struct creds *creds;
	struct creds_waiter *next;
	bool queued, cancelled;
};

bool creds_wait(struct creds *cr, struct creds_waiter *w) _must_check_;

/* creds_fetch: creds_get for a thread that may wait. -1 also when cancelled (ECANCELED). */
int creds_fetch(struct creds *cr, struct keys *out, struct cancel *cancel, struct err *e)
	_must_check_;

/* creds_refused: the service called these keys expired: they are not given out again, unless their source has no others. What
 * has been renewed meanwhile stays. */
void creds_refused(struct creds *cr, const char *access);

/* creds_source: says where keys come from, without any secret: "profile 'dev' by sso_session". Nothing is fetched for it. */
int creds_source(struct creds *cr, struct buf *out, struct err *e) _must_check_;

/* creds_stop: ends the fetching; who waits is told ECANCELED. Before the engine is freed; creds_free after it. */
void creds_stop(struct creds *cr);
void creds_free(struct creds *cr);

/* keys_wipe: clears key memory (also as a cleanup attribute). */
void keys_wipe(struct keys *k);

#endif
