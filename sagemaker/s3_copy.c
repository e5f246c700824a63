/* s3_copy.c: an object from another one of the same bucket, without its bytes coming here. */
#include <errno.h>

#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define CONTENT_TYPE    "application/octet-stream"
#define COPY_SILENCE_MS 300000 /* S3 answers when gigabytes are copied */

/* What a reply's XML says of the object or part that was made. */
struct copied {
	const char *element; /* "CopyObjectResult" or "CopyPartResult" */
	char etag[128], crc32c[16];
};

static int on_copied(void *arg, const char *path, const char *text)
{
	struct copied *c = arg;
	size_t n = strlen(c->element);

	if (!starts_with(path, c->element) || path[n] != '/')
		return 0;
	if (streq(path + n + 1, "ETag"))
		return s3_copy_text(c->etag, sizeof c->etag, text);
	if (streq(path + n + 1, "ChecksumCRC32C"))
		return s3_copy_text(c->crc32c, sizeof c->crc32c, text);
	return 0;
}

static int from_headers(struct s3_call *c, const struct s3_copy *copy, struct err *e)
{
	_cleanup_buf_ struct buf from = BUF_INIT(0);

	buf_printf(&from, "%s/", copy->bucket->name);
	if (uri_encode(copy->from, strlen(copy->from), true, &from) || from.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_header(c, "x-amz-copy-source", buf_cstr(&from), e))
		return -1;
	return copy->bucket->owner[0] ? s3_call_header(c, "x-amz-source-expected-bucket-owner",
						       copy->bucket->owner, e)
				      : 0;
}

static int run(struct s3_call *c, const struct s3_copy *copy, struct copied *out, struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};

	c->q.silence_ms = COPY_SILENCE_MS;
	c->q.cancel = copy->cancel;
	if (s3_call_run(c, copy->aws, "copy to", &r, e) ||
	    xml_scan(r.body.data, r.body.len, on_copied, out, e))
		return -1;
	return out->etag[0] ? 0
			    : err_set(e, EPROTO, "copy to 's3://%s/%s': the reply names no ETag",
				      copy->bucket->name, copy->to);
}

static int copy_whole(const struct s3_copy *copy, struct s3_object *out, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct copied made = {.element = "CopyObjectResult"};

	if (s3_call_init(&c, copy->aws, "PUT", copy->bucket, copy->to, e) ||
	    from_headers(&c, copy, e) || s3_call_encrypt(&c, e) ||
	    s3_call_header(&c, "x-amz-checksum-algorithm", "CRC32C", e) || run(&c, copy, &made, e))
		return -1;
	memcpy(out->etag, made.etag, sizeof out->etag);
	memcpy(out->crc32c, made.crc32c, sizeof out->crc32c);
	return 0;
}

/* In parts: what one request cannot copy ------------------------------------------------------ */

static int find_id(void *arg, const char *path, const char *text)
{
	char **id = arg;

	if (!streq(path, "InitiateMultipartUploadResult/UploadId") || !*text)
		return 0;
	*id = strdup(text);
	return 1;
}

static int begin(const struct s3_copy *copy, char **id, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_init(&c, copy->aws, "POST", copy->bucket, copy->to, e) ||
	    s3_call_header(&c, "Content-Type", CONTENT_TYPE, e) || s3_call_encrypt(&c, e))
		return -1;
	c.q.query = "uploads";
	c.q.cancel = copy->cancel;
	if (s3_call_run(&c, copy->aws, "begin to copy to", &r, e) ||
	    xml_scan(r.body.data, r.body.len, find_id, id, e))
		return -1;
	return *id ? 0
		   : err_set(e, EPROTO, "begin to copy to 's3://%s/%s': no upload id came",
			     copy->bucket->name, copy->to);
}

static int copy_part(const struct s3_copy *copy, const char *id, unsigned number, struct buf *list,
		     struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct copied made = {.element = "CopyPartResult"};
	_cleanup_buf_ struct buf query = BUF_INIT(0);
	uint64_t from = (number - 1) * copy->part, to = MIN(from + copy->part, copy->size) - 1;
	char range[64];

	buf_printf(&query, "partNumber=%u", number);
	s3_query_add(&query, "uploadId", id);
	snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)from,
		 (unsigned long long)to);
	if (query.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, copy->aws, "PUT", copy->bucket, copy->to, e) ||
	    from_headers(&c, copy, e) || s3_call_header(&c, "x-amz-copy-source-range", range, e))
		return -1;
	c.q.query = buf_cstr(&query);
	if (run(&c, copy, &made, e))
		return -1;
	buf_str(list, "<Part><ETag>");
	s3_xml_text(list, made.etag);
	buf_printf(list, "</ETag><PartNumber>%u</PartNumber></Part>", number);
	return 0;
}

static int complete(const struct s3_copy *copy, const char *id, const struct buf *list,
		    struct s3_object *out, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);

	buf_str(&query, "uploadId=");
	if (uri_encode(id, strlen(id), false, &query))
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, copy->aws, "POST", copy->bucket, copy->to, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.body = list->data;
	c.q.body_len = list->len;
	c.q.silence_ms = COPY_SILENCE_MS;
	c.q.cancel = copy->cancel;
	if (s3_call_run(&c, copy->aws, "end copying to", &r, e) && e->http != 404)
		return -1; /* 404: an attempt whose reply was lost had ended it, or it was aborted */
	if (s3_head(copy->aws, copy->bucket, copy->to, out, copy->cancel, e))
		return -1;
	return out->size == copy->size
		       ? 0
		       : err_set(e, EIO, "copy to 's3://%s/%s': it has %llu bytes and not %llu",
				 copy->bucket->name, copy->to, (unsigned long long)out->size,
				 (unsigned long long)copy->size);
}

static int copy_in_parts(const struct s3_copy *copy, struct s3_object *out, struct err *e)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_buf_ struct buf list = BUF_INIT((size_t)4 << 20);
	struct err lost;
	int rc = begin(copy, &id, e);

	buf_str(&list,
		"<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 1; rc == 0 && (i - 1) * copy->part < copy->size; i++)
		rc = copy_part(copy, id, i, &list, e);
	buf_str(&list, "</CompleteMultipartUpload>");
	if (rc == 0 && list.failed)
		rc = err_set(e, ENOMEM, "could not end a copy in s3: out of memory");
	if (rc == 0)
		rc = complete(copy, id, &list, out, e);
	if (rc && id && s3_multipart_abort(copy->aws, copy->bucket, copy->to, id, NULL, &lost))
		err_append(e, "its parts stay until they are swept: %s", lost.text);
	return rc;
}

int s3_copy(const struct s3_copy *copy, struct s3_object *out, struct err *e)
{
	struct s3_copy c = *copy;

	*out = (struct s3_object){.size = copy->size};
	if (!c.part)
		c.part = c.size > S3_COPY_MOST ? S3_COPY_PART : S3_COPY_MOST;
	return c.size > c.part ? copy_in_parts(&c, out, e) : copy_whole(&c, out, e);
}
