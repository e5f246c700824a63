/*
 * logs.h: what model servers print, kept as CloudWatch Logs keeps it: a group per endpoint, a stream per instance.
 *
 * DIR/logs/ENDPOINT/VARIANT/INSTANCE/ holds `log`, which the process itself appends to, and `marks`: how long it was when. A
 * line's time is that of the first mark behind it. Nothing is copied and nothing is lost when the backend is killed: all state
 * is in the files, any thread may use them; a flock on `marks` orders those who write there. A log that grows too long loses
 * its oldest bytes to a hole; offsets stay.
 */
#ifndef SAGEMAKER_LOCAL_LOGS_H
#define SAGEMAKER_LOCAL_LOGS_H

#include <sys/types.h>

#include "sagemaker/local/backend.h"

#define LOG_GROUP_PREFIX "/aws/sagemaker/Endpoints/"
#define LOG_EVENT_MOST   ((size_t)262144) /* bytes of an event, AWS's limit */

/* logs_open: the log of an instance, for its process to append to; made when missing. -1 with e. logs_fd: for reading, -1:
 * there is none. */
int logs_open(struct backend *be, const char *endpoint, const char *variant, const char *instance,
	      struct err *e) _must_check_;
int logs_fd(struct backend *be, const char *endpoint, const char *variant, const char *instance);

/* logs_note: what was printed since the last note was printed now; and the log is kept below its limit. Once a second. true: the
 * log begins anew (a file system without holes). */
bool logs_note(struct backend *be, const char *endpoint, const char *variant, const char *instance);

/* logs_sweep: removes streams whose last line is older than a week and, the oldest first, what is more than 256 MiB in all; never
 * those that used(arg, instance) says. Blocks. */
void logs_sweep(struct backend *be, bool (*used)(void *arg, const char *instance), void *arg);

/* --- reading: logs_read.c */

struct log_mark {
	int64_t size; /* bytes of the log that there were */
	int64_t ms;   /* when: epoch milliseconds */
};

struct log_stream {
	int log;
	int64_t begin, end; /* bytes that there are to read */
	struct log_mark *marks;
	size_t n;
};

/* log_stream_open: "VARIANT/INSTANCE" of an endpoint's group. 1, 0 no such stream, -1. To be closed when 1. */
int log_stream_open(struct backend *be, const char *endpoint, const char *name,
		    struct log_stream *s, struct err *e) _must_check_;
void log_stream_close(struct log_stream *s);
/* log_time_at: of the line that begins there. log_offset_of: where the lines of that time and later begin. */
int64_t log_time_at(const struct log_stream *s, int64_t offset);
int64_t log_offset_of(const struct log_stream *s, int64_t ms);
/* log_line_before: the beginning of the line that `offset` is in (or at), not looking back more than max bytes. */
int64_t log_line_before(const struct log_stream *s, int64_t offset, int64_t max);

struct log_event {
	int64_t at, next; /* offset of the line and of the one behind it */
	int64_t ms;
	char *text; /* len bytes, clean UTF-8, without the newline; borrowed */
	size_t len;
};

/* log_each: the events that begin in [from, to), in order, until fn says false. 0, -1 with e. */
int log_each(const struct log_stream *s, int64_t from, int64_t to,
	     bool (*fn)(void *arg, const struct log_event *ev), void *arg, struct err *e)
	_must_check_;

/* logs_groups, logs_streams: fn for every endpoint that has a group; for every stream of one, by name. 1, 0 there is no such
 * group. */
void logs_groups(struct backend *be, void (*fn)(void *arg, const char *endpoint), void *arg);
int logs_streams(struct backend *be, const char *endpoint, void (*fn)(void *arg, const char *name),
		 void *arg);

#endif
