#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "fs/ops_private.h"

#define NAME_BYTES 255

static void *handle_of(const struct fuse_file_info *fi)
{
	return fi ? opened(fi) : NULL;
}

/* The request about name in the directory ino. */
static struct req *begin_named(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
	struct req *r = req_begin(fuse, ino);

	if (r && strlen(name) > NAME_BYTES) {
		reply_err(r, ENAMETOOLONG);
		return NULL;
	}
	return r;
}

/* What no room takes: EPERM, and a sentence where users look for one. */
static void refuse(struct req *r, const char *what, const char *name)
{
	static const char *const ways[] = {
		[ROOM_ROOT] = "models are copied to models/NAME, mkdir endpoints/NAME deploys one, "
			      "invoke/NAME takes requests",
		[ROOM_MODELS] =
			"models are copied to models/NAME and removed by rm -r models/NAME; "
			"what is in .sagemaker/ and versions/ is the mount's",
		[ROOM_ENDPOINTS] =
			"mkdir endpoints/NAME deploys models/NAME, rmdir endpoints/NAME deletes it; what "
			"is in it belongs to the endpoint (another model: rmdir, then mkdir)",
		[ROOM_INVOKE] = "invoke/NAME is there as long as endpoints/NAME is",
	};
	enum room room = node_room(r->node);
	struct err e;

	err_set(&e, EPERM, "cannot %s '%s' here: %s", what, name, ways[room]);
	mount_fail(r->s->m, room, &e);
	reply_err(r, EPERM);
}

static void refuse_kind(struct req *r, const char *name, const char *why)
{
	struct err e;

	err_set(&e, EPERM, "cannot create '%s': %s", name, why);
	mount_fail(r->s->m, node_room(r->node), &e);
	reply_err(r, EPERM);
}

static void op_init(void *data, struct fuse_conn_info *c)
{
	struct session *s = data;

	c->want |= c->capable &
		   (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
		    FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_EXPLICIT_INVAL_DATA);
	/* We say what the kernel's cached pages are of. By itself it drops them whenever attributes have changed, also between its copying of a
	 * write into a page and our getting it: a reader in between brings the older page back, which then stays. */
	if (c->want & FUSE_CAP_EXPLICIT_INVAL_DATA)
		c->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	/* Written data must be with us when write(2) returns: append, checks at write and the commit count on it. */
	c->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV);
	c->max_write = 1 << 20;
	if (s->ready)
		s->ready(s->ready_arg);
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->lookup) {
		reply_err(r, ENOTDIR);
		return;
	}
	r->node->ops->lookup(r, r->node, name);
}

static void op_forget(fuse_req_t fuse, fuse_ino_t ino, uint64_t nlookup)
{
	const struct session *s = fuse_req_userdata(fuse);

	node_forget(s->m->tree, ino, nlookup);
	fuse_reply_none(fuse);
}

static void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	const struct session *s = fuse_req_userdata(fuse);

	for (size_t i = 0; i < count; i++)
		node_forget(s->m->tree, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->getattr) {
		reply_err(r, EIO);
		return;
	}
	r->node->ops->getattr(r, r->node, handle_of(fi));
}

/* access(2), chdir(2): by the node's mode (reply_attr). */
static void op_access(fuse_req_t fuse, fuse_ino_t ino, int mask)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->getattr) {
		reply_err(r, 0);
		return;
	}
	r->kind = REQ_ACCESS;
	r->mask = mask;
	r->node->ops->getattr(r, r->node, NULL);
}

