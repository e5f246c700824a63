#include "sagemaker/s3.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MAX_KEY          1024
#define ABORT_SILENCE_MS 10000 /* aborting happens while somebody waits to be told of a failure */

/* Requests --------------------------------------------------------------------------------- */

static bool is_bucket_name(const char *b)
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

int s3_call_init(struct s3_call *c, struct aws *a, const char *method, const char *bucket,
		 const char *key, struct err *e)
{
	bool in_path = aws_path_style(a, bucket);

	*c = (struct s3_call){.bucket = bucket, .key = key};
	if (!is_bucket_name(bucket))
		return err_set(
			e, EINVAL,
			"'%.80s' is no bucket name: it takes 3 to 63 of a-z 0-9 - . and begins and ends "
			"with a letter or digit",
			bucket);
	if (key && (!*key || strlen(key) > MAX_KEY))
		return err_set(e, EINVAL, "'%.80s' is no object key: it takes 1 to %d bytes", key,
			       MAX_KEY);
	c->path = make_path(in_path ? bucket : NULL, key);
	if (!c->path)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	c->q = (struct aws_req){.method = method,
				.path = c->path,
				.headers = &c->headers,
				.error_in_success = true};
	c->q.host_prefix = in_path ? NULL : bucket;
	return 0;
}

int s3_call_header(struct s3_call *c, const char *name, const char *value, struct err *e)
{
	c->q.headers = &c->headers;
	return http_header_add(&c->headers, name, value)
		       ? err_set(e, ENOMEM, "could not begin a call to s3: out of memory")
		       : 0;
}

void s3_call_release(struct s3_call *c)
{
	http_headers_release(&c->headers);
	free(c->path);
	c->path = NULL;
}

int s3_call_run(struct s3_call *c, struct aws *a, const char *verb, struct http_resp *r,
		struct err *e)
{
	c->q.headers = &c->headers;
	if (aws_raw(a, &AWS_S3, &c->q, r, e) == 0)
		return 0;
	return err_prefix(e, "%s 's3://%s%s%s'", verb, c->bucket, c->key ? "/" : "",
			  c->key ? c->key : "");
}

/* Objects ---------------------------------------------------------------------------------- */

void s3_crc_bytes(uint32_t crc, unsigned char out[4])
{
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char)(crc >> (24 - 8 * i));
}

void s3_crc_text(uint32_t crc, char out[S3_CRC_TEXT])
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	unsigned char bytes[4];

	s3_crc_bytes(crc, bytes);
	base64(bytes, sizeof bytes, &text);
	snprintf(out, S3_CRC_TEXT, "%s", buf_cstr(&text));
}

int s3_copy_text(char *out, size_t size, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n >= size)
		return -1; /* never cut: half an ETag is another ETag */
	if (n)
		memcpy(out, text, n);
	out[n] = '\0';
	return 0;
}

static double read_date(const char *text)
{
	struct tm tm = {0};

	return text && strptime(text, "%a, %d %b %Y %H:%M:%S", &tm) ? (double)timegm(&tm) : 0;
}

static uint64_t read_size(const char *text)
{
	return text && isdigit((unsigned char)*text) ? strtoull(text, NULL, 10) : 0;
}

void s3_object_read(const struct http_headers *h, struct s3_object *o)
{
	const char *range = http_header_get(h, "Content-Range");
	const char *whole = range ? strchr(range, '/') : NULL;

	memset(o, 0, sizeof *o);
	o->size = read_size(whole ? whole + 1 : http_header_get(h, "Content-Length"));
	o->modified = read_date(http_header_get(h, "Last-Modified"));
	if (s3_copy_text(o->etag, sizeof o->etag, http_header_get(h, "ETag")))
		o->etag[0] = '\0';
	if (s3_copy_text(o->crc32c, sizeof o->crc32c, http_header_get(h, "x-amz-checksum-crc32c")))
		o->crc32c[0] = '\0';
	if (s3_copy_text(o->checksum_type, sizeof o->checksum_type,
			 http_header_get(h, "x-amz-checksum-type")))
		o->checksum_type[0] = '\0';
}

/* A conditional write whose first reply was lost is refused when it is sent again, by what it wrote itself. */
static bool wrote_it_ourselves(struct aws *a, const struct s3_call *c, const char *crc,
			       struct s3_object *out, const struct err *e)
{
	struct s3_object there;

	if (e->http != 412 || e->attempts < 2 ||
	    s3_head(a, c->bucket, c->key, &there, c->q.cancel, NULL) || !streq(there.crc32c, crc))
		return false;
	*out = there;
	return true;
}

static int put_headers(struct s3_call *c, const char *content_type, const char *if_match,
		       const char *crc, struct err *e)
{
	if (content_type && s3_call_header(c, "Content-Type", content_type, e))
		return -1;
	if (if_match &&
	    s3_call_header(c, streq(if_match, S3_IF_NONE) ? "If-None-Match" : "If-Match", if_match,
			   e))
		return -1;
	return s3_call_header(c, "x-amz-sdk-checksum-algorithm", "CRC32C", e) ||
			       s3_call_header(c, "x-amz-checksum-crc32c", crc, e)
		       ? -1
		       : 0;
}

