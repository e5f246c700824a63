#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_upload_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define MIB            ((uint64_t)1 << 20)
#define FIRST_PART     (8 * MIB)
#define PARTS_PER_SIZE 1000 /* then parts double: 10,000 of them hold 7.99 TiB */
#define UPLOAD_MEMORY  ((size_t)(96 * MIB))
#define CONTENT_TYPE   "application/gzip"

/* The memory of a part; kept for later parts, so that pages are touched once. */
struct chunk {
	struct chunk *next;
	size_t cap, len;
	char data[];
};

static int out_of_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not upload: out of memory");
}

static void relay_cancel(void *arg)
{
	cancel_set(arg);
}

static void upload_free(struct s3_upload *u)
{
	cancel_off(u->parent, relay_cancel, u->cancel);
	cancel_unref(u->parent);
	cancel_unref(u->cancel);
	for (int i = 0; i < u->n_parts; i++)
		free(u->parts[i]);
	free(u->parts);
	free(u->filling);
	while (u->spare) {
		struct chunk *k = u->spare;

		u->spare = k->next;
		free(k);
	}
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->mu);
	free(u->kms_key);
	free(u->key);
	free(u->id);
	free(u);
}

struct s3_upload *s3_upload_new(struct aws *a, const struct s3_bucket *bucket, const char *key,
				const struct s3_upload_hooks *h, struct cancel *c, struct err *e)
{
	struct s3_upload *u = calloc(1, sizeof *u);

	if (!u) {
		out_of_memory(e);
		return NULL;
	}
	u->a = a;
	u->full_object = true;
	if (h)
		u->hooks = *h;
	pthread_mutex_init(&u->mu, NULL);
	pthread_cond_init(&u->changed, NULL);
	u->bucket = *bucket;
	u->kms_key = bucket->kms_key ? strdup(bucket->kms_key) : NULL;
	u->bucket.kms_key = u->kms_key;
	u->key = strdup(key);
	u->cancel = cancel_new();
	if (!u->key || !u->cancel || (bucket->kms_key && !u->kms_key)) {
		out_of_memory(e);
		upload_free(u);
		return NULL;
	}
	u->parent = cancel_ref(c);
	cancel_on(u->parent, relay_cancel, u->cancel);
	return u;
}

/* Memory ----------------------------------------------------------------------------------- */

uint64_t s3_part_size(int index)
{
	return FIRST_PART << (index / PARTS_PER_SIZE);
}

/* A spare chunk of that size; smaller ones have had their day. */
static struct chunk *take_spare_locked(struct s3_upload *u, size_t size)
{
	while (u->spare) {
		struct chunk *k = u->spare;

		u->spare = k->next;
		if (k->cap == size)
			return k;
		free(k);
	}
	return NULL;
}

static int failed_locked(const struct s3_upload *u, struct err *e)
{
	if (!u->failure.no)
		return 0;
	if (e)
		*e = u->failure;
	return -1;
}

/* Waits until a chunk fits beside those in flight (one always does). */
static int next_chunk(struct s3_upload *u, struct err *e)
{
	size_t size = (size_t)s3_part_size(u->n_parts), limit = aws_config(u->a)->upload_memory;
	struct chunk *k;

	limit = limit ? limit : UPLOAD_MEMORY;
	pthread_mutex_lock(&u->mu);
	while (!u->failure.no && u->in_flight && u->memory + size > limit)
		pthread_cond_wait(&u->changed, &u->mu);
	int failed = failed_locked(u, e);
	k = failed ? NULL : take_spare_locked(u, size);
	if (!failed)
		u->memory += size;
	pthread_mutex_unlock(&u->mu);
	if (failed)
		return -1;
	if (!k)
		k = malloc(sizeof *k + size);
	if (!k)
		return out_of_memory(e);
	*k = (struct chunk){NULL, size, 0};
	u->filling = k;
	return 0;
}

static void give_back_locked(struct s3_upload *u, struct chunk *k)
{
	u->memory -= k->cap;
	k->next = u->spare;
	u->spare = k;
}

/* Beginning -------------------------------------------------------------------------------- */

static int find_id(void *arg, const char *path, const char *text)
{
	char **id = arg;

	if (!streq(path, "InitiateMultipartUploadResult/UploadId") || !*text)
		return 0;
	*id = strdup(text);
	return 1;
}

/* What the service made of the request: the upload's id, the kind of checksum, and where it is for now. */
static int read_created(struct s3_upload *u, const struct s3_call *c, const struct http_resp *r,
			struct err *e)
{
	const char *type = http_header_get(&r->headers, "x-amz-checksum-type");

