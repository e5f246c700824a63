#include "sagemaker/s3.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"

#define ABORT_SILENCE_MS 10000 /* aborting happens while somebody waits to be told of a failure */

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

int s3_crc_check(const struct http_headers *h, uint32_t crc, struct err *e)
{
	const char *shown = http_header_get(h, "x-amz-checksum-crc32c");
	char text[S3_CRC_TEXT];

	s3_crc_text(crc, text);
	if (!shown || streq(shown, text))
		return 0;
	return err_set(
		e, EIO,
		"checksum does not match: CRC32C of what was sent is %s, the service has %.16s",
		text, shown);
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

int s3_head(struct aws *a, const struct s3_bucket *bucket, const char *key, struct s3_object *out,
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

int s3_multipart_abort(struct aws *a, const struct s3_bucket *bucket, const char *key,
		       const char *upload_id, struct cancel *cancel, struct err *e)
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
