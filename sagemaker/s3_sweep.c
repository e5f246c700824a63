/* s3_sweep.c: multipart uploads whose ids never reached us: begun at the service, the reply lost on the way. */
#include <errno.h>

#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MAX_FOUND 64 /* of one key: each lost reply makes one */

struct found {
	const char *key;
	char *next_key, *next_id; /* of the upload being read */
	char *ids[MAX_FOUND];
	size_t n;
};

static void found_release(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->ids[i]);
	free(f->next_key);
	free(f->next_id);
	*f = (struct found){0};
}

static int keep(char **where, const char *text)
{
	free(*where);
	*where = strdup(text);
	return *where ? 0 : -1;
}

/* The prefix that was asked for also lists longer keys. */
static int on_element(void *arg, const char *path, const char *text)
{
	struct found *f = arg;

	if (streq(path, "ListMultipartUploadsResult/Upload/Key"))
		return keep(&f->next_key, text);
	if (streq(path, "ListMultipartUploadsResult/Upload/UploadId"))
		return keep(&f->next_id, text);
	if (!streq(path, "ListMultipartUploadsResult/Upload"))
		return 0;
	if (f->next_key && f->next_id && streq(f->next_key, f->key))
		f->ids[f->n++] = steal(f->next_id);
	return f->n == MAX_FOUND;
}

static int list(struct aws *a, const struct s3_bucket *bucket, struct found *f,
		struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);

	buf_str(&query, "uploads=&prefix=");
	if (uri_encode(f->key, strlen(f->key), false, &query) || query.failed)
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, a, "GET", bucket, NULL, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.cancel = cancel;
	if (s3_call_run(&c, a, "list the unfinished uploads of", &r, e))
		return -1;
	return xml_scan(r.body.data, r.body.len, on_element, f, e);
}

int s3_multipart_sweep(struct aws *a, const struct s3_bucket *bucket, const char *key,
		       const char *but, struct cancel *c, struct err *e)
{
	struct found f _cleanup_(found_release) = {.key = key};
	int rc = list(a, bucket, &f, c, e);

	for (size_t i = 0; rc == 0 && i < f.n; i++) {
		if (!but || !streq(f.ids[i], but))
			rc = s3_multipart_abort(a, bucket, key, f.ids[i], c, e);
	}
	return rc;
}
