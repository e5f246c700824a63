/* package_group.c: one group's members through libarchive and pack.h into parts. A file's bytes are read once, to where they are sent
 * from; there they are hashed while they are warm. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <zlib.h>

#include "sagemaker/bundle_internal.h"
#include "sagemaker/plan.h"
#include "sagemaker/utf8_locale.h"

#define HEADERS_MAX \
 ((size_t)64 << 10) /* gzip's, and what a longer tar header adds to a part that is renamed */

struct packer {
	const struct bundle_work *w;
	struct bundle_group *g;
	struct archive *tar;
	bool in_place;      /* what libarchive hands on stands where it belongs already */
	bool over;          /* after a failure: what libarchive still writes goes nowhere */
	struct err failure; /* of the store, which libarchive cannot carry */
	struct pack pack;   /* of the part under construction */
	void *held;         /* the part before it, kept until this one is long enough to be one */
	int part;           /* index of the part under construction */
	uint64_t tar_bytes; /* of the group, so far */
	uint64_t out;       /* bytes of the parts before this one */
	uint64_t told;      /* of what was made, to the store */
	size_t max_points;
	int limit;             /* stop after so many parts; 0: at the end */
	uint64_t content_left; /* group_rename: bytes of the file that still belong to the part */
};

uint64_t group_part_size(const struct bundle_group *g)
{
	uint64_t raw = 0;

	for (size_t i = 0; i < g->n; i++)
		raw += g->entries[i].size;
	/* A front group's numbers are few, so its parts grow with it. */
	return g->first <= BUNDLE_FRONT
		       ? MAX(s3_part_size(0), raw / (BUNDLE_FRONT / 2))
		       : MAX(s3_part_size(g->first - BUNDLE_FRONT - 1), raw / 4000);
}

static size_t room_max(const struct bundle_group *g)
{
	return (size_t)group_part_size(g) + PACK_BOUND(PACK_CHUNK) + S3_PART_MIN + HEADERS_MAX;
}

static int next_room(struct packer *k, struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;
	void *room = NULL;

	if (s->room(s->arg, (size_t)group_part_size(k->g), room_max(k->g), &room, e) < 0)
		return -1;
	k->pack = (struct pack){.room = room};
	return 0;
}

static struct bundle_part *part_at(const struct packer *k, int i)
{
	return &k->g->parts[i];
}

/* Part i goes out, room and all. */
static int send(struct packer *k, int i, void *room, struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;
	struct s3_part *p = &part_at(k, i)->s3;

	p->number = k->g->first + i;
	p->crc = crc32c(0, room, p->size);
	if (s->part(s->arg, p, room, e) < 0)
		return -1;
	return 0;
}

static int send_held(struct packer *k, struct err *e)
{
	return k->held ? send(k, k->part - 1, steal(k->held), e) : 0;
}

static int add_point(struct packer *k, uint64_t in, uint64_t out, uint32_t crc, struct err *e)
{
	struct bundle_group *g = k->g;

	if (g->n_points == k->max_points) {
		size_t max = k->max_points ? 2 * k->max_points : 64;
		struct gzip_point *p = reallocarray(g->points, max, sizeof *p);

		if (!p)
			return err_set(e, ENOMEM, "pack the model: out of memory");
		g->points = p;
		k->max_points = max;
	}
	g->points[g->n_points++] = (struct gzip_point){in, out, crc};
	return 0;
}

/* The part under construction is full. */
static int rotate(struct packer *k, struct err *e)
{
	if (k->part + 1 >= k->g->reserved)
		return err_set(e, EFBIG, "pack the model: more parts than were counted on");
	k->held = steal(k->pack.room);
	part_at(k, k->part)->s3.size = k->pack.len;
	k->out += k->pack.len;
	k->part++;
	return next_room(k, e);
}