static int put_once(struct aws *a, struct s3_call *c, const char *if_match, const char *crc,
		    struct s3_object *out, struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_run(c, a, "write", &r, e) == 0) {
		s3_object_read(&r.headers, out);
		out->size = c->q.body_len;
		return 0;
	}
	if (!if_match)
		return -1;
	if (wrote_it_ourselves(a, c, crc, out, e))
		return 0;
	if (e->http == 412 || e->http == 404)
		e->no = streq(if_match, S3_IF_NONE) ? EEXIST : ESTALE;
	return -1;
}

int s3_put(struct aws *a, const char *bucket, const char *key, const struct s3_content *content,
	   struct s3_object *out, struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct s3_object ignored;
	struct err own = {0};
	char crc[S3_CRC_TEXT];
	int r;

	s3_crc_text(crc32c(0, content->p, content->n), crc);
	r = s3_call_init(&c, a, "PUT", bucket, key, &own) ||
	    put_headers(&c, content->type, content->if_match, crc, &own);
	c.q.body = content->n ? content->p : "";
	c.q.body_len = content->n;
	c.q.cancel = cancel;
	if (!r)
		r = put_once(a, &c, content->if_match, crc, out ? out : &ignored, &own);
	if (r && e)
		*e = own;
	return r ? -1 : 0;
}

int s3_head(struct aws *a, const char *bucket, const char *key, struct s3_object *out,
	    struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_init(&c, a, "HEAD", bucket, key, e) ||
	    s3_call_header(&c, "x-amz-checksum-mode", "ENABLED", e))
		return -1;
	c.q.cancel = cancel;
	if (s3_call_run(&c, a, "look at", &r, e))
		return -1;
	s3_object_read(&r.headers, out);
	return 0;
}

int s3_delete(struct aws *a, const char *bucket, const char *key, struct cancel *cancel,
	      struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_init(&c, a, "DELETE", bucket, key, e))
		return -1;
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "delete", &r, e);
}

int s3_multipart_abort(struct aws *a, const char *bucket, const char *key, const char *upload_id,
		       struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);
	struct err own;

	buf_str(&query, "uploadId=");
	if (uri_encode(upload_id, strlen(upload_id), false, &query))
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, a, "DELETE", bucket, key, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.cancel = cancel;
	c.q.silence_ms = ABORT_SILENCE_MS;
	if (s3_call_run(&c, a, "abort the upload of", &r, &own) == 0 || own.http == 404)
		return 0;
	if (e)
		*e = own;
	return -1;
}

/* Buckets ---------------------------------------------------------------------------------- */

static int head_bucket(struct aws *a, const char *bucket, const char *account, struct http_resp *r,
		       struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;

	if (s3_call_init(&c, a, "HEAD", bucket, NULL, e) ||
	    (account && s3_call_header(&c, "x-amz-expected-bucket-owner", account, e)))
		return -1;
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "look at", r, e);
}

static int create_bucket(struct aws *a, const char *bucket, struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	const char *region = aws_config(a)->region;
	char body[256];

	if (s3_call_init(&c, a, "PUT", bucket, NULL, e))
		return -1;
	snprintf(body, sizeof body,
		 "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		 "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
		 region);
	/* The one region that must not be named. */
	c.q.body = streq(region, "us-east-1") ? "" : body;
	c.q.body_len = strlen(c.q.body);
	c.q.cancel = cancel;
	if (s3_call_run(&c, a, "create", &r, e) == 0)
		return 0;
	if (!streq(e->code, "BucketAlreadyOwnedByYou"))
		return -1;
	err_clear(e);
	return 0;
}

static int check_region(const struct aws *a, const char *bucket, const struct http_resp *r,
			struct err *e)
{
	const char *there = http_header_get(&r->headers, "x-amz-bucket-region");

	if (!there || streq(there, aws_config(a)->region))
		return 0;
	return err_set(
		e, EXDEV,
		"bucket '%s' is in region '%.40s', not in '%s'; name another bucket or region",
		bucket, there, aws_config(a)->region);
}

int s3_bucket_ensure(struct aws *a, const char *bucket, const char *account, struct cancel *cancel,
		     struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};
	struct err own;

	if (head_bucket(a, bucket, account, &r, cancel, &own) == 0)
		return check_region(a, bucket, &r, e);
	if (own.http && check_region(a, bucket, &r, e))
		return -1;
	if (own.http == 404)
		return create_bucket(a, bucket, cancel, e ? e : &own);
	if (own.http == 403)
		err_append(
			&own,
			"or the bucket belongs to another account than '%s'",
			account ? account : "the caller's");
	if (e)
		*e = own;
	return -1;
}
