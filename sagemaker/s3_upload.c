/* s3_upload.c: an upload's life, its memory and its parts in flight. */
#include <errno.h>
#include <time.h>

#include "sagemaker/aws_errors.h"
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
struct s3_room {
	struct s3_room *next;
	size_t max, size; /* what it holds; what it counts for */
	char data[];
};

/* A part on its way. */
struct flight {
	struct s3_upload *u;
	struct s3_part *p;
	struct s3_room *room;
	size_t sent;
};

static int out_of_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not upload: out of memory");
}

uint64_t s3_part_size(int index)
{
	return FIRST_PART << (index / PARTS_PER_SIZE);
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
	s3_listed_free(u);
	while (u->spare) {
		struct s3_room *k = u->spare;

		u->spare = k->next;
		free(k);
	}
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->mu);
	pthread_mutex_destroy(&u->beginning);
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
	pthread_mutex_init(&u->beginning, NULL);
	pthread_mutex_init(&u->mu, NULL);
	pthread_cond_init(&u->changed, NULL);
	s3_window_init(&u->window);
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

int s3_upload_resume(struct s3_upload *u, const char *id, struct err *e)
{
	u->id = strdup(id);
	if (!u->id)
		return out_of_memory(e);
	return s3_parts_list(u, e);
}

int s3_upload_made(struct s3_upload *u, struct err *e)
{
	struct s3_object there;

	if (s3_head(u->a, &u->bucket, u->key, &there, u->cancel, e))
		return -1;
	u->made = there.crc32c[0];
	if (u->made)
		return 0;
	err_set(e, ESTALE, "'s3://%s/%s' has no checksum", u->bucket.name, u->key);
	e->http = 404;
	return -1;
}

/* Memory ----------------------------------------------------------------------------------- */

static struct s3_room *room_of(void *data)
{
	return (struct s3_room *)(void *)((char *)data - offsetof(struct s3_room, data));
}

