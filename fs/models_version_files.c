/*
 * models_version_files.c: models/NAME/.sagemaker/versions/VERSION/files/: the files of a version, whichever is current; read-only. They
 * are read as published files are (reads.h), by ranges.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"
#include "fs/reads.h"

#define TTL 1.0 /* seconds; the version may be removed */

/* data of every node in files/ */
struct old {
	struct model *md;
	struct manifest *man; /* with this version as the current one */
	char *path;           /* "" files/ itself */
};

static const struct names nothing;

static void old_free(struct old *o)
{
	if (!o)
		return;
	manifest_unref(o->man);
	free(o->path);
	free(o);
}

static void node_free(struct node *n)
{
	old_free(n->data);
}

static struct old *old_new(struct model *md, struct manifest *man, const char *dir,
			   const char *name)
{
	struct old *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	*o = (struct old){md, manifest_ref(man), str_printf("%s%s%s", dir, *dir ? "/" : "", name)};
	if (o->path)
		return o;
	old_free(o);
	return NULL;
}

static void old_stat(const struct old *o, const struct manifest_member *f, const struct node *n,
		     struct stat *st)
{
	model_published_stat(o->md, f, st);
	st->st_mode &= (mode_t)~0222;
	st->st_ino = n->ino;
	if (!f)
		st->st_mtim.tv_sec = (time_t)o->man->created;
	st->st_atim = st->st_ctim = st->st_mtim;
}

static const struct node_ops old_dir_ops, old_file_ops;

/* Takes o. */
static void old_reply(struct req *r, struct node *dir, const char *name, struct old *o,
		      const struct manifest_member *f)
{
	struct tree *t = req_mount(r)->tree;
	const struct node_make how = {
		.ops = f ? &old_file_ops : &old_dir_ops, .data = o, .type = f ? S_IFREG : S_IFDIR};
	bool made = false;
	struct node *n = o ? node_make(t, dir, name, &how, &made) : NULL;
	struct stat st;

	if (!n) {
		old_free(o);
		reply_err(r, ENOMEM);
		return;
	}
	old_stat(o, f, n, &st);
	if (!made)
		old_free(o);
	reply_entry(r, n, &st, TTL);
	node_unref(t, n);
}

static void old_lookup(struct req *r, struct node *dir, const char *name)
{
	const struct old *at = dir->data;
	struct old *o = old_new(at->md, at->man, at->path, name);
	const struct manifest_member *f = NULL;

	if (o && !catalog_find(o->man, &nothing, o->path, &f)) {
		old_free(o);
		reply_err(r, ENOENT);
		return;
	}
	old_reply(r, dir, name, o, f);
}

static void old_getattr(struct req *r, struct node *n, void *h)
{
	const struct old *o = n->data;
	const struct manifest_member *f = NULL;
	struct stat st;

	(void)h;
	(void)catalog_find(o->man, &nothing, o->path, &f);
	old_stat(o, f, n, &st);
	reply_attr(r, &st, TTL);
}

static int fill(void *arg, const char *name, mode_t type)
{
	return dirfill_add(arg, name, 0, type);
}

static void old_list(struct req *r, struct node *dir, struct dirfill *f)
{
	const struct old *o = dir->data;

	if (catalog_list(o->man, &nothing, o->path, fill, f))
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

static void old_open(struct req *r, struct node *n, int flags)
{
	const struct old *o = n->data;
	const struct manifest_member *f = NULL;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC) {
		reply_err(r, EROFS);
		return;
	}
	(void)catalog_find(o->man, &nothing, o->path, &f);
	struct published *p = f ? published_new(o->man, f) : NULL;
	if (!p)
		reply_err(r, f ? ENOMEM : ENOENT);
	else if (reply_open(r, p, OPEN_KEEP_CACHE) < 0)
		published_free(p);
}

static void old_read(struct req *r, struct node *n, void *h, size_t size, off_t off)
{
	const struct old *o = n->data;

	published_read(r, o->md, h, size, off);
}

static void old_release(struct req *r, struct node *n, void *h)
{
	(void)n;
	published_free(h);
	reply_err(r, 0);
}

static const struct node_ops old_dir_ops = {
	.lookup = old_lookup,
	.getattr = old_getattr,
	.list = old_list,
	.free = node_free,
};

static const struct node_ops old_file_ops = {
	.getattr = old_getattr,
	.open = old_open,
	.read = old_read,
	.release = old_release,
	.free = node_free,
};

void version_files_reply(struct req *r, struct node *dir, const struct version_ref *v)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(v->md);
	struct err e = {0};
	_cleanup_(manifest_unrefp)
	struct manifest *at = man ? manifest_at(man, v->version, &e) : NULL;

	if (at)
		old_reply(r, dir, VERSION_FILES, old_new(v->md, at, "", ""), NULL);
	else
		reply_err(r, e.no ? e.no : ENOENT);
}