/* The open chunk is final, and counted. */
static int end_chunk(struct packer *k, struct err *e)
{
	struct bundle_group *g = k->g;
	struct bundle_part *p = part_at(k, k->part);
	struct pack *pk = &k->pack;

	if (!pk->raw)
		return 0;
	pack_end(pk, k->w->deflater);
	if (add_point(k, g->in, k->out + pk->chunk, pk->crc, e) < 0)
		return -1;
	g->in += pk->raw;
	g->crc = (uint32_t)crc32_combine(g->crc, pk->crc, (z_off_t)pk->raw);
	p->in += pk->raw;
	p->crc = (uint32_t)crc32_combine(p->crc, pk->crc, (z_off_t)pk->raw);
	p->n_points++;
	pack_next(pk);
	if (pk->len >= S3_PART_MIN && send_held(k, e) < 0)
		return -1;
	if (k->limit || pk->len < group_part_size(g))
		return 0;
	return send_held(k, e) < 0 ? -1 : rotate(k, e);
}

static int took(struct packer *k, size_t n, struct err *e)
{
	k->tar_bytes += n;
	return pack_took(&k->pack, n) ? end_chunk(k, e) : 0;
}

static int put_bytes(struct packer *k, const char *p, size_t n, struct err *e)
{
	while (n) {
		size_t room;
		unsigned char *to = pack_room(&k->pack, &room);

		room = MIN(room, n);
		memcpy(to, p, room);
		p += room;
		n -= room;
		if (took(k, room, e) < 0)
			return -1;
	}
	return 0;
}

/* libarchive 3.6 leaks when a stream is not closed in good order, and does not close one that failed: so it never hears of a
 * failure. Whoever calls it looks at k->failure. */
static la_ssize_t take_tar(struct archive *a, void *arg, const void *p, size_t n)
{
	struct packer *k = arg;

	(void)a;
	if (!k->over && !k->in_place && put_bytes(k, p, n, &k->failure) < 0)
		k->over = true;
	return (la_ssize_t)n;
}

/* What libarchive says, unless the store has said why. */
static int tar_failure(struct packer *k, const char *path, struct err *e)
{
	const char *why = archive_error_string(k->tar);

	if (!k->failure.no)
		return err_set(e, EIO, "pack '%s': %s", path,
			       why ? why : "cannot write the archive");
	if (e)
		*e = k->failure;
	return -1;
}

static int open_tar(struct packer *k, struct err *e)
{
	k->tar = archive_write_new();
	if (!k->tar)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	/* ustar where it can say it, pax headers for what it cannot; no blocking factor: pieces go on as they come */
	return archive_write_set_format_pax_restricted(k->tar) == ARCHIVE_OK &&
			       archive_write_set_bytes_per_block(k->tar, 0) == ARCHIVE_OK &&
			       archive_write_open(k->tar, k, NULL, take_tar, NULL) == ARCHIVE_OK
		       ? 0
		       : tar_failure(k, ".", e);
}

static int put_header(struct packer *k, const struct package_member *m, struct err *e)
{
	struct archive_entry *t = archive_entry_new();

	if (!t)
		return err_set(e, ENOMEM, "pack '%s': out of memory", m->archive);
	archive_entry_set_pathname(t, m->archive);
	archive_entry_set_filetype(t, AE_IFREG);
	archive_entry_set_perm(t, m->mode & 0111 ? 0755 : 0644);
	archive_entry_set_size(t, (la_int64_t)m->size);
	archive_entry_set_mtime(t, 0, 0);
	int rc = archive_write_header(k->tar, t);
	archive_entry_free(t);
	return rc >= ARCHIVE_WARN && !k->over ? 0 : tar_failure(k, m->archive, e);
}

/* n bytes that stand in the pack's room. */
static int put_placed(struct packer *k, const struct package_member *m, const void *p, size_t n,
		      struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;

	k->in_place = true;
	bool fits = archive_write_data(k->tar, p, n) == (la_ssize_t)n;
	k->in_place = false;
	if (!fits)
		return tar_failure(k, m->path, e);
	uint64_t made = k->out + k->pack.len - k->told;
	if (s->packed)
		s->packed(s->arg, n, made);
	k->told += made;
	return took(k, n, e);
}

