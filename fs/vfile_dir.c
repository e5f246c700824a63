#include <errno.h>

#include "fs/vfile_private.h"

#define VDIR_TIMEOUT 0.0 /* a stat(2) shows what is, not what was */
#define ROOM_TIMEOUT \
 60.0 /* but the root and what is in it never change, and every path begins there */

static double timeout_of(struct mount *m, struct node *n)
{
	struct node *root = tree_root(m->tree), *up = node_parent(m->tree, n);
	bool room = n == root || up == root;

	node_unref(m->tree, up);
	return room && n->type == S_IFDIR ? ROOM_TIMEOUT : VDIR_TIMEOUT;
}

const struct vfile *vdir_row(const struct node *dir, const char *name)
{
	for (const struct vfile *row = dir->rows; row && row->name; row++) {
		if (streq(row->name, name))
			return row;
	}
	return NULL;
}

void vdir_times(struct node *n, double created, double modified)
{
	node_set_times(n, created, modified);
}

static struct timespec to_timespec(double t)
{
	return (struct timespec){(time_t)t, (long)((t - (double)(time_t)t) * 1e9)};
}

void vdir_stat(struct mount *m, struct node *n, struct stat *st)
{
	double created, modified;

	node_times(n, &created, &modified);
	if (modified <= 0)
		modified = created > 0 ? created : (double)m->started;
	*st = (struct stat){.st_ino = n->ino,
			    .st_mode = S_IFDIR | 0755,
			    .st_nlink = 2,
			    .st_uid = m->uid,
			    .st_gid = m->gid,
			    .st_blksize = 4096};
	st->st_mtim = st->st_ctim = st->st_atim = to_timespec(modified);
}

/* The child of this kind, made if needed; a child of another kind that is in the way is no longer meant. */
static struct node *child_of_kind(struct mount *m, struct node *dir, const char *name,
				  const struct node_make *how, bool *made)
{
	struct node *n = node_make(m->tree, dir, name, how, made);

	if (n && !*made && (n->ops != how->ops || n->row != how->row || n->type != how->type)) {
		node_unref(m->tree, n);
		node_detach(m->tree, dir, name);
		n = node_make(m->tree, dir, name, how, made);
	}
	return n;
}

void vdir_reply(struct req *r, struct node *dir, const char *name, const struct node_make *how,
		void (*free_data)(void *))
{
	struct mount *m = req_mount(r);
	struct stat st;
	bool made;
	struct node *n = child_of_kind(m, dir, name, how, &made);

	if (!made && free_data)
		free_data(how->data);
	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	vdir_stat(m, n, &st);
	reply_entry(r, n, &st, timeout_of(m, n));
	node_unref(m->tree, n);
}

void vdir_lookup(struct req *r, struct node *dir, const char *name)
{
	struct mount *m = req_mount(r);
	const struct vfile *row = vdir_row(dir, name);
	struct stat st;
	bool made;

	if (!row) {
		reply_err(r, ENOENT);
		return;
	}
	struct node_make how = {
		.ops = &vfile_ops, .row = row, .type = row->flags & VF_LINK ? S_IFLNK : S_IFREG};
	struct node *n = child_of_kind(m, dir, name, &how, &made);
	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	if (vfile_stat(m, dir, n, row, &st) < 0)
		reply_err(r, ENOENT);
	else
		reply_entry(r, n, &st, VDIR_TIMEOUT);
	node_unref(m->tree, n);
}

void vdir_getattr(struct req *r, struct node *n, void *h)
{
	struct stat st;

	(void)h;
	vdir_stat(req_mount(r), n, &st);
	reply_attr(r, &st, timeout_of(req_mount(r), n));
}

/* A link without a target is not there. */
static bool absent(struct node *dir, const struct vfile *row)
{
	_cleanup_buf_ struct buf target = {0};
	struct err e = {0};

	return row->flags & VF_LINK && row->show(dir, &target, &e) < 0;
}

int vdir_fill(struct node *dir, struct dirfill *f)
{
	for (const struct vfile *row = dir->rows; row && row->name; row++) {
		bool hidden = row->flags & VF_HIDDEN ||
			      (row->name[0] == '.' && !(row->flags & VF_LISTED_ALL));

		if (hidden || absent(dir, row))
			continue;
		if (dirfill_add(f, row->name, 0, row->flags & VF_LINK ? S_IFLNK : S_IFREG) < 0)
			return -1;
	}
	return 0;
}

void vdir_list(struct req *r, struct node *dir, struct dirfill *f)
{
	if (vdir_fill(dir, f) < 0)
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

void vdir_unlink(struct req *r, struct node *dir, const char *name)
{
	reply_err(r, vdir_row(dir, name) ? 0 : ENOENT);
}

void vdir_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set, void *h)
{
	const struct mount *m = req_mount(r);

	if ((set & SET_UID && st->st_uid != m->uid) || (set & SET_GID && st->st_gid != m->gid) ||
	    (set & SET_MODE && (st->st_mode & 0777) != 0755)) {
		reply_err(r, EPERM);
		return;
	}
	vdir_getattr(r, n, h);
}

const struct node_ops vdir_ops = {
	.lookup = vdir_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = vdir_list,
	.unlink = vdir_unlink,
};
