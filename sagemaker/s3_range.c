/* s3_range.c: a part of an object, over as many requests as it takes. */
#include <errno.h>

#include "sagemaker/s3_internal.h"

#define MAX_STALLS 4 /* tries in a row that bring no byte */

struct range {
	uint64_t from, n;
	struct buf *out;
	uint64_t got;
	bool begun; /* a reply has come: what breaks from here on is gone on with */
};

static int on_reply(void *arg, const struct http_resp *r)
{
	struct range *g = arg;
	const char *range = http_header_get(&r->headers, "Content-Range");
	char expected[64];

	snprintf(expected, sizeof expected, "bytes %llu-%llu/",
		 (unsigned long long)(g->from + g->got), (unsigned long long)(g->from + g->n - 1));
	errno = EBADMSG; /* a service that knows no ranges, or an object that is shorter now */
	g->begun = r->status == 206 && range && starts_with(range, expected);
	return g->begun ? 0 : -1;
}

static int on_body(void *arg, const void *p, size_t n)
{
	struct range *g = arg;

	errno = EBADMSG;
	if (n > g->n - g->got)
		return -1;
	errno = ENOMEM;
	if (buf_add(g->out, p, n) < 0)
		return -1;
	g->got += n;
	return 0;
}

static int request(struct aws *a, struct range *g, const struct s3_bucket *bucket, const char *key,
		   const struct s3_range *part, struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	char range[64];

	snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)(g->from + g->got),
		 (unsigned long long)(g->from + g->n - 1));
	if (s3_call_init(&c, a, "GET", bucket, key, e) || s3_call_header(&c, "Range", range, e) ||
	    (part->etag[0] && s3_call_header(&c, "If-Match", part->etag, e)))
		return -1;
	c.q.cancel = cancel;
	c.q.error_in_success = false; /* the object's own bytes may be any XML */
	c.q.on_reply = on_reply;
	c.q.on_body = on_body;
	c.q.body_arg = g;
	return s3_call_run(&c, a, "read", &r, e);
}

/* After a failure: 0: go on where it broke off. */
static int go_on(const struct range *g, uint64_t before, int *stalls, struct cancel *c,
		 struct err *e)
{
	*stalls = g->got > before ? 0 : *stalls + 1;
	if (e->http == 412)
		e->no = ESTALE;
	if (!g->begun || !s3_broken_off(e) || *stalls == MAX_STALLS)
		return -1;
	return cancel_sleep(c, 200L * *stalls * *stalls) ? err_set(e, ECANCELED, "cancelled") : 0;
}

int s3_get_range(struct aws *a, const struct s3_bucket *bucket, const char *key,
		 const struct s3_range *part, struct buf *out, struct cancel *c, struct err *e)
{
	struct range g = {.from = part->from, .n = part->n, .out = out};
	int stalls = 0;

	while (g.got < g.n) { /* one that broke off after the last byte is whole */
		uint64_t before = g.got;
		int r = request(a, &g, bucket, key, part, c, e);

		if (r < 0 && g.got < g.n && go_on(&g, before, &stalls, c, e) < 0)
			return -1;
		if (r == 0 && g.got < g.n)
			return err_set(e, EIO, "read 's3://%s/%s': less came than was announced",
				       bucket->name, key);
	}
	return 0;
}
