/*
 * models_versions.c: models/NAME/.sagemaker/versions/: a directory for each version of the manifest, `current`, and `table`. A
 * version is chosen by writing its name to `current`, or by renaming a link to it over that name, as ln -sfn does.
 */
#include <errno.h>

#include "fs/models_room.h"

#define CURRENT "current"

/* --- links on their way to `current` */

static void link_stat(struct node *n, size_t size, struct stat *st)
{
	struct mount *m = node_mount(n);

	vdir_stat(m, n, st);
	st->st_mode = S_IFLNK | 0777;
	st->st_nlink = 1;
	st->st_size = (off_t)size;
}

/* The target of the link called name, "" for none. */
static void link_target(struct model *md, const char *name, char out[64])
{
	SCOPED_LOCK(&md->s->mu);

	out[0] = 0;
	if (md->link && streq(md->link, name))
		memcpy(out, md->link_to, sizeof md->link_to);
}

static void link_getattr(struct req *r, struct node *n, void *h)
{
	char name[NAME_MAX + 1], target[64];
	struct stat st;

	(void)h;
	node_name(req_mount(r)->tree, n, name, sizeof name);
	link_target(n->data, name, target);
	link_stat(n, strlen(target), &st);
	reply_attr(r, &st, 0);
}

static void link_readlink(struct req *r, struct node *n)
{
	char name[NAME_MAX + 1], target[64];

	node_name(req_mount(r)->tree, n, name, sizeof name);
	link_target(n->data, name, target);
	if (target[0])
		reply_readlink(r, target);
	else
		reply_err(r, ENOENT);
}

static const struct node_ops link_ops = {
	.getattr = link_getattr,
	.readlink = link_readlink,
};

static void reply_link(struct req *r, struct node *dir, const char *name, const char *target)
{
	struct tree *t = req_mount(r)->tree;
	const struct node_make how = {.ops = &link_ops, .data = dir->data, .type = S_IFLNK};
	struct stat st;
	bool made;
	struct node *n = node_make(t, dir, name, &how, &made);

	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	link_stat(n, strlen(target), &st);
	reply_entry(r, n, &st, 0);
	node_unref(t, n);
}

/* --- the directory */

static void ref_free(struct node *n)
{
	free(n->data);
}

static void version_lookup(struct req *r, struct node *dir, const char *name)
{
	if (streq(name, VERSION_FILES))
		version_files_reply(r, dir, dir->data);
	else
		vdir_lookup(r, dir, name);
}

static void version_list(struct req *r, struct node *dir, struct dirfill *f)
{
	if (vdir_fill(dir, f) < 0 || dirfill_add(f, VERSION_FILES, 0, S_IFDIR) < 0)
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

static const struct node_ops version_ops = {
	.lookup = version_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = version_list,
	.unlink = vdir_unlink,
	.free = ref_free,
};

static void reply_version(struct req *r, struct ask *a, double created)
{
	struct mount *m = req_mount(r);
	struct version_ref *ref = calloc(1, sizeof *ref);
	struct node_make how = {
		.ops = &version_ops, .rows = version_rows, .data = ref, .type = S_IFDIR};
	struct stat st;
	bool made;
	struct node *n = ref ? node_make(m->tree, a->dir, a->name, &how, &made) : NULL;

	if (!n) {
		free(ref);
		reply_err(r, ENOMEM);
		return;
	}
	if (made) {
		ref->md = a->md;
		memcpy(ref->version, a->name, sizeof ref->version);
	} else {
		free(ref);
	}
	vdir_times(n, created, created);
	vdir_stat(m, n, &st);
	reply_entry(r, n, &st, 0);
	node_unref(m->tree, n);
}

static void then_lookup(struct req *r, struct ask *a)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(a->md);
	const cJSON *record = man ? manifest_find_version(man, a->name) : NULL;
	char target[64];

	link_target(a->md, a->name, target);
	if (vdir_row(a->dir, a->name))
		vdir_lookup(r, a->dir, a->name);
	else if (record)
		reply_version(r, a, record_when(manifest_text(record, "created")));
	else if (target[0])
		reply_link(r, a->dir, a->name, target);
	else
		reply_err(r, !man && model_asked(a) ? model_asked(a) : ENOENT);
}

static void versions_lookup(struct req *r, struct node *dir, const char *name)
{
	struct ask q = {.md = dir->data, .dir = dir, .published = true, .then = then_lookup};

	if (strlen(name) >= sizeof q.name) {
		reply_err(r, ENOENT);
		return;
	}
	snprintf(q.name, sizeof q.name, "%s", name);
	model_ask(r, &q);
}

