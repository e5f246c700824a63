/* dirs.h: where things are kept, after the XDG rules. */
#ifndef FS_DIRS_H
#define FS_DIRS_H

#include "sagemaker/err.h"

enum dirs { DIRS_DATA, DIRS_STATE, DIRS_CACHE, DIRS_CONFIG };

/* dirs_path: "$XDG_STATE_HOME/sagemakerfs" and its like (allocated), "~/.local/state/sagemakerfs" without it; HOME from the
 * password file when unset. Not made. NULL: no home directory, or memory. */
char *dirs_path(enum dirs which, struct err *e);
/* dirs_make: the directory and those above it, 0700; its descriptor, or -1. */
int dirs_make(const char *path, struct err *e);

#endif
