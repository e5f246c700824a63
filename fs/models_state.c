/* models_state.c: what is known of each model, what the journal keeps of it, and its quiet time. */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

struct model *model_find_locked(struct models *s, const char *name)
{
	for (struct model *md = s->list; md; md = md->next) {
		if (streq(md->name, name))
			return md;
	}
	return NULL;
}

struct model *model_get(struct models *s, const char *name, struct err *e)
{
	if (!model_name_ok(name)) {
		err_set(e, EINVAL,
			"'%s' cannot name a model: 1 to 63 letters, digits, '.', '_' and '-', the first one a letter or digit (%s)",
			name, MODEL_NAME_RULE);
		return NULL;
	}
	SCOPED_LOCK(&s->mu);
	struct model *md = model_find_locked(s, name);

	if (md)
		return md;
	md = calloc(1, sizeof *md);
	if (!md) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	md->s = s;
	snprintf(md->name, sizeof md->name, "%s", name);
	md->quiet = (struct timer){.fn = model_quiet, .arg = md};
	md->early_timer = (struct timer){.fn = early_timer, .arg = md};
	md->lapse = (struct timer){.fn = sending_lapse_timer, .arg = md};
	model_progress_init(md);
	md->epoch = 1;
	md->next = s->list;
	s->list = md;
	return md;
}

bool model_known_locked(const struct model *md)
{
	return md->known != KNOWN_NOT && md->seen && now_ms() - md->seen <= MODEL_FRESH_MS &&
	       (md->known == KNOWN_ABSENT || (md->man && !md->stale));
}

bool model_fresh_locked(const struct model *md)
{
	if (md->staged && (md->dirty || !md->base[0]))
		return true; /* nobody else can say more than staging does */
	if (md->gone.n)
		return true; /* a removal is under way: the view must hold still */
	return model_known_locked(md);
}

bool model_exists_locked(const struct model *md)
{
	return !md->deleting && (md->staged || (md->known == KNOWN_PUBLISHED && md->man));
}

/* The journal's row of a model: "" when there is nothing to remember. */
static char *state_json_locked(const struct model *md)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!md->staged && !md->dirty && !md->framework[0] && !md->framework_version[0])
		return strdup("");
	cJSON_AddBoolToObject(j, "dirty", md->dirty);
	cJSON_AddStringToObject(j, "base", md->base);
	cJSON_AddStringToObject(j, "framework", md->framework);
	cJSON_AddStringToObject(j, "framework_version", md->framework_version);
	return cJSON_PrintUnformatted(j);
}

static int persist_held(struct model *md, struct err *e)
{
	_cleanup_free_ char *json = NULL, *key = NULL;
	bool dirty;

	{
		SCOPED_LOCK(&md->s->mu);
		json = state_json_locked(md);
		key = str_printf("model:%s", md->name);
		dirty = md->dirty;
	}
	if (!json || !key)
		return err_set(e, ENOMEM, "out of memory");
	if (journal_set(md->s->m->journal, key, json, e) < 0)
		return -1;
	SCOPED_LOCK(&md->s->mu);
	md->marked = dirty;
	return 0;
}

int model_persist(struct model *md, struct err *e)
{
	SCOPED_LOCK(&md->s->persist);

	return persist_held(md, e);
}

int model_touch(struct model *md, struct err *e)
{
	if (md == md->s->loose)
		return 0;
	model_changed(md);
	{
		SCOPED_LOCK(&md->s->mu);
		if (md->marked)
			return 0;
	}
	SCOPED_LOCK(&md->s->persist);
	{
		SCOPED_LOCK(&md->s->mu);
		if (md->marked)
			return 0;
	}
	if (persist_held(md, e) < 0)
		return err_prefix(e, "cannot note that model '%s' is about to change", md->name);
	return 0;
}

void model_changed(struct model *md)
{
	if (md == md->s->loose)
		return;
	SCOPED_LOCK(&md->s->mu);

	if (!md->dirty)
		model_news_locked(md);
	md->dirty = true;
	md->gen++;
	md->changed = now_ms();
	if (!md->writers)
		model_arm_locked(md, MODEL_QUIET_MS);
}

void model_arm_locked(struct model *md, long ms)
{
	if (md->quiet_armed || md->s->stopping)
		return;
	md->quiet_armed = true;
	timer_arm(md->s->m->watch, &md->quiet, ms);
}

/* Runs on a job thread when a model has been quiet. */
static void quiet_job(void *arg, struct cancel *cancel)
{
	struct model *md = arg;
	const struct options *opt = md->s->m->opt;
	struct err e = {0};
	bool gone, dirty;

	{
		SCOPED_LOCK(&md->s->mu);
		gone = md->gone.n && !md->deleting;
		dirty = md->dirty;
	}
	if (gone && model_copy_up(md, cancel, &e) < 0) {
		model_fail(md, &e);
		return;
	}
	if (gone && model_touch(md, &e) < 0) {
		model_fail(md, &e);
		return;
	}
	if (gone || (dirty && !opt->commit_explicit && !opt->read_only))
		(void)!model_commit(md, COMMIT_QUIET, cancel, &e);
}

