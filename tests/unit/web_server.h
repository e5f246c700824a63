/*
 * web_server.h: a tiny HTTP/1.1 server on loopback for tests: a handler decides each reply, faults included. One thread
 * accepts, one serves each connection; the handler runs under a lock, one request at a time.
 */
#ifndef TESTS_WEB_SERVER_H
#define TESTS_WEB_SERVER_H

#include "sagemaker/http.h"

enum web_fault {
	WEB_NONE,
	WEB_RESET,      /* the request is read, then the connection is reset without a reply */
	WEB_CLOSE,      /* the same, closed */
	WEB_TRUNCATE,   /* half of the body, then closed */
	WEB_CLOSE_IDLE, /* a whole reply that promises to keep the connection, which is then closed */
	WEB_WITHHOLD,   /* no reply before web_release() */
	WEB_GARBAGE,    /* what comes back is not HTTP */
};

struct web_request {
	int n;          /* 1 for the server's first request */
	int connection; /* 1 for the first connection */
	char method[16], path[2048], query[4096];
	struct http_headers headers;
	struct buf body; /* up to 32 MiB; the rest is read and dropped */
	size_t body_len;
};

struct web_reply {
	int status;         /* 0: 200 */
	struct buf headers; /* lines ending in \r\n */
	struct buf body;
	int delay_ms;
	enum web_fault fault;
};

typedef void web_handler(void *arg, const struct web_request *q, struct web_reply *r);

struct web;
struct web *web_start(web_handler *handler, void *arg);
const char *web_url(const struct web *w); /* "http://127.0.0.1:PORT" */
int web_requests(struct web *w);          /* how many came in so far */
void web_wait_requests(struct web *w, int n);
void web_release(struct web *w); /* lets every withheld reply go, now and later */
void web_stop(struct web *w);

#endif