	u->full_told = type && streq(type, "FULL_OBJECT");
	u->full_object = u->full_object && (u->full_told || !type);
	memcpy(u->host, c->host, sizeof u->host);
	if (xml_scan(r->body.data, r->body.len, find_id, &u->id, e))
		return -1;
	if (!u->id)
		return err_set(e, EPROTO, "begin to upload 's3://%s/%s': no upload id came",
			       u->bucket.name, u->key);
	return 0;
}

static int create_headers(const struct s3_upload *u, struct s3_call *c, struct err *e)
{
	if (s3_call_header(c, "Content-Type", CONTENT_TYPE, e) || s3_call_encrypt(c, e) ||
	    s3_call_header(c, "x-amz-checksum-algorithm", "CRC32C", e))
		return -1;
	return u->full_object ? s3_call_header(c, "x-amz-checksum-type", "FULL_OBJECT", e) : 0;
}

static int create(struct s3_upload *u, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	struct err lost;

	if (s3_call_init(&c, u->a, "POST", &u->bucket, u->key, e) || create_headers(u, &c, e))
		return -1;
	c.q.query = "uploads";
	c.q.cancel = u->cancel;
	if (s3_call_run(&c, u->a, "begin to upload", &r, e) || read_created(u, &c, &r, e))
		return -1;
	/* An attempt whose reply was lost may have begun another one, whose parts would be billed for ever. Not being
	 * permitted to list them is no reason to upload nothing. */
	if (r.attempts > 1 && s3_multipart_sweep(u->a, &u->bucket, u->key, u->id, u->cancel, &lost))
		err_clear(&lost);
	return 0;
}

/* A service that knows no whole-object checksum of parts says so here; the parts' own are then all there is. */
static int begin(struct s3_upload *u, struct err *e)
{
	struct err own;

	if (create(u, &own) == 0)
		goto begun;
	if (own.http == 400 || own.http == 501) {
		u->full_object = false;
		if (create(u, &own) == 0)
			goto begun;
	}
	if (e)
		*e = own;
	return -1;
begun:
	if (u->hooks.started)
		u->hooks.started(u->hooks.arg, u->id);
	return 0;
}

/* Parts ------------------------------------------------------------------------------------ */

/* A part sent again does not count twice. */
static void on_part_sent(void *arg, size_t n)
{
	struct part *p = arg;
	struct s3_upload *u = p->u;

	pthread_mutex_lock(&u->mu);
	size_t more = MIN(n, p->len - p->sent);
	p->sent += more;
	u->sent += more;
	uint64_t sent = u->sent;
	pthread_mutex_unlock(&u->mu);
	if (more && u->hooks.sent)
		u->hooks.sent(u->hooks.arg, sent);
}

/* Keeps the first failure; later parts end because of it. */
static void set_failure_locked(struct s3_upload *u, int number, const struct err *e)
{
	if (u->failure.no)
		return;
	u->failure = *e;
	err_prefix(&u->failure, "upload part %d of 's3://%s/%s'", number, u->bucket.name, u->key);
}

static void on_part_done(void *arg, struct http_resp *r, const struct err *e)
{
	struct part *p = arg;
	struct s3_upload *u = p->u;
	struct err own = *e;
	struct cancel *cancel = cancel_ref(u->cancel); /* u may be gone once in_flight is 0 */
	const char *etag = http_header_get(&r->headers, "ETag");

	if (!own.no && (!etag || s3_copy_text(p->etag, sizeof p->etag, etag)))
		err_set(&own, EPROTO, "the reply has no usable ETag");
	if (!own.no && s3_crc_check(&r->headers, p->crc, &own))
		own.no = EIO;
	if (!own.no)
		on_part_sent(p, p->len); /* what was not reported piece by piece */
	pthread_mutex_lock(&u->mu);
	if (own.no)
		set_failure_locked(u, p->number, &own);
	give_back_locked(u, p->chunk);
	p->chunk = NULL;
	u->in_flight--;
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->mu);
	if (own.no)
		cancel_set(cancel);
	cancel_unref(cancel);
}

static int start_part(struct s3_upload *u, struct part *p, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	_cleanup_buf_ struct buf query = BUF_INIT(0);
	char crc[S3_CRC_TEXT];

	buf_printf(&query, "partNumber=%d&uploadId=", p->number);
	if (uri_encode(u->id, strlen(u->id), false, &query))
		return out_of_memory(e);
	s3_crc_text(p->crc, crc);
	if (s3_call_init(&c, u->a, "PUT", &u->bucket, u->key, e) ||
	    s3_call_header(&c, "x-amz-checksum-crc32c", crc, e))
		return -1;
	c.q.host = u->host[0] ? u->host : NULL;
	c.q.query = buf_cstr(&query);
	c.q.body = p->chunk->data;
	c.q.body_len = p->len;
	c.q.cancel = u->cancel;
	c.q.on_sent = on_part_sent;
	c.q.sent_arg = p;
	return aws_start(u->a, &AWS_S3, &c.q, on_part_done, p, e);
}

