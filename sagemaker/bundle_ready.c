/* bundle_ready.c: a model.tar.gz that was made elsewhere goes out byte for byte, in parts like any other. */
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>

#include "sagemaker/bundle_internal.h"
#include "sagemaker/plan.h"

#define RAW_CHUNK ((size_t)16 << 20)

/* The open file's n bytes from at, into p. */
static int read_at(int fd, const struct package_member *m, char *p, size_t n, uint64_t at,
		   struct err *e)
{
	while (n) {
		ssize_t k = pread(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(e, "read '%s'", m->path);
		if (k == 0)
			return err_set(e, EBUSY, "'%s' changed while it was read", m->path);
		p += k;
		at += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

/* How much of it the next part takes: what is left over is never too short to be one, but may be the end of this one. */
static size_t next_size(const struct bundle_group *g, uint64_t left)
{
	uint64_t size = group_part_size(g);

	return (size_t)(left < size + S3_PART_MIN ? left : size);
}

struct reading {
	const struct bundle_work *w;
	struct bundle_group *g;
	const struct package_member *m;
	struct sha256 *hash;
	int fd;
};

/* Points of what is handed on, so that pieces of it can be read and compared. */
static int add_points(struct bundle_group *g, const char *p, size_t n, struct err *e)
{
	struct gzip_point *more =
		reallocarray(g->points, g->n_points + n / RAW_CHUNK + 1, sizeof *more);

	if (!more)
		return err_set(e, ENOMEM, "read the archive: out of memory");
	g->points = more;
	for (size_t at = 0, len; at < n; at += len) {
		len = MIN(n - at, RAW_CHUNK);
		g->points[g->n_points++] =
			(struct gzip_point){g->out + at, g->out + at,
					    crc32_gzip_refl(0, (const unsigned char *)p + at, len)};
	}
	return 0;
}

static int send_part(struct reading *r, uint64_t at, size_t n, bool *whole, struct err *e)
{
	const struct bundle_store *s = &r->w->b->store;
	struct bundle_group *g = r->g;
	struct s3_part *p = &g->parts[g->n_parts].s3;
	void *room = NULL;

	if (cancel_is_set(r->w->cancel))
		return err_set(e, ECANCELED, "packing was cancelled");
	if (s->room(s->arg, n, MAX(n, (size_t)1), &room, e) < 0)
		return -1;
	if (read_at(r->fd, r->m, room, n, at, e) < 0 || add_points(g, room, n, e) < 0) {
		s->drop(s->arg, room);
		return -1;
	}
	sha256_update(r->hash, room, n);
	*p = (struct s3_part){
		.number = g->first + g->n_parts, .crc = crc32c(0, room, n), .size = n};
	*whole = n == r->m->size;
	g->n_parts++;
	g->in = g->out += n;
	if (s->packed)
		s->packed(s->arg, n, n);
	return *whole ? s->whole(s->arg, room, n, e) : s->part(s->arg, p, room, e);
}

static int check_unchanged(const struct reading *r, struct err *e)
{
	struct stat st;

	if (fstat(r->fd, &st) < 0)
		return err_errno(e, "read '%s'", r->m->path);
	if ((uint64_t)st.st_size != r->m->size || st.st_mtime != r->m->mtime)
		return err_set(e, EBUSY, "'%s' changed while it was read", r->m->path);
	file_key_of(&st, &r->g->entries[0].key);
	return 0;
}

static int send_all(struct reading *r, bool *whole, struct err *e)
{
	uint64_t at = 0;

	if (check_unchanged(r, e) < 0)
		return -1;
	struct file_key before = r->g->entries[0].key;
	do {
		size_t n = next_size(r->g, r->m->size - at);

		if (send_part(r, at, n, whole, e) < 0)
			return -1;
		at += n;
	} while (at < r->m->size);
	if (check_unchanged(r, e) < 0)
		return -1;
	return file_key_same(&before, &r->g->entries[0].key)
		       ? 0
		       : err_set(e, EBUSY, "'%s' changed while it was read", r->m->path);
}

int group_send_ready(const struct bundle_work *w, struct bundle_group *g, bool *whole,
		     struct err *e)
{
	struct package_member *m = &w->plan->members[0];
	_cleanup_close_ int fd = source_open(w->plan->dirfd, m->path);
	struct reading r = {.w = w, .g = g, .m = m, .fd = fd};
	const struct bundle_store *s = &w->b->store;

	if (fd < 0)
		return err_set(e, EBUSY, "'%s' vanished while it was read", m->path);
	if (s->began && s->began(s->arg, g, e) < 0)
		return -1;
	r.hash = sha256_new();
	if (!r.hash)
		return err_set(e, ENOMEM, "read '%s': out of memory", m->path);
	if (send_all(&r, whole, e) < 0) {
		sha256_free(r.hash);
		return -1;
	}
	sha256_final(r.hash, g->entries[0].sha256);
	g->state = GROUP_PACKED;
	return 0;
}
