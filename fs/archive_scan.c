/*
 * archive_scan.c: an archive that somebody else wrote, read once from front to back: its members, its restart points, and, as it
 * passes by, its chunks for the cache.
 */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/gzscan.h"

#define PART          ((uint64_t)8 << 20) /* of one request */
#define SPACING       ((uint64_t)4 << 20) /* inflated bytes between points, at least */
#define SPACING_MAX   ((uint64_t)64 << 20)
#define POINTS_WANTED 256 /* each keeps 32 KiB */
#define INDEX         "index"

struct scan {
	struct model *md;
	struct archive *a;
	struct blocks *blocks;
	struct s3_bucket bucket;
	uint64_t at; /* in the object */
	struct buf part;
	struct gz_scan *gzip;
	struct block_new block; /* the chunk that is passing by */
	bool writing;
	size_t chunk;
	struct cancel *cancel;
};

static ssize_t next_part(void *arg, const void **p, struct err *e)
{
	struct scan *s = arg;
	struct s3_range part = {s->a->etag, s->at, MIN(PART, s->a->index.size - s->at)};

	if (!part.n)
		return 0;
	buf_reset(&s->part);
	if (s3_get_range(s->md->s->m->aws, &s->bucket, s->a->key, &part, &s->part, s->cancel, e) <
	    0)
		return -1;
	s->at += part.n;
	progress_add(&s->md->reads, part.n);
	*p = s->part.data;
	return (ssize_t)part.n;
}

/* The chunk is whole, as far as anybody can tell before the end of all. */
static void end_block(struct scan *s)
{
	if (s->writing)
		block_put(block_end(&s->block, s->a->id, s->chunk));
	s->writing = false;
}

static void keep_piece(struct scan *s, const void *p, size_t n)
{
	size_t chunk = s->a->index.n - 1;
	struct err e;

	if (s->writing && chunk != s->chunk)
		end_block(s);
	if (!s->writing) {
		if (!blocks_keeps(s->blocks) || block_begin(&s->block, s->blocks, &e) < 0)
			return;
		s->writing = true;
		s->chunk = chunk;
	}
	if (block_write(&s->block, p, n, &e) < 0) {
		block_drop(&s->block);
		s->writing = false;
	}
}

static ssize_t next_piece(void *arg, const void **p, struct err *e)
{
	struct scan *s = arg;
	ssize_t n = gz_scan_read(s->gzip, p, e);

	if (n > 0)
		keep_piece(s, *p, (size_t)n);
	return n;
}

static int found(void *arg, const struct unpack_file *f)
{
	struct scan *s = arg;
	struct extent x = {.from = f->from,
			   .size = f->size,
			   .hashed = true,
			   .path = strdup(f->path),
			   .mode = f->mode & 0111 ? 0755 : 0644,
			   .mtime = f->mtime > 0 ? f->mtime : 0};

	memcpy(x.sha256, f->sha256, sizeof x.sha256);
	if (x.path && archive_add(s->a, &x) == 0)
		return 0;
	free(x.path);
	return -1;
}

/* What follows the last member: its end must be seen, or the checksums of the stream say nothing. */
static int drain(struct scan *s, struct err *e)
{
	const void *p;
	ssize_t n;

	while ((n = next_piece(s, &p, e)) > 0)
		;
	return n < 0 ? -1 : 0;
}

static int walk_all(struct scan *s, struct err *e)
{
	uint64_t size = s->a->index.size;
	uint64_t spacing = MIN(MAX(SPACING, size / POINTS_WANTED), SPACING_MAX);

	s->part.max = (size_t)PART;
	s->gzip = gz_scan_new(next_part, s, spacing, &s->a->index);
	if (!s->gzip)
		return err_set(e, ENOMEM, "out of memory");
	if (unpack_walk(next_piece, s, NULL, found, s->cancel, e) < 0 || drain(s, e) < 0)
		return -1;
	end_block(s);
	return archive_ready(s->a, e);
}

static void scan_release(struct scan *s)
{
	if (s->writing)
		block_drop(&s->block);
	gz_scan_free(s->gzip);
	buf_release(&s->part);
}

static int scan(struct model *md, struct archive *a, struct cancel *c, struct err *e)
{
	struct scan s _cleanup_(scan_release) = {
		.md = md, .a = a, .blocks = reads_blocks(md->s->reads), .cancel = c};
	struct s3_object o = {0};

	if (archive_bucket(md, a, &s.bucket, c, e) < 0 ||
	    s3_head(md->s->m->aws, &s.bucket, a->key, &o, c, e) < 0)
		return -1;
	if (a->etag[0] && !streq(a->etag, o.etag))
		return err_set(e, ESTALE, "'s3://%s/%s' was replaced meanwhile; try again",
			       s.bucket.name, a->key);
	a->index.size = o.size;
	progress_join(&md->reads, PROGRESS_READING, o.size);
	int r = walk_all(&s, e);
	progress_leave(&md->reads);
	return r < 0 ? err_prefix(e, "'s3://%s/%s'", s.bucket.name, a->key) : 0;
}

static int load(struct model *md, struct archive *a)
{
	_cleanup_buf_ struct buf file = BUF_INIT((size_t)1 << 30);
	struct blocks *b = reads_blocks(md->s->reads);
	struct err e;

	if (blocks_file(b, a->id, INDEX, &file) < 0)
		return -1;
	if (archive_read(a, file.data, file.len, &e) == 0)
		return 0;
	blocks_forget(b, a->id);
	return -1;
}

static void save(struct model *md, const struct archive *a)
{
	_cleanup_buf_ struct buf file = BUF_INIT(0);

	if (archive_save(a, &file) == 0)
		blocks_put_file(reads_blocks(md->s->reads), a->id, INDEX, file.data, file.len);
}

int archive_scan(struct model *md, struct archive **a, struct cancel *c, struct err *e)
{
	struct archive *fresh = archive_new((*a)->bucket, (*a)->key, (*a)->etag);
	int r = 0;

	if (!fresh)
		return err_set(e, ENOMEM, "out of memory");
	archive_unref(*a);
	*a = fresh;
	if (load(md, fresh) == 0)
		return 0;
	/* a damaged index may have left something */
	*a = archive_new(fresh->bucket, fresh->key, fresh->etag);
	archive_unref(fresh);
	if (!*a)
		return err_set(e, ENOMEM, "out of memory");
	r = scan(md, *a, c, e);
	if (r < 0)
		blocks_forget(reads_blocks(md->s->reads), (*a)->id);
	else
		save(md, *a);
	return r;
}
