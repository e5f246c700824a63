/* blocks.c: blocks that are open, and the way of one onto the disk. */
#include "fs/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fs/jobs.h"
#include "sagemaker/gzindex.h"
#include "sagemaker/hash.h"
#include "sagemaker/unpack.h"

#define PIECE    ((size_t)256 << 10)
#define MARK_MS  30000 /* a block in use says so that often */
#define MAKE_WAY ((uint64_t)64 << 20)

struct blocks {
	int dirfd;
	uint64_t max;
	struct log *log;
	pthread_mutex_t trim_mu; /* one look at the disk at a time; before mu */
	pthread_mutex_t mu;      /* guards what follows, and blocks' counts; a leaf */
	struct block *open[BLOCKS_OPEN];
	uint64_t clock;
	bool counted;
	uint64_t bytes; /* on disk, as of the last look, and what was added since */
	bool told;      /* that the disk is full */
};

struct blocks *blocks_new(int dirfd, uint64_t max, struct log *log)
{
	struct blocks *b = calloc(1, sizeof *b);

	if (!b) {
		closep(&dirfd);
		return NULL;
	}
	b->dirfd = max ? dirfd : -1;
	if (!max)
		closep(&dirfd);
	b->max = max;
	b->log = log;
	pthread_mutex_init(&b->trim_mu, NULL);
	pthread_mutex_init(&b->mu, NULL);
	return b;
}

static void block_free(struct block *k)
{
	close(k->fd);
	free(k);
}

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < BLOCKS_OPEN; i++) {
		if (b->open[i])
			block_free(b->open[i]);
	}
	closep(&b->dirfd);
	pthread_mutex_destroy(&b->mu);
	pthread_mutex_destroy(&b->trim_mu);
	free(b);
}

static void unref_locked(struct block *k)
{
	if (--k->refs == 0)
		block_free(k);
}

void block_put(struct block *k)
{
	if (!k)
		return;
	SCOPED_LOCK(&k->of->mu);

	unref_locked(k);
}

void block_putp(struct block **k)
{
	block_put(*k);
}

static bool is(const struct block *k, const char *id, size_t i)
{
	return k && k->i == i && streq(k->id, id);
}

static void mark_locked(struct block *k)
{
	int64_t now = now_ms();

	k->used = ++k->of->clock;
	if (k->memory || (k->marked && now - k->marked < MARK_MS))
		return;
	k->marked = now;
	(void)!futimens(k->fd, NULL);
}

static struct block *find_locked(struct blocks *b, const char *id, size_t i)
{
	for (size_t s = 0; s < BLOCKS_OPEN; s++) {
		if (!is(b->open[s], id, i))
			continue;
		mark_locked(b->open[s]);
		b->open[s]->refs++;
		return b->open[s];
	}
	return NULL;
}

struct block *blocks_find(struct blocks *b, const char *id, size_t i)
{
	SCOPED_LOCK(&b->mu);

	return find_locked(b, id, i);
}

/* The slot for one more: an empty one, or that of the least recently used; among those in memory when these are too many. */
static size_t slot_locked(struct blocks *b, bool memory)
{
	size_t in_memory = 0, best = 0;

	for (size_t s = 0; s < BLOCKS_OPEN; s++)
		in_memory += b->open[s] && b->open[s]->memory;
	bool only_memory = memory && in_memory >= BLOCKS_MEMORY;
	uint64_t oldest = UINT64_MAX;
	for (size_t s = 0; s < BLOCKS_OPEN; s++) {
		const struct block *k = b->open[s];
		uint64_t used = k ? k->used : 0;

		if ((only_memory && !(k && k->memory)) || used >= oldest)
			continue;
		oldest = used;
		best = s;
	}
	return best;
}

/* k, which nobody knows yet, or the one that was quicker; referenced for the caller. */
static struct block *keep(struct blocks *b, struct block *k)
{
	SCOPED_LOCK(&b->mu);
	struct block *other = find_locked(b, k->id, k->i);

	if (other) {
		block_free(k);
		return other;
	}
	size_t s = slot_locked(b, k->memory);
	if (b->open[s])
		unref_locked(b->open[s]);
	b->open[s] = k;
	k->refs = 2; /* the table's and the caller's */
	mark_locked(k);
	return k;
}

