/*
 * models_files.c: files in models/ itself. One that may be a whole model by its name is models/NAME's only file under another name
 * (`models/iris.joblib` is `models/iris/iris.joblib`): found, but not listed. What programs keep beside it for a moment or leave
 * there (temporary names, editors' and file managers' droppings) are loose files, which lie in a directory of staging of their own
 * and are no model. Anything else is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>

#include "fs/models_room.h"

/* What never becomes a model by itself. */
static const char *const loose_names[] = {
	".*",
	"*~",
	"#*#",
	"*.tmp",
	"*.temp",
	"*.part",
	"*.partial",
	"*.crdownload",
	"*.swp",
	"*.bak",
	"*.lock",
	"Thumbs.db",
	"desktop.ini",
	"tmp[a-z0-9_][a-z0-9_][a-z0-9_][a-z0-9_][a-z0-9_][a-z0-9_][a-z0-9_][a-z0-9_]*",
};

enum kind { KIND_NEITHER, KIND_LOOSE, KIND_MODEL };

/* NAME.joblib.3fB2c1: what downloads are called until they are whole. */
static bool is_unfinished(const char *name)
{
	char stem[NAME_MAX + 1], model[NAME_MAX + 1];
	const char *dot = strrchr(name, '.');

	if (!dot || strlen(dot) < 5)
		return false;
	snprintf(stem, sizeof stem, "%s", name);
	stem[MIN((size_t)(dot - name), sizeof stem - 1)] = 0;
	return package_file_model(stem, model, sizeof model);
}

/* model: of KIND_MODEL, the model's name, which may be against the rule. */
static enum kind kind_of(const char *name, char model[NAME_MAX + 1])
{
	for (size_t i = 0; i < ARRAY_SIZE(loose_names); i++) {
		if (fnmatch(loose_names[i], name, 0) == 0)
			return KIND_LOOSE;
	}
	if (package_file_model(name, model, NAME_MAX + 1))
		return KIND_MODEL;
	return is_unfinished(name) ? KIND_LOOSE : KIND_NEITHER;
}

/* The model that a file of this name belongs to; NULL: e says why none. */
static struct model *owner(struct models *s, const char *name, struct err *e)
{
	char model[NAME_MAX + 1];

	switch (kind_of(name, model)) {
	case KIND_LOOSE:
		return s->loose;
	case KIND_MODEL:
		return model_get(s, model, e);
	default:
		break;
	}
	err_set(e, EPERM,
		"'%s' is neither a directory nor a file that can be a whole model (NAME.tar.gz, .joblib, .pkl, .pt, .onnx, .json, .ubj ...): mkdir models/NAME and put its files there (cp -rT)",
		name);
	return NULL;
}

/* What else counts as being in a one-file model: nothing but its settings and what is hidden. */
static bool beside(const char *name)
{
	return name[0] == '.' || streq(name, "sagemaker.json");
}

struct others {
	const char *name;
	bool there, more;
};

static int look(void *arg, const char *name, mode_t type)
{
	struct others *o = arg;

	if (streq(name, o->name) && S_ISREG(type))
		o->there = true;
	else if (!beside(name))
		o->more = true;
	return o->more;
}

/* Whether md, as it is shown, has the file name, and more. -1: it is not there. */
static int look_into(struct model *md, struct others *o)
{
	_cleanup_closedir_ DIR *d = NULL;
	struct dirent *de;
	SCOPED_LOCK(&md->s->mu);

	if (!model_exists_locked(md))
		return -1;
	if (!md->staged)
		(void)catalog_list(md->man, &md->gone, "", look, o);
	if (!md->staged)
		return 0;
	d = dir_open(md->s->m->staging_fd, md->name);
	while (d && !o->more && (de = readdir(d))) {
		struct stat st;

		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			look(o, de->d_name, st.st_mode & S_IFMT);
	}
	return 0;
}