static unsigned set_bits(int to_set)
{
	static const struct {
		int theirs;
		unsigned ours;
	} bits[] = {
		{FUSE_SET_ATTR_MODE,      SET_MODE     },
		{FUSE_SET_ATTR_UID,       SET_UID      },
		{FUSE_SET_ATTR_GID,       SET_GID      },
		{FUSE_SET_ATTR_SIZE,      SET_SIZE     },
		{FUSE_SET_ATTR_ATIME,     SET_ATIME    },
		{FUSE_SET_ATTR_MTIME,     SET_MTIME    },
		{FUSE_SET_ATTR_ATIME_NOW, SET_ATIME_NOW},
		{FUSE_SET_ATTR_MTIME_NOW, SET_MTIME_NOW}
        };

	unsigned set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		set |= to_set & bits[i].theirs ? bits[i].ours : 0;
	return set;
}

static void op_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *st, int to_set,
		       struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->setattr) {
		reply_err(r, EPERM);
		return;
	}
	r->node->ops->setattr(r, r->node, st, set_bits(to_set), handle_of(fi));
}

static void op_readlink(fuse_req_t fuse, fuse_ino_t ino)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->readlink) {
		reply_err(r, EINVAL);
		return;
	}
	r->node->ops->readlink(r, r->node);
}

static void op_mknod(fuse_req_t fuse, fuse_ino_t ino, const char *name, mode_t mode, dev_t rdev)
{
	struct req *r = begin_named(fuse, ino, name);

	(void)rdev;
	if (!r)
		return;
	if (!r->node->ops->create) {
		refuse(r, "create", name);
		return;
	}
	if (!S_ISREG(mode)) {
		refuse_kind(r, name, "only files, directories and symbolic links can be made here");
		return;
	}
	r->kind = REQ_MKNOD;
	r->node->ops->create(r, r->node, name, mode, O_RDWR | O_CREAT | O_EXCL);
}

static void op_mkdir(fuse_req_t fuse, fuse_ino_t ino, const char *name, mode_t mode)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->mkdir) {
		refuse(r, "create directory", name);
		return;
	}
	r->node->ops->mkdir(r, r->node, name, mode);
}

static void op_unlink(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->unlink) {
		refuse(r, "remove", name);
		return;
	}
	r->node->ops->unlink(r, r->node, name);
}

static void op_rmdir(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->rmdir) {
		refuse(r, "remove", name);
		return;
	}
	r->node->ops->rmdir(r, r->node, name);
}

static void op_symlink(fuse_req_t fuse, const char *target, fuse_ino_t ino, const char *name)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->symlink) {
		refuse(r, "create link", name);
		return;
	}
	r->node->ops->symlink(r, r->node, name, target);
}

static void op_rename(fuse_req_t fuse, fuse_ino_t ino, const char *name, fuse_ino_t newino,
		      const char *newname, unsigned flags)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r || req_and(r, newino) < 0)
		return;
	if (strlen(newname) > NAME_BYTES) {
		reply_err(r, ENAMETOOLONG);
		return;
	}
	/* Between rooms: as between file systems, so that mv copies. A room's rename sees its own nodes only. */
	if (node_room(r->node) != node_room(r->other)) {
		reply_err(r, EXDEV);
		return;
	}
	if (!r->node->ops->rename) {
		refuse(r, "rename", name);
		return;
	}
	r->node->ops->rename(r, r->node, name, r->other, newname, flags);
}

static void op_link(fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t newino, const char *newname)
{
	struct req *r = begin_named(fuse, newino, newname);

	(void)ino;
	if (r)
		refuse_kind(r, newname,
			    "hard links cannot be made here; copy the file (cp), or make a "
			    "symbolic link (ln -s)");
}

static void op_create(fuse_req_t fuse, fuse_ino_t ino, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct req *r = begin_named(fuse, ino, name);

	if (!r)
		return;
	if (!r->node->ops->create) {
		refuse(r, "create", name);
		return;
	}
	r->fi = *fi;
	r->node->ops->create(r, r->node, name, mode, fi->flags);
}

static void op_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->open) {
		reply_err(r, EACCES);
		return;
	}
	r->fi = *fi;
	r->node->ops->open(r, r->node, fi->flags);
}

