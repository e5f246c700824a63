#include "sagemaker/local/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

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

void log_now(char out[32])
{
	struct timespec now;
	struct tm tm;
	char day[24];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03uZ", day, (unsigned)(now.tv_nsec / 1000000) % 1000);
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

void logger_line(struct logger *l, const char *fmt, ...)
{
	char line[2048], now[32];
	va_list ap;

	if (!l)
		return;
	log_now(now);
	int n = snprintf(line, sizeof line, "%s ", now);
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
	va_end(ap);
	size_t len = MIN((size_t)n + (size_t)MAX(m, 0), sizeof line - 2);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	}
	line[len++] = '\n';
	SCOPED_LOCK(&l->mu);
	if (write(l->fd, line, len) > 0)
		l->size += (off_t)len;
	if (l->size > LOG_MAX)
		rotate_locked(l);
}