/* Whether the file may be made in md or put over md's file. 0; 1: md is to be made. `inside`: a name that is about to leave it. */
static int may_take(struct model *md, const char *name, const char *inside, struct err *e)
{
	struct others o = {.name = name};
	bool deleting;

	if (md == md->s->loose)
		return 0;
	{
		SCOPED_LOCK(&md->s->mu);
		deleting = md->deleting;
	}
	if (deleting)
		return err_set(e, EBUSY, "model '%s' is still being removed; try again in a moment",
			       md->name);
	if (look_into(md, &o) < 0)
		return 1;
	if (o.more && inside) { /* all there is besides may be what is renamed */
		o = (struct others){.name = inside};
		(void)look_into(md, &o);
	}
	if (!o.more)
		return 0;
	return err_set(
		e, EEXIST,
		"'%s' cannot become the model '%s': models/%s has other files; remove it (rm -r) or copy the file into it",
		name, md->name, md->name);
}

/* Attributes of models/name, a file of md. */
static int file_stat(struct model *md, const char *name, struct stat *st)
{
	const struct manifest_member *f = NULL;
	struct others o = {.name = name};
	_cleanup_close_ int top = -1;
	bool staged;

	if (md != md->s->loose && (look_into(md, &o) < 0 || !o.there || o.more)) {
		errno = ENOENT;
		return -1;
	}
	{
		SCOPED_LOCK(&md->s->mu);
		staged = md->staged;
		if (!staged && md->man && catalog_find(md->man, &md->gone, name, &f) == S_IFREG) {
			model_published_stat(md, f, st);
			return 0;
		}
	}
	errno = ENOENT;
	top = staged ? staging_top(md) : -1;
	return top < 0 ? -1 : fstatat(top, name, st, AT_SYMLINK_NOFOLLOW);
}

static void then_lookup(struct req *r, struct ask *a)
{
	struct stat st;

	if (file_stat(a->md, a->name, &st) < 0)
		reply_err(r, ENOENT);
	else
		model_reply_node(r, a->dir, a->name, a->md, &st, 0);
}

void models_files_lookup(struct req *r, struct node *dir, const char *name)
{
	struct models *s = req_mount(r)->models;
	struct ask q = {.dir = dir, .then = then_lookup};
	struct err e = {0};

	q.md = owner(s, name, &e);
	snprintf(q.name, sizeof q.name, "%s", name);
	if (!q.md)
		reply_err(r, ENOENT);
	else if (q.md == s->loose)
		then_lookup(r, &q);
	else
		model_ask(r, &q);
}

static void then_create(struct req *r, struct ask *a)
{
	struct call c = {.r = r,
			 .md = a->md,
			 .n = a->dir,
			 .name = a->name,
			 .mode = a->mode,
			 .flags = a->flags};
	struct err e = {0};
	int rc = may_take(a->md, a->name, NULL, &e);

	if (rc == 1)
		rc = model_make(a->md, 0755, &e);
	if (rc < 0)
		model_fail_reply(a->md, r, &e);
	else
		model_change(&c, file_create_call, true);
}

void models_files_create(struct req *r, struct node *dir, const char *name, mode_t mode, int flags)
{
	struct models *s = req_mount(r)->models;
	struct ask q = {.dir = dir, .mode = mode, .flags = flags, .then = then_create};
	struct err e = {0};

	if (vdir_row(dir, name)) {
		reply_err(r, EEXIST);
		return;
	}
	q.md = owner(s, name, &e);
	snprintf(q.name, sizeof q.name, "%s", name);
	if (!q.md)
		model_fail_room(r, &e);
	else if (q.md == s->loose)
		then_create(r, &q);
	else
		model_ask(r, &q);
}

bool models_is_file(struct node *dir, const char *name)
{
	struct tree *t = dir->tree;
	struct node *n = node_child(t, dir, name);
	bool is = n && n->ops == &model_file_ops;

	node_unref(t, n);
	return is;
}

/* The model whose file dir/name is. */
static struct model *owner_of(struct node *dir, const char *name)
{
	struct node *n = node_child(dir->tree, dir, name);
	struct model *md = n ? model_of(n) : NULL;

	node_unref(dir->tree, n);
	return md;
}

void models_files_unlink(struct req *r, struct node *dir, const char *name)
{
	struct call c = {.r = r, .md = owner_of(dir, name), .n = dir, .name = name};

	if (c.md)
		staging_remove_one(&c, name);
	else
		reply_err(r, ENOENT);
}

