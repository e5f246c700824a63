/* models_remove.c: rmdir models/NAME: every published version and staging. The manifest goes first, then what it named. */
#include <errno.h>
#include <fcntl.h>

#include "fs/endpoints.h"
#include "fs/models_room.h"
#include "fs/sending.h"
#include "sagemaker/aws_errors.h"
#include "sagemaker/s3.h"

#define KIND   "delete-model"
#define LEFT   "left"   /* the manifest is gone, archives are not */
#define UNSURE "unsure" /* rmdir failed, and nobody knows whether the manifest is gone */

struct removal {
	struct model *md;
	struct node *dir;
	char name[64];
	struct promise *promise;
	unsigned refs; /* atomic: the job and the answer */
};

static void removal_unref(struct removal *v)
{
	if (__atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(v);
}

static void answer_rmdir(struct req *r, void *arg, int no)
{
	struct removal *v = arg;

	if (!no)
		node_detach(v->md->s->m->tree, v->dir, v->name);
	reply_err(r, no);
	removal_unref(v);
}

/* What a deletion must still do, for the next mount: the manifest it read and the keys that one named. */
static char *deletion_json(const struct manifest *man, const char *etag)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	const cJSON *v;

	cJSON_AddStringToObject(j, "etag", etag);
	cJSON *keys = cJSON_AddArrayToObject(j, "keys");
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(man->json, "versions")) {
		cJSON_AddItemToArray(keys, record_data(v));
	}
	return cJSON_PrintUnformatted(j);
}

#define AGAIN_MS \
 5000 /* until archives that a model was said to use are asked about again; doubles */
#define AGAIN_MAX_MS 600000

static int delete_key(struct models *s, const struct s3_bucket *bucket, const char *key,
		      struct cancel *c, struct err *e)
{
	return s3_delete(s->m->aws, bucket, key, c, e) < 0 && e->http != 404 ? -1 : 0;
}

/* A flag in the row of an operation that is not over. */
static int mark(struct models *s, int64_t id, cJSON *row, const char *flag, struct err *e)
{
	cJSON_DeleteItemFromObjectCaseSensitive(row, flag);
	cJSON_AddTrueToObject(row, flag);
	_cleanup_free_ char *json = cJSON_PrintUnformatted(row);
	if (!json)
		return err_set(e, ENOMEM, "out of memory");
	return journal_update(s->m->journal, id, json, e);
}

