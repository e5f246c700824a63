/* logger.h: DIR/log: one line per event, name=value, never a secret. Thread-safe. */
#ifndef SAGEMAKER_LOCAL_LOGGER_H
#define SAGEMAKER_LOCAL_LOGGER_H

#include "sagemaker/err.h"

struct logger;

/* logger_new: appends to dirfd/log, which becomes log.1 when it passes 8 MiB. */
struct logger *logger_new(int dirfd, struct err *e) _must_check_;
void logger_free(struct logger *l);

/* logger_line, logger_warn, logger_error: time=, level=, msg=; control characters are replaced. Failures to write are ignored.
 * warn: it is tried again, or costs little. error: something failed for somebody, or is lost. */
void logger_line(struct logger *l, const char *fmt, ...) _printf_(2, 3);
void logger_warn(struct logger *l, const char *fmt, ...) _printf_(2, 3);
void logger_error(struct logger *l, const char *fmt, ...) _printf_(2, 3);

struct logged_call {
	const char *op; /* AWS's name of it */
	unsigned status;
	double ms;
	const char *request; /* its id */
	const char *error;   /* the body of the refusal; NULL */
};

/* logger_call: one line of a call that was answered; level by its status. */
void logger_call(struct logger *l, const struct logged_call *c);

#endif