/* md must be able to take a change of its directory. Job thread. */
static int make_ready(struct model *md, const char *name, const char *inside, struct cancel *cancel,
		      struct err *e)
{
	struct err ignored = {0};
	bool fresh;

	if (md == md->s->loose)
		return 0;
	{
		SCOPED_LOCK(&md->s->mu);
		fresh = model_fresh_locked(md);
	}
	if (!fresh) /* S3 silent: what is known decides */
		(void)!catalog_refresh(md, cancel, &ignored);
	int rc = may_take(md, name, inside, e);
	if (rc == 1)
		return model_make(md, 0755, e);
	if (rc < 0 || model_copy_up(md, cancel, e) < 0)
		return -1;
	return model_touch(md, e);
}

static int move(struct call *c, struct model *to)
{
	SCOPED_WRITE(&to->s->names);
	_cleanup_close_ int from_at = staging_top(c->md);
	_cleanup_close_ int to_at = from_at < 0 ? -1 : staging_top(to);
	struct node *n = node_child(c->n->tree, c->n, c->name);
	int r = -1, no = ENOENT;

	if (to_at >= 0 && n) {
		r = staging_rename_held(c, from_at, to_at);
		no = errno;
	}
	if (r == 0)
		file_move(n, to);
	node_unref(c->n->tree, n);
	errno = no;
	return r;
}

/* A model that was nothing but the file that left it, and that nobody has published, goes with it. */
static void drop_emptied(struct model *md, struct node *room)
{
	struct err e = {0};
	char name[sizeof md->name];

	if (md == md->s->loose)
		return;
	{
		SCOPED_LOCK(&md->s->mu);
		if (!md->staged || md->base[0] || md->known == KNOWN_PUBLISHED || md->committing ||
		    md->copying || unlinkat(md->s->m->staging_fd, md->name, AT_REMOVEDIR) < 0)
			return;
		md->staged = md->dirty = false;
		md->epoch++;
		memcpy(name, md->name, sizeof name);
	}
	node_detach(room->tree, room, name);
	tree_invalidate_entry(md->s->m, room, name);
	if (model_persist(md, &e) < 0)
		mount_fail(md->s->m, ROOM_MODELS, &e);
}

static void rename_job(void *arg, struct cancel *cancel)
{
	struct call *c = arg;
	struct model *from = c->md, *to;
	struct err e = {0};

	to = owner(from->s, c->name2, &e);
	int rc = to ? make_ready(to, c->name2, to == from ? c->name : NULL, cancel, &e) : -1;
	if (rc == 0 && from != from->s->loose &&
	    (model_copy_up(from, cancel, &e) < 0 || model_touch(from, &e) < 0))
		rc = -1;
	if (rc < 0) {
		model_fail_room(c->r, &e);
	} else if (staging_went(c, move(c, to))) {
		model_changed(from);
		model_changed(to);
		drop_emptied(from, c->n);
		reply_err(c->r, 0);
	}
	free(c);
}

void models_files_rename(struct req *r, struct node *dir, const char *name, const char *newname,
			 unsigned flags)
{
	struct call c = {.r = r,
			 .md = owner_of(dir, name),
			 .n = dir,
			 .n2 = dir,
			 .name = name,
			 .name2 = newname,
			 .flags = (int)flags};

	if (!c.md)
		reply_err(r, ENOENT);
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		reply_err(r, EINVAL);
	else
		call_defer(&c, rename_job);
}

void models_files_list(struct models *s, struct dirfill *f)
{
	_cleanup_closedir_ DIR *d = dir_open(s->m->staging_fd, MODELS_LOOSE);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
			(void)!dirfill_add(f, de->d_name, de->d_ino, S_IFREG);
	}
}

int models_files_start(struct models *s, struct err *e)
{
	s->loose = calloc(1, sizeof *s->loose);
	if (!s->loose)
		return err_set(e, ENOMEM, "out of memory");
	s->loose->s = s;
	s->loose->staged = true;
	s->loose->epoch = 1;
	snprintf(s->loose->name, sizeof s->loose->name, "%s", MODELS_LOOSE);
	if (mkdirat(s->m->staging_fd, MODELS_LOOSE, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make %s/staging/" MODELS_LOOSE, s->m->state_path);
	return 0;
}
