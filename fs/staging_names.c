/*
 * staging_names.c: names in a model that go or change. A node and its backing file get and lose a name together, under
 * models.names, so that whoever opens a node by its name gets that node's file and no other.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

/* A file that is about to lose its name while the kernel may know it: it can be opened and changed until nobody does. */
struct losing {
	struct node *n;
	int fd;
};

static struct losing losing(struct tree *t, struct node *dir, const char *name, int dirfd)
{
	struct losing l = {node_child(t, dir, name), -1};

	if (l.n && l.n->type != S_IFDIR && l.n->data)
		l.fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return l;
}

void entry_forget(struct node *n)
{
	if (entry_of(n)->removed < 0)
		return;
	closep(&entry_of(n)->removed);
	__atomic_sub_fetch(&model_of(n)->s->nameless, 1, __ATOMIC_RELAXED);
}

static void lost(struct tree *t, struct losing *l, bool it_is)
{
	if (it_is && l->fd >= 0) {
		entry_forget(l->n);
		entry_of(l->n)->removed = steal_fd(&l->fd);
		__atomic_add_fetch(&model_of(l->n)->s->nameless, 1, __ATOMIC_RELAXED);
	}
	closep(&l->fd);
	node_unref(t, l->n);
}

static int remove_held(struct call *c)
{
	struct tree *t = c->md->s->m->tree;
	SCOPED_WRITE(&c->md->s->names);
	_cleanup_close_ int fd =
		c->n->data ? staging_dir_held(c->n) : staging_top(c->md); /* no data: models/ */

	if (fd < 0)
		return -1;
	struct losing l = losing(t, c->n, c->name, fd);
	int r = unlinkat(fd, c->name, c->flags), no = errno;
	lost(t, &l, r == 0);
	if (r == 0)
		node_detach(t, c->n, c->name);
	errno = no;
	return r;
}

static void do_remove(struct call *c)
{
	if (staging_went(c, remove_held(c)))
		reply_err(c->r, 0);
}

static int any(void *arg, const char *name, mode_t type)
{
	(void)name;
	(void)type;
	*(bool *)arg = true;
	return 1;
}

static int note_locked(struct model *md, const char *path, bool dir)
{
	const struct manifest_member *f = NULL;
	bool full = false;
	mode_t type = catalog_find(md->man, &md->gone, path, &f);
	if (!type)
		return ENOENT;
	if (dir != S_ISDIR(type))
		return dir ? ENOTDIR : EISDIR;
	if (dir && catalog_list(md->man, &md->gone, path, any, &full) && full)
		return ENOTEMPTY;
	if (names_add(&md->gone, path) < 0)
		return ENOMEM;
	md->changed = now_ms();
	model_arm_locked(md, MODEL_QUIET_MS);
	return 0;
}

/*
 * In the published view a removal is only noted: `rm -r models/NAME` must not download the model to delete it. When rmdir of the
 * model does not follow within the quiet time, what is left is copied up. -1: not in that view; else the errno.
 */
static int note_gone(struct model *md, const char *path, bool dir, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	if (md->staged || !md->man || md->deleting || md->copying)
		return -1;
	if (elsewhere_keep_locked(md, e) < 0)
		return EPERM;
	return note_locked(md, path, dir);
}

void staging_remove_one(struct call *c, const char *path)
{
	struct err e = {0};
	int no = note_gone(c->md, path, c->flags & AT_REMOVEDIR, &e);

	if (e.no) {
		model_fail_reply(c->md, c->r, &e);
		return;
	}
	if (no < 0) {
		model_change(c, do_remove, true);
		return;
	}
	if (!no)
		node_detach(c->md->s->m->tree, c->n, c->name);
	reply_err(c->r, no);
}

static void remove_one(struct req *r, struct node *dir, const char *name, int flags)
{
	struct call c = {.r = r, .md = model_of(dir), .n = dir, .name = name, .flags = flags};
	_cleanup_buf_ struct buf path = BUF_INIT(0);

	if (staging_is_side(dir, name))
		reply_err(r, EPERM);
	else if (staging_child_path(dir, name, &path) < 0)
		reply_err(r, ENOENT);
	else
		staging_remove_one(&c, buf_cstr(&path));
}

void staging_unlink(struct req *r, struct node *dir, const char *name)
{
	remove_one(r, dir, name, 0);
}

void staging_rmdir(struct req *r, struct node *dir, const char *name)
{
	remove_one(r, dir, name, AT_REMOVEDIR);
}

int staging_rename_held(struct call *c, int from, int to)
{
	struct tree *t = c->md->s->m->tree;
	bool exchange = c->flags & RENAME_EXCHANGE;
	struct losing l = {NULL, -1};

	if (!exchange)
		l = losing(t, c->n2, c->name2, to);
	int r = renameat2(from, c->name, to, c->name2, (unsigned)c->flags), no = errno;
	lost(t, &l, r == 0);
	if (r == 0 && exchange)
		node_exchange(t, c->n, c->name, c->n2, c->name2);
	else if (r == 0)
		node_move(t, c->n, c->name, c->n2, c->name2);
	errno = no;
	return r;
}

static int rename_one(struct call *c)
{
	SCOPED_WRITE(&c->md->s->names);
	_cleanup_close_ int from = staging_dir_held(c->n);
	_cleanup_close_ int to = from < 0 ? -1 : staging_dir_held(c->n2);

	return to < 0 ? -1 : staging_rename_held(c, from, to);
}

static void do_rename(struct call *c)
{
	if (staging_went(c, rename_one(c)))
		reply_err(c->r, 0);
}

void staging_rename(struct req *r, struct node *dir, const char *name, struct node *newdir,
		    const char *newname, unsigned flags)
{
	struct call c = {.r = r,
			 .md = model_of(dir),
			 .n = dir,
			 .n2 = newdir,
			 .name = name,
			 .name2 = newname,
			 .flags = (int)flags};

	if (newdir->ops != &model_dir_ops || model_of(newdir) != c.md)
		reply_err(r, EXDEV);
	else if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		reply_err(r, EINVAL);
	else if (staging_is_side(dir, name) || staging_is_side(newdir, newname))
		reply_err(r, EPERM);
	else
		model_change(&c, do_rename, true);
}
