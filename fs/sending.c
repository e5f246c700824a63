/* sending.c: see sending.h. */
#include "fs/sending.h"

#include <errno.h>

#include "sagemaker/config.h"
#include "sagemaker/s3_bucket.h"

#define LAYOUT     1 /* of parts: another one's cannot be told to be there by making them again */
#define OLD_S      ((int64_t)7 * 86400) /* what was begun before is not gone on with by another mount */
#define PACK_MOST  3U                   /* threads: each has two parts under construction */
#define PER_THREAD ((size_t)32 << 20) /* of upload_memory */

static struct mount *mount_of(const struct sending *s)
{
	return s->md->s->m;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ENOMEM, "out of memory");
}

static void warn(const struct sending *s, const struct err *e)
{
	log_line(mount_of(s)->log, LOG_LEVEL_WARNING, "models", "model '%s': %s", s->md->name,
		 e->text);
}

/* The journal ---------------------------------------------------------------------------------- */

/* Operation "upload": its key, and the id of its multipart upload once there is one. */
static char *upload_json(const struct sending *s, const char *id)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "key", s->key);
	cJSON_AddStringToObject(j, "version", s->version);
	cJSON_AddStringToObject(j, "upload_id", id);
	cJSON_AddNumberToObject(j, "layout", LAYOUT);
	cJSON_AddNumberToObject(j, "begun", (double)s->begun);
	return cJSON_PrintUnformatted(j);
}

/* Operations "group", named by the key: which numbers hold which of the archive's members. */
static char *group_json(const struct bundle_group *g)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "first", g->first);
	cJSON_AddNumberToObject(j, "reserved", g->reserved);
	cJSON_AddBoolToObject(j, "head", g->head);
	cJSON *files = cJSON_AddArrayToObject(j, "files");
	for (size_t i = 0; i < g->n; i++)
		cJSON_AddItemToArray(files, cJSON_CreateString(g->entries[i].archive));
	if ((size_t)cJSON_GetArraySize(files) != g->n)
		return NULL;
	return cJSON_PrintUnformatted(j);
}

static int began(void *arg, const struct bundle_group *g, struct err *e)
{
	struct sending *s = arg;
	_cleanup_free_ char *json = group_json(g);
	int64_t id;

	__atomic_store_n(&s->journaled, true, __ATOMIC_RELAXED);
	return json ? journal_begin(mount_of(s)->journal, "group", s->key, json, &id, e)
		    : out_of_memory(e);
}

static int forget(const struct sending *s, struct err *e)
{
	struct journal *j = mount_of(s)->journal;

	if (s->journaled && journal_end_named(j, "group", s->key, e) < 0)
		return -1;
	return journal_end(j, s->journal, e);
}

static void started(void *arg, const char *upload_id)
{
	struct sending *s = arg;
	_cleanup_free_ char *json = upload_json(s, upload_id);
	struct err e = {0};

	s->id = strdup(upload_id);
	if (!json || !s->id || journal_update(mount_of(s)->journal, s->journal, json, &e) < 0)
		warn(s, &e);
}

/* The upload ----------------------------------------------------------------------------------- */

static int store_room(void *arg, size_t size, size_t max, void **room, struct err *e)
{
	return s3_upload_room(((struct sending *)arg)->upload, size, max, room, e);
}

static void store_drop(void *arg, void *room)
{
	s3_upload_drop(((struct sending *)arg)->upload, room);
}

static int store_part(void *arg, struct s3_part *p, void *room, struct err *e)
{
	return s3_upload_send(((struct sending *)arg)->upload, p, room, e);
}

static int store_settle(void *arg, struct err *e)
{
	return s3_upload_settle(((struct sending *)arg)->upload, e);
}

static int store_whole(void *arg, void *room, size_t n, struct err *e)
{
	struct sending *s = arg;

	s->maybe_there = true;
	return s3_upload_whole(s->upload, room, n, &s->object, e);
}

static void packed(void *arg, uint64_t files, uint64_t made)
{
	struct sending *s = arg;

	__atomic_add_fetch(&s->done.added, files, __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->done.made, made, __ATOMIC_RELAXED);
	progress_add(&s->md->work, files);
	progress_made(&s->md->work, made);
}

/* The upload's own count begins anew with each; what is made again because of that counts again as well. */
static void sent(void *arg, uint64_t bytes)
{
	struct sending *s = arg;

	__atomic_store_n(&s->done.sent, bytes, __ATOMIC_RELAXED);
	progress_sent(&s->md->work, bytes);
}