/* Somebody still uses an archive, most often an endpoint that is just being deleted, or the service did not answer: later. */
static void leave(struct models *s, int64_t id, cJSON *row, const char *flag)
{
	struct err e;

	if (mark(s, id, row, flag, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
	SCOPED_LOCK(&s->mu);
	if (!s->stopping)
		timer_arm(s->m->watch, &s->again, s->again_ms);
}

/* The manifest goes. Where the reply was lost and repetitions were refused, a look tells; where nobody lets us look, what
 * became of it is seen later. 0: it is gone. */
static int withdraw(struct model *md, const char *etag, int64_t id, cJSON *row, struct cancel *c,
		    struct err *e)
{
	struct models *s = md->s;
	_cleanup_(manifest_unrefp)
	struct manifest *there = NULL;
	struct s3_bucket bucket;
	char key[1100], now[128];
	struct err late;

	catalog_key(s, md->name, NULL, key);
	if (mount_bucket(s->m, &bucket, c, e) == 0 && delete_key(s, &bucket, key, c, e) == 0)
		return 0;
	if (cancel_is_set(c))
		return -1;
	if (aws_may_have_acted(e) && catalog_load(md, &there, now, c, &late) < 0) {
		leave(s, id, row, UNSURE);
		return -1;
	}
	if (aws_may_have_acted(e) && (!there || !streq(now, etag)))
		return 0;
	(void)!journal_end(s->m->journal, id, &late);
	return -1;
}

/* After the manifest went, the model is gone for everybody; archives that resist are tried again. */
static int delete_published(struct model *md, const struct manifest *man, const char *etag,
			    struct cancel *c, struct err *e)
{
	struct models *s = md->s;
	_cleanup_free_ char *json = deletion_json(man, etag);
	_cleanup_json_ cJSON *j = json ? cJSON_Parse(json) : NULL;
	struct err late;
	int64_t id;

	if (!j)
		return err_set(e, ENOMEM, "out of memory");
	if (journal_begin(s->m->journal, KIND, md->name, json, &id, e) < 0 ||
	    withdraw(md, etag, id, j, c, e) < 0)
		return -1;
	catalog_learn(md, NULL, "");
	err_set(&late, EBUSY, "a deployment elsewhere uses one");
	if (archives_delete(s, cJSON_GetObjectItemCaseSensitive(j, "keys"), NULL, c, &late) != 0) {
		log_line(s->m->log, LOG_LEVEL_WARNING, "models",
			 "model '%s': removed, but its archives are left for later: %s", md->name,
			 late.text);
		leave(s, id, j, LEFT);
	} else if (journal_end(s->m->journal, id, &late) < 0) {
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", late.text);
	}
	return 0;
}

/* A running commit ends first: its upload must not appear after the deletion. */
static int idle(struct model *md, struct cancel *c, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	while (md->committing || md->early || md->copying) {
		if (cancel_is_set(c))
			return err_set(e, ECANCELED, "the removal of model '%s' was cancelled",
				       md->name);
		models_wait_locked(md->s, 100);
	}
	return 0;
}

static int unused(struct model *md, struct cancel *c, struct err *e)
{
	struct endpoints *eps = md->s->m->endpoints;
	char endpoint[64];

	if (!eps || !endpoints_uses_model(eps, md->name, endpoint, c))
		return 0;
	return err_set(
		e, EBUSY,
		"model '%s' is used by endpoint '%s'; rmdir endpoints/%s first; nothing was removed",
		md->name, endpoint, endpoint);
}

/* Somebody else's archive, with -o delete=any: that object, as it was seen. */
static int delete_elsewhere(struct model *md, struct cancel *c, struct err *e)
{
	struct models *s = md->s;
	_cleanup_free_ char *key = NULL;

	struct s3_bucket bucket;

	{
		SCOPED_LOCK(&s->mu);
		if (!md->staged && md->man && md->man->elsewhere && !model_linked_locked(md))
			key = strdup(manifest_text(md->man->current, "key"));
	}

	if (!key)
		return 0;
	if (unused(md, c, e) < 0 || mount_bucket(s->m, &bucket, c, e) < 0 ||
	    delete_key(s, &bucket, key, c, e) < 0)
		return -1;
	catalog_learn(md, NULL, "");
	return 0;
}

static int delete_remote(struct model *md, const struct manifest *man, const char *etag,
			 struct cancel *c, struct err *e)
{
	if (!man)
		return delete_elsewhere(md, c, e);
	/* what a link leads to stays, and so does whoever uses it */
	if (!*manifest_text(man->current, "uri") && unused(md, c, e) < 0)
		return -1;
	return delete_published(md, man, etag, c, e);
}

static int remove_all(struct model *md, struct cancel *c, struct err *e)
{
	struct models *s = md->s;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	char etag[128];
	bool ours;

	if (idle(md, c, e) < 0)
		return -1;
	sending_drop(md); /* an unreachable service must not keep anybody from it */
	{
		SCOPED_LOCK(&s->mu);
		ours = md->base[0] || md->known == KNOWN_PUBLISHED;
	}
	/* An unreachable service does not keep anybody from removing what was never published. */
	if (catalog_load(md, &man, etag, c, e) < 0 && ours)
		return -1;
	if (delete_remote(md, man, etag, c, e) < 0)
		return -1;
	commit_files_forget(md);
	SCOPED_LOCK(&s->mu);
	if (md->staged && unlinkat(s->m->staging_fd, md->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(e, "cannot remove the staging directory of model '%s'", md->name);
	md->staged = md->dirty = md->conflict = false;
	md->base[0] = md->framework[0] = md->framework_version[0] = 0;
	md->epoch++;
	names_clear(&md->gone);
	err_clear(&md->error);
	return 0;
}

/* It was not removed: the published files are back, also where an emptied staging hid them. */
static void restore(struct model *md)
{
	char temp[32] = "";

	struct err e;

	{
		SCOPED_LOCK(&md->s->mu);
		names_clear(&md->gone);
		if (md->staged && md->base[0]) {
			md->dirty = false;
			model_drop_locked(md, temp);
		}
	}

	if (temp[0])
		(void)!remove_tree(md->s->m->staging_fd, temp, &e);
}

static void remove_job(void *arg, struct cancel *cancel)
{
	struct removal *v = arg;
	struct model *md = v->md;
	struct err e = {0}, late;
	int r = remove_all(md, cancel, &e);

	if (r < 0)
		restore(md);
	if (model_persist(md, &late) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models", "%s", late.text);
	{
		SCOPED_LOCK(&md->s->mu);
		md->deleting = false;
	}
	if (r < 0)
		err_prefix(&e, "cannot remove model '%s'", md->name);
	if (r < 0)
		model_fail(md, &e);
	else
		model_wake(md);
	promise_settle(v->promise, r < 0 ? e.no : 0);
	removal_unref(v);
}

static int any(void *arg, const char *name, mode_t type)
{
	(void)arg;
	(void)name;
	(void)type;
	return 1;
}

static bool staged_full(struct model *md)
{
	_cleanup_closedir_ DIR *d = dir_open(md->s->m->staging_fd, md->name);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			return true;
	}
	return false;
}

static bool full_locked(struct model *md)
{
	if (md->staged)
		return staged_full(md);
	return md->man->unread || catalog_list(md->man, &md->gone, "", any, NULL) != 0;
}

/* The errno when md may not go. A link goes with all that it leads to, which stays where it is. */
static int may_go_locked(struct model *md, bool link, struct err *e)
{
	if (!model_exists_locked(md))
		return ENOENT;
	if (link)
		return model_linked_locked(md) ? 0 : EISDIR;
	if (elsewhere_keep_locked(md, e) < 0)
		return EPERM;
	return full_locked(md) ? ENOTEMPTY : 0;
}

/* Marks md as going; the errno when it may not. */
static int begin(struct model *md, bool link, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);
	int no = may_go_locked(md, link, e);

	if (no)
		return no;
	md->deleting = true;
	if (md->cancel)
		cancel_set(md->cancel);
	return 0;
}

static void begin_removal(struct req *r, struct node *dir, const char *name, bool link)
{
	struct models *s = req_mount(r)->models;
	struct err e = {0};
	struct model *md = model_name_ok(name) ? model_get(s, name, &e) : NULL;
	struct removal *v = malloc(sizeof *v);
	int no = vdir_row(dir, name) ? ENOTDIR : !md ? ENOENT : !v ? ENOMEM : begin(md, link, &e);

	if (no == EPERM)
		model_fail(md, &e);
	if (no) {
		free(v);
		reply_err(r, no);
		return;
	}
	*v = (struct removal){.md = md, .dir = dir, .refs = 2};
	snprintf(v->name, sizeof v->name, "%s", name);
	v->promise = promise_new(r, PROMISE_LIMIT_MS, answer_rmdir, v);
	if (v->promise && jobs_run(s->m->jobs, remove_job, v) == 0)
		return;
	{
		SCOPED_LOCK(&s->mu);
		md->deleting = false;
	}
	if (v->promise)
		promise_settle(v->promise, ENOMEM);
	else
		reply_err(r, ENOMEM);
	free(v);
}

void models_rmdir(struct req *r, struct node *dir, const char *name)
{
	begin_removal(r, dir, name, false);
}

void models_forget(struct req *r, struct node *dir, const char *name)
{
	begin_removal(r, dir, name, true);
}

static bool has(const struct unfinished *u, const char *flag)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(u->json, flag));
}

/* 1: something stays. */
static int finish_once(const struct unfinished *u, struct cancel *c, struct err *e)
{
	struct models *s = u->md->s;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	char etag[128], key[1100];
	struct s3_bucket bucket;

	if (mount_bucket(s->m, &bucket, c, e) < 0 || catalog_load(u->md, &man, etag, c, e) < 0)
		return -1;
	/* Another manifest than the one that was to go: the model was published anew, and keeps what it names. */
	bool same = man && streq(etag, manifest_text(u->json, "etag"));
	if (same && has(u, UNSURE))
		return 0; /* rmdir said that it failed, and so it did */
	if (same) {
		catalog_key(s, u->md->name, NULL, key);
		if (delete_key(s, &bucket, key, c, e) < 0)
			return -1;
		manifest_unref(steal(man));
		catalog_learn(u->md, NULL, "");
	}
	return archives_delete(s, cJSON_GetObjectItemCaseSensitive(u->json, "keys"), man, c, e);
}

/* A deletion that was not ended, by the last mount or a while ago. */
static int finish(const struct unfinished *u, struct cancel *c, struct err *e)
{
	struct models *s = u->md->s;
	int left = finish_once(u, c, e);

	if (left == 0)
		return journal_end(s->m->journal, u->id, e);
	leave(s, u->id, u->json, has(u, UNSURE) ? UNSURE : LEFT);
	return MIN(left, 0);
}

/* --- again, in this mount */

/* What is left only: other rows are still worked on. */
static int finish_left(const struct unfinished *u, struct cancel *c, struct err *e)
{
	return has(u, LEFT) || has(u, UNSURE) ? finish(u, c, e) : 0;
}

static void again_job(void *arg, struct cancel *c)
{
	struct models *s = arg;

	(void)c;
	models_resume(s, &(const struct resume){KIND, "removal", finish_left, false});
}

static void again_fire(struct timer *t)
{
	struct models *s = t->arg;

	SCOPED_LOCK(&s->mu);
	s->again_ms = MIN(s->again_ms * 2, AGAIN_MAX_MS);
	if (!s->stopping && jobs_run(s->m->jobs, again_job, s) < 0)
		timer_arm(s->m->watch, t, s->again_ms);
}

void models_resume_deletions(struct models *s)
{
	s->again = (struct timer){.fn = again_fire, .arg = s};
	s->again_ms = AGAIN_MS;
	models_resume(s, &(const struct resume){KIND, "removal", finish, true});
}
