/* s3_complete.c: parts become an object, and what the service says of it is compared with what was sent. */
#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_upload_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define COMPLETE_SILENCE_MS 300000 /* S3 may put a large object together for minutes */

/* What is to be put together. */
struct whole {
	struct s3_upload *u;
	const struct s3_part *const *parts;
	size_t n;
	uint64_t total;
	uint32_t crc;
};

static void describe_parts(const struct whole *w, struct buf *out)
{
	char crc[S3_CRC_TEXT];

	buf_str(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < w->n; i++) {
		s3_crc_text(w->parts[i]->crc, crc);
		buf_str(out, "<Part><ETag>");
		s3_xml_text(out, w->parts[i]->etag);
		buf_printf(
			out,
			"</ETag><ChecksumCRC32C>%s</ChecksumCRC32C><PartNumber>%d</PartNumber></Part>",
			crc, w->parts[i]->number);
	}
	buf_str(out, "</CompleteMultipartUpload>");
}

/* The checksum of the object's bytes, or of its parts' checksums. */
static void whole_checksum(const struct whole *w, bool full, char out[16])
{
	char text[S3_CRC_TEXT];
	uint32_t crc = 0;

	if (full) {
		s3_crc_text(w->crc, out);
		return;
	}
	for (size_t i = 0; i < w->n; i++) {
		unsigned char bytes[4];

		s3_crc_bytes(w->parts[i]->crc, bytes);
		crc = crc32c(crc, bytes, sizeof bytes);
	}
	s3_crc_text(crc, text);
	snprintf(out, 16, "%s-%zu", text, w->n % (S3_MAX_PARTS + 1));
}

static int complete_headers(const struct whole *w, struct s3_call *c, struct err *e)
{
	char crc[16], size[32];

	if (s3_call_header(c, "Content-Type", "application/xml", e))
		return -1;
	if (!w->u->full_object)
		return 0;
	whole_checksum(w, true, crc);
	snprintf(size, sizeof size, "%llu", (unsigned long long)w->total);
	return s3_call_header(c, "x-amz-checksum-crc32c", crc, e) ||
			       s3_call_header(c, "x-amz-checksum-type", "FULL_OBJECT", e) ||
			       s3_call_header(c, "x-amz-mp-object-size", size, e)
		       ? -1
		       : 0;
}

/* Whichever of the two a service shows, it must be that of what was sent; none is none. */
static bool is_ours(const struct whole *w, const char *shown)
{
	char crc[16];

	if (!*shown)
		return true;
	for (int full = 0; full <= 1; full++) {
		whole_checksum(w, full, crc);
		if (strncmp(shown, crc, S3_CRC_TEXT - 1) == 0)
			return true;
	}
	return false;
}

static int on_result(void *arg, const char *path, const char *text)
{
	struct s3_object *o = arg;

	if (streq(path, "CompleteMultipartUploadResult/ETag") &&
	    s3_copy_text(o->etag, sizeof o->etag, text))
		o->etag[0] = '\0';
	if (streq(path, "CompleteMultipartUploadResult/ChecksumCRC32C") &&
	    s3_copy_text(o->crc32c, sizeof o->crc32c, text))
		o->crc32c[0] = '\0';
	return 0;
}

static int read_result(const struct whole *w, const struct http_resp *r, struct s3_object *out,
		       struct err *e)
{
	*out = (struct s3_object){.size = w->total};
	if (xml_scan(r->body.data, r->body.len, on_result, out, e))
		return -1;
	if (!is_ours(w, out->crc32c))
		return err_set(
			e, EIO,
			"upload 's3://%s/%s': the object has checksum %s, and another one was sent",
			w->u->bucket.name, w->u->key, out->crc32c);
	whole_checksum(w, w->u->full_object, out->crc32c);
	snprintf(out->checksum_type, sizeof out->checksum_type, "%s",
		 w->u->full_object ? "FULL_OBJECT" : "COMPOSITE");
	return 0;
}

static int complete(const struct whole *w, struct s3_object *out, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf body = BUF_INIT((size_t)4 << 20), query = BUF_INIT(0);
	struct s3_upload *u = w->u;

	describe_parts(w, &body);
	buf_str(&query, "uploadId=");
	if (uri_encode(u->id, strlen(u->id), false, &query) || body.failed)
		return err_set(e, ENOMEM, "could not upload: out of memory");
	if (s3_call_init(&c, u->a, "POST", &u->bucket, u->key, e) || complete_headers(w, &c, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.body = body.data;
	c.q.body_len = body.len;
	c.q.silence_ms = COMPLETE_SILENCE_MS;
	c.q.cancel = u->cancel;
	if (s3_call_run(&c, u->a, "finish uploading", &r, e))
		return -1;
	return read_result(w, &r, out, e);
}

/* A reply that was lost: the object itself tells whether it was put together. */
static bool is_there(const struct whole *w, struct s3_object *out, const struct err *e)
{
	struct s3_object there;

	if (e->no == ECANCELED || (e->http && e->http != 404 && e->http < 500))
		return false;
	if (s3_head(w->u->a, &w->u->bucket, w->u->key, &there, w->u->cancel, NULL) ||
	    there.size != w->total || !is_ours(w, there.crc32c))
		return false;
	*out = there;
	return true;
}

static struct whole whole_of(struct s3_upload *u, const struct s3_part *const *parts, size_t n)
{
	struct whole w = {.u = u, .parts = parts, .n = n};

	for (size_t i = 0; i < n; i++) {
		w.crc = crc32c_combine(w.crc, parts[i]->crc, parts[i]->size);
		w.total += parts[i]->size;
	}
	return w;
}

int s3_upload_compare(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		      struct s3_object *out, struct err *e)
{
	struct whole w = whole_of(u, parts, n);

	if (s3_head(u->a, &u->bucket, u->key, out, u->cancel, e))
		return -1;
	if (out->size == w.total && *out->crc32c && is_ours(&w, out->crc32c))
		return 0;
	return err_set(e, ESTALE, "'s3://%s/%s' is another archive", u->bucket.name, u->key);
}

int s3_upload_complete(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		       struct s3_object *out, struct err *e)
{
	struct whole w = whole_of(u, parts, n);
	struct err own = {0};

	int rc = complete(&w, out, &own);
	/* A service that let the type of the checksum pass without a word may refuse it only here. */
	if (rc && u->full_object && !u->full_told && (own.http == 400 || own.http == 501)) {
		u->full_object = false;
		rc = complete(&w, out, &own);
	}
	if (rc && is_there(&w, out, &own))
		return 0;
	if (rc)
		*e = own;
	return rc;
}