static int changed(const struct package_member *m, struct err *e)
{
	return err_set(e, EBUSY, "'%s' changed while it was packed", m->path);
}

/* A file's content up to the limit, and its hash. */
static int put_content(struct packer *k, const struct package_member *m, int fd, uint64_t most,
		       struct sha256 *h, struct err *e)
{
	off_t at = 0;

	while (most) {
		size_t room;
		unsigned char *to = pack_room(&k->pack, &room);
		ssize_t n = pread(fd, to, (size_t)MIN(most, (uint64_t)room), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "read '%s'", m->path);
		if (n == 0)
			return changed(m, e);
		if (cancel_is_set(k->w->cancel))
			return err_set(e, ECANCELED, "packing was cancelled");
		sha256_update(h, to, (size_t)n);
		if (put_placed(k, m, to, (size_t)n, e) < 0)
			return -1;
		at += n;
		most -= (uint64_t)n;
	}
	return 0;
}

static int key_of(int fd, const struct package_member *m, struct file_key *key, struct stat *st,
		  struct err *e)
{
	if (fstat(fd, st) < 0)
		return err_errno(e, "read '%s'", m->path);
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != m->size || st->st_mtime != m->mtime)
		return changed(m, e);
	file_key_of(st, key);
	return 0;
}

/* Whole: the hash is the file's, and remembered; else only what belongs to the part is read. */
static int put_open(struct packer *k, struct bundle_entry *x, const struct package_member *m,
		    int fd, struct err *e)
{
	struct file_key after = {0};
	struct stat st;
	struct sha256 *h = sha256_new();
	int rc = h ? key_of(fd, m, &x->key, &st, e)
		   : err_set(e, ENOMEM, "pack '%s': out of memory", m->path);

	if (rc == 0)
		rc = put_content(k, m, fd, MIN(m->size, k->content_left), h, e);
	if (rc == 0)
		rc = key_of(fd, m, &after, &st, e);
	if (rc < 0) {
		sha256_free(h);
		return -1;
	}
	unsigned char sum[SHA256_LEN];
	sha256_final(h, sum);
	if (!file_key_same(&x->key, &after))
		return changed(m, e);
	if (k->limit)
		return 0;
	memcpy(x->sha256, sum, sizeof sum);
	hash_cache_keep(k->w->b->hashes, &st, sum);
	return 0;
}

static int put_file(struct packer *k, struct bundle_entry *x, const struct package_member *m,
		    struct err *e)
{
	_cleanup_close_ int fd = source_open(k->w->plan->dirfd, m->path);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EXDEV || errno == ELOOP))
		return err_set(e, EBUSY, "'%s' vanished while the model was packed", m->path);
	if (fd < 0)
		return err_errno(e, "read '%s'", m->path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return put_open(k, x, m, fd, e);
}

static int put_generated(struct packer *k, struct bundle_entry *x, const struct package_member *m,
			 struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;

	sha256(m->content, m->size, x->sha256);
	if (m->size && archive_write_data(k->tar, m->content, m->size) != (la_ssize_t)m->size)
		return tar_failure(k, m->archive, e);
	if (s->packed)
		s->packed(s->arg, m->size, 0);
	return k->over ? tar_failure(k, m->archive, e) : 0;
}

static int put_member(struct packer *k, struct bundle_entry *x, struct err *e)
{
	const struct package_member *m = &k->w->plan->members[x->member];

	if (cancel_is_set(k->w->cancel))
		return err_set(e, ECANCELED, "packing was cancelled");
	if (put_header(k, m, e) < 0)
		return -1;
	x->offset = k->tar_bytes;
	if (m->content ? put_generated(k, x, m, e) : put_file(k, x, m, e))
		return -1;
	if (k->limit)
		return 0;
	if (archive_write_finish_entry(k->tar) != ARCHIVE_OK || k->over)
		return tar_failure(k, m->archive, e);
	return 0;
}

