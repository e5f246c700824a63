/*
 * http.h: one engine = one curl_multi loop in its own thread, keep-alive pool, no AWS knowledge, no retries.
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

/* http_header_add: copies both. http_header_get: value by name without regard to case, or NULL. */
int http_header_add(struct http_headers *h, const char *name, const char *value) _must_check_;
const char *http_header_get(const struct http_headers *h, const char *name);
void http_headers_release(struct http_headers *h);

struct http_req {
	const char *method; /* GET PUT POST HEAD DELETE */
	const char *url;    /* sent as it is: already encoded */
	const struct http_headers *headers;
	const void *body;   /* borrowed until done; NULL: none */
	size_t body_len;
	size_t max_reply;   /* ceiling of the reply's body kept in memory; 0: 64 MiB */
	long timeout_ms;    /* whole exchange; 0: only the silence limit of config */
	long silence_ms;    /* no byte moved for so long is ETIMEDOUT; 0: config's */
	struct cancel *cancel; /* may be NULL */
	/* Body receiver for 2xx replies: called on the engine's thread with pieces; must not block long. NULL: resp->body. */
	int (*on_body)(void *arg, const void *p, size_t n);
	void *body_arg;
	void (*on_sent)(void *arg, size_t n); /* upload progress, may be NULL */
	void *sent_arg;
};

struct http_resp {
	long status;   /* 0: no reply came */
	struct http_headers headers;
	struct buf body;
	size_t sent;   /* bytes of request (header and body) that left before a failure; 0: nothing went out */
};

void http_resp_release(struct http_resp *r);
#define _cleanup_http_resp_ _cleanup_(http_resp_release)

struct http *http_new(const struct config *c, struct err *e) _must_check_;
void http_free(struct http *h); /* cancels what is in flight (their done runs with ECANCELED), joins the thread */

/* done: on the engine's thread: short, never blocks. err->no != 0: transport failure (ETIMEDOUT ECONNREFUSED EHOSTUNREACH
 * ECANCELED EIO; EPROTO for TLS), 404 is none. resp belongs to the callee only during the call unless it steals members. */
typedef void http_done_fn(void *arg, struct http_resp *resp, const struct err *e);

/* http_start: queue; q's headers and url are copied, body is borrowed until done. Any thread, also from a done. */
int http_start(struct http *h, const struct http_req *q, http_done_fn *done, void *arg, struct err *e) _must_check_;
/* http_exchange: blocking; never from the engine's thread. */
int http_exchange(struct http *h, const struct http_req *q, struct http_resp *r, struct err *e) _must_check_;
/* http_timer: run fn(arg) on the engine's thread after ms (retry delays without a thread). */
int http_timer(struct http *h, long ms, void (*fn)(void *), void *arg, struct err *e) _must_check_;

#endif
