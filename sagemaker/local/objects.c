#include "sagemaker/local/objects_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* An object that readers are using; its files wait for them when it is deleted or replaced. */
struct pin {
	struct pin *next;
	int64_t object;
	unsigned readers;
	struct segment *doomed;
	size_t n_doomed;
};

struct objects {
	struct backend *be;
	int dirfd;
	pthread_mutex_t mu; /* guards pins ("pins.mu") */
	struct pin *pins;
};

struct reader {
	struct objects *objects;
	int64_t object;
	struct segment *segments;
	size_t n;
	uint64_t offset, size; /* the window */
	int fd;                /* of segment `open`, -1: none */
	size_t open;
};

/* Remove files that a crash left without a row. */
static int sweep(struct objects *o, struct err *e)
{
	static const char sql[] =
		"SELECT 1 FROM segment WHERE file=?1 UNION SELECT 1 FROM part WHERE file=?1";
	int fd = fcntl(o->dirfd, F_DUPFD_CLOEXEC, 0);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return err_errno(e, "cannot read the store's 'objects'");
	for (struct dirent *t = readdir(d); t; t = readdir(d)) {
		if (t->d_name[0] == '.')
			continue;
		_cleanup_stmt_ sqlite3_stmt *s = db_prepare(o->be->db, e, sql, "s", t->d_name);
		int r = s ? db_step(s, e) : -1;
		if (r < 0)
			return -1;
		if (r == 0)
			unlinkat(o->dirfd, t->d_name, 0);
	}
	return 0;
}

struct objects *objects_new(struct backend *be, struct err *e)
{
	struct objects *o = calloc(1, sizeof *o);

	if (!o) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	o->be = be;
	pthread_mutex_init(&o->mu, NULL);
	if (mkdirat(be->dirfd, "objects", 0700) < 0 && errno != EEXIST)
		o->dirfd = -1;
	else
		o->dirfd = openat(be->dirfd, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->dirfd < 0) {
		err_errno(e, "cannot open the store's 'objects'");
		objects_free(o);
		return NULL;
	}
	SCOPED_LOCK(db_lock(be->db));
	if (sweep(o, e) < 0) {
		objects_free(o);
		return NULL;
	}
	return o;
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	if (o->dirfd >= 0)
		close(o->dirfd);
	pthread_mutex_destroy(&o->mu);
	free(o);
}

int objects_dirfd(const struct objects *o)
{
	return o->dirfd;
}

void files_remove(struct objects *o, struct segment *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		unlinkat(o->dirfd, files[i].file, 0);
}

static struct pin **find_pin_locked(struct objects *o, int64_t object)
{
	struct pin **p = &o->pins;

	while (*p && (*p)->object != object)
		p = &(*p)->next;
	return p;
}

static int pin(struct objects *o, int64_t object)
{
	SCOPED_LOCK(&o->mu);
	struct pin **p = find_pin_locked(o, object);
	if (!*p) {
		*p = calloc(1, sizeof **p);
		if (!*p)
			return -1;
		(*p)->object = object;
	}
	(*p)->readers++;
	return 0;
}

static void unpin(struct objects *o, int64_t object)
{
	pthread_mutex_lock(&o->mu);
	struct pin **at = find_pin_locked(o, object), *p = *at;
	assert(p); /* who unpins has pinned */
	bool last = --p->readers == 0;
	if (last)
		*at = p->next;
	pthread_mutex_unlock(&o->mu);
	if (!last)
		return;
	files_remove(o, p->doomed, p->n_doomed);
	free(p->doomed);
	free(p);
}

void object_files_doomed(struct objects *o, int64_t object, struct segment *files, size_t n)
{
	pthread_mutex_lock(&o->mu);
	struct pin *p = *find_pin_locked(o, object);
	if (p) {
		p->doomed = files;
		p->n_doomed = n;
	}
	pthread_mutex_unlock(&o->mu);
	if (p)
		return;
	files_remove(o, files, n);
	free(files);
}

int object_segments_locked(struct backend *be, int64_t object, struct segment **out, size_t *n,
			   struct err *e)
{
	size_t cap = 0;
	int r;

	*out = NULL;
	*n = 0;
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
		be->db, e,
		"SELECT file, size, crc32c, number, sum FROM segment WHERE object=? ORDER BY seq",
		"i", object);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? cap * 2 : 4;
			struct segment *more = realloc(*out, cap * sizeof *more);
			if (!more) {
				r = err_set(e, ENOMEM, "out of memory");
				break;
			}
			*out = more;
		}
		struct segment *g = &(*out)[(*n)++];
		snprintf(g->file, sizeof g->file, "%s", db_text(s, 0));
		g->size = (uint64_t)sqlite3_column_int64(s, 1);
		g->crc32c = (uint32_t)sqlite3_column_int64(s, 2);
		g->number = sqlite3_column_int(s, 3);
		snprintf(g->sum, sizeof g->sum, "%s", db_text(s, 4));
	}
	if (r < 0) {
		free(*out);
		*out = NULL;
	}
	return r;
}

int object_find_locked(struct backend *be, const char *bucket, const void *key, size_t key_len,
		       struct object *o, struct err *e)
{
	static const char sql[] =
		"SELECT id, size, etag, modified, type, checksum, meta, tags FROM object WHERE bucket=? AND key=?";
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(be->db, e, sql, "sb", bucket, key, key_len);
	int r = s ? db_step(s, e) : -1;

	if (r <= 0)
		return r;
	o->id = sqlite3_column_int64(s, 0);
	o->size = (uint64_t)sqlite3_column_int64(s, 1);
	o->modified = sqlite3_column_double(s, 3);
	snprintf(o->etag, sizeof o->etag, "%s", db_text(s, 2));
	snprintf(o->type, sizeof o->type, "%s", db_text(s, 4));
	snprintf(o->checksum, sizeof o->checksum, "%s", db_text(s, 5));
	snprintf(o->meta, sizeof o->meta, "%s", db_text(s, 6));
	snprintf(o->tags, sizeof o->tags, "%s", db_text(s, 7));
	return 1;
}

