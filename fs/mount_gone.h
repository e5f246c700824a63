/*
 * mount_gone.h: notices that our mount is gone from this process's mount table (fusermount3 -u, umount -l) and ends the loop.
 *
 * libfuse learns it from the kernel only when the last reference to the file system goes, and another mount namespace (a
 * container's, a model's sandbox, `unshare -m`) may hold one for ever.
 */
#ifndef FS_MOUNT_GONE_H
#define FS_MOUNT_GONE_H

#include "sagemaker/err.h"

struct mount_gone;

/* mount_gone_start: watches from now on; the mount must be there. When it is gone the process gets a SIGTERM, once. */
struct mount_gone *mount_gone_start(const char *mountpoint, struct err *e) _must_check_;
/* mount_gone_stop: ends the watching and frees; NULL is fine. */
void mount_gone_stop(struct mount_gone *g);

#endif
