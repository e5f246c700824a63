/* s3_put.c: small objects in one request, on a condition where one is asked for. */
#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"

/* A conditional write whose first reply was lost is refused when it is sent again, by what it wrote itself. */
static bool wrote_it_ourselves(struct aws *a, const struct s3_call *c, uint32_t crc, int sent,
			       struct s3_object *out, const struct err *e)
{
	struct s3_object there;
	char text[S3_CRC_TEXT];

	s3_crc_text(crc, text);
	if (e->http != 412 || sent < 2 ||
	    s3_head(a, c->bucket, c->key, &there, c->q.cancel, NULL) || !streq(there.crc32c, text))
		return false;
	*out = there;
	return true;
}

static int put_headers(struct s3_call *c, const char *content_type, const char *if_match,
		       uint32_t crc, struct err *e)
{
	char text[S3_CRC_TEXT];

	if (content_type && s3_call_header(c, "Content-Type", content_type, e))
		return -1;
	if (if_match &&
	    s3_call_header(c, streq(if_match, S3_IF_NONE) ? "If-None-Match" : "If-Match", if_match,
			   e))
		return -1;
	if (s3_call_encrypt(c, e))
		return -1;
	s3_crc_text(crc, text);
	return s3_call_header(c, "x-amz-sdk-checksum-algorithm", "CRC32C", e) ||
			       s3_call_header(c, "x-amz-checksum-crc32c", text, e)
		       ? -1
		       : 0;
}

static int send(struct aws *a, struct s3_call *c, const char *if_match, uint32_t crc,
		struct s3_object *out, struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_run(c, a, "write", &r, e) == 0) {
		s3_object_read(&r.headers, out);
		out->size = c->q.body_len;
		return s3_crc_check(&r.headers, crc, e)
			       ? err_prefix(e, "write 's3://%s/%s'", c->bucket->name, c->key)
			       : 0;
	}
	if (!if_match)
		return -1;
	if (wrote_it_ourselves(a, c, crc, r.attempts, out, e))
		return 0;
	if (e->http == 412 || streq(e->code, "NoSuchKey"))
		e->no = streq(if_match, S3_IF_NONE) ? EEXIST : ESTALE;
	return -1;
}

static int put(struct aws *a, const struct s3_bucket *bucket, const char *key,
	       const struct s3_content *content, struct s3_object *out, struct cancel *cancel,
	       struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	uint32_t crc = crc32c(0, content->p, content->n);

	if (s3_call_init(&c, a, "PUT", bucket, key, e) ||
	    put_headers(&c, content->type, content->if_match, crc, e))
		return -1;
	c.q.body = content->n ? content->p : "";
	c.q.body_len = content->n;
	c.q.paced = true;
	c.q.cancel = cancel;
	return send(a, &c, content->if_match, crc, out, e);
}

/* What the condition asks, as far as a look can tell: 0, or -1 as a refused write. */
static int look_first(struct aws *a, const struct s3_bucket *bucket, const char *key,
		      const char *if_match, struct cancel *cancel, struct err *e)
{
	bool none = streq(if_match, S3_IF_NONE);
	struct s3_object there;
	struct err own = {0};
	int rc = s3_head(a, bucket, key, &there, cancel, &own);

	if (rc && own.http != 404)
		return 0; /* the write itself says better why not */
	if (rc ? none : !none && streq(there.etag, if_match))
		return 0;
	err_set(e, none ? EEXIST : ESTALE, "write 's3://%s/%s': %s", bucket->name, key,
		none ? "it exists" : "it was changed or removed meanwhile");
	e->http = 412;
	return -1;
}

/* What is known of a service's If-Match: kept as its aws_note. */
enum { NOT_ASKED, HEEDED, NOT_HEEDED };

/* A write that must be refused, since no object has that name: whoever makes one all the same takes no notice of conditions. */
static int ask_heed(struct aws *a, const struct s3_bucket *bucket, const char *key,
		    struct cancel *cancel)
{
	const struct s3_content nothing = {"", 0, NULL, "\"00000000000000000000000000000000\""};
	char random[13];
	struct s3_object made;
	struct err e = {0};

	random_text(random, sizeof random);
	_cleanup_free_ char *probe = str_printf("%s.condition-%s", key, random);
	if (!probe)
		return NOT_ASKED;
	if (put(a, bucket, probe, &nothing, &made, cancel, &e) == 0) {
		if (s3_delete(a, bucket, probe, cancel, &e))
			err_clear(&e); /* an empty object is left, of a name that means nothing */
		return NOT_HEEDED;
	}
	return e.http == 412 || e.http == 404 ? HEEDED : e.http == 501 ? NOT_HEEDED : NOT_ASKED;
}

/* Whether the write's own condition is enough: AWS's is. Of others that is asked once, for If-Match. */
static bool is_heeded(struct aws *a, const struct s3_bucket *bucket, const char *key,
		      const char *if_match, struct cancel *cancel)
{
	atomic_int *note = aws_note(a, SERVICE_S3);

	if (!if_match || !aws_host(a, SERVICE_S3)->custom)
		return true;
	if (streq(if_match, S3_IF_NONE))
		return false;
	if (atomic_load(note) == NOT_ASKED)
		atomic_store(note, ask_heed(a, bucket, key, cancel));
	return atomic_load(note) == HEEDED;
}

/* AWS knows conditions. Of other services some refuse them (501) and some take no notice, so there objects are looked at first: then
 * two writers must meet within one round trip to overwrite each other. */
int s3_put(struct aws *a, const struct s3_bucket *bucket, const char *key,
	   const struct s3_content *content, struct s3_object *out, struct cancel *cancel,
	   struct err *e)
{
	bool look = !is_heeded(a, bucket, key, content->if_match, cancel);
	struct s3_content plain = *content;
	struct s3_object ignored;
	struct err own = {0};
	int rc = look ? look_first(a, bucket, key, content->if_match, cancel, &own) : 0;

	if (rc == 0)
		rc = put(a, bucket, key, content, out ? out : &ignored, cancel, &own);
	if (rc && look && own.http == 501) {
		plain.if_match = NULL;
		rc = put(a, bucket, key, &plain, out ? out : &ignored, cancel, &own);
	}
	if (rc && e)
		*e = own;
	return rc;
}
