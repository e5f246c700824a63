/* mountinfo.h: which mounts of ours there are, by /proc/self/mountinfo. */
#ifndef FS_MOUNTINFO_H
#define FS_MOUNTINFO_H

#include "sagemaker/err.h"

struct mount_line {
	char *mountpoint, *source;
	char *device; /* "0:45" */
	long uid;     /* who mounted it */
};

struct mount_lines {
	struct mount_line *rows;
	size_t n;
};

/* mountinfo_read: the mounts of type fuse.sagemakerfs, in order of mounting. -1: memory, or no /proc. */
int mountinfo_read(struct mount_lines *out, struct err *e) _must_check_;
void mountinfo_release(struct mount_lines *l);
/* mountinfo_own: drops those that other users mounted. */
void mountinfo_own(struct mount_lines *l);
/* mountinfo_find: the newest mount on exactly that absolute path, or NULL. mountinfo_around: the innermost mount that path lies in. */
const struct mount_line *mountinfo_find(const struct mount_lines *l, const char *path);
const struct mount_line *mountinfo_around(const struct mount_lines *l, const char *path);
/* path_absolute: path without symbolic links in its directory part; the last component is not touched (its mount may be dead). */
char *path_absolute(const char *path, struct err *e);

#endif
