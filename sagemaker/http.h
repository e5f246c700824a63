/*
 * http.h: one engine = one curl_multi loop (epoll) in its own thread, keep-alive pool, no AWS knowledge, no retries.
 *
 * http_start is the primitive; http_exchange waits for it. Only http.c includes curl.
 */
#ifndef SAGEMAKER_HTTP_H
#define SAGEMAKER_HTTP_H

#include "sagemaker/buf.h"
#include "sagemaker/cancel.h"
#include "sagemaker/config.h"
#include "sagemaker/err.h"

struct http;

struct http_header {
	char *name;
	char *value;
};

struct http_headers {
	struct http_header *rows;
	size_t n;
};

/* http_header_add: copies both; -1: out of memory. http_header_get: value by name without regard to case, or NULL. */
int http_header_add(struct http_headers *h, const char *name, const char *value) _must_check_;
/* http_header_put: the same from a name and a value that are not NUL-terminated. */
int http_header_put(struct http_headers *h, const char *name, size_t name_len, const char *value,
		    size_t value_len) _must_check_;
const char *http_header_get(const struct http_headers *h, const char *name);
void http_headers_release(struct http_headers *h);

struct http_resp {
	long status; /* 0: no reply came */
	struct http_headers headers;
	struct buf body;
	size_t sent; /* 0: not a byte of the request left this machine; else about how many did */
	int attempts; /* how often it was sent: curl does so again by itself where a kept connection was closed */
};

struct http_req {
	const char *method; /* GET PUT POST HEAD DELETE */
	const char *url;    /* sent as it is: already encoded */
	const struct http_headers *headers;
	const void *body; /* borrowed until done; NULL: none */
	size_t body_len;
	size_t max_reply; /* ceiling of the reply's body kept in memory; 0: 64 MiB; more: EFBIG */
	long timeout_ms;  /* whole exchange; 0: only the silence limit of config */
	long silence_ms;  /* no byte moved for so long is ETIMEDOUT; 0: config's */
	struct cancel *cancel; /* may be NULL */
	/* A connection that the server closed while it was idle is replaced and the request sent again. true: not when a byte
	 * of the request has left (then it may have been acted on): EIO with resp->sent > 0. */
	bool no_resend;
	bool paced; /* the body shares config.upload_limit with the others that do */
	bool direct; /* no proxy is asked, whatever the environment says: link-local metadata services */
	/* 2xx replies, on the engine's thread; must not block long. on_reply: status and headers are there, the body is not yet.
	 * on_body: pieces of the body; NULL: resp->body. -1 with errno ends the exchange with that errno. */
	int (*on_reply)(void *arg, const struct http_resp *r);
	int (*on_body)(void *arg, const void *p, size_t n);
	void *body_arg;
	void (*on_sent)(void *arg, size_t n); /* n more bytes of the body went out; may be NULL */
	void *sent_arg;
};

void http_resp_release(struct http_resp *r);
#define _cleanup_http_resp_ _cleanup_(http_resp_release)

struct http *http_new(const struct config *c, struct err *e) _must_check_;
/* http_free: cancels what is in flight (their done runs with ECANCELED), joins the thread. Not from a done. */
void http_free(struct http *h);

/* done: on the engine's thread: short, never blocks. err->no != 0: transport failure (ETIMEDOUT, ECONNREFUSED and its like,
 * EHOSTUNREACH unknown host, ECANCELED, EIO broken off, EPROTO TLS or not HTTP, EFBIG past max_reply, what on_body said); 404 is
 * none. resp belongs to the callee only during the call unless it steals members. */
typedef void http_done_fn(void *arg, struct http_resp *resp, const struct err *e);

/* http_start: queue; q's headers and url are copied, body is borrowed until done. Any thread, also from a done. */
int http_start(struct http *h, const struct http_req *q, http_done_fn *done, void *arg,
	       struct err *e) _must_check_;
/* http_exchange: blocking; never from the engine's thread. */
int http_exchange(struct http *h, const struct http_req *q, struct http_resp *r, struct err *e)
	_must_check_;

/* What a blocking call waits in: HTTP_WAITER_INIT(resp), http_waiter_done as done with the waiter as arg, then http_waiter_wait,
 * which has the reply in *resp and returns 0, or -1 and *e. */
struct http_waiter {
	pthread_mutex_t mu; /* guards over */
	pthread_cond_t changed;
	bool over;
	struct http_resp *resp;
	struct err err;
};

/* clang-format 14 takes an initializer for a block. */
/* clang-format off */
#define HTTP_WAITER_INIT(resp_) {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, (resp_), {0}}
/* clang-format on */
void http_waiter_done(void *arg, struct http_resp *resp, const struct err *e);
int http_waiter_wait(struct http_waiter *w, struct err *e) _must_check_;
/* http_on_engine: whether the caller runs on the engine's thread, where nothing may wait. */
bool http_on_engine(const struct http *h);
/* http_timer: run fn(arg) on the engine's thread after ms (retry delays without a thread), at once when cancel (may be NULL) is
 * set, and early when the engine ends: fn asks what holds. */
int http_timer(struct http *h, long ms, struct cancel *cancel, void (*fn)(void *), void *arg,
	       struct err *e) _must_check_;

#endif
