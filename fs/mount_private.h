/* mount_private.h: the parts of starting and ending a mount (daemon.c puts them together). */
#ifndef FS_MOUNT_PRIVATE_H
#define FS_MOUNT_PRIVATE_H

#include "fs/local_start.h"
#include "fs/mount.h"
#include "sagemaker/profile.h"

/* mountpoint_check: makes *path absolute; a dead mount of ours there is detached. Errors: missing, no directory, a live mount of
 * ours, /dev/fuse missing or closed to us. */
int mountpoint_check(char **path, struct err *e) _must_check_;
/* mountpoint_hides: whether something lies in the directory, which a mount on it hides. */
bool mountpoint_hides(const char *path);
/* fuse_device_check: /dev/fuse can be opened and, for an ordinary user, fusermount3 is there. Also a row of doctor's. */
int fuse_device_check(struct err *e) _must_check_;

/* mount_configure: what the options say about where and as whom, into *c, which config_load then completes. EINVAL: they
 * contradict each other. */
int mount_configure(const struct options *o, struct config *c, struct err *e) _must_check_;
/* take_setting: a copy of value into *where, unless that is set or value is NULL. */
int take_setting(char **where, const char *value, struct err *e) _must_check_;

/* state_open: lock the mount's state directory: m->state_fd, staging_fd, state_path. key tells what the mount is of; of several
 * with the same key the first that nobody holds, beginning with number `first`. */
int state_open(struct mount *m, const char *key, int first, struct err *e) _must_check_;
/* state_adopt: directories of key `from` that nobody holds and that are not another account's than m->bound become directories
 * of `key`; *first: the number of one of them, 1 where there is none. */
int state_adopt(struct mount *m, const char *from, const char *key, int *first, struct err *e)
	_must_check_;

/* account_open_state: state_open for a mount of AWS, by the account as far as it is known or remembered: m->bound. */
int account_open_state(struct mount *m, struct err *e) _must_check_;
/* account_owns: whether the state directory is the account's, or not yet anybody's. */
bool account_owns(int dir, const char *account);

/* mount_run: from options to the end of the mount. ready(arg) once it is usable. */
int mount_run(const struct options *o, void (*ready)(void *arg), void *arg, struct err *e)
	_must_check_;

#endif
