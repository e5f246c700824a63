/* commit_publish.c: the archive into S3, and lost uploads out of it. */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"

/* Journal of an upload: its key, and the id of its multipart upload once there is one. */
static char *upload_json(const struct commit *c, const char *upload_id)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "key", c->key);
	cJSON_AddStringToObject(j, "upload_id", upload_id);
	return cJSON_PrintUnformatted(j);
}

static int journal_upload(struct commit *c, struct err *e)
{
	_cleanup_free_ char *json = upload_json(c, "");

	if (!json)
		return err_set(e, ENOMEM, "out of memory");
	return journal_begin(c->md->s->m->journal, "upload", c->md->name, json, &c->journal, e);
}

static void started(void *arg, const char *upload_id)
{
	struct commit *c = arg;
	_cleanup_free_ char *json = upload_json(c, upload_id);
	struct err e = {0};

	if (!json || journal_update(c->md->s->m->journal, c->journal, json, &e) < 0)
		log_line(c->md->s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
}

/* What package_write calls back with. */
struct writing {
	struct commit *c;
	struct s3_upload *upload;
};

static void progress(void *arg, uint64_t bytes)
{
	progress_add(&((struct writing *)arg)->c->md->work, bytes);
}

static void sent(void *arg, uint64_t bytes)
{
	progress_sent(&((struct commit *)arg)->md->work, bytes);
}

static int sink(void *arg, const void *p, size_t n, struct err *e)
{
	struct writing *w = arg;

	progress_made(&w->c->md->work, n);
	return s3_upload_write(w->upload, p, n, e);
}

static int record_upload(struct commit *c, const struct package_output *o,
			 const struct s3_object *object)
{
	if (record_stored(c->record, c->key, object->size, object->crc32c) < 0 ||
	    record_offsets(c->record, o->member_offsets, o->points, o->n_points) < 0)
		return -1;
	return 0;
}

static void output_release(struct package_output *o)
{
	free(o->points);
	free(o->member_offsets);
}

static int write_archive(struct commit *c, struct err *e)
{
	struct mount *m = c->md->s->m;
	const struct s3_upload_hooks hooks = {.started = started, .sent = sent, .arg = c};
	struct writing w = {c, s3_upload_new(m->aws, &c->bucket, c->key, &hooks, c->cancel, e)};
	_cleanup_(output_release)
	struct package_output o = {.sink = sink, .arg = &w, .progress = progress};
	struct s3_object object = {0};

	if (!w.upload)
		return -1;
	if (package_write(c->plan, &o, c->cancel, e) < 0) {
		s3_upload_abort(w.upload);
		return -1;
	}
	if (s3_upload_finish(w.upload, &object, e) < 0)
		return -1;
	return record_upload(c, &o, &object) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int upload(struct commit *c, struct err *e)
{
	struct model *md = c->md;

	catalog_key(md->s, md->name, c->version, c->key);
	if (mount_bucket_make(md->s->m, &c->bucket, c->cancel, e) < 0 || journal_upload(c, e) < 0)
		return -1;
	progress_phase(&md->work, PROGRESS_UPLOADING, c->plan->bytes);
	c->uploaded = true;
	if (write_archive(c, e) < 0)
		return e->no == EBUSY ? -1 : err_prefix(e, "cannot upload model '%s'", md->name);
	return 0;
}

int commit_store(struct commit *c, struct err *e)
{
	int r = commit_look(c, e);

	if (r <= 0)
		return r;
	return c->files ? commit_upload_files(c, e) : upload(c, e);
}

static bool stopping(struct models *s)
{
	SCOPED_LOCK(&s->mu);

	return s->stopping;
}

/* Takes the archive of an upload that nobody published away, and what was begun under its key. Not being permitted to list
 * unfinished uploads leaves those whose id nobody knows. */
static int take_away(struct models *s, const struct s3_bucket *bucket, const char *key,
		     struct cancel *cancel, struct err *e)
{
	struct err own = {0};

	if (s3_multipart_sweep(s->m->aws, bucket, key, NULL, cancel, &own) < 0) {
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", own.text);
		if (own.http != 403 && own.http != 404 && own.http != 501) {
			*e = own;
			return -1;
		}
	}
	return s3_delete(s->m->aws, bucket, key, cancel, e) < 0 && e->http != 404 ? -1 : 0;
}

/* An upload that no manifest names must not stay; when it cannot be taken away, the journal keeps it for the next mount. */
void commit_finish(struct commit *c, int r)
{
	struct models *s = c->md->s;
	struct err e = {0};

	if (r < 0 && stopping(s))
		return;
	commit_files_finish(c, r);
	if (!c->journal || c->files)
		return;
	if (c->uploaded && take_away(s, &c->bucket, c->key, NULL, &e) < 0) {
		log_line(s->m->log, LOG_LEVEL_WARNING, "models",
			 "model '%s': the unfinished upload %s is left to the next mount: %s",
			 c->md->name, c->key, e.text);
		return;
	}
	if (journal_end(s->m->journal, c->journal, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
	if (r >= 0 && !stopping(s))
		models_sweep(s);
}

struct lost {
	struct models *s;
	int64_t id;
	char name[64], key[1100], upload_id[1024];
};

/* An upload that the last mount did not end: published after all, or taken away. */
static void lost_job(void *arg, struct cancel *cancel)
{
	_cleanup_free_ struct lost *l = arg;
	struct mount *m = l->s->m;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	struct s3_bucket bucket;
	char etag[128];
	struct err e = {0};
	struct model *md = model_get(l->s, l->name, &e);

	if (!md || mount_bucket(m, &bucket, cancel, &e) < 0 ||
	    catalog_load(md, &man, etag, cancel, &e) < 0) {
		log_line(m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
		return;
	}
	if (!man || !manifest_names_key(man, l->key)) {
		if (l->upload_id[0] &&
		    s3_multipart_abort(m->aws, &bucket, l->key, l->upload_id, cancel, &e) < 0 &&
		    e.http != 404) {
			log_line(m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
			return;
		}
		if (take_away(l->s, &bucket, l->key, cancel, &e) < 0) {
			log_line(m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
			return;
		}
		log_line(m->log, LOG_LEVEL_INFO, "models",
			 "undid the upload of %s that never ended", l->key);
	}
	if (journal_end(m->journal, l->id, &e) < 0)
		log_line(m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
}

static int lost_one(void *arg, int64_t id, const char *name, const char *json)
{
	struct models *s = arg;
	_cleanup_json_ cJSON *j = cJSON_Parse(json);
	_cleanup_free_ struct lost *l = calloc(1, sizeof *l);

	if (!l)
		return -1;
	l->s = s;
	l->id = id;
	snprintf(l->name, sizeof l->name, "%s", name);
	snprintf(l->key, sizeof l->key, "%s", manifest_text(j, "key"));
	snprintf(l->upload_id, sizeof l->upload_id, "%s", manifest_text(j, "upload_id"));
	if (l->key[0] && jobs_run(s->m->jobs, lost_job, l) == 0)
		l = NULL;
	return 0;
}

void commit_resume_uploads(struct models *s)
{
	struct err e = {0};

	if (journal_each(s->m->journal, "upload", lost_one, s, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
}
