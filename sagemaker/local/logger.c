#include "sagemaker/local/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#define LOG_MAX ((off_t)8 << 20)

struct logger {
	int dirfd;
	pthread_mutex_t mu; /* guards what follows */
	int fd;
	off_t size;
};

static int open_log(int dirfd)
{
	return openat(dirfd, "log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

struct logger *logger_new(int dirfd, struct err *e)
{
	struct logger *l = calloc(1, sizeof *l);
	struct stat st;

	if (!l) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	l->dirfd = dirfd;
	l->fd = open_log(dirfd);
	if (l->fd < 0) {
		err_errno(e, "cannot open the store's 'log'");
		free(l);
		return NULL;
	}
	l->size = fstat(l->fd, &st) == 0 ? st.st_size : 0;
	pthread_mutex_init(&l->mu, NULL);
	return l;
}

void logger_free(struct logger *l)
{
	if (!l)
		return;
	close(l->fd);
	pthread_mutex_destroy(&l->mu);
	free(l);
}

static void rotate_locked(struct logger *l)
{
	renameat(l->dirfd, "log", l->dirfd, "log.1");
	int fd = open_log(l->dirfd);
	if (fd < 0)
		return;
	close(l->fd);
	l->fd = fd;
	l->size = 0;
}

/* text as a quoted value at line[n...]; what does not fit is left out. The new length. */
static size_t quote(char *line, size_t n, size_t size, const char *text)
{
	line[n++] = '"';
	for (; *text && n + 4 < size; text++) {
		if (*text == '"' || *text == '\\')
			line[n++] = '\\';
		line[n++] = (char)((unsigned char)*text < ' ' ? ' ' : *text);
	}
	line[n++] = '"';
	return n;
}

/* Rows of name=value (logfmt). */
static void write_line(struct logger *l, const char *level, const char *fields, const char *name,
		       const char *text)
{
	char line[2048 + 512], now[32];

	now_text(now);
	size_t n = (size_t)snprintf(line, 512, "time=%s level=%s %s", now, level, fields);
	n = MIN(n, (size_t)511);
	if (text) {
		n += (size_t)snprintf(line + n, 32, "%s%s=", *fields ? " " : "", name);
		n = quote(line, n, sizeof line - 2, text);
	}
	line[n++] = '\n';
	SCOPED_LOCK(&l->mu);
	if (write(l->fd, line, n) > 0)
		l->size += (off_t)n;
	if (l->size > LOG_MAX)
		rotate_locked(l);
}

_printf_(3, 0) static void write_event(struct logger *l, const char *level, const char *fmt,
				       va_list ap)
{
	char text[1024];

	if (!l)
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	write_line(l, level, "", "msg", text);
}

void logger_line(struct logger *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_event(l, "info", fmt, ap);
	va_end(ap);
}

void logger_warn(struct logger *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_event(l, "warn", fmt, ap);
	va_end(ap);
}

void logger_error(struct logger *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_event(l, "error", fmt, ap);
	va_end(ap);
}

void logger_call(struct logger *l, const struct logged_call *c)
{
	char fields[384];

	if (!l)
		return;
	snprintf(fields, sizeof fields, "op=%.100s status=%u ms=%u request=%.100s", c->op,
		 c->status, (unsigned)MIN(c->ms, 4e9), c->request);
	write_line(l,
		   c->status >= 500   ? "error"
		   : c->status >= 400 ? "warn"
				      : "info",
		   fields, "error", c->error);
}
