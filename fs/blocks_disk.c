/* blocks_disk.c: which of the cache's files were not used for the longest time. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/blocks.h"

#define FILES_MAX 200000 /* however small they are */
#define STALE_S   3600   /* a temporary file of that age has no writer any more */
#define SLACK \
 16 /* what is trimmed is trimmed by so much more (a 16th), so that the next one need not look again */

struct found {
	char name[64]; /* ID/N */
	struct timespec used;
	uint64_t bytes;
};

struct finding {
	struct found *v;
	size_t n, cap;
	uint64_t bytes;
};

static void find_one(struct finding *f, const char *dir, const char *name, const struct stat *st)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 256;
		struct found *more = reallocarray(f->v, cap, sizeof *more);

		if (!more)
			return;
		f->v = more;
		f->cap = cap;
	}
	struct found *x = &f->v[f->n];
	if (strlen(dir) + 1 + strlen(name) >= sizeof x->name)
		return; /* none of ours */
	stpcpy(stpcpy(stpcpy(x->name, dir), "/"), name);
	x->used = st->st_mtim;
	x->bytes = (uint64_t)st->st_size;
	f->bytes += x->bytes;
	f->n++;
}

static DIR *open_below(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static void find_in(struct finding *f, int root, const char *dir)
{
	_cleanup_closedir_ DIR *d = open_below(root, dir);
	struct dirent *de;
	struct stat st;

	while (d && (de = readdir(d))) {
		if (de->d_name[0] != '.' &&
		    fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			find_one(f, dir, de->d_name, &st);
	}
}

/* A temporary file: counted, and removed when its writer has died. */
static void find_temporary(struct finding *f, int root, const char *name)
{
	struct stat st;

	if (streq(name, ".") || streq(name, "..") ||
	    fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (time(NULL) - st.st_mtime > STALE_S)
		(void)!unlinkat(root, name, 0);
	else
		f->bytes += (uint64_t)st.st_size;
}

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct found *)a)->used;
	const struct timespec *y = &((const struct found *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static void remove_one(int root, struct found *x)
{
	if (unlinkat(root, x->name, 0) < 0)
		return;
	*strchr(x->name, '/') = 0;
	(void)!unlinkat(root, x->name, AT_REMOVEDIR); /* the last one of its archive */
}

size_t blocks_trim(int root, uint64_t bytes, uint64_t *left)
{
	_cleanup_closedir_ DIR *d = open_below(root, ".");
	struct finding f = {0};
	struct dirent *de;
	size_t i = 0;

	while (d && (de = readdir(d))) {
		if (de->d_name[0] == '.')
			find_temporary(&f, root, de->d_name);
		else
			find_in(&f, root, de->d_name);
	}
	if (f.n)
		qsort(f.v, f.n, sizeof *f.v, by_use);
	if (f.bytes > bytes || f.n > FILES_MAX) {
		uint64_t low = bytes - bytes / SLACK;

		for (; i < f.n && (f.bytes > low || f.n - i > FILES_MAX - FILES_MAX / SLACK); i++) {
			remove_one(root, &f.v[i]);
			f.bytes -= f.v[i].bytes;
		}
	}
	*left = f.bytes;
	free(f.v);
	return i;
}
