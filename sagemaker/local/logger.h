/* logger.h: DIR/log: one line per event, never a secret. Thread-safe. */
#ifndef SAGEMAKER_LOCAL_LOGGER_H
#define SAGEMAKER_LOCAL_LOGGER_H

#include "sagemaker/err.h"

struct logger;

/* logger_new: appends to dirfd/log, which becomes log.1 when it passes 8 MiB. */
struct logger *logger_new(int dirfd, struct err *e) _must_check_;
void logger_free(struct logger *l);

/* logger_line: one line, the time in front; control characters are replaced. Failures to write are ignored. */
void logger_line(struct logger *l, const char *fmt, ...) _printf_(2, 3);

/* log_now: "2026-11-23T17:55:00.123Z" of now; out has 32 bytes. */
void log_now(char out[32]);

#endif
