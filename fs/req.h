/*
 * req.h: one request of the kernel, without FUSE. Rooms get a struct req and answer it exactly once, from any thread, with
 * one of the reply_* functions (implemented in ops.c). After the answer the req is gone.
 *
 * Rule: a FUSE worker never waits for the network. What may wait is a job (jobs.h) or a callback of the HTTP engine, and the
 * req travels there.
 */
#ifndef FS_REQ_H
#define FS_REQ_H

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

struct req;
struct node;
struct mount;

struct caller {
	uid_t uid;
	gid_t gid;
	pid_t tid; /* thread id of the caller; 0: foreign pid namespace */
};

struct mount *req_mount(const struct req *r);
struct caller req_caller(const struct req *r);

/* req_on_interrupt: call fn(arg) once when the caller is interrupted (Ctrl-C, SIGKILL). Arm before anything may reply. fn runs
 * on a FUSE worker and may reply (EINTR). It is disarmed by the reply, never runs after it: a reply waits for an fn that is
 * running elsewhere, so do not reply while holding a lock that fn takes. fn may run before req_on_interrupt returns. */
void req_on_interrupt(struct req *r, void (*fn)(void *arg), void *arg);

/* How an opened file behaves. */
#define OPEN_DIRECT_IO   (1u << 0)
#define OPEN_KEEP_CACHE  (1u << 1)
#define OPEN_NONSEEKABLE (1u << 2)
#define OPEN_NOFLUSH     (1u << 3) /* close(2) need not be told: no errors wait for it */

/* open's and create's flags hold O_TRUNC (atomic_o_trunc): the room truncates, no setattr follows. mknod of a regular file comes
 * as create (O_RDWR | O_EXCL) and release. */

/* no: 0 = success, else an errno in 1..511 and not ENOSYS (asserted). */
void reply_err(struct req *r, int no);
/* reply_entry: n is found; the kernel now holds one more lookup of it (tree.h). st_ino may be 0: the node's own. timeout: how long,
 * in seconds, the kernel may believe name and attributes. */
void reply_entry(struct req *r, struct node *n, const struct stat *st, double timeout);
void reply_attr(struct req *r, const struct stat *st, double timeout);
void reply_data(struct req *r, const void *p, size_t n);
/* reply_fd: n bytes of fd from off, spliced where possible. */
void reply_fd(struct req *r, int fd, off_t off, size_t n);
/* reply_open / reply_create: h is the handle given to later calls. -1: the caller was gone; the handle is NOT known to the kernel
 * and the room must release it itself. */
int reply_open(struct req *r, void *h, unsigned flags);
int reply_create(struct req *r, struct node *n, const struct stat *st, double timeout, void *h,
		 unsigned flags);
void reply_write(struct req *r, size_t n);
void reply_readlink(struct req *r, const char *target);
void reply_statfs(struct req *r, const struct statvfs *st);
void reply_xattr_size(struct req *r, size_t n);
void reply_poll(struct req *r, unsigned revents);
void reply_lseek(struct req *r, off_t off);

/* A poller that wants to hear of a change, once. Given to node_ops.poll, which takes it (keep at most one per file, the newest).
 * poll_wake: tell it; poll_drop: it need not hear any more. Both take w, which may be NULL; any thread, no lock of ops.c's. */
struct pollwake;
void poll_wake(struct pollwake *w);
void poll_drop(struct pollwake *w);

/* A directory being listed: entries are collected at the first read, whole or as they come, and sliced by ops.c. */
struct dirfill;
/* type: S_IFREG, S_IFDIR, S_IFLNK */
int dirfill_add(struct dirfill *f, const char *name, ino_t ino, mode_t type);
void reply_dir(struct req *r, struct dirfill *f); /* the listing is complete */
/* reply_dir_part: there will be more: node_ops.more is called when the reader has come to the end of what there is. With nothing
 * added since the last part the reader would take it for the end: asserted. */
void reply_dir_part(struct req *r, struct dirfill *f);
/* reply_dir_broken: there should be more, but cannot: the reader gets what was added, then the errno. */
void reply_dir_broken(struct req *r, struct dirfill *f, int no);

/* How far a room is with a listing that comes in parts; zero at first. The room's to use as it likes. */
struct dirmark {
	uint64_t seen;
	unsigned step;
	bool parts;
};
struct dirmark *dirfill_mark(struct dirfill *f);

