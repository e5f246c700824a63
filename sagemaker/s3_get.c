#include <errno.h>
#include <limits.h>

#include "sagemaker/s3_internal.h"
#include "sagemaker/s3_sum.h"

#define MAX_STALLS 4 /* tries in a row that bring no byte */

/* One object on its way, over as many requests as it takes. */
struct get {
	int (*put)(void *arg, const void *p, size_t n); /* 0, or -1 with errno */
	void *arg;
	uint64_t max, got;
	struct s3_sum sum;
	bool begun; /* o is known */
	struct s3_object o;
};

static void get_release(struct get *g)
{
	s3_sum_release(&g->sum);
}

/* The first reply says what comes; a later one must go on exactly where the last broke off. */
static int on_reply(void *arg, const struct http_resp *r)
{
	struct get *g = arg;
	const char *range = http_header_get(&r->headers, "Content-Range");
	struct s3_object now;
	char expected[64];

	s3_object_read(&r->headers, &now);
	if (!g->got) {
		errno = EPROTO; /* a web page of something in between: every object has one */
		if (!now.etag[0])
			return -1;
		g->o = now;
		g->begun = true;
		s3_sum_begin(&g->sum, &r->headers);
		errno = EFBIG;
		return now.size > g->max ? -1 : 0;
	}
	snprintf(expected, sizeof expected, "bytes %llu-", (unsigned long long)g->got);
	errno = ESTALE;
	return r->status == 206 && range && starts_with(range, expected) &&
			       streq(now.etag, g->o.etag)
		       ? 0
		       : -1;
}

static int on_body(void *arg, const void *p, size_t n)
{
	struct get *g = arg;

	if (n > g->max - g->got) {
		errno = EFBIG;
		return -1;
	}
	s3_sum_update(&g->sum, p, n);
	g->got += n;
	return g->put(g->arg, p, n);
}

static int request(struct aws *a, struct get *g, const struct s3_bucket *bucket, const char *key,
		   struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	char range[64];

	if (s3_call_init(&c, a, "GET", bucket, key, e) ||
	    s3_call_header(&c, "x-amz-checksum-mode", "ENABLED", e))
		return -1;
	if (g->got) {
		snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)g->got);
		if (s3_call_header(&c, "Range", range, e) ||
		    s3_call_header(&c, "If-Match", g->o.etag, e))
			return -1;
	}
	c.q.cancel = cancel;
	c.q.error_in_success = false; /* the object's own bytes may be any XML */
	c.q.on_reply = on_reply;
	c.q.on_body = on_body;
	c.q.body_arg = g;
	return s3_call_run(&c, a, "read", &r, e);
}

static bool can_go_on(const struct get *g, const struct err *e)
{
	return g->begun && g->o.etag[0] && s3_broken_off(e);
}

/* Whether the object's parts end where ours would. Whoever does not tell is believed. */
static bool has_our_parts(struct aws *a, const struct get *g, const struct s3_bucket *bucket,
			  const char *key, struct cancel *cancel)
{
	uint64_t left = g->o.size;
	char query[32];

	for (int i = 0; left; i++) {
		struct s3_call c _cleanup_s3_call_;
		struct http_resp r _cleanup_http_resp_ = {0};
		uint64_t size = MIN(left, s3_part_size(i));
		const char *length;

		snprintf(query, sizeof query, "partNumber=%d", i + 1);
		if (s3_call_init(&c, a, "HEAD", bucket, key, NULL))
			return false;
		c.q.query = query;
		c.q.cancel = cancel;
		if (s3_call_run(&c, a, "look at", &r, NULL))
			return false;
		length = http_header_get(&r.headers, "Content-Length");
		if (!length || strtoull(length, NULL, 10) != size)
			return false;
		left -= size;
	}
	return true;
}

static int verify(struct aws *a, struct get *g, const struct s3_bucket *bucket, const char *key,
		  struct cancel *cancel, struct err *e)
{
	const char *name = g->sum.kind == S3_SUM_KINDS ? "" : s3_sum_name(&g->sum);
	char made[S3_SUM_TEXT];

	if (g->got != g->o.size)
		return err_set(e, EIO, "read 's3://%s/%s': %llu bytes came, %llu were announced",
			       bucket->name, key, (unsigned long long)g->got,
			       (unsigned long long)g->o.size);
	enum s3_sum_verdict verdict = s3_sum_end(&g->sum, made);
	if (verdict == S3_SUM_WRONG ||
	    (verdict == S3_SUM_IF_PARTS && has_our_parts(a, g, bucket, key, cancel)))
		return err_set(
			e, EIO,
			"read 's3://%s/%s': checksum does not match: %s is %s, the object's is %s",
			bucket->name, key, name, made, g->sum.shown);
	return 0;
}

static int run(struct aws *a, struct get *g, const struct s3_bucket *bucket, const char *key,
	       struct cancel *cancel, struct err *e)
{
	struct err own;
	int stalls = 0;

	for (uint64_t before = 0; request(a, g, bucket, key, cancel, &own); before = g->got) {
		stalls = g->got > before ? 0 : stalls + 1;
		if (g->begun && g->got == g->o.size && g->got)
			break; /* broken off after the last byte */
		if (!can_go_on(g, &own) || stalls == MAX_STALLS) {
			if (e)
				*e = own;
			return -1;
		}
		if (cancel_sleep(cancel, 200L * stalls * stalls))
			return err_set(e, ECANCELED, "cancelled");
	}
	return verify(a, g, bucket, key, cancel, e);
}

static int put_buf(void *arg, const void *p, size_t n)
{
	errno = EFBIG;
	return buf_add(arg, p, n);
}

int s3_get(struct aws *a, const struct s3_bucket *bucket, const char *key, size_t max,
	   struct buf *out, struct s3_object *o, struct cancel *c, struct err *e)
{
	struct get g _cleanup_(
		get_release) = {.sum.kind = S3_SUM_KINDS, .put = put_buf, .arg = out, .max = max};

	if (run(a, &g, bucket, key, c, e))
		return -1;
	if (o)
		*o = g.o;
	return 0;
}

static int put_fd(void *arg, const void *p, size_t n)
{
	const int *fd = arg;
	const char *at = p;

	while (n) {
		ssize_t put = write(*fd, at, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

int s3_get_fd(struct aws *a, const struct s3_bucket *bucket, const char *key, int fd,
	      struct s3_object *o, struct cancel *c, struct err *e)
{
	struct get g _cleanup_(get_release) = {
		.sum.kind = S3_SUM_KINDS, .put = put_fd, .arg = &fd, .max = INT64_MAX};

	if (run(a, &g, bucket, key, c, e))
		return -1;
	if (o)
		*o = g.o;
	return 0;
}
