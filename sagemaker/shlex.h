/* shlex.h: a command line into its words, as Python's shlex.split (POSIX quoting, no comments, nothing is expanded). */
#ifndef SAGEMAKER_SHLEX_H
#define SAGEMAKER_SHLEX_H

#include "sagemaker/util.h"

/* shlex_split: the words as a NULL-terminated list in one allocation (free()); *n their number. NULL: a quote that is not
 * closed or nothing after a backslash (EINVAL), or memory is out (ENOMEM), in errno. */
char **shlex_split(const char *line, size_t *n) _must_check_;

#endif
