/* logs.c: the files of logs.h as they are written: opened, marked, kept short, removed. */
#include "sagemaker/local/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sagemaker/local/logger.h"
#include "sagemaker/unpack.h"

#define LOG_MAX     ((off_t)16 << 20) /* bytes on disk of one log */
#define LOG_KEPT    ((off_t)8 << 20)
#define MARKS_MAX   ((size_t)65536) /* of one log: a day of printing every second, more of less */
#define ALL_MOST    ((int64_t)256 << 20)
#define KEPT_MS     ((int64_t)7 * 24 * 3600 * 1000)
#define STREAM_PATH 1024

/* ---- writing ---- */

static int64_t ms_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int stream_dir(struct backend *be, const char *endpoint, const char *variant,
		      const char *instance)
{
	char path[STREAM_PATH];

	snprintf(path, sizeof path, "logs/%s/%s/%s", endpoint, variant, instance);
	return open_dir(be->dirfd, path);
}

static int make_stream_dir(struct backend *be, const char *endpoint, const char *variant,
			   const char *instance)
{
	const char *const names[] = {"logs", endpoint, variant, instance};
	int at = dup(be->dirfd);

	for (size_t i = 0; at >= 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int above = at;

		at = mkdirat(above, names[i], 0700) == 0 || errno == EEXIST
			     ? open_dir(above, names[i])
			     : -1;
	}
	return at;
}

