/* models.c: the directory models/: which models there are, making and renaming them; start and stop of the room. */
#include "fs/models.h"

#include <errno.h>
#include <fcntl.h>

#include "fs/dirs.h"
#include "fs/models_room.h"
#include "fs/sending.h"

static struct models *models_of(struct req *r)
{
	return req_mount(r)->models;
}

void model_fail_room(struct req *r, const struct err *e)
{
	mount_fail(req_mount(r), ROOM_MODELS, e);
	reply_err(r, e->no);
}

/* Attributes of models/NAME as it is known now. */
static int top_stat(struct model *md, struct stat *st)
{
	struct models *s = md->s;
	SCOPED_LOCK(&s->mu);

	if (!model_exists_locked(md)) {
		errno = ENOENT;
		return -1;
	}
	if (md->staged)
		return fstatat(s->m->staging_fd, md->name, st, AT_SYMLINK_NOFOLLOW);
	model_published_stat(md, NULL, st);
	return 0;
}

/* A model that is listed, or has a manifest that makes no sense, is not absent: say why it cannot be shown. */
static int unseen(const struct ask *a, int no)
{
	int why = model_asked(a);
	SCOPED_LOCK(&a->md->s->mu);
	bool there = a->md->known == KNOWN_PUBLISHED && !a->md->man && !a->md->deleting;

	return no == ENOENT && why && (there || why == EBADMSG) ? why : no;
}

static bool is_link(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return model_exists_locked(md) && model_linked_locked(md);
}

static void then_lookup(struct req *r, struct ask *a)
{
	struct stat st;

	if (is_link(a->md))
		model_link_reply(r, a->dir, a->name, a->md);
	else if (top_stat(a->md, &st) == 0)
		model_reply_node(r, a->dir, a->name, a->md, &st, MODEL_TOP_TTL);
	else if (unseen(a, errno) != ENOENT)
		reply_err(r, unseen(a, errno));
	else
		models_files_lookup(r, a->dir, a->name);
}

static void models_lookup(struct req *r, struct node *dir, const char *name)
{
	struct ask q = {.dir = dir, .then = then_lookup};
	struct err e;

	if (vdir_row(dir, name)) {
		vdir_lookup(r, dir, name);
		return;
	}
	if (model_way(name)) {
		model_way_lookup(r, dir, name);
		return;
	}
	q.md = model_name_ok(name) ? model_get(models_of(r), name, &e) : NULL;
	if (!q.md) {
		models_files_lookup(r, dir, name);
		return;
	}
	snprintf(q.name, sizeof q.name, "%s", name);
	model_ask(r, &q);
}

/* A listing that S3 must be asked for; the same way as an ask. */
struct list {
	struct models *s;
	struct node *dir;
	struct dirfill *fill;
	struct promise *promise;
	unsigned refs;
};

static void list_unref(struct list *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(l);
}

static void answer_list(struct req *r, void *arg, int no)
{
	struct list *l = arg;
	bool any = false;

	(void)!vdir_fill(l->dir, l->fill);
	{
		SCOPED_LOCK(&l->s->mu);
		any = l->s->listed;
		for (struct model *md = l->s->list; md; md = md->next) {
			if (md->deleting || (!md->staged && md->known != KNOWN_PUBLISHED))
				continue;
			any = true;
			(void)!dirfill_add(l->fill, md->name, 0,
					   model_linked_locked(md) ? S_IFLNK : S_IFDIR);
		}
	}
	models_files_list(l->s, l->fill);
	/* What is known must do when S3 does not answer, but not when it says no, and nothing is not an answer. */
	if (no && (no == EACCES || !any))
		reply_err(r, no);
	else
		reply_dir(r, l->fill);
	list_unref(l);
}

static void listing_ends(struct models *s)
{
	SCOPED_LOCK(&s->mu);

	s->listing--;
}

/* Whether what is known of all models will do; else a job has to list them, and s->listing counts it. */
static bool listing_known(struct models *s, long *limit)
{
	SCOPED_LOCK(&s->mu);

	if (s->listed && now_ms() - s->listed <= MODEL_FRESH_MS)
		return true;
	*limit = models_limit_locked(s, s->listed);
	if (s->listed && s->listing && models_uploading_locked(s))
		return true;
	s->listing++;
	return false;
}

