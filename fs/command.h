/* command.h: running other programs. */
#ifndef FS_COMMAND_H
#define FS_COMMAND_H

#include "sagemaker/util.h"

/* command_find: whether a program is on PATH (or in the usual system directories). */
bool command_find(const char *name);
/* command_run: run argv (NULL-terminated) with its output dropped; its exit status, -1 when it could not run. */
int command_run(const char *const argv[]);

#endif