static int open_marks(int dir)
{
	int fd = openat(dir, "marks", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		flock(fd, LOCK_EX); /* until it is closed */
	return fd;
}

/* Half of the older half goes: time is told less finely there. The first one stays: it is when the stream began. */
static void thin_marks(int fd, size_t n)
{
	_cleanup_free_ struct log_mark *m = calloc(n, sizeof *m);
	size_t kept = 0;

	if (!m || pread(fd, m, n * sizeof *m, 0) != (ssize_t)(n * sizeof *m))
		return;
	for (size_t i = 0; i < n; i++) {
		if (i >= n / 2 || i % 2 == 0)
			m[kept++] = m[i];
	}
	if (ftruncate(fd, 0) < 0 || write(fd, m, kept * sizeof *m) < 0)
		(void)!ftruncate(
			fd, 0); /* lines without a mark have the time of the last one written */
}

static void add_mark(int fd, const struct stat *log)
{
	struct log_mark last = {0, 0}, now = {log->st_size, ms_of(log->st_mtim)};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	size_t n = (size_t)st.st_size / sizeof last;
	if (n && pread(fd, &last, sizeof last, (off_t)((n - 1) * sizeof last)) != sizeof last)
		return;
	if (now.size <= last.size)
		return;
	now.ms = MAX(now.ms, last.ms); /* a clock that was set back */
	if (write(fd, &now, sizeof now) == sizeof now && n + 1 > MARKS_MAX)
		thin_marks(fd, n + 1);
}

/* Below its limit again; true: the log begins anew. */
static bool shorten(int log, int marks, const struct stat *st)
{
	off_t from = (st->st_size - LOG_KEPT) & ~(off_t)4095;

	if ((off_t)st->st_blocks * 512 <= LOG_MAX || from <= 0)
		return false;
	if (fallocate(log, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, from) == 0)
		return false;
	return ftruncate(log, 0) == 0 && ftruncate(marks, 0) == 0;
}

bool logs_note(struct backend *be, const char *endpoint, const char *variant, const char *instance)
{
	_cleanup_close_ int dir = stream_dir(be, endpoint, variant, instance);
	_cleanup_close_ int log =
		dir < 0 ? -1 : openat(dir, "log", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int marks = log < 0 ? -1 : open_marks(dir);
	struct stat st;

	if (marks < 0 || fstat(log, &st) < 0)
		return false;
	add_mark(marks, &st);
	return shorten(log, marks, &st);
}

int logs_open(struct backend *be, const char *endpoint, const char *variant, const char *instance,
	      struct err *e)
{
	_cleanup_close_ int dir = make_stream_dir(be, endpoint, variant, instance);
	int log = dir < 0 ? -1
			  : openat(dir, "log",
				   O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return log < 0 ? err_errno(e, "cannot open the instance's log") : log;
}

int logs_fd(struct backend *be, const char *endpoint, const char *variant, const char *instance)
{
	_cleanup_close_ int dir = stream_dir(be, endpoint, variant, instance);

	return dir < 0 ? -1 : openat(dir, "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- what there is ---- */

/* fn for every directory in `at`. */
static void each_dir(int at, void (*fn)(void *arg, const char *name), void *arg)
{
	int fd = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		if (t->d_name[0] != '.')
			fn(arg, t->d_name);
	}
}

void logs_groups(struct backend *be, void (*fn)(void *arg, const char *endpoint), void *arg)
{
	_cleanup_close_ int top = open_dir(be->dirfd, "logs");

	each_dir(top, fn, arg);
}

struct walk {
	int at; /* the directory being read */
	const char *above;
	void (*fn)(void *arg, const char *name);
	void *arg;
};

static void on_instance(void *arg, const char *name)
{
	const struct walk *w = arg;
	char path[STREAM_PATH];

	snprintf(path, sizeof path, "%s/%s", w->above, name);
	w->fn(w->arg, path);
}

static void on_variant(void *arg, const char *name)
{
	const struct walk *w = arg;
	_cleanup_close_ int dir = open_dir(w->at, name);
	struct walk below = {dir, name, w->fn, w->arg};

	each_dir(dir, on_instance, &below);
}

int logs_streams(struct backend *be, const char *endpoint, void (*fn)(void *arg, const char *name),
		 void *arg)
{
	char path[STREAM_PATH];
	struct walk w = {-1, NULL, fn, arg};

	snprintf(path, sizeof path, "logs/%s", endpoint);
	_cleanup_close_ int dir = open_dir(be->dirfd, path);
	w.at = dir;
	each_dir(dir, on_variant, &w);
	return dir >= 0;
}

/* ---- removing ---- */

struct ended {
	char path[STREAM_PATH]; /* below logs/ */
	int64_t ms, bytes;
};

struct sweep {
	struct backend *be;
	const char *endpoint;
	bool (*used)(void *arg, const char *instance);
	void *arg;
	struct ended *rows;
	size_t n, cap;
	int64_t bytes;
};

static int64_t disk_bytes(int top, const char *path, int64_t *ms)
{
	char file[STREAM_PATH + 8];
	struct stat log = {0}, marks = {0};

	snprintf(file, sizeof file, "%s/log", path);
	if (fstatat(top, file, &log, AT_SYMLINK_NOFOLLOW) < 0)
		log.st_mtim.tv_sec = 0; /* left by a crash between two steps */
	snprintf(file, sizeof file, "%s/marks", path);
	if (fstatat(top, file, &marks, AT_SYMLINK_NOFOLLOW) < 0)
		marks.st_blocks = 0;
	*ms = ms_of(log.st_mtim);
	return ((int64_t)log.st_blocks + marks.st_blocks) * 512;
}

static void weigh(void *arg, const char *name)
{
	struct sweep *s = arg;

	if (s->used(s->arg, strrchr(name, '/') + 1))
		return;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct ended *more = realloc(s->rows, cap * sizeof *more);

		if (!more)
			return;
		s->rows = more;
		s->cap = cap;
	}
	struct ended *row = &s->rows[s->n++];
	_cleanup_close_ int top = open_dir(s->be->dirfd, "logs");
	snprintf(row->path, sizeof row->path, "%s/%s", s->endpoint, name);
	row->bytes = disk_bytes(top, row->path, &row->ms);
	s->bytes += row->bytes;
}

static void weigh_group(void *arg, const char *endpoint)
{
	struct sweep *s = arg;

	s->endpoint = endpoint;
	logs_streams(s->be, endpoint, weigh, s);
}

static int by_age(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	return x->ms < y->ms ? -1 : x->ms > y->ms;
}

/* The stream, and what is empty above it. */
static void remove_stream(struct backend *be, int top, char *path)
{
	struct err e;

	if (remove_tree(top, path, &e) < 0)
		logger_warn(be->log, "cannot remove an old log: %s", e.text);
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (unlinkat(top, path, AT_REMOVEDIR) < 0)
			return; /* others are there */
	}
}

void logs_sweep(struct backend *be, bool (*used)(void *arg, const char *instance), void *arg)
{
	struct sweep s = {.be = be, .used = used, .arg = arg};
	_cleanup_close_ int top = open_dir(be->dirfd, "logs");
	const int64_t oldest = (int64_t)time(NULL) * 1000 - KEPT_MS;

	if (top < 0)
		return;
	logs_groups(be, weigh_group, &s);
	if (s.n)
		qsort(s.rows, s.n, sizeof *s.rows, by_age);
	for (size_t i = 0; i < s.n && (s.rows[i].ms < oldest || s.bytes > ALL_MOST); i++) {
		s.bytes -= s.rows[i].bytes;
		remove_stream(be, top, s.rows[i].path);
	}
	free(s.rows);
}