void model_quiet(struct timer *t)
{
	struct model *md = t->arg;
	SCOPED_LOCK(&md->s->mu);

	md->quiet_armed = false;
	if ((!md->dirty && !md->gone.n) || md->writers || md->deleting || md->s->stopping)
		return;
	long rest = (long)(md->changed + MODEL_QUIET_MS - now_ms());
	if (rest > 0 || md->committing) {
		model_arm_locked(md, rest > 0 ? rest : MODEL_QUIET_MS);
		return;
	}
	if (jobs_run(md->s->m->jobs, quiet_job, md) < 0)
		model_arm_locked(md, MODEL_RETRY_MS);
}

void model_fail(struct model *md, const struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		md->error = *e;
		md->failed_gen = md->gen;
		md->failed_at = now_ms();
	}
	mount_fail(md->s->m, ROOM_MODELS, e);
	model_wake(md);
}

void model_fail_reply(struct model *md, struct req *r, const struct err *e)
{
	model_fail(md, e);
	reply_err(r, e->no ? e->no : EIO);
}

void model_wake(struct model *md)
{
	{
		SCOPED_LOCK(&md->s->mu);
		model_news_locked(md);
	}
	model_wake_side(md);
}

void model_wake_side(struct model *md)
{
	struct tree *t = md->s->m->tree;
	struct node *room = node_child(t, tree_root(t), "models");
	char name[sizeof md->name];

	{
		SCOPED_LOCK(&md->s->mu);
		pthread_cond_broadcast(&md->s->changed);
		memcpy(name, md->name, sizeof name);
	}
	struct node *top = room ? node_child(t, room, name) : NULL;

	if (top)
		vfile_wake_named(md->s->m, top, MODEL_SIDE);
	if (top)
		node_unref(t, top);
	if (room)
		node_unref(t, room);
}

void models_wait_locked(struct models *s, long ms)
{
	struct timespec until = thread_deadline(now_ms() + ms);

	pthread_cond_timedwait(&s->changed, &s->mu, &until);
}

/* One staged directory found at start, with what the journal says of it; without a word it counts as changed. */
static void load(struct models *s, const char *name)
{
	_cleanup_free_ char *key = str_printf("model:%s", name), *text = NULL;
	struct err e = {0};
	struct model *md = model_get(s, name, &e);

	if (!md || !key)
		return;
	if (journal_get(s->m->journal, key, &text, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "model '%s': %s", name, e.text);
	_cleanup_json_ cJSON *j = text ? cJSON_Parse(text) : NULL;
	SCOPED_LOCK(&s->mu);

	md->staged = faccessat(s->m->staging_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	md->dirty = md->staged && !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(j, "dirty"));
	md->marked = md->dirty && j;
	snprintf(md->base, sizeof md->base, "%s", manifest_text(j, "base"));
	snprintf(md->framework, sizeof md->framework, "%s", manifest_text(j, "framework"));
	snprintf(md->framework_version, sizeof md->framework_version, "%s",
		 manifest_text(j, "framework_version"));
	if (md->dirty) {
		md->gen = 1;
		md->changed = now_ms();
		model_arm_locked(md, MODEL_QUIET_MS);
	}
}

void model_state_load(struct models *s)
{
	_cleanup_closedir_ DIR *d = dir_open(s->m->staging_fd, ".");
	struct dirent *de;

	while (d && (de = readdir(d))) {
		struct err e = {0};

		if (model_name_ok(de->d_name))
			load(s, de->d_name);
		else if (de->d_name[0] == '.' && strlen(de->d_name) > 2 &&
			 !streq(de->d_name, MODELS_LOOSE)) /* half a copy-up, or half a removal */
			(void)!remove_tree(s->m->staging_fd, de->d_name, &e);
	}
}

static bool staging_empty(struct model *md)
{
	_cleanup_closedir_ DIR *d = dir_open(md->s->m->staging_fd, md->name);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			return false;
	}
	return d != NULL;
}

static void status_changed_locked(struct model *md, struct buf *out)
{
	bool failed = md->error.no && md->failed_gen == md->gen;

	if (md->staged && staging_empty(md))
		buf_str(out, "empty");
	else if (md->conflict)
		buf_str(out, "conflict");
	else if (failed && md->waiting)
		buf_printf(out, "waiting: %s", md->error.text);
	else if (failed)
		buf_printf(out, "failed: %s", md->error.text);
	else
		buf_str(out, "staged");
}

/* The phase, and how far an upload is: the rest is in .sagemaker/progress. */
static void status_committing(struct model *md, struct buf *out)
{
	struct progress_view v;

	progress_look(&md->work, &v);
	buf_str(out, progress_word(v.phase));
	if (v.phase == PROGRESS_UPLOADING && v.percent >= 0)
		buf_printf(out, " %d %%", v.percent);
}

void model_status_locked(struct model *md, struct buf *out)
{
	if (md->deleting)
		buf_str(out, "deleting");
	else if (md->committing)
		status_committing(md, out);
	else if (md->dirty)
		status_changed_locked(md, out);
	else if (md->base[0] || md->man)
		buf_printf(out, "published %s", md->base[0] ? md->base : md->man->version);
	else
		buf_str(out, md->staged && !staging_empty(md) ? "staged" : "empty");
}