static void then_list(struct req *r, struct ask *a)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(a->md);
	const cJSON *v, *all = man ? cJSON_GetObjectItemCaseSensitive(man->json, "versions") : NULL;

	if (!man && model_asked(a)) {
		reply_err(r, model_asked(a));
		return;
	}
	if (man)
		(void)!vdir_fill(a->dir, a->fill);
	cJSON_ArrayForEach(v, all) {
		(void)!dirfill_add(a->fill, manifest_text(v, "version"), 0, S_IFDIR);
	}
	reply_dir(r, a->fill);
}

static void versions_list(struct req *r, struct node *dir, struct dirfill *f)
{
	struct ask q = {
		.md = dir->data, .dir = dir, .published = true, .fill = f, .then = then_list};

	model_ask(r, &q);
}

/* One link is kept: that of the last who made one. */
static void versions_symlink(struct req *r, struct node *dir, const char *name, const char *target)
{
	struct model *md = dir->data;
	char version[64];
	char *copy = strdup(name);

	version_spelled(target, version);
	if (!copy || !version[0] || strlen(name) >= sizeof((struct ask *)0)->name) {
		free(copy);
		reply_err(r, !copy ? ENOMEM : !version[0] ? EINVAL : ENAMETOOLONG);
		return;
	}
	{
		SCOPED_LOCK(&md->s->mu);
		free(md->link);
		md->link = copy;
		memcpy(md->link_to, version, sizeof md->link_to);
	}
	reply_link(r, dir, name, version);
}

static void drop_link(struct model *md, const char *name)
{
	SCOPED_LOCK(&md->s->mu);

	if (md->link && streq(md->link, name)) {
		free(md->link);
		md->link = NULL;
	}
}

static void versions_unlink(struct req *r, struct node *dir, const char *name)
{
	char target[64];

	link_target(dir->data, name, target);
	if (!target[0]) {
		vdir_unlink(r, dir, name);
		return;
	}
	drop_link(dir->data, name);
	node_detach(req_mount(r)->tree, dir, name);
	reply_err(r, 0);
}

/* A link goes over `current`. */
struct choosing {
	struct model *md;
	struct node *dir;
	char name[64], version[64];
	struct promise *promise;
	unsigned refs; /* atomic: the job and the answer */
};

static void choosing_unref(struct choosing *v)
{
	if (__atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(v);
}

static void answer_rename(struct req *r, void *arg, int no)
{
	struct choosing *v = arg;

	if (!no) {
		drop_link(v->md, v->name);
		node_detach(v->md->s->m->tree, v->dir, v->name);
	}
	reply_err(r, no);
	choosing_unref(v);
}

static void choose_job(void *arg, struct cancel *cancel)
{
	struct choosing *v = arg;
	struct err e = {0};
	int r = model_choose(v->md, v->version, cancel, &e);

	if (r < 0)
		model_fail(v->md, &e);
	promise_settle(v->promise, r < 0 ? (e.no ? e.no : EIO) : 0);
	choosing_unref(v);
}

static void choose(struct req *r, struct node *dir, const char *name, const char *version)
{
	struct choosing *v = calloc(1, sizeof *v);

	if (!v) {
		reply_err(r, ENOMEM);
		return;
	}
	*v = (struct choosing){.md = dir->data, .dir = dir, .refs = 2};
	snprintf(v->name, sizeof v->name, "%s", name);
	snprintf(v->version, sizeof v->version, "%s", version);
	v->promise = promise_new(r, PROMISE_LIMIT_MS, answer_rename, v);
	if (!v->promise) {
		free(v);
		reply_err(r, ENOMEM);
	} else if (jobs_run(v->md->s->m->jobs, choose_job, v) < 0) {
		promise_settle(v->promise, ENOMEM);
		choosing_unref(v);
	}
}

static void versions_rename(struct req *r, struct node *dir, const char *name, struct node *newdir,
			    const char *newname, unsigned flags)
{
	char version[64];

	link_target(dir->data, name, version);
	if (newdir != dir || flags)
		reply_err(r, flags ? EINVAL : EXDEV);
	else if (!version[0] || !streq(newname, CURRENT))
		reply_err(r, EPERM);
	else
		choose(r, dir, name, version);
}

static const struct node_ops versions_ops = {
	.lookup = versions_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = versions_list,
	.unlink = versions_unlink,
	.symlink = versions_symlink,
	.rename = versions_rename,
};

void model_versions_reply(struct req *r, struct node *dir, struct model *md)
{
	const struct node_make how = {
		.ops = &versions_ops, .rows = versions_rows, .data = md, .type = S_IFDIR};

	vdir_reply(r, dir, "versions", &how, NULL);
}