static void list_job(void *arg, struct cancel *cancel)
{
	struct list *l = arg;
	struct err e = {0};

	if (catalog_list_all(l->s, cancel, &e) < 0)
		mount_fail(l->s->m, ROOM_MODELS, &e);
	listing_ends(l->s);
	promise_settle(l->promise, e.no);
	list_unref(l);
}

static void models_list(struct req *r, struct node *dir, struct dirfill *f)
{
	struct list *l = malloc(sizeof *l);
	long limit = 0;

	if (!l) {
		reply_err(r, ENOMEM);
		return;
	}
	*l = (struct list){.s = models_of(r), .dir = dir, .fill = f, .refs = 2};
	bool fresh = listing_known(l->s, &limit);
	l->promise = fresh ? NULL : promise_new(r, limit, answer_list, l);
	if (!fresh && !l->promise)
		listing_ends(l->s);
	if (!l->promise) {
		l->refs = 1;
		answer_list(r, l, 0);
	} else if (jobs_run(l->s->m->jobs, list_job, l) < 0) {
		listing_ends(l->s);
		promise_settle(l->promise, 0);
		list_unref(l);
	}
}

int model_make(struct model *md, mode_t mode, struct err *e)
{
	struct models *s = md->s;

	if (model_touch(md, e) < 0)
		return -1;
	SCOPED_LOCK(&s->mu);
	md->dirty = false; /* unless it succeeds */
	if (mkdirat(s->m->staging_fd, md->name, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make a directory for model '%s' in %s/staging",
				 md->name, s->m->state_path);
	if (fchmodat(s->m->staging_fd, md->name, (mode & 0777) | 0700, 0) < 0)
		return err_errno(e, "cannot set the mode of the directory for model '%s'",
				 md->name);
	md->staged = md->dirty = true;
	md->base[0] = 0;
	md->conflict = false;
	md->epoch++;
	err_clear(&md->error);
	names_clear(&md->gone);
	return 0;
}

static void then_mkdir(struct req *r, struct ask *a)
{
	struct err e = {0};
	struct stat st;
	bool exists, deleting;

	{
		SCOPED_LOCK(&a->md->s->mu);
		deleting = a->md->deleting;
		exists = a->md->staged || a->md->known == KNOWN_PUBLISHED;
	}
	if (deleting) {
		err_set(&e, EBUSY,
			"model '%s' is still being removed; try again when `ls models/` has answered",
			a->name);
		model_fail_reply(a->md, r, &e);
	} else if (exists) {
		reply_err(r, EEXIST);
	} else if (model_make(a->md, a->mode, &e) < 0) {
		model_fail_reply(a->md, r, &e);
	} else if (top_stat(a->md, &st) < 0) {
		reply_err(r, errno);
	} else {
		model_reply_node(r, a->dir, a->name, a->md, &st, MODEL_STAGED_TTL);
	}
}

static void models_mkdir(struct req *r, struct node *dir, const char *name, mode_t mode)
{
	struct ask q = {.dir = dir, .mode = mode, .then = then_mkdir};
	struct err e = {0};

	if (vdir_row(dir, name)) {
		reply_err(r, EEXIST);
		return;
	}
	q.md = model_get(models_of(r), name, &e);
	if (!q.md) {
		model_fail_room(r, &e);
		return;
	}
	snprintf(q.name, sizeof q.name, "%s", name);
	model_ask(r, &q);
}

static void models_symlink(struct req *r, struct node *dir, const char *name, const char *target)
{
	struct err e = {0};

	if (starts_with(target, "s3://")) {
		model_link(r, dir, name, target);
		return;
	}
	err_set(&e, EPERM,
		"'%s' cannot be made: a model is no symbolic link but to s3://BUCKET/KEY; copy it (cp -rT)",
		name);
	model_fail_room(r, &e);
}

static void models_unlink(struct req *r, struct node *dir, const char *name)
{
	struct node *n = node_child(dir->tree, dir, name);
	bool link = n && n->type == S_IFLNK;

	node_unref(dir->tree, n);
	if (vdir_row(dir, name))
		vdir_unlink(r, dir, name);
	else if (link)
		models_forget(r, dir, name);
	else if (models_is_file(dir, name))
		models_files_unlink(r, dir, name);
	else
		reply_err(r, EISDIR);
}

static bool working_locked(const struct model *md)
{
	return md->committing || md->early || md->copying;
}

/* models/A to models/B: nothing of either is in S3. */
static int rename_locked(struct models *s, struct model *from, struct model *to, struct err *e)
{
	char name[sizeof from->name];

	if (!model_exists_locked(from))
		return err_set(e, ENOENT, "no model '%s'", from->name);
	if (!from->staged || from->base[0] || from->known == KNOWN_PUBLISHED)
		return err_set(
			e, EXDEV,
			"model '%s' is published: its name in S3 cannot change (mv copies instead)",
			from->name);
	if (working_locked(from))
		return err_set(e, EBUSY,
			       "model '%s' is being committed; rename it before or after that",
			       from->name);
	if (to->staged || to->deleting || to->committing || to->known == KNOWN_PUBLISHED)
		return err_set(e, EEXIST, "there is a model '%s' already", to->name);
	if (renameat2(s->m->staging_fd, from->name, s->m->staging_fd, to->name, RENAME_NOREPLACE) <
	    0)
		return err_errno(e, "cannot rename model '%s' to '%s'", from->name, to->name);
	/* The one that is not there takes the old name, so that nodes keep pointing to what they were made for. */
	memcpy(name, from->name, sizeof name);
	memcpy(from->name, to->name, sizeof name);
	memcpy(to->name, name, sizeof name);
	to->known = from->known;
	from->known = KNOWN_ABSENT;
	from->seen = now_ms();
	return 0;
}

static void rename_job(void *arg, struct cancel *cancel)
{
	struct call *c = arg;
	struct models *s = c->md->s;
	struct err e = {0};
	struct model *to = model_get(s, c->name2, &e);
	int r = to ? 0 : -1;

	if (to && (catalog_refresh(c->md, cancel, &e) < 0 || catalog_refresh(to, cancel, &e) < 0))
		r = -1;
	if (r == 0) {
		SCOPED_LOCK(&s->mu);
		r = rename_locked(s, c->md, to, &e);
	}
	if (r < 0) {
		model_fail_room(c->r, &e);
	} else {
		node_move(s->m->tree, c->n, c->name, c->n2, c->name2);
		sending_drop(c->md); /* to a key of the old name */
		/* the new name's row first: a crash between the two must not lose the mark */
		if (model_persist(c->md, &e) < 0 || model_persist(to, &e) < 0)
			mount_fail(s->m, ROOM_MODELS, &e);
		reply_err(c->r, 0);
	}
	free(c);
}

static void models_rename(struct req *r, struct node *dir, const char *name, struct node *newdir,
			  const char *newname, unsigned flags)
{
	struct call c = {.r = r, .n = dir, .n2 = newdir, .name = name, .name2 = newname};
	struct err e = {0};

	if (newdir != dir || flags & RENAME_EXCHANGE) {
		reply_err(r, EXDEV);
		return;
	}
	if (vdir_row(dir, name) || vdir_row(dir, newname)) {
		reply_err(r, EPERM);
		return;
	}
	if (models_is_file(dir, name)) {
		models_files_rename(r, dir, name, newname, flags);
		return;
	}
	c.md = model_get(models_of(r), name, &e);
	if (!c.md || !model_name_ok(newname)) {
		if (c.md)
			(void)!model_get(models_of(r), newname, &e); /* for its sentence */
		model_fail_room(r, &e);
		return;
	}
	call_defer(&c, rename_job);
}

static void models_statfs(struct req *r, struct node *n)
{
	struct statvfs st;

	(void)n;
	if (fstatvfs(req_mount(r)->staging_fd, &st) < 0)
		reply_err(r, errno);
	else
		reply_statfs(r, &st);
}

static const struct node_ops models_ops = {
	.lookup = models_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = models_list,
	.mkdir = models_mkdir,
	.rmdir = models_rmdir,
	.unlink = models_unlink,
	.create = models_files_create,
	.symlink = models_symlink,
	.rename = models_rename,
	.statfs = models_statfs,
};

void models_entry(struct models *s, struct node_make *how)
{
	(void)s;
	*how = (struct node_make){.ops = &models_ops, .rows = models_rows, .type = S_IFDIR};
}

/* What is read from S3 is kept there, as long as there is room; without it, it is fetched again each time. */
static struct reads *open_reads(struct models *s)
{
	struct mount *m = s->m;
	struct err e = {0};
	_cleanup_free_ char *cache = dirs_path(DIRS_CACHE, &e);
	_cleanup_free_ char *path = cache ? str_printf("%s/archives", cache) : NULL;
	int fd = path ? dirs_make(path, &e) : -1;

	if (fd < 0)
		log_line(m->log, LOG_LEVEL_WARNING, "models",
			 "what is read from S3 is not kept: %s", e.text);
	struct blocks *b = blocks_new(fd, m->opt->cache_size, m->log);
	struct reads *q = b ? reads_new(s, b) : NULL;
	if (!q)
		blocks_free(b);
	return q;
}

/* Tests cannot wait for a day. */
static long seconds_of(const char *env, long otherwise)
{
	const char *text = getenv(env);
	char *end;
	long seconds = text ? strtol(text, &end, 10) : -1;

	return seconds >= 0 && end != text && !*end ? seconds : otherwise;
}

struct models *models_start(struct mount *m, struct err *e)
{
	struct models *s = calloc(1, sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->m = m;
	s->reads = open_reads(s);
	s->hashes = hash_cache_new(65536);
	s->dirs = dirfds_new();
	s->prune_after = seconds_of("SAGEMAKERFS_PRUNE_AFTER", MODEL_PRUNE_AFTER);
	s->lapse_after = seconds_of("SAGEMAKERFS_ABANDON_AFTER", MODEL_ABANDON_AFTER);
	thread_rwlock_init(&s->names);
	pthread_mutex_init(&s->persist, NULL);
	pthread_mutex_init(&s->mu, NULL);
	thread_cond_init(&s->changed);
	bool ok = models_files_start(s, e) == 0;
	if (ok && (!s->reads || !s->hashes || !s->dirs)) {
		err_set(e, ENOMEM, "out of memory");
		ok = false;
	}
	if (!ok) {
		models_free(s);
		return NULL;
	}
	models_progress_start(s);
	model_state_load(s);
	commit_resume_uploads(s);
	commit_files_resume(s);
	models_resume_deletions(s);
	models_resume_prunes(s);
	return s;
}

/* The next model with changes. */
static struct model *pending(struct models *s, struct model *after)
{
	SCOPED_LOCK(&s->mu);
	struct model *md = after ? after->next : s->list;

	while (md && !md->dirty && !md->gone.n)
		md = md->next;
	return md;
}

static bool busy(struct models *s)
{
	SCOPED_LOCK(&s->mu);
	for (const struct model *md = s->list; md; md = md->next) {
		if (working_locked(md) || md->deleting)
			return true;
	}
	return false;
}

static void quiet_end(struct models *s)
{
	struct model *md;

	{
		SCOPED_LOCK(&s->mu);
		s->stopping = true;
		md = s->list;
	}

	for (; md; md = md->next) {
		timer_disarm(s->m->watch, &md->quiet);
		timer_disarm(s->m->watch, &md->early_timer);
		timer_disarm(s->m->watch, &md->lapse);
	}
}

static void grace_over(struct timer *t)
{
	cancel_set(t->arg);
}

void models_stop(struct models *s, long grace_ms)
{
	struct cancel *c = cancel_new();
	struct timer limit = {.fn = grace_over, .arg = c};
	struct model *md = NULL;
	struct err e;

	quiet_end(s);
	if (!c)
		return;
	timer_arm(s->m->watch, &limit, grace_ms);
	while (!s->m->opt->read_only && !cancel_is_set(c) && (md = pending(s, md)))
		(void)!model_commit(md, COMMIT_STOP, c,
				    &e); /* what fails stays staged and journaled */
	while (!cancel_is_set(c) && busy(s))
		cancel_sleep(c, 20);
	timer_disarm(s->m->watch, &limit);
	timer_disarm(s->m->watch, &s->again);
	models_progress_stop(s);
	cancel_unref(c);
}

static void model_free(struct model *md)
{
	sending_free(md);
	manifest_unref(md->man);
	archive_unref(md->archive);
	names_clear(&md->gone);
	model_progress_release(md);
	free(md->link);
	cJSON_Delete(md->left);
	writers_forget(&md->programs);
	cancel_unref(md->cancel);
	free(md);
}

void models_free(struct models *s)
{
	if (!s)
		return;
	for (struct model *md = s->list, *next; md; md = next) {
		next = md->next;
		model_free(md);
	}
	free(s->loose);
	reads_free(s->reads);
	hash_cache_free(s->hashes);
	dirfds_free(s->dirs);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mu);
	pthread_mutex_destroy(&s->persist);
	pthread_rwlock_destroy(&s->names);
	free(s);
}