/* fd is taken. */
static struct block *block_make(struct blocks *b, int fd, uint64_t n, const char *id, size_t i)
{
	struct block *k = calloc(1, sizeof *k);

	if (!k) {
		close(fd);
		return NULL;
	}
	k->fd = fd;
	k->n = n;
	k->of = b;
	k->i = i;
	snprintf(k->id, sizeof k->id, "%s", id);
	return k;
}

static void file_name(const char *id, size_t i, char out[64])
{
	snprintf(out, 64, "%s/%zu", id, i);
}

static bool crc_is(int fd, uint64_t n, uint32_t crc)
{
	_cleanup_free_ char *piece = malloc(PIECE);
	uint32_t so_far = 0;
	uint64_t at = 0;

	while (piece && at < n) {
		ssize_t k = pread(fd, piece, PIECE, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		so_far = gz_crc(so_far, piece, (size_t)k);
		at += (uint64_t)k;
	}
	return piece && so_far == crc;
}

struct block *blocks_load(struct blocks *b, const char *id, size_t i, uint64_t n, uint32_t crc)
{
	char name[64];
	struct stat st;

	file_name(id, i, name);
	if (b->dirfd < 0)
		return NULL;
	_cleanup_close_ int fd = openat(b->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (n != UINT64_MAX && (uint64_t)st.st_size != n) ||
	    !crc_is(fd, (uint64_t)st.st_size, crc)) {
		log_line(b->log, LOG_LEVEL_WARNING, "models",
			 "the cached %s was damaged; it is fetched again", name);
		(void)!unlinkat(b->dirfd, name, 0);
		return NULL;
	}
	struct block *k = block_make(b, steal_fd(&fd), (uint64_t)st.st_size, id, i);
	return k ? keep(b, k) : NULL;
}

static int memory_file(void)
{
	return memfd_create("sagemakerfs block", MFD_CLOEXEC);
}

int block_begin(struct block_new *w, struct blocks *b, struct err *e)
{
	char random[9];

	random_text(random, sizeof random);
	*w = (struct block_new){.b = b, .fd = -1};
	snprintf(w->temp, sizeof w->temp, ".%s", random);
	if (b->dirfd >= 0)
		w->fd = openat(b->dirfd, w->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		w->memory = true;
		w->fd = memory_file();
	}
	return w->fd < 0 ? err_errno(e, "cannot keep what was read") : 0;
}

static bool no_room(int no)
{
	return no == ENOSPC || no == EDQUOT || no == EIO || no == EROFS;
}

/* The file that was begun goes on in memory. */
static int into_memory(struct block_new *w)
{
	_cleanup_free_ char *piece = malloc(PIECE);
	_cleanup_close_ int to = memory_file();

	if (!piece || to < 0)
		return -1;
	for (uint64_t at = 0; at < w->n;) {
		ssize_t k = pread(w->fd, piece, PIECE, (off_t)at);

		if (k <= 0 || pwrite(to, piece, (size_t)k, (off_t)at) != k)
			return -1;
		at += (uint64_t)k;
	}
	(void)!unlinkat(w->b->dirfd, w->temp, 0);
	close(w->fd);
	w->fd = steal_fd(&to);
	w->memory = true;
	return 0;
}

static void look(struct blocks *b, uint64_t bytes)
{
	uint64_t left = 0;

	blocks_trim(b->dirfd, bytes, &left);
	SCOPED_LOCK(&b->mu);
	b->bytes = left;
	b->counted = true;
}

/* Whether the disk is full and nobody has said so yet. */
static bool news(struct blocks *b, bool full, uint64_t left)
{
	SCOPED_LOCK(&b->mu);
	bool told = b->told;

	b->told = full;
	b->bytes = left;
	return full && !told;
}

/* Whether something went that was on the disk. */
static bool make_way(struct blocks *b)
{
	SCOPED_LOCK(&b->trim_mu);
	uint64_t bytes = 0, left = 0;
	size_t went = 0;

	blocks_trim(b->dirfd, UINT64_MAX, &bytes);
	if (bytes)
		went = blocks_trim(b->dirfd, bytes > MAKE_WAY ? bytes - MAKE_WAY : 0, &left);
	if (news(b, !went, left))
		log_line(
			b->log, LOG_LEVEL_WARNING, "models",
			"the disk of the cache is full: what is read from S3 is not kept; make room there, or set -o cache_size");
	return went != 0;
}

static int write_failed(struct block_new *w, struct err *e)
{
	if (w->memory || !no_room(errno))
		return err_errno(e, "cannot keep what was read");
	if (errno != EIO && errno != EROFS && make_way(w->b))
		return 0;
	return into_memory(w) < 0 ? err_errno(e, "cannot keep what was read") : 0;
}

int block_write(struct block_new *w, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n) {
		ssize_t k = pwrite(w->fd, at, n, (off_t)w->n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && write_failed(w, e) < 0)
			return -1;
		if (k < 0)
			continue;
		at += k;
		n -= (size_t)k;
		w->n += (uint64_t)k;
	}
	return 0;
}