static unsigned threads(const struct mount *m)
{
	size_t memory = aws_config(m->aws)->upload_memory;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned most = cpus > 0 ? (unsigned)MIN(cpus, (long)PACK_MOST) : 1;

	return memory ? (unsigned)MAX(MIN((size_t)most, memory / PER_THREAD), (size_t)1) : most;
}

static int make_bundle(struct sending *s)
{
	const struct bundle_store store = {.arg = s,
					   .room = store_room,
					   .drop = store_drop,
					   .part = store_part,
					   .settle = store_settle,
					   .whole = store_whole,
					   .began = began,
					   .packed = packed};

	s->bundle = bundle_new(&store, s->md->s->hashes, threads(mount_of(s)));
	return s->bundle ? 0 : -1;
}

static void sending_release(struct sending *s)
{
	if (!s)
		return;
	s3_upload_leave(s->upload);
	bundle_free(s->bundle);
	cancel_unref(s->cancel);
	free(s->id);
	free(s);
}

static struct sending *sending_new(struct model *md, struct err *e)
{
	struct sending *s = calloc(1, sizeof *s);

	if (s)
		s->md = md;
	if (s && make_bundle(s) == 0)
		return s;
	sending_release(s);
	out_of_memory(e);
	return NULL;
}

/* The object that an upload may have become, and the upload. Not being permitted to list unfinished uploads leaves those whose id nobody
 * knows. */
int sending_take_away(struct models *s, const struct s3_bucket *bucket, const char *key,
		      const char *id, struct cancel *cancel, struct err *e)
{
	struct err own = {0};

	if (id && *id && s3_multipart_abort(s->m->aws, bucket, key, id, cancel, e) < 0 &&
	    e->http != 404)
		return -1;
	if (s3_multipart_sweep(s->m->aws, bucket, key, NULL, cancel, &own) < 0) {
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", own.text);
		if (own.http != 403 && own.http != 404 && own.http != 501) {
			*e = own;
			return -1;
		}
	}
	return s3_delete(s->m->aws, bucket, key, cancel, e) < 0 && e->http != 404 ? -1 : 0;
}

/* A version of its own, and a row in the journal, before anything is sent. */
static struct sending *begin(struct model *md, struct cancel *c, struct err *e)
{
	struct sending *s = sending_new(md, e);

	if (!s)
		return NULL;
	s->begun = (int64_t)time(NULL);
	version_name(s->version);
	catalog_key(md->s, md->name, s->version, s->key);
	_cleanup_free_ char *json = upload_json(s, "");
	if (!json)
		out_of_memory(e);
	if (json && mount_bucket_make(md->s->m, &s->bucket, c, e) == 0 &&
	    journal_begin(md->s->m->journal, "upload", md->name, json, &s->journal, e) == 0)
		return s;
	sending_release(s);
	return NULL;
}

/* One upload object after the other. 1: the service knows nothing of the one that was begun. */
static int open_upload(struct sending *s, struct cancel *c, struct err *e)
{
	const struct s3_upload_hooks hooks = {.started = started, .sent = sent, .arg = s};
	struct mount *m = mount_of(s);

	if (!s->bucket.name[0] && mount_bucket_make(m, &s->bucket, c, e) < 0)
		return -1;
	cancel_unref(s->cancel);
	s->cancel = cancel_new();
	s->upload =
		s->cancel ? s3_upload_new(m->aws, &s->bucket, s->key, &hooks, s->cancel, e) : NULL;
	if (!s->upload)
		return s->cancel ? -1 : out_of_memory(e);
	s->done = (struct progress_count){0};
	if (!s->id || s3_upload_resume(s->upload, s->id, e) == 0)
		return 0;
	if (e->http == 404 && s3_upload_made(s->upload, e) == 0) {
		s->maybe_there = true;
		return 0;
	}
	s3_upload_leave(steal(s->upload));
	return e->http == 404 ? 1 : -1;
}

/* md->sending, when nobody has it. */
static struct sending *take(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return steal(md->sending);
}

static void arm_lapse_locked(struct model *md, int64_t ms)
{
	if (!md->s->stopping)
		timer_arm(md->s->m->watch, &md->lapse, MAX(ms, (int64_t)100));
}

static void put_back(struct sending *s)
{
	SCOPED_LOCK(&s->md->s->mu);

	s->touched = now_ms();
	s->md->sending = s;
	arm_lapse_locked(s->md, s->md->s->lapse_after * 1000);
}

static void relay(void *arg)
{
	cancel_set(arg);
}