static struct part *part_new(struct s3_upload *u)
{
	struct part *p = calloc(1, sizeof *p);

	if (!u->parts)
		u->parts = calloc(MAX_PARTS, sizeof(struct part *));
	if (!p || !u->parts) {
		free(p);
		return NULL;
	}
	*p = (struct part){.u = u, .number = u->n_parts + 1, .len = u->filling->len};
	p->crc = crc32c(0, u->filling->data, p->len);
	u->crc = crc32c_combine(u->crc, p->crc, p->len);
	u->total += p->len;
	u->parts[u->n_parts++] = p;
	return p;
}

/* Sends what is gathered as the next part. */
static int send_part(struct s3_upload *u, struct err *e)
{
	struct part *p;

	if (u->n_parts == MAX_PARTS)
		return err_set(e, EFBIG, "upload 's3://%s/%s': larger than any object can be",
			       u->bucket.name, u->key);
	if (!u->id && begin(u, e))
		return -1;
	p = part_new(u);
	if (!p)
		return out_of_memory(e);
	p->chunk = steal(u->filling);
	pthread_mutex_lock(&u->mu);
	u->in_flight++;
	pthread_mutex_unlock(&u->mu);
	if (start_part(u, p, e) == 0)
		return 0;
	SCOPED_LOCK(&u->mu);
	u->in_flight--;
	give_back_locked(u, p->chunk);
	p->chunk = NULL;
	return -1;
}

static int gather(struct s3_upload *u, const char *at, size_t n, struct err *e)
{
	while (n) {
		if (!u->filling && next_chunk(u, e))
			return -1;
		struct chunk *k = u->filling;
		size_t now = MIN(n, k->cap - k->len);

		memcpy(k->data + k->len, at, now);
		k->len += now;
		at += now;
		n -= now;
		if (k->len == k->cap && send_part(u, e))
			return -1;
	}
	return 0;
}

int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e)
{
	struct err own = {0};

	if (gather(u, p, n, &own) == 0)
		return 0;
	/* What was written is not whole: whatever the caller does next, it is never published. */
	SCOPED_LOCK(&u->mu);
	if (!u->failure.no)
		u->failure = own;
	if (e)
		*e = own;
	return -1;
}

/* The end ---------------------------------------------------------------------------------- */

static int wait_for_parts(struct s3_upload *u, struct err *e)
{
	SCOPED_LOCK(&u->mu);
	while (u->in_flight)
		pthread_cond_wait(&u->changed, &u->mu);
	return failed_locked(u, e);
}

/* Parts of an upload that is never finished cost money for ever. */
static void abort_at_service(struct s3_upload *u, struct err *e)
{
	struct err own;

	if (u->id && s3_multipart_abort(u->a, &u->bucket, u->key, u->id, NULL, &own))
		err_append(e, "parts of it stay in S3: %.400s", own.text);
}

/* Less than one part in all. */
static int put_whole(struct s3_upload *u, struct s3_object *out, struct err *e)
{
	const struct chunk *k = u->filling;
	size_t n = k ? k->len : 0;

	const struct s3_content content = {k ? k->data : "", n, CONTENT_TYPE, NULL};

	if (s3_put(u->a, &u->bucket, u->key, &content, out, u->cancel, e))
		return -1;
	if (n && u->hooks.sent)
		u->hooks.sent(u->hooks.arg, n);
	return 0;
}

static bool has_failed(struct s3_upload *u)
{
	SCOPED_LOCK(&u->mu);
	return u->failure.no != 0;
}

static int send_rest(struct s3_upload *u, struct s3_object *out, struct err *e)
{
	bool failed = has_failed(u);

	if (!failed && !u->n_parts)
		return put_whole(u, out, e);
	if (!failed && u->filling && u->filling->len && send_part(u, e)) {
		cancel_set(u->cancel);
		return wait_for_parts(u, NULL) | -1;
	}
	return wait_for_parts(u, e) || s3_upload_complete(u, out, e) ? -1 : 0;
}

int s3_upload_finish(struct s3_upload *u, struct s3_object *out, struct err *e)
{
	struct s3_object ignored;
	struct err own = {0};
	int r = send_rest(u, out ? out : &ignored, &own);

	if (r)
		abort_at_service(u, &own);
	if (r && e)
		*e = own;
	upload_free(u);
	return r;
}

void s3_upload_abort(struct s3_upload *u)
{
	struct err ignored;

	if (!u)
		return;
	cancel_set(u->cancel);
	if (wait_for_parts(u, &ignored) == 0)
		err_clear(&ignored);
	abort_at_service(u, &ignored);
	upload_free(u);
}
