/* ops_private.h: shared by the ops_*.c files only. */
#ifndef FS_OPS_PRIVATE_H
#define FS_OPS_PRIVATE_H

#define FUSE_USE_VERSION 312

#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>

#include "fs/ops.h"

struct session {
	struct fuse_session *se;
	struct mount *m;
	atomic_bool mounted;
	atomic_uint pending; /* requests not answered */
	void (*ready)(void *arg);
	void *ready_arg;
};

enum req_kind { REQ_PLAIN, REQ_READDIR, REQ_MKNOD, REQ_ACCESS };

struct req {
	enum req_kind kind;
	fuse_req_t fuse; /* NULL: nobody waits for the answer (release after mknod) */
	struct session *s;
	struct node *node, *other; /* held until the answer */
	struct fuse_file_info fi;  /* of open, create */
	void (*on_interrupt)(void *arg);
	void *interrupt_arg;
	int mask; /* REQ_ACCESS: R_OK, W_OK, X_OK */
	/* REQ_READDIR */
	struct dirlist *list;
	struct dirfill *fill;
	size_t size;
	off_t off;
};

extern const struct fuse_lowlevel_ops ops_table;

/* opened: what an open left in the kernel's file handle. */
static inline void *opened(const struct fuse_file_info *fi)
{
	return (void *)(uintptr_t)fi->fh; /* NOLINT(performance-no-int-to-ptr) */
}

/* req_begin: the request about nodeid ino (0: none); NULL: it was answered (ESTALE, ENOMEM). */
struct req *req_begin(fuse_req_t fuse, fuse_ino_t ino);
/* req_and: another node, held too; -1: answered. */
int req_and(struct req *r, fuse_ino_t ino) _must_check_;

void ops_opendir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void dirfill_free(struct dirfill *f);

struct pollwake *pollwake_new(struct session *s, struct fuse_pollhandle *ph);

/* For the reply functions: disarm before, end after. */
void req_disarm(struct req *r);
void req_end(struct req *r);

#endif
