/* command.h: running other programs. */
#ifndef FS_COMMAND_H
#define FS_COMMAND_H

#include "sagemaker/util.h"

/* command_find: whether a program is on PATH (or in the usual system directories). */
bool command_find(const char *name);
/* null_fd: a descriptor that reads nothing (O_RDONLY) or has no reader (O_WRONLY): /dev/null, or half a pipe where /dev/null is
 * closed to ordinary users (some containers). Close-on-exec; -1 when there are no descriptors left. */
int null_fd(int mode);
/* command_run: run argv (NULL-terminated) with its output dropped; its exit status, -1 when it could not run. */
int command_run(const char *const argv[]);

#endif
