/* commit_publish.c: the archive into S3, and lost uploads out of it. */
#include <errno.h>

#include "fs/sending.h"

static int record_upload(struct commit *c, const struct bundle_output *o,
			 const struct s3_object *object, struct err *e)
{
	if (record_stored(c->record, c->key, object->size, object->crc32c) < 0 ||
	    record_offsets(c->record, o->member_offsets, o->points, o->n_points) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static bool stands(void *arg)
{
	return commit_stands(arg);
}

/* What was sent early, or by the mount before this one, is done already. */
static void show_progress(struct commit *c, const struct sending *s)
{
	const struct progress_count earlier = {
		.added = MIN(__atomic_load_n(&s->done.added, __ATOMIC_RELAXED), c->plan->bytes),
		.made = __atomic_load_n(&s->done.made, __ATOMIC_RELAXED),
		.sent = __atomic_load_n(&s->done.sent, __ATOMIC_RELAXED)};

	progress_resume(&c->md->work, PROGRESS_UPLOADING, c->plan->bytes, &earlier);
}

static int send_archive(struct commit *c, struct bundle_output *out, struct s3_object *object,
			struct err *e)
{
	struct sending *s;

	if (sending_open(c->md, c->cancel, &s, e) < 0)
		return -1;
	show_progress(c, s);
	memcpy(c->version, s->version, sizeof c->version);
	memcpy(c->key, s->key, sizeof c->key);
	int rc = sending_finish(s, c->plan, c->cancel, stands, c, out, object, e);
	c->uploaded = c->sent = rc == 0;
	sending_close(s, c->cancel, rc < 0);
	return rc;
}

/* The archive; its record, too, when nothing could be known of it before all files were read. */
static int upload(struct commit *c, struct err *e)
{
	_cleanup_(bundle_output_release)
	struct bundle_output out = {0};
	struct s3_object object = {0};

	int rc = send_archive(c, &out, &object, e);
	/* changed so often that there are no numbers left; or made by the mount before, and the files are others since */
	if (rc < 0 && (e->no == EFBIG || e->no == ESTALE)) {
		(void)!sending_abandon(c->md, c->cancel, e);
		rc = send_archive(c, &out, &object, e);
	}
	if (rc < 0)
		return e->no == EBUSY ? -1 : err_prefix(e, "cannot upload model '%s'", c->md->name);
	if (!c->record && commit_describe(c, e) < 0)
		return -1;
	return record_upload(c, &out, &object, e);
}

/* What was begun for a version that is not needed. */
static void abandon(struct commit *c)
{
	struct err e = {0};

	(void)!sending_abandon(c->md, NULL, &e);
}

int commit_store(struct commit *c, struct err *e)
{
	int r = commit_look(c, e);

	if (r == 0 || c->conflict || c->files)
		abandon(c);
	if (r <= 0)
		return r;
	return c->files ? commit_upload_files(c, e) : upload(c, e);
}

static bool stopping(struct models *s)
{
	SCOPED_LOCK(&s->mu);

	return s->stopping;
}

/* An archive that no manifest names must not stay; when it cannot be taken away, the journal keeps it for the next mount. */
void commit_finish(struct commit *c, int r)
{
	struct models *s = c->md->s;

	if (r < 0 && stopping(s))
		return;
	commit_files_finish(c, r);
	if (c->files)
		return;
	if (c->uploaded && c->unsure)
		sending_forget(c->md);
	else if (c->uploaded)
		abandon(c);
	else if (c->sent)
		sending_published(c->md);
	if (r >= 0 && c->sent && !stopping(s))
		models_sweep(s);
}

/* An upload that the last mount did not end, of a model that is not staged any more: published after all, or taken away. */
static int end_lost(const struct unfinished *u, struct cancel *cancel, struct err *e)
{
	struct models *s = u->md->s;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	const char *key = manifest_text(u->json, "key");
	struct s3_bucket bucket;
	char etag[128];

	{
		SCOPED_LOCK(&s->mu);
		if (u->md->restored == u->id)
			return 0;
	}
	if (mount_bucket(s->m, &bucket, cancel, e) < 0 ||
	    catalog_load(u->md, &man, etag, cancel, e) < 0)
		return -1;
	if (!man || !manifest_names_key(man, key)) {
		if (sending_take_away(s, &bucket, key, manifest_text(u->json, "upload_id"), cancel,
				      e) < 0)
			return -1;
		log_line(s->m->log, LOG_LEVEL_INFO, "models",
			 "undid the upload of %s that never ended", key);
	}
	return journal_end_named(s->m->journal, "group", key, e) < 0 ||
			       journal_end(s->m->journal, u->id, e) < 0
		       ? -1
		       : 0;
}

static int restore_one(void *arg, int64_t id, const char *name, const char *json)
{
	_cleanup_json_ cJSON *j = cJSON_Parse(json);
	struct err e;
	struct model *md = model_get(arg, name, &e);

	if (md)
		(void)sending_restore(md, id, j);
	return 0;
}

void commit_resume_uploads(struct models *s)
{
	static const struct resume how = {
		.kind = "upload", .what = "the unfinished upload", .run = end_lost};
	struct err e = {0};

	/* those that can be gone on with first, before any job */
	if (journal_each(s->m->journal, "upload", restore_one, s, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
	models_resume(s, &how);
}
