/* s3_delete.c: objects go, one by one or a thousand with one request. */
#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/xml.h"

#define MOST_KEYS 1000 /* DeleteObjects takes no more */

int s3_delete(struct aws *a, const struct s3_bucket *bucket, const char *key, struct cancel *cancel,
	      struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_init(&c, a, "DELETE", bucket, key, e))
		return -1;
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "delete", &r, e);
}

/* XML 1.0 has no way to say most control characters; such keys go one by one. */
static bool xml_can_say(const char *key)
{
	for (; *key; key++) {
		if ((unsigned char)*key < ' ')
			return false;
	}
	return true;
}

/* What was said of the first key that stays. */
struct refusal {
	char key[256], code[64], message[256];
	bool stays;
};

static int on_error(void *arg, const char *path, const char *text)
{
	struct refusal *f = arg;

	if (streq(path, "DeleteResult/Error/Key"))
		snprintf(f->key, sizeof f->key, "%s", text);
	if (streq(path, "DeleteResult/Error/Code"))
		snprintf(f->code, sizeof f->code, "%s", text);
	if (streq(path, "DeleteResult/Error/Message"))
		snprintf(f->message, sizeof f->message, "%s", text);
	/* one that was not there is what was wanted */
	f->stays = streq(path, "DeleteResult/Error") && !streq(f->code, "NoSuchKey");
	return f->stays;
}

static int send_batch(struct aws *a, const struct s3_bucket *bucket, const struct buf *xml,
		      struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	struct refusal f = {.stays = false};
	char crc[S3_CRC_TEXT];

	s3_crc_text(crc32c(0, xml->data, xml->len), crc);
	if (s3_call_init(&c, a, "POST", bucket, NULL, e) ||
	    s3_call_header(&c, "x-amz-sdk-checksum-algorithm", "CRC32C", e) ||
	    s3_call_header(&c, "x-amz-checksum-crc32c", crc, e))
		return -1;
	c.q.query = "delete";
	c.q.body = xml->data;
	c.q.body_len = xml->len;
	c.q.cancel = cancel;
	if (s3_call_run(&c, a, "delete objects of", &r, e) ||
	    xml_scan(r.body.data, r.body.len, on_error, &f, e))
		return -1;
	if (!f.stays)
		return 0;
	err_set(e, streq(f.code, "AccessDenied") ? EACCES : EIO, "delete 's3://%s/%s': %s",
		bucket->name, f.key, f.message[0] ? f.message : f.code);
	if (e)
		snprintf(e->code, sizeof e->code, "%s", f.code);
	return -1;
}

/* Keys that cannot be said in a list, one by one. */
static int delete_one(struct aws *a, const struct s3_bucket *bucket, const char *key,
		      struct cancel *cancel, struct err *e)
{
	struct err own = {0};

	if (s3_delete(a, bucket, key, cancel, &own) == 0 || own.http == 404)
		return 0;
	if (e)
		*e = own;
	return -1;
}

/* As many as one request takes; *n: how many of the keys are dealt with. */
static int delete_some(struct aws *a, const struct s3_bucket *bucket, const char *const *keys,
		       size_t *n, struct cancel *cancel, struct err *e)
{
	_cleanup_buf_ struct buf xml = BUF_INIT((size_t)8 << 20);
	size_t listed = 0, i = 0;

	buf_str(&xml,
		"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (; i < *n && listed < MOST_KEYS; i++) {
		if (!xml_can_say(keys[i])) {
			if (delete_one(a, bucket, keys[i], cancel, e))
				return -1;
			continue;
		}
		buf_str(&xml, "<Object><Key>");
		s3_xml_text(&xml, keys[i]);
		buf_str(&xml, "</Key></Object>");
		listed++;
	}
	*n = i;
	buf_str(&xml, "</Delete>");
	if (xml.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	return listed ? send_batch(a, bucket, &xml, cancel, e) : 0;
}

int s3_delete_all(struct aws *a, const struct s3_bucket *bucket, const char *const *keys, size_t n,
		  struct cancel *cancel, struct err *e)
{
	for (size_t i = 0, some; i < n; i += some) {
		some = n - i;
		if (delete_some(a, bucket, keys + i, &some, cancel, e))
			return -1;
	}
	return 0;
}