/* A spare room of that size; smaller ones have had their day. */
static struct s3_room *take_spare_locked(struct s3_upload *u, size_t max)
{
	while (u->spare) {
		struct s3_room *k = u->spare;

		u->spare = k->next;
		if (k->max == max)
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

int s3_upload_room(struct s3_upload *u, size_t size, size_t max, void **room, struct err *e)
{
	size_t limit = aws_config(u->a)->upload_memory;
	struct s3_room *k;

	limit = limit ? limit : UPLOAD_MEMORY;
	pthread_mutex_lock(&u->mu);
	while (!u->failure.no && u->in_flight && u->memory + size > limit)
		pthread_cond_wait(&u->changed, &u->mu);
	int failed = failed_locked(u, e);
	k = failed ? NULL : take_spare_locked(u, max);
	if (!failed)
		u->memory += size;
	pthread_mutex_unlock(&u->mu);
	if (failed)
		return -1;
	if (!k)
		k = malloc(sizeof *k + max);
	if (!k) {
		SCOPED_LOCK(&u->mu);
		u->memory -= size;
		return out_of_memory(e);
	}
	*k = (struct s3_room){.max = max, .size = size};
	*room = k->data;
	return 0;
}

static void give_back_locked(struct s3_upload *u, struct s3_room *k)
{
	u->memory -= k->size;
	k->next = u->spare;
	u->spare = k;
	pthread_cond_broadcast(&u->changed);
}

void s3_upload_drop(struct s3_upload *u, void *room)
{
	SCOPED_LOCK(&u->mu);

	if (room)
		give_back_locked(u, room_of(room));
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

/* An attempt whose reply was lost may have begun another one, which would stay for ever. Not being permitted to list them is no
 * reason to upload nothing. */
static void sweep_lost(struct s3_upload *u)
{
	struct err ignored;

	if (s3_multipart_sweep(u->a, &u->bucket, u->key, u->id, u->cancel, &ignored))
		err_clear(&ignored);
}

static int create(struct s3_upload *u, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	if (s3_call_init(&c, u->a, "POST", &u->bucket, u->key, e) || create_headers(u, &c, e))
		return -1;
	c.q.query = "uploads";
	c.q.cancel = u->cancel;
	if (s3_call_run(&c, u->a, "begin to upload", &r, e) || read_created(u, &c, &r, e))
		return -1;
	if (r.attempts > 1)
		sweep_lost(u);
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
	if (own.http && aws_may_have_acted(&own)) /* and somebody is there to be asked */
		sweep_lost(u);
	if (e)
		*e = own;
	return -1;
begun:
	if (u->hooks.started)
		u->hooks.started(u->hooks.arg, u->id);
	return 0;
}

/* Once, whichever thread has the first part. */
static int begin_once(struct s3_upload *u, struct err *e)
{
	SCOPED_LOCK(&u->beginning);

	return u->id ? 0 : begin(u, e);
}

/* Parts ------------------------------------------------------------------------------------ */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void count_sent(struct s3_upload *u, size_t n)
{
	pthread_mutex_lock(&u->mu);
	u->sent += n;
	uint64_t sent = u->sent;
	pthread_mutex_unlock(&u->mu);
	if (n && u->hooks.sent)
		u->hooks.sent(u->hooks.arg, sent);
}

/* A part sent again does not count twice. */
static void on_part_sent(void *arg, size_t n)
{
	struct flight *f = arg;
	size_t more = MIN(n, (size_t)f->p->size - f->sent);

	f->sent += more;
	count_sent(f->u, more);
}

/* Keeps the first failure; later parts end because of it. */
static void set_failure_locked(struct s3_upload *u, int number, const struct err *e)
{
	if (u->failure.no)
		return;
	u->failure = *e;
	err_prefix(&u->failure, "upload part %d of 's3://%s/%s'", number, u->bucket.name, u->key);
}

/* What the reply to a part says of it; etag is set. */
static void judge_part(const struct s3_part *p, const struct http_resp *r, char etag[128],
		       struct err *e)
{
	const char *shown = http_header_get(&r->headers, "ETag");

	if (!shown || s3_copy_text(etag, sizeof p->etag, shown))
		err_set(e, EPROTO, "the reply has no usable ETag");
	else if (s3_crc_check(&r->headers, p->crc, e))
		e->no = EIO;
}

static void on_part_done(void *arg, struct http_resp *r, const struct err *e)
{
	struct flight *f = arg;
	struct s3_upload *u = f->u;
	struct err own = *e;
	struct cancel *cancel = cancel_ref(u->cancel); /* u may be gone once in_flight is 0 */
	char etag[sizeof f->p->etag] = "";

	if (!own.no)
		judge_part(f->p, r, etag, &own);
	if (!own.no)
		on_part_sent(f, f->p->size); /* what was not reported piece by piece */
	pthread_mutex_lock(&u->mu);
	if (own.no)
		set_failure_locked(u, f->p->number, &own);
	else
		s3_window_ended(&u->window, f->p->size, seconds());
	memcpy(f->p->etag, own.no ? "" : etag, own.no ? 1 : sizeof etag);
	give_back_locked(u, f->room);
	u->in_flight--;
	pthread_mutex_unlock(&u->mu);
	free(f);
	if (own.no)
		cancel_set(cancel);
	cancel_unref(cancel);
}

static int start_part(struct flight *f, struct err *e)
{
	struct s3_upload *u = f->u;
	struct s3_call c _cleanup_s3_call_;
	_cleanup_buf_ struct buf query = BUF_INIT(0);
	char crc[S3_CRC_TEXT];

	buf_printf(&query, "partNumber=%d&uploadId=", f->p->number);
	if (uri_encode(u->id, strlen(u->id), false, &query))
		return out_of_memory(e);
	s3_crc_text(f->p->crc, crc);
	if (s3_call_init(&c, u->a, "PUT", &u->bucket, u->key, e) ||
	    s3_call_header(&c, "x-amz-checksum-crc32c", crc, e))
		return -1;
	c.q.host = u->host[0] ? u->host : NULL;
	c.q.query = buf_cstr(&query);
	c.q.body = f->room->data;
	c.q.body_len = f->p->size;
	c.q.cancel = u->cancel;
	c.q.paced = true;
	c.q.on_sent = on_part_sent;
	c.q.sent_arg = f;
	return aws_start(u->a, &AWS_S3, &c.q, on_part_done, f, e);
}

/* Waits for a place among the parts in flight. */
static int take_place(struct s3_upload *u, struct err *e)
{
	SCOPED_LOCK(&u->mu);

	while (!u->failure.no && u->in_flight >= u->window.size)
		pthread_cond_wait(&u->changed, &u->mu);
	if (failed_locked(u, e))
		return -1;
	u->in_flight++;
	return 0;
}

static int send_part(struct s3_upload *u, struct s3_part *p, struct s3_room *room, struct err *e)
{
	struct flight *f = malloc(sizeof *f);

	if (!f)
		return out_of_memory(e);
	*f = (struct flight){.u = u, .p = p, .room = room};
	if (begin_once(u, e) || take_place(u, e)) {
		free(f);
		return -1;
	}
	s3_part_unlist(u, p->number);
	if (start_part(f, e) == 0)
		return 0;
	free(f);
	SCOPED_LOCK(&u->mu);
	u->in_flight--;
	return -1;
}

int s3_upload_send(struct s3_upload *u, struct s3_part *p, void *room, struct err *e)
{
	struct s3_room *k = room_of(room);
	struct err own = {0};

	snprintf(p->etag, sizeof p->etag, "%s", u->made ? "made" : "");
	if (u->made || s3_part_listed(u, p, room)) {
		count_sent(u, p->size);
		s3_upload_drop(u, room);
		return 0;
	}
	if (send_part(u, p, k, &own) == 0)
		return 0;
	pthread_mutex_lock(&u->mu);
	give_back_locked(u, k);
	if (!u->failure
		     .no) /* what was to be sent is missing: whatever the caller does next, nothing is put together */
		u->failure = own;
	pthread_mutex_unlock(&u->mu);
	if (e)
		*e = own;
	return -1;
}

int s3_upload_settle(struct s3_upload *u, struct err *e)
{
	SCOPED_LOCK(&u->mu);
	while (u->in_flight)
		pthread_cond_wait(&u->changed, &u->mu);
	return failed_locked(u, e);
}

/* The end ---------------------------------------------------------------------------------- */

int s3_upload_finish(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		     struct s3_object *out, struct err *e)
{
	struct s3_object ignored;

	if (s3_upload_settle(u, e))
		return -1;
	return u->made ? s3_upload_compare(u, parts, n, out ? out : &ignored, e)
		       : s3_upload_complete(u, parts, n, out ? out : &ignored, e);
}

int s3_upload_whole(struct s3_upload *u, void *room, size_t n, struct s3_object *out, struct err *e)
{
	const struct s3_content content = {room, n, CONTENT_TYPE, NULL};
	int rc = s3_put(u->a, &u->bucket, u->key, &content, out, u->cancel, e);

	s3_upload_drop(u, room);
	if (rc == 0)
		count_sent(u, n);
	return rc;
}

static void end_flights(struct s3_upload *u)
{
	cancel_set(u->cancel);
	(void)!s3_upload_settle(u, NULL);
}

void s3_upload_leave(struct s3_upload *u)
{
	if (!u)
		return;
	end_flights(u);
	upload_free(u);
}

/* Parts of an upload that is never finished cost money for ever. */
int s3_upload_abort(struct s3_upload *u, struct err *e)
{
	int rc = 0;

	if (!u)
		return 0;
	end_flights(u);
	if (u->id)
		rc = s3_multipart_abort(u->a, &u->bucket, u->key, u->id, NULL, e);
	upload_free(u);
	return rc;
}
