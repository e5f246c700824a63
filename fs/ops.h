/*
 * ops.h: the session with the kernel. ops.c has the table of operations, ops_req.c requests and replies, ops_dir.c listings,
 * ops_notify.c what we tell the kernel unasked, ops_session.c mounting and the loop. With ops_private.h they are the only files
 * that include FUSE.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "fs/mount.h"

struct session;

/* ops_mount: make the session (m->fuse) and mount it on m->mountpoint. */
int ops_mount(struct mount *m, struct err *e) _must_check_;
/* ops_loop: serve until unmounted or SIGTERM, SIGINT, SIGHUP; ready(arg) is called when the kernel has begun to talk. Call it
 * with those signals blocked in every other thread. -1: the connection broke. */
int ops_loop(struct mount *m, void (*ready)(void *arg), void *arg, struct err *e) _must_check_;
/* ops_unmount: off the mountpoint if it is still there, lazily. ops_free: when nobody answers requests any more. */
void ops_unmount(struct mount *m);
void ops_free(struct mount *m);
/* ops_pending: requests not answered yet. */
unsigned ops_pending(const struct mount *m);

#endif
