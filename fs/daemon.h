/* daemon.h: a mount in the background. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include "fs/options.h"

/* daemon_mount: check the mountpoint, then mount: in the foreground until the end, or as a daemon, returning when the mount is
 * usable (0) or with the reason why it is not (-1). */
int daemon_mount(struct options *o, struct err *e) _must_check_;

#endif
