/* web_script.h: a server that plays rows of replies, and a struct aws that talks to it. Include after cmocka.h. */
#ifndef TESTS_WEB_SCRIPT_H
#define TESTS_WEB_SCRIPT_H

#include "sagemaker/aws.h"
#include "web_server.h"

/* One row per request, in order; the last row answers all further ones. */
struct script {
	const struct web_reply *rows;
	int n;
	struct buf seen; /* "METHOD path?query body\n" of each request */
	int connections; /* the highest connection number */
};

static inline void web_play(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct script *s = arg;
	const struct web_reply *row = &s->rows[MIN(q->n, s->n) - 1];

	buf_printf(&s->seen, "%s %s?%s %s\n", q->method, q->path, q->query, buf_cstr(&q->body));
	s->connections = MAX(s->connections, q->connection);
	r->status = row->status;
	r->delay_ms = row->delay_ms;
	r->fault = row->fault;
	buf_str(&r->headers, buf_cstr(&row->headers));
	buf_str(&r->body, buf_cstr(&row->body));
}

/* What the server has seen so far; its lock orders this read after the writes. */
static inline const char *web_seen(struct web *w, const struct script *s)
{
	return web_requests(w) ? buf_cstr(&s->seen) : "";
}

/* A buffer over a literal: borrowed, never released. */
#define TEXT(s)                                              \
 {                                                           \
  (char *)(uintptr_t)(s), sizeof(s) - 1, sizeof(s), 0, false \
 }

/* The address is filled in when the server is there. */
struct aws_fixture {
	struct config config;
	struct aws *a;
	struct web *w;
	struct script s;
};

static inline void aws_begin_with(struct aws_fixture *f, web_handler *handler, void *arg)
{
	struct err e;

	memset(f, 0, sizeof *f);
	f->s.seen = (struct buf)BUF_INIT((size_t)1 << 20);
	f->w = web_start(handler, arg ? arg : &f->s);
	f->config.region = strdup("eu-west-1");
	f->config.endpoint_url = strdup(web_url(f->w));
	f->config.access_key = strdup("AKIDEXAMPLE");
	f->config.secret_key = strdup("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
	assert_int_equal(config_load(&f->config, &e), 0);
	f->a = aws_new(&f->config, &e);
	assert_non_null(f->a);
}

static inline void aws_begin(struct aws_fixture *f, const struct web_reply *rows, int n)
{
	aws_begin_with(f, web_play, NULL);
	f->s.rows = rows;
	f->s.n = n;
}

static inline void aws_end(struct aws_fixture *f)
{
	aws_free(f->a);
	web_stop(f->w);
	config_release(&f->config);
	buf_release(&f->s.seen);
}

#endif