/* What the service has forgotten, or made an object of whose reply was lost, is begun anew under another key. */
static int drop_stale(struct sending *s, struct cancel *c, struct err *e)
{
	if (sending_take_away(s->md->s, &s->bucket, s->key, NULL, c, e) < 0 || forget(s, e) < 0)
		return -1;
	sending_release(s);
	return 0;
}

int sending_open(struct model *md, struct cancel *c, struct sending **at, struct err *e)
{
	struct sending *s = take(md);
	int rc = 0;

	if (s && !s->upload)
		rc = open_upload(s, c, e);
	if (rc > 0) {
		rc = drop_stale(s, c, e);
		s = rc < 0 ? s : NULL;
	}
	if (!s && rc == 0) {
		s = begin(md, c, e);
		rc = s ? open_upload(s, c, e) : -1;
	}
	if (rc < 0) {
		if (s)
			put_back(s);
		return -1;
	}
	if (c)
		cancel_on(c, relay, s->cancel);
	*at = s;
	return 0;
}

void sending_close(struct sending *s, struct cancel *c, bool failed)
{
	if (c)
		cancel_off(c, relay, s->cancel);
	if (failed || cancel_is_set(s->cancel)) {
		s3_upload_leave(steal(s->upload));
		bundle_lost(s->bundle);
	}
	put_back(s);
}

static bool worth_it(void *arg)
{
	(void)arg;
	return true;
}

int sending_finish(struct sending *s, struct package_plan *plan, struct cancel *c,
		   bool (*may_go_on)(void *arg), void *arg, struct bundle_output *out,
		   struct s3_object *object, struct err *e)
{
	if (!may_go_on)
		may_go_on = worth_it;
	if (bundle_finish(s->bundle, plan, c, out, e) < 0)
		return -1;
	s->whole = out->whole;
	if (out->whole) {
		*object = s->object;
		return 0;
	}
	if (!may_go_on(arg)) {
		bundle_output_release(out);
		return err_set(e, EBUSY, "model '%s' changed while it was being committed",
			       s->md->name);
	}
	s->maybe_there = true;
	if (s3_upload_finish(s->upload, out->parts, out->n_parts, object, e) == 0)
		return 0;
	bundle_output_release(out);
	return -1;
}

/* The end ---------------------------------------------------------------------------------------- */

/* Whether parts stay at the service: the object came to be in one piece, and none of what was sent early is of use. */
static bool leaves_parts(struct sending *s, struct err *e)
{
	return s->whole && s->id &&
	       s3_multipart_abort(mount_of(s)->aws, &s->bucket, s->key, s->id, NULL, e) < 0 &&
	       e->http != 404;
}

/* While parts stay, so does the journal's row, and the next mount takes them away. */
void sending_published(struct model *md)
{
	struct sending *s = take(md);
	struct err e = {0};

	if (s && (leaves_parts(s, &e) || forget(s, &e) < 0))
		warn(s, &e);
	sending_release(s);
}

void sending_forget(struct model *md)
{
	sending_release(take(md));
}

static int abandon(struct sending *s, struct cancel *c, struct err *e)
{
	struct mount *m = mount_of(s);

	s3_upload_leave(steal(s->upload));
	bool begun = s->id || s->maybe_there;
	if (begun && ((!s->bucket.name[0] && mount_bucket(m, &s->bucket, c, e) < 0) ||
		      sending_take_away(s->md->s, &s->bucket, s->key, s->id, c, e) < 0)) {
		err_prefix(e, "the unfinished upload %s is left to the next mount", s->key);
		warn(s, e);
		sending_release(s);
		return -1;
	}
	int rc = forget(s, e);
	if (rc < 0)
		warn(s, e);
	sending_release(s);
	return rc;
}

int sending_abandon(struct model *md, struct cancel *c, struct err *e)
{
	struct sending *s = take(md);

	return s ? abandon(s, c, e) : 0;
}

static void abandon_job(void *arg, struct cancel *cancel)
{
	struct err e = {0};

	(void)!sending_abandon(arg, cancel, &e);
}

void sending_drop(struct model *md)
{
	bool any;

	{
		SCOPED_LOCK(&md->s->mu);
		any = md->sending;
	}
	if (any && jobs_run(md->s->m->jobs, abandon_job, md) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models",
			 "model '%s': its unfinished upload is left to the next mount", md->name);
}

/* How long nothing has been done about it, in ms; -1: it is being worked with, or files are being written. */
static int64_t idle_locked(const struct model *md)
{
	if (!md->sending || md->early || md->committing || md->copying || md->writers)
		return -1;
	return now_ms() - MAX(md->changed, md->sending->touched);
}

