/* s3_call.c: one request to S3: where it goes, who must own the bucket, and what is made of a redirection. */
#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "sagemaker/s3_bucket.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MAX_KEY       1024
#define MAX_REDIRECTS 3

bool s3_is_bucket_name(const char *b)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t n = strlen(b);

	return n >= 3 && n <= 63 && b[strspn(b, allowed)] == '\0' && isalnum((unsigned char)b[0]) &&
	       isalnum((unsigned char)b[n - 1]) && !strstr(b, "..");
}

static char *make_path(const char *bucket, const char *key)
{
	struct buf path = BUF_INIT(0);

	buf_char(&path, '/');
	if (bucket)
		buf_str(&path, bucket);
	if (bucket && key)
		buf_char(&path, '/');
	if (key && uri_encode(key, strlen(key), true, &path))
		path.failed = true;
	if (path.failed) {
		buf_release(&path);
		return NULL;
	}
	return buf_steal(&path);
}

static int check_names(const char *bucket, const char *key, struct err *e)
{
	if (!s3_is_bucket_name(bucket))
		return err_set(
			e, EINVAL,
			"'%.80s' is no bucket name: it takes 3 to 63 of a-z 0-9 - . and begins and ends "
			"with a letter or digit",
			bucket);
	if (key && (!*key || strlen(key) > MAX_KEY))
		return err_set(e, EINVAL, "'%.80s' is no object key: it takes 1 to %d bytes", key,
			       MAX_KEY);
	return 0;
}

int s3_call_init(struct s3_call *c, struct aws *a, const char *method,
		 const struct s3_bucket *bucket, const char *key, struct err *e)
{
	bool in_path = aws_path_style(a, bucket->name);

	*c = (struct s3_call){.bucket = bucket, .key = key};
	if (check_names(bucket->name, key, e))
		return -1;
	c->path = make_path(in_path ? bucket->name : NULL, key);
	if (!c->path)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	c->q = (struct aws_req){.method = method,
				.path = c->path,
				.headers = &c->headers,
				.error_in_success = true};
	c->q.host_prefix = in_path ? NULL : bucket->name;
	return bucket->owner[0] ? s3_call_header(c, "x-amz-expected-bucket-owner", bucket->owner, e)
				: 0;
}

int s3_call_header(struct s3_call *c, const char *name, const char *value, struct err *e)
{
	c->q.headers = &c->headers;
	return http_header_add(&c->headers, name, value)
		       ? err_set(e, ENOMEM, "could not begin a call to s3: out of memory")
		       : 0;
}

int s3_call_encrypt(struct s3_call *c, struct err *e)
{
	if (!c->bucket->kms_key)
		return 0;
	return s3_call_header(c, "x-amz-server-side-encryption", "aws:kms", e) ||
			       s3_call_header(c, "x-amz-server-side-encryption-aws-kms-key-id",
					      c->bucket->kms_key, e)
		       ? -1
		       : 0;
}

void s3_call_release(struct s3_call *c)
{
	http_headers_release(&c->headers);
	free(c->path);
	c->path = NULL;
}

void s3_query_add(struct buf *q, const char *name, const char *value)
{
	buf_printf(q, "&%s=", name);
	if (uri_encode(value, strlen(value), false, q))
		q->failed = true;
}

void s3_xml_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("<>&\"'", *text))
			buf_printf(out, "&#%d;", *text);
		else
			buf_char(out, *text);
	}
}

char *s3_decode(const char *text)
{
	struct buf out = BUF_INIT(0);

	if (uri_decode(text, strlen(text), true, &out)) {
		buf_release(&out);
		return NULL;
	}
	return buf_steal(&out);
}

/* Another region --------------------------------------------------------------------------- */

static int find_region(void *arg, const char *path, const char *text)
{
	if (!streq(path, "Error/Region"))
		return 0;
	return s3_copy_text(arg, S3_REGION_SIZE, text) || 1;
}

bool s3_other_region(const struct aws *a, const struct http_resp *r, char out[S3_REGION_SIZE])
{
	const char *header = http_header_get(&r->headers, "x-amz-bucket-region");

	out[0] = '\0';
	if (header && s3_copy_text(out, S3_REGION_SIZE, header))
		out[0] = '\0';
	/* What was read before the XML turned out broken stands. */
	if (!out[0] && r->body.len &&
	    xml_scan(r->body.data, r->body.len, find_region, out, NULL) < 0)
		out[0] = '\0';
	for (const char *p = out; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-')
			out[0] = '\0';
	}
	return out[0] && !streq(out, aws_config(a)->region);
}