/* The files are more than they may be, or nobody has looked yet. */
static void added(struct blocks *b, uint64_t n)
{
	bool full;

	{
		SCOPED_LOCK(&b->mu);
		b->bytes += n;
		full = !b->counted || b->bytes > b->max;
	}
	if (!full)
		return;
	SCOPED_LOCK(&b->trim_mu);
	{
		SCOPED_LOCK(&b->mu);
		full = !b->counted || b->bytes > b->max;
	}
	if (full)
		look(b, b->max);
}

static int name_it(struct block_new *w, const char *id, const char *name)
{
	for (int tries = 0; tries < 2; tries++) {
		if (renameat(w->b->dirfd, w->temp, w->b->dirfd, name) == 0)
			return 0;
		if (errno != ENOENT || (mkdirat(w->b->dirfd, id, 0700) < 0 && errno != EEXIST))
			return -1;
	}
	return -1;
}

struct block *block_end(struct block_new *w, const char *id, size_t i)
{
	struct block *k;
	char name[64];

	file_name(id, i, name);
	if (!w->memory && name_it(w, id, name) < 0) {
		(void)!unlinkat(w->b->dirfd, w->temp, 0);
		w->memory = true; /* a file without a name: space of the disk, but little of it */
	}
	k = block_make(w->b, steal_fd(&w->fd), w->n, id, i);
	if (!k)
		return NULL;
	k->memory = w->memory;
	k = keep(w->b, k);
	if (!w->memory)
		added(w->b, w->n);
	return k;
}

void block_drop(struct block_new *w)
{
	if (w->fd >= 0 && !w->memory)
		(void)!unlinkat(w->b->dirfd, w->temp, 0);
	closep(&w->fd);
	w->fd = -1;
}

bool blocks_keeps(const struct blocks *b)
{
	return b->dirfd >= 0;
}

int blocks_file(struct blocks *b, const char *id, const char *name, struct buf *out)
{
	_cleanup_free_ char *path = str_printf("%s/%s", id, name);
	_cleanup_close_ int fd = b->dirfd >= 0 && path
					 ? openat(b->dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
					 : -1;

	if (fd < 0)
		return -1;
	(void)!futimens(fd, NULL);
	return buf_read_fd(out, fd);
}

void blocks_put_file(struct blocks *b, const char *id, const char *name, const void *p, size_t n)
{
	_cleanup_free_ char *path = str_printf("%s/%s", id, name);
	struct block_new w;
	struct err e;

	if (!path || !blocks_keeps(b) || block_begin(&w, b, &e) < 0)
		return;
	if (block_write(&w, p, n, &e) < 0 || w.memory || name_it(&w, id, path) < 0)
		block_drop(&w);
	else
		added(b, n);
	closep(&w.fd);
}

void blocks_forget(struct blocks *b, const char *id)
{
	struct err e;

	if (b->dirfd >= 0)
		(void)!remove_tree(b->dirfd, id, &e);
	SCOPED_LOCK(&b->mu);
	for (size_t s = 0; s < BLOCKS_OPEN; s++) {
		if (b->open[s] && streq(b->open[s]->id, id))
			unref_locked(steal(b->open[s]));
	}
}
