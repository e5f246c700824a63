#include "fs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define LOG_FILE "log"
#define LOG_OLD  "log.1"
#define LOG_MAX  ((off_t)4 << 20)

struct log {
	pthread_mutex_t mu; /* guards fd, size; held across one write */
	int dirfd;          /* own duplicate, -1 in the foreground */
	int fd;
	off_t size;
	enum log_level level;
};

static int open_file(int dirfd)
{
	return openat(dirfd, LOG_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		      0600);
}

struct log *log_open(int state_dirfd, bool foreground, enum log_level level, struct err *e)
{
	struct log *l = calloc(1, sizeof *l);
	struct stat st;

	if (!l) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	*l = (struct log){.dirfd = -1, .fd = STDERR_FILENO, .level = level};
	pthread_mutex_init(&l->mu, NULL);
	if (foreground)
		return l;
	l->dirfd = fcntl(state_dirfd, F_DUPFD_CLOEXEC, 0);
	l->fd = l->dirfd < 0 ? -1 : open_file(l->dirfd);
	if (l->fd < 0 || fstat(l->fd, &st) < 0) {
		err_errno(e, "cannot open the log in the state directory");
		log_close(l);
		return NULL;
	}
	l->size = st.st_size;
	return l;
}

void log_close(struct log *l)
{
	if (!l)
		return;
	if (l->fd > STDERR_FILENO)
		close(l->fd);
	if (l->dirfd >= 0)
		close(l->dirfd);
	pthread_mutex_destroy(&l->mu);
	free(l);
}

static void rotate_locked(struct log *l)
{
	if (l->dirfd < 0 || l->size < LOG_MAX ||
	    renameat(l->dirfd, LOG_FILE, l->dirfd, LOG_OLD) < 0)
		return;
	int fd = open_file(l->dirfd);
	if (fd < 0)
		return; /* goes on in the old file */
	close(l->fd);
	l->fd = fd;
	l->size = 0;
}

/* A line is one line: what came from elsewhere may hold line ends and worse. */
static void flatten(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
	}
}

void log_line(struct log *l, enum log_level level, const char *room, const char *fmt, ...)
{
	static const char *const words[] = {"error", "warning", "info", "debug"};
	char line[4096], now[32];
	va_list ap;

	if (!l || level > l->level)
		return;
	now_text(now);
	size_t n = (size_t)snprintf(line, sizeof line, "%s %s %s: ", now, words[level], room);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	flatten(line);
	n = strlen(line);
	line[n++] = '\n';

	SCOPED_LOCK(&l->mu);
	rotate_locked(l);
	ssize_t wrote = write(l->fd, line, n);
	if (wrote > 0)
		l->size += wrote;
}