/* The end of the tar stream, and of the gzip member. */
static int put_end(struct packer *k, const struct bundle_before *before, struct err *e)
{
	const struct bundle_group *g = k->g;

	if (archive_write_close(k->tar) != ARCHIVE_OK || k->over)
		return tar_failure(k, ".", e);
	if (end_chunk(k, e) < 0)
		return -1;
	uint32_t crc = (uint32_t)crc32_combine(before->crc, g->crc, (z_off_t)g->in);
	pack_trailer(crc, before->in + g->in, k->pack.room + k->pack.len);
	k->pack.len += PACK_TRAILER;
	return 0;
}

/* What is too short to be a part of its own goes to the end of the one before it. */
static void merge(struct packer *k)
{
	struct bundle_part *p = part_at(k, k->part - 1), *tail = part_at(k, k->part);

	memcpy((char *)k->held + p->s3.size, k->pack.room, k->pack.len);
	p->crc = (uint32_t)crc32_combine(p->crc, tail->crc, (z_off_t)tail->in);
	p->in += tail->in;
	p->n_points += tail->n_points;
	p->s3.size += k->pack.len;
	k->w->b->store.drop(k->w->b->store.arg, steal(k->pack.room));
	*tail = (struct bundle_part){0};
	k->part--;
}

static int send_last(struct packer *k, const struct bundle_before *before, bool *whole,
		     struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;
	struct bundle_group *g = k->g;
	void *room;

	part_at(k, k->part)->s3.size = k->pack.len;
	if (k->held && k->pack.len < S3_PART_MIN) {
		merge(k);
		room = steal(k->held);
	} else if (send_held(k, e) < 0) {
		return -1;
	} else {
		room = steal(k->pack.room);
	}
	g->n_parts = k->part + 1;
	*whole = g->last && before->alone && k->part == 0;
	return *whole ? s->whole(s->arg, room, part_at(k, 0)->s3.size, e)
		      : send(k, k->part, room, e);
}

static int pack_members(struct packer *k, struct err *e)
{
	struct bundle_group *g = k->g;

	for (size_t i = 0; i < g->n; i++)
		if (put_member(k, &g->entries[i], e) < 0)
			return -1;
	return 0;
}

static int begin(struct packer *k, struct err *e)
{
	if (next_room(k, e) < 0 || open_tar(k, e) < 0)
		return -1;
	if (k->g->head) {
		pack_header(k->pack.room);
		k->pack.len = PACK_HEADER;
		pack_next(&k->pack);
	}
	return 0;
}

/* 1: too short to be a part. */
static int pack_all(struct packer *k, const struct bundle_before *before, bool *whole,
		    struct err *e)
{
	const struct bundle_store *s = &k->w->b->store;
	struct bundle_group *g = k->g;

	if (begin(k, e) < 0 || pack_members(k, e) < 0)
		return -1;
	if ((g->last ? put_end(k, before, e) : end_chunk(k, e)) < 0)
		return -1;
	g->out = k->out + k->pack.len;
	if (s->packed)
		s->packed(s->arg, 0, g->out - k->told);
	if (!g->last && g->out < S3_PART_MIN)
		return 1;
	return send_last(k, before, whole, e);
}

static void packer_end(struct packer *k)
{
	const struct bundle_store *s = &k->w->b->store;

	k->over = true; /* closing pads an entry that broke off, and ends the stream */
	if (k->tar)
		archive_write_free(k->tar);
	if (k->pack.room)
		s->drop(s->arg, k->pack.room);
	if (k->held)
		s->drop(s->arg, k->held);
}

static void group_reset(struct bundle_group *g)
{
	memset(g->parts, 0, (size_t)g->reserved * sizeof g->parts[0]);
	g->n_parts = 0;
	g->n_points = 0;
	g->in = g->out = 0;
	g->crc = 0;
}