int s3_region_error(const struct aws *a, const char *bucket, const char *region, struct err *e)
{
	long http = e ? e->http : 0;

	err_set(e, EXDEV,
		"bucket '%s' is in region '%s', not in '%s': mount 'aws:%s', or name another bucket",
		bucket, region, aws_config(a)->region, region);
	if (e)
		e->http = http;
	return -1;
}

/* Redirections ----------------------------------------------------------------------------- */

/* What follows "s3" or "s3-LABEL" in a host of S3: [.dualstack][.REGION] */
static bool is_place(const char *p)
{
	if (starts_with(p, ".dualstack"))
		p += strlen(".dualstack");
	if (*p == '.')
		p += 1 + strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return *p == '\0';
}

/* Whether host is S3's in this partition, with or without the bucket before it. */
static bool is_s3_host(const struct aws *a, const char *bucket, const char *host)
{
	const char *suffix = partition_of(aws_config(a)->region)->suffix;
	char left[S3_HOST_SIZE], *p = left;
	size_t n = strlen(host), tail = strlen(suffix), name = strlen(bucket);

	if (n <= tail + 1 || !ends_with(host, suffix) || host[n - tail - 1] != '.' ||
	    s3_copy_text(left, sizeof left, host))
		return false;
	left[n - tail - 1] = '\0';
	if (starts_with(p, bucket) && p[name] == '.')
		p += name + 1;
	if (!starts_with(p, aws_config(a)->fips ? "s3-fips" : "s3"))
		return false;
	p += strlen("s3");
	if (*p == '-')
		p += strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return is_place(p);
}

bool s3_redirect_host(const struct aws *a, const char *bucket, const char *location,
		      char out[S3_HOST_SIZE])
{
	const char *host = starts_with(location, "https://") ? location + strlen("https://") : "";
	size_t n = strcspn(host, "/?");

	if (n >= S3_HOST_SIZE || aws_host(a, SERVICE_S3)->custom)
		return false;
	memcpy(out, host, n);
	out[n] = '\0';
	return is_s3_host(a, bucket, out);
}

/* S3 sends requests for a bucket that was made a moment ago to where it is (307) until its DNS knows. */
static int follow(struct s3_call *c, const struct aws *a, const struct http_resp *r, struct err *e)
{
	const char *to = http_header_get(&r->headers, "Location");

	if (s3_redirect_host(a, c->bucket->name, to ? to : "", c->host))
		return 0;
	c->host[0] = '\0';
	return err_append(
		e,
		"it redirects to '%.*s', which was not followed: a signed request goes to S3 itself only",
		(int)MIN(to ? strcspn(to, "?") : 0, (size_t)200), to ? to : "");
}

static int run(struct s3_call *c, struct aws *a, struct http_resp *r, struct err *e)
{
	char region[S3_REGION_SIZE];

	for (int i = 0; aws_raw(a, &AWS_S3, &c->q, r, e); i++) {
		if (e->http != 307 || i == MAX_REDIRECTS || s3_other_region(a, r, region) ||
		    follow(c, a, r, e))
			return -1;
		c->q.host = c->host;
		http_resp_release(r);
	}
	return 0;
}

int s3_call_run(struct s3_call *c, struct aws *a, const char *verb, struct http_resp *r,
		struct err *e)
{
	char region[S3_REGION_SIZE];
	struct err own = {0};

	c->q.headers = &c->headers;
	if (run(c, a, r, &own) == 0)
		return 0;
	if ((own.http == 301 || own.http == 307 || own.http == 400) &&
	    s3_other_region(a, r, region))
		s3_region_error(a, c->bucket->name, region, &own);
	if (e)
		*e = own;
	return err_prefix(e, "%s 's3://%s%s%s'", verb, c->bucket->name, c->key ? "/" : "",
			  c->key ? c->key : "");
}

bool s3_broken_off(const struct err *e)
{
	static const int broken[] = {EIO, ETIMEDOUT, ECONNREFUSED, ECONNRESET, EPIPE, EHOSTUNREACH};

	for (size_t i = 0; i < ARRAY_SIZE(broken) && !e->http; i++) {
		if (e->no == broken[i])
			return true;
	}
	return false;
}

double s3_time(const char *text, const char *format)
{
	struct tm tm = {0};

	return text && strptime(text, format, &tm) ? (double)timegm(&tm) : 0;
}