static void op_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->read) {
		reply_err(r, EINVAL);
		return;
	}
	r->node->ops->read(r, r->node, handle_of(fi), size, off);
}

static void op_write(fuse_req_t fuse, fuse_ino_t ino, const char *p, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->write) {
		reply_err(r, EBADF);
		return;
	}
	r->node->ops->write(r, r->node, handle_of(fi), p, size, off);
}

static void op_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->flush) {
		reply_err(r, 0);
		return;
	}
	r->node->ops->flush(r, r->node, handle_of(fi));
}

static void op_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->release) {
		reply_err(r, 0);
		return;
	}
	r->node->ops->release(r, r->node, handle_of(fi));
}

static void op_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->fsync) {
		reply_err(r, 0);
		return;
	}
	r->node->ops->fsync(r, r->node, handle_of(fi), datasync);
}

static void op_fsyncdir(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	(void)fi;
	if (!r)
		return;
	if (!r->node->ops->fsyncdir) {
		reply_err(r, 0);
		return;
	}
	r->node->ops->fsyncdir(r, r->node, datasync);
}

static void op_statfs(fuse_req_t fuse, fuse_ino_t ino)
{
	struct req *r = req_begin(fuse, ino);
	struct statvfs st;

	if (!r)
		return;
	if (r->node->ops->statfs) {
		r->node->ops->statfs(r, r->node);
		return;
	}
	if (fstatvfs(r->s->m->staging_fd, &st) < 0) {
		reply_err(r, errno);
		return;
	}
	st.f_namemax = NAME_BYTES;
	reply_statfs(r, &st);
}

static void op_setxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, const char *p,
			size_t size, int flags)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->setxattr) {
		reply_err(r, EOPNOTSUPP);
		return;
	}
	r->node->ops->setxattr(r, r->node, name, p, size, flags);
}

static void op_getxattr(fuse_req_t fuse, fuse_ino_t ino, const char *name, size_t size)
{
	struct req *r;

	/* The kernel asks for this once per write. ENOSYS would end that, and all extended attributes with it. */
	if (streq(name, "security.capability")) {
		fuse_reply_err(fuse, ENODATA);
		return;
	}
	r = req_begin(fuse, ino);
	if (!r)
		return;
	if (!r->node->ops->getxattr) {
		reply_err(r, ENODATA);
		return;
	}
	r->node->ops->getxattr(r, r->node, name, size);
}

static void op_listxattr(fuse_req_t fuse, fuse_ino_t ino, size_t size)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (r->node->ops->listxattr)
		r->node->ops->listxattr(r, r->node, size);
	else if (size)
		reply_data(r, "", 0);
	else
		reply_xattr_size(r, 0);
}

static void op_removexattr(fuse_req_t fuse, fuse_ino_t ino, const char *name)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->removexattr) {
		reply_err(r, ENODATA);
		return;
	}
	r->node->ops->removexattr(r, r->node, name);
}

static void op_fallocate(fuse_req_t fuse, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->fallocate) {
		reply_err(r, EOPNOTSUPP);
		return;
	}
	r->node->ops->fallocate(r, r->node, handle_of(fi), mode, off, len);
}

static void op_lseek(fuse_req_t fuse, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	if (!r->node->ops->lseek) {
		reply_err(r, EINVAL);
		return;
	}
	r->node->ops->lseek(r, r->node, handle_of(fi), off, whence);
}

static void op_poll(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	struct session *s = fuse_req_userdata(fuse);
	struct pollwake *w = pollwake_new(s, ph);
	struct req *r = req_begin(fuse, ino);

	if (!r) {
		poll_drop(w);
		return;
	}
	if (r->node->ops->poll) {
		r->node->ops->poll(r, r->node, handle_of(fi), w);
		return;
	}
	poll_drop(w);
	reply_poll(r, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.access = op_access,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.releasedir = ops_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.poll = op_poll,
	.lseek = op_lseek,
};