int group_pack(const struct bundle_work *w, struct bundle_group *g,
	       const struct bundle_before *before, bool *whole, struct err *e)
{
	struct packer k = {.w = w, .g = g, .content_left = UINT64_MAX};
	bool ignored;
	struct err own = {0};

	SCOPED_UTF8();
	free(steal(g->points));
	group_reset(g);
	int rc = w->b->store.began && !g->last && w->b->store.began(w->b->store.arg, g, &own) < 0
			 ? -1
			 : 0;
	if (rc == 0)
		rc = pack_all(&k, before, whole ? whole : &ignored, &own);
	packer_end(&k);
	g->state = rc == 0 ? GROUP_PACKED : rc < 0 && own.no != EBUSY ? GROUP_NEW : GROUP_DEAD;
	if (rc < 0 && e)
		*e = own;
	return rc < 0 ? -1 : 0;
}

/* The group as it is from its second part on, behind a first one that has become another. */
static int join_rest(struct bundle_group *g, const struct bundle_group *first, struct err *e)
{
	size_t gone = g->parts[0].n_points, rest = g->n_points - gone;
	struct gzip_point *points = calloc(first->n_points + rest, sizeof *points);

	if (!points)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	memcpy(points, first->points, first->n_points * sizeof *points);
	for (size_t i = 0; i < rest; i++) {
		const struct gzip_point *p = &g->points[gone + i];

		points[first->n_points + i] =
			(struct gzip_point){p->in - g->parts[0].in + first->in,
					    p->out - g->parts[0].s3.size + first->out, p->crc};
	}
	free(g->points);
	g->points = points;
	g->n_points = first->n_points + rest;
	g->in = g->in - g->parts[0].in + first->in;
	g->out = g->out - g->parts[0].s3.size + first->out;
	g->parts[0] = first->parts[0];
	g->crc = 0;
	for (int i = 0; i < g->n_parts; i++)
		g->crc = (uint32_t)crc32_combine(g->crc, g->parts[i].crc, (z_off_t)g->parts[i].in);
	return 0;
}

/* The same bytes of content behind another header. */
static int pack_first(struct packer *k, uint64_t content, struct err *e)
{
	struct bundle_group *g = k->g;

	k->content_left = content;
	if (begin(k, e) < 0 || pack_members(k, e) < 0 || end_chunk(k, e) < 0)
		return -1;
	g->out = k->pack.len;
	part_at(k, 0)->s3.size = k->pack.len;
	return 0;
}

int group_rename(const struct bundle_work *w, struct bundle_group *g, size_t member, struct err *e)
{
	struct bundle_part parts[1] = {
		{{0}, 0, 0, 0}
        };
	struct bundle_entry x = g->entries[0];
	struct bundle_group first = {.first = g->first,
				     .reserved = 1,
				     .head = g->head,
				     .entries = &x,
				     .n = 1,
				     .parts = parts};
	struct packer k = {.w = w, .g = &first, .limit = 1};
	char *name = strdup(w->plan->members[member].archive);
	uint64_t content = g->n_parts > 1 ? g->parts[0].in - x.offset : x.size;

	SCOPED_UTF8();
	x.member = member;
	if (!name || g->n_parts < 2) { /* one part alone is packed anew, as any other */
		free(name);
		return name ? 1 : err_set(e, ENOMEM, "pack the model: out of memory");
	}
	int rc = pack_first(&k, content, e);
	if (rc == 0)
		rc = join_rest(g, &first, e);
	if (rc == 0)
		rc = send(&(struct packer){.w = w, .g = g}, 0, steal(k.pack.room), e);
	packer_end(&k);
	free(first.points);
	if (rc < 0) {
		free(name);
		return -1;
	}
	free(g->entries[0].archive);
	g->entries[0].archive = name;
	g->entries[0].exec = w->plan->members[member].mode & 0111;
	g->entries[0].offset = x.offset;
	g->entries[0].member = member;
	return w->b->store.began ? w->b->store.began(w->b->store.arg, g, e) : 0;
}