static bool lapsed_locked(const struct model *md)
{
	return !md->s->stopping && idle_locked(md) >= md->s->lapse_after * 1000;
}

/* What a manifest names, because only the answer or the word to the journal was lost, stays. */
static void lapse(struct sending *s, const struct manifest *man, struct cancel *c)
{
	const struct model *md = s->md;
	struct err e = {0};

	if (man && manifest_names_key(man, s->key)) {
		if (forget(s, &e) < 0)
			warn(s, &e);
		sending_release(s);
	} else if (abandon(s, c, &e) == 0) {
		log_line(
			md->s->m->log, LOG_LEVEL_INFO, "models",
			"model '%s': its upload was begun and not gone on with for %ld s: aborted; the next commit begins anew",
			md->name, md->s->lapse_after);
	}
}

static void lapse_job(void *arg, struct cancel *cancel)
{
	struct model *md = arg;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	struct sending *s = NULL;
	struct s3_bucket bucket;
	char etag[128];
	struct err e = {0};

	bool known = mount_bucket(md->s->m, &bucket, cancel, &e) == 0 &&
		     catalog_load(md, &man, etag, cancel, &e) == 0;
	{
		SCOPED_LOCK(&md->s->mu);
		if (known && lapsed_locked(md))
			s = steal(md->sending);
		else if (md->sending)
			arm_lapse_locked(md, md->s->lapse_after * 1000);
	}
	if (s)
		lapse(s, man, cancel);
}

void sending_lapse_timer(struct timer *t)
{
	struct model *md = t->arg;
	SCOPED_LOCK(&md->s->mu);
	int64_t after = md->s->lapse_after * 1000, idle = idle_locked(md);

	if (!md->sending) /* whoever has it brings it back, and the timer with it */
		return;
	if (!lapsed_locked(md) || jobs_run(md->s->m->jobs, lapse_job, md) < 0)
		arm_lapse_locked(md, idle < 0 || idle >= after ? after : after - idle);
}

void sending_free(struct model *md)
{
	sending_release(take(md));
}

/* After a kill or an unmount ------------------------------------------------------------------ */

static int restore_group(void *arg, int64_t id, const char *key, const char *json)
{
	struct sending *s = arg;
	_cleanup_json_ cJSON *j = cJSON_Parse(json);
	const cJSON *files = cJSON_GetObjectItemCaseSensitive(j, "files"), *f;
	struct bundle_group g = {
		.first = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, "first")),
		.reserved =
			(int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, "reserved")),
		.head = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "head"))};
	struct err e = {0};

	(void)id;
	if (!streq(key, s->key) || g.first < 1 || g.reserved < 1 ||
	    g.first + g.reserved > S3_MAX_PARTS + 1)
		return 0;
	g.entries = calloc((size_t)cJSON_GetArraySize(files) + 1, sizeof *g.entries);
	if (!g.entries)
		return 0;
	cJSON_ArrayForEach(f, files)
		if (cJSON_IsString(f))
			g.entries[g.n++].archive = f->valuestring;
	if (bundle_restored(s->bundle, &g, &e) < 0)
		warn(s, &e);
	free(g.entries);
	return 0;
}

static int64_t begun_of(const cJSON *json)
{
	const cJSON *begun = cJSON_GetObjectItemCaseSensitive(json, "begun");

	return cJSON_IsNumber(begun) ? (int64_t)begun->valuedouble : (int64_t)time(NULL);
}

bool sending_restore(struct model *md, int64_t id, const cJSON *json)
{
	const cJSON *layout = cJSON_GetObjectItemCaseSensitive(json, "layout");
	const char *upload_id = manifest_text(json, "upload_id");
	struct err e = {0};

	if (!*upload_id || !cJSON_IsNumber(layout) || layout->valueint != LAYOUT ||
	    (int64_t)time(NULL) - begun_of(json) > OLD_S)
		return false;
	{
		SCOPED_LOCK(&md->s->mu);
		if (!md->staged || !md->dirty || md->sending)
			return false;
	}
	struct sending *s = sending_new(md, &e);
	if (!s)
		return false;
	s->journal = id;
	s->journaled = true;
	s->begun = begun_of(json);
	s->id = strdup(upload_id);
	snprintf(s->key, sizeof s->key, "%s", manifest_text(json, "key"));
	snprintf(s->version, sizeof s->version, "%s", manifest_text(json, "version"));
	if (!s->id || journal_each(md->s->m->journal, "group", restore_group, s, &e) < 0) {
		sending_release(s);
		return false;
	}
	put_back(s);
	SCOPED_LOCK(&md->s->mu);
	md->restored = id;
	return true;
}