/* What to change in setattr: bits. */
#define SET_MODE      (1u << 0)
#define SET_UID       (1u << 1)
#define SET_GID       (1u << 2)
#define SET_SIZE      (1u << 3)
#define SET_ATIME     (1u << 4)
#define SET_MTIME     (1u << 5)
#define SET_ATIME_NOW (1u << 6)
#define SET_MTIME_NOW (1u << 7)

/*
 * What a node answers to: one const table per kind of node (vfile.c: virtual files and directories; staging.c: a model's own
 * files; invoke.c). NULL: ops.c answers with the fitting errno (EPERM for changes of the tree, EINVAL, ENOTDIR, ENODATA for
 * xattrs, success for flush/fsync/release). Every function answers r exactly once, now or later. dir, node are held (tree.h)
 * until the answer. Strings are valid only during the call; so are buffers of write: copy before deferring.
 */
struct node_ops {
	void (*lookup)(struct req *r, struct node *dir, const char *name);
	void (*getattr)(struct req *r, struct node *n, void *h /* may be NULL */);
	void (*setattr)(struct req *r, struct node *n, const struct stat *st, unsigned set,
			void *h);
	void (*readlink)(struct req *r, struct node *n);
	/* "." and ".." are added by ops.c */
	void (*list)(struct req *r, struct node *dir, struct dirfill *f);
	/* after reply_dir_part: the same f, with what was added before still in it */
	void (*more)(struct req *r, struct node *dir, struct dirfill *f);
	void (*mkdir)(struct req *r, struct node *dir, const char *name, mode_t mode);
	void (*rmdir)(struct req *r, struct node *dir, const char *name);
	void (*unlink)(struct req *r, struct node *dir, const char *name);
	void (*create)(struct req *r, struct node *dir, const char *name, mode_t mode, int flags);
	void (*symlink)(struct req *r, struct node *dir, const char *name, const char *target);
	void (*rename)(struct req *r, struct node *dir, const char *name, struct node *newdir,
		       const char *newname, unsigned flags);
	void (*open)(struct req *r, struct node *n, int flags);
	void (*read)(struct req *r, struct node *n, void *h, size_t size, off_t off);
	void (*write)(struct req *r, struct node *n, void *h, const void *p, size_t size,
		      off_t off);
	void (*flush)(struct req *r, struct node *n, void *h);
	void (*release)(struct req *r, struct node *n, void *h);
	void (*fsync)(struct req *r, struct node *n, void *h, bool datasync);
	void (*fsyncdir)(struct req *r, struct node *dir, bool datasync);
	void (*statfs)(struct req *r, struct node *n);
	void (*setxattr)(struct req *r, struct node *n, const char *name, const void *p,
			 size_t size, int flags);
	void (*getxattr)(struct req *r, struct node *n, const char *name, size_t size);
	void (*listxattr)(struct req *r, struct node *n, size_t size);
	void (*removexattr)(struct req *r, struct node *n, const char *name);
	void (*fallocate)(struct req *r, struct node *n, void *h, int mode, off_t off, off_t len);
	/* SEEK_DATA and SEEK_HOLE only */
	void (*lseek)(struct req *r, struct node *n, void *h, off_t off, int whence);
	/* takes w, which may be NULL */
	void (*poll)(struct req *r, struct node *n, void *h, struct pollwake *w);
	void (*free)(struct node *n); /* the last reference went: release n->data */
};

/*
 * promise: answers a req when its work ends or after limit_ms, whichever is first (mkdir, rmdir and rename keep the kernel's
 * directory lock while unanswered: 2 s at most). answer(r, arg, no) is called exactly once: with the errno given to
 * promise_settle (0: success), or with 0 at the limit. promise_settle is called exactly once by the work; true: its errno was
 * the answer, false: the caller had already been told "success", so a failure must be shown elsewhere (status, error).
 * The interrupt of a promised req answers EINTR? No: work goes on, so it is answered at the limit as usual.
 */
struct promise;
typedef void promise_answer(struct req *r, void *arg, int no);
struct promise *promise_new(struct req *r, long limit_ms, promise_answer *answer, void *arg);
bool promise_settle(struct promise *p, int no);
#define PROMISE_LIMIT_MS 1900

#endif
