/* logs_read.c: the files of logs.h as they are read: lines with their times. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sagemaker/local/logs.h"
#include "sagemaker/local/request.h"

#define WINDOW  (LOG_EVENT_MOST * 2) /* bytes read at once: the longest event always fits */
#define HALF_MS 1000 /* a line without its end is one when nothing came for so long */

static int read_marks(int dir, struct log_stream *s)
{
	_cleanup_close_ int fd = openat(dir, "marks", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return 0;
	flock(fd, LOCK_SH);
	if (fstat(fd, &st) < 0)
		return -1;
	s->n = (size_t)st.st_size / sizeof *s->marks;
	s->marks = calloc(s->n + 1, sizeof *s->marks);
	ssize_t want = (ssize_t)(s->n * sizeof *s->marks);
	return s->marks && pread(fd, s->marks, (size_t)want, 0) == want ? 0 : -1;
}

/* Where the first line begins that does not begin before offset. */
static int64_t line_from(const struct log_stream *s, int64_t offset)
{
	_cleanup_free_ char *p = malloc(LOG_EVENT_MOST);
	ssize_t n = p && offset > 0 ? pread(s->log, p, LOG_EVENT_MOST, offset - 1) : 0;
	const char *line = n > 0 ? memchr(p, '\n', (size_t)n) : NULL;

	return line ? offset + (line - p) : offset;
}

/* Its bytes: behind the hole; and a last line that is still being printed is not there yet. */
static void find_bounds(struct log_stream *s)
{
	int64_t age = (int64_t)(time_now() * 1e3) - (s->n ? s->marks[s->n - 1].ms : 0);
	off_t data = lseek(s->log, 0, SEEK_DATA);
	struct stat st;

	s->end = s->n ? s->marks[s->n - 1].size : 0;
	if (fstat(s->log, &st) == 0)
		s->end = MIN(s->end, (int64_t)st.st_size);
	if (age < HALF_MS)
		s->end = log_line_before(s, s->end, (int64_t)LOG_EVENT_MOST);
	if (data > 0 && data < s->end)
		s->begin = line_from(s, data + 1);
}

int log_stream_open(struct backend *be, const char *endpoint, const char *name,
		    struct log_stream *s, struct err *e)
{
	char variant[64], path[320];
	const char *slash = strchr(name, '/');

	*s = (struct log_stream){.log = -1};
	if (!slash || strstr(name, "..") || strchr(slash + 1, '/') ||
	    !copy_text(variant, sizeof variant, name, (size_t)(slash - name)))
		return 0;
	logs_note(be, endpoint, variant, slash + 1);
	snprintf(path, sizeof path, "logs/%s/%s", endpoint, name);
	_cleanup_close_ int dir =
		openat(be->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	s->log = dir < 0 ? -1 : openat(dir, "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->log < 0)
		return errno == ENOENT || errno == ENAMETOOLONG
			       ? 0
			       : err_errno(e, "cannot open the log '%s'", path);
	if (read_marks(dir, s) < 0) {
		log_stream_close(s);
		return err_errno(e, "cannot read the times of the log '%s'", path);
	}
	find_bounds(s);
	return 1;
}

void log_stream_close(struct log_stream *s)
{
	closep(&s->log);
	free(s->marks);
	s->marks = NULL;
}

/* The first mark of which after(mark, value). */
static size_t first_mark(const struct log_stream *s, int64_t value, bool by_size)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		bool behind = by_size ? s->marks[mid].size > value : s->marks[mid].ms >= value;

		if (behind)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int64_t log_time_at(const struct log_stream *s, int64_t offset)
{
	size_t i = first_mark(s, offset, true);

	if (!s->n)
		return 0;
	return s->marks[MIN(i, s->n - 1)].ms;
}

int64_t log_offset_of(const struct log_stream *s, int64_t ms)
{
	size_t i = first_mark(s, ms, false);
	int64_t at = i ? s->marks[i - 1].size : 0;

	if (at <= s->begin)
		return s->begin;
	return at < s->end ? line_from(s, at) : s->end;
}

int64_t log_line_before(const struct log_stream *s, int64_t offset, int64_t max)
{
	int64_t from = MAX(s->begin, offset - max);
	_cleanup_free_ char *p = malloc((size_t)(offset - from) + 1);
	ssize_t n = p && offset > from ? pread(s->log, p, (size_t)(offset - from), from) : 0;
	const char *line = n > 0 ? memrchr(p, '\n', (size_t)n) : NULL;

	return line ? from + (line + 1 - p) : from;
}

/* One line of the n bytes at p, which are at `at` in the log; 0: more bytes are needed. */
static size_t cut_line(char *p, size_t n, bool last, struct log_event *ev)
{
	const char *end = memchr(p, '\n', MIN(n, LOG_EVENT_MOST));
	size_t len = end ? (size_t)(end - p) : MIN(n, LOG_EVENT_MOST), used = len + (end != NULL);

	if (!end && len < LOG_EVENT_MOST && !last)
		return 0;
	if (len && p[len - 1] == '\r')
		len--;
	utf8_clean(p, len);
	ev->text = p;
	ev->len = len;
	return used;
}

/* The lines of a window that was read at `at`; how many bytes of it are done, *more: fn wants to go on. */
static size_t each_line(const struct log_stream *s, struct log_event *ev, char *p, size_t n,
			int64_t to, bool *more, bool (*fn)(void *, const struct log_event *),
			void *arg)
{
	const int64_t at = ev->at;
	const bool last = at + (int64_t)n >= s->end;
	size_t done = 0, used;

	while (*more && done < n && ev->at < to &&
	       (used = cut_line(p + done, n - done, last, ev)) > 0) {
		ev->next = ev->at + (int64_t)used;
		ev->ms = log_time_at(s, ev->at);
		if (ev->len)
			*more = fn(arg, ev);
		ev->at = ev->next;
		done += used;
	}
	return done;
}

int log_each(const struct log_stream *s, int64_t from, int64_t to,
	     bool (*fn)(void *arg, const struct log_event *ev), void *arg, struct err *e)
{
	_cleanup_free_ char *window = malloc(WINDOW);
	struct log_event ev = {.at = MAX(from, s->begin)};
	bool more = true;

	if (!window)
		return err_set(e, ENOMEM, "out of memory");
	to = MIN(to, s->end);
	while (more && ev.at < to) {
		ssize_t n = pread(s->log, window, MIN(WINDOW, (size_t)(s->end - ev.at)), ev.at);

		if (n < 0)
			return err_errno(e, "cannot read a log");
		if (!n || !each_line(s, &ev, window, (size_t)n, to, &more, fn, arg))
			return 0; /* it was cut meanwhile */
	}
	return 0;
}