int object_exists(struct backend *be, const char *bucket, const void *key, size_t key_len,
		  struct err *e)
{
	struct object o;

	SCOPED_LOCK(db_lock(be->db));
	return object_find_locked(be, bucket, key, key_len, &o, e);
}

int object_open(struct backend *be, const char *bucket, const void *key, size_t key_len,
		struct object *o, struct reader **reader, struct err *e)
{
	SCOPED_LOCK(db_lock(be->db));
	int r = object_find_locked(be, bucket, key, key_len, o, e);
	if (r <= 0)
		return r;
	struct reader *rd = calloc(1, sizeof *rd);
	if (!rd)
		return err_set(e, ENOMEM, "out of memory");
	*rd = (struct reader){.objects = be->objects, .object = o->id, .size = o->size, .fd = -1};
	if (object_segments_locked(be, o->id, &rd->segments, &rd->n, e) < 0 ||
	    pin(be->objects, o->id) < 0) {
		free(rd->segments);
		free(rd);
		return -1;
	}
	*reader = rd;
	return 1;
}

void reader_free(struct reader *rd)
{
	if (!rd)
		return;
	if (rd->fd >= 0)
		close(rd->fd);
	unpin(rd->objects, rd->object);
	free(rd->segments);
	free(rd);
}

void reader_limit(struct reader *rd, uint64_t offset, uint64_t n)
{
	rd->offset = offset;
	rd->size = n;
}

uint64_t reader_size(const struct reader *rd)
{
	return rd->size;
}

const struct segment *reader_segments(const struct reader *rd, size_t *n)
{
	*n = rd->n;
	return rd->segments;
}

/* Which segment holds byte `at`, and where in it. */
static size_t locate(const struct reader *rd, uint64_t at, uint64_t *inside)
{
	size_t i = 0;

	while (i < rd->n && at >= rd->segments[i].size)
		at -= rd->segments[i++].size;
	*inside = at;
	return i;
}

static int open_segment(const struct reader *rd, size_t i)
{
	return openat(rd->objects->dirfd, rd->segments[i].file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static int use_segment(struct reader *rd, size_t i)
{
	if (rd->fd >= 0 && rd->open == i)
		return 0;
	if (rd->fd >= 0)
		close(rd->fd);
	rd->fd = open_segment(rd, i);
	rd->open = i;
	return rd->fd < 0 ? -1 : 0;
}

ssize_t reader_read(struct reader *rd, uint64_t pos, char *out, size_t max)
{
	uint64_t inside;

	if (pos >= rd->size)
		return 0;
	size_t i = locate(rd, rd->offset + pos, &inside);
	if (i == rd->n || use_segment(rd, i) < 0)
		return -1;
	uint64_t n = MIN(MIN(rd->size - pos, rd->segments[i].size - inside), (uint64_t)max);
	ssize_t got = pread(rd->fd, out, (size_t)n, (off_t)inside);
	if (got == 0)
		errno = EIO; /* the file is shorter than its row says */
	return got > 0 ? got : -1;
}

int reader_file(const struct reader *rd, uint64_t *offset)
{
	size_t i = locate(rd, rd->offset, offset);

	if (i == rd->n || *offset + rd->size > rd->segments[i].size)
		return -1;
	int fd = open_segment(rd, i);
	if (fd >=
	    0) /* what went past the page cache is read from the disk: further ahead than by default */
		posix_fadvise(fd, (off_t)*offset, (off_t)rd->size, POSIX_FADV_SEQUENTIAL);
	return fd;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t m = write(fd, p, n);
		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0)
			return -1;
		p += m;
		n -= (size_t)m;
	}
	return 0;
}

struct copy {
	struct reader *reader;
	int fd; /* -1: the receiver has had enough */
	const struct cancel *cancel;
	char *buffer;
	size_t size;
};

static int copy_some(struct copy *c, size_t n, uint32_t *crc, struct err *e)
{
	*crc = crc32c(*crc, c->buffer, n);
	if (cancel_is_set(c->cancel))
		return err_set(e, ECANCELED, "the local backend is ending");
	if (c->fd < 0 || write_all(c->fd, c->buffer, n) == 0)
		return 0;
	c->fd = -1;
	return errno == EPIPE ? 0 : err_errno(e, "cannot copy an object");
}

static int copy_segment(struct copy *c, size_t i, struct err *e)
{
	const struct segment *g = &c->reader->segments[i];
	uint64_t done = 0;
	uint32_t crc = 0;
	ssize_t n = 1;

	if (use_segment(c->reader, i) < 0)
		return err_errno(e, "cannot open a file of the store");
	while (done < g->size && (n = read(c->reader->fd, c->buffer, c->size)) > 0) {
		if (copy_some(c, (size_t)n, &crc, e) < 0)
			return -1;
		done += (uint64_t)n;
	}
	if (n < 0)
		return err_errno(e, "cannot read a file of the store");
	if (done != g->size || crc != g->crc32c)
		return err_set(
			e, EIO,
			"the object's bytes in the store have changed since they were uploaded");
	return 0;
}

int reader_copy(struct reader *rd, int fd, const struct cancel *cancel, struct err *e)
{
	const size_t size = (size_t)1 << 20;
	_cleanup_free_ char *buffer = malloc(size);
	struct copy c = {rd, fd, cancel, buffer, size};

	if (!buffer)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < rd->n; i++) {
		if (copy_segment(&c, i, e) < 0)
			return -1;
	}
	return 0;
}
