/* log.h: one line per event to stderr in the foreground (-f, -d), else to STATE/log (0600, rotated at 4 MiB, one old kept). Lines:
 * UTC time, level, room, text. Never a secret. Thread-safe. */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdarg.h>

#include "sagemaker/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
struct log;
struct log *log_open(int state_dirfd, bool foreground, enum log_level level, struct err *e)
	_must_check_;
void log_close(struct log *l);
void log_line(struct log *l, enum log_level level, const char *room, const char *fmt, ...)
	_printf_(4, 5);

#endif
