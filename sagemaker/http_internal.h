/*
 * http_internal.h: what the files of the HTTP engine share: http.c (the loop), http_transfer.c (one request in curl's
 * terms), http_rate.c and http_timer.c. Nobody else includes this, or curl.
 */
#ifndef SAGEMAKER_HTTP_INTERNAL_H
#define SAGEMAKER_HTTP_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "sagemaker/http.h"

#define MAX_IDLE_HANDLES 64

struct xfer {
	struct http *h;
	struct xfer *next, *prev; /* incoming (next only) or active */
	struct xfer *next_cancelled;
	bool active, on_cancelled; /* on_cancelled: guarded by http.mu */
	atomic_bool cancelled;
	CURL *easy;
	struct curl_slist *headers;
	char *method, *url;
	struct http_req q; /* method, url, headers are not used: copied above */
	struct http_resp resp;
	size_t tunnel; /* bytes that went to a proxy before the request */
	int64_t moved; /* ms when a byte last moved */
	curl_off_t uploaded, downloaded, reported;
	bool pacing;    /* its body is one of those that share a rate, and has not gone out yet */
	struct err why; /* set where the cause is known better than curl knows it */
	char curl_says[CURL_ERROR_SIZE];
	http_done_fn *done;
	void *arg;
};

struct timer {
	struct http *h;
	struct timer *next;
	int64_t due;
	bool queued;
	struct cancel *cancel;
	void (*fn)(void *);
	void *arg;
};

struct http {
	CURLM *multi;
	CURLSH *share; /* TLS sessions, so that new connections resume them */
	const struct config *config;
	pthread_t thread;
	pthread_mutex_t mu; /* guards incoming, last, cancelled, timers, stopping; leaf */
	struct xfer *incoming, **last;
	struct xfer *cancelled;
	struct timer *timers; /* by due time */
	bool stopping;
	/* the engine thread's own: */
	struct xfer *active;
	CURL *idle[MAX_IDLE_HANDLES];
	size_t n_idle;
	int pacing;      /* transfers that do */
	bool rate_stale; /* their number is not the one they were told */
	int64_t next_scan;
	int64_t due; /* ms: when curl wants to be called; -1: not by time */
	int poll;    /* epoll: curl's sockets and wake */
	int wake;    /* eventfd; any thread writes it */
};

/* http_now: milliseconds of the monotonic clock. http_authority: host and port of an URL, for sentences. */
int64_t http_now(void);
/* http_wake: the engine looks at once at what it was given. Any thread. */
void http_wake(struct http *h);
const char *http_authority(const char *url, char out[128]);

/* xfer_new: a copy of q (but for its body) that is not yet given to curl. xfer_set: x->easy made ready for curl. xfer_explain: what
 * curl came to, into x->why. xfer_sent: bytes of the request that left. */
struct xfer *xfer_new(struct http *h, const struct http_req *q, struct err *e);
int xfer_set(struct xfer *x);
void xfer_explain(struct xfer *x, CURLcode code);
size_t xfer_sent(const struct xfer *x);
void xfer_free(struct xfer *x);

/* http_rate.c. rate_join: x is about to begin; rate_done: its body has gone out; rate_leave: or never will. rate_share: whoever shares is told how
 * much. rate_chunk: bytes that go out at once. rate_pause_ms: how long x may be silent for no other reason. */
void rate_join(struct xfer *x);
void rate_done(struct xfer *x);
void rate_leave(struct xfer *x);
void rate_share(struct http *h);
long rate_chunk(const struct http *h);
long rate_pause_ms(const struct xfer *x);

/* http_run_timers: those that are due (all of them when the engine stops), on the engine's thread. */
void http_run_timers(struct http *h);

#endif
