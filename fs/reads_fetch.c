/* reads_fetch.c: one chunk of an archive: from the cache's disk, else from S3 by one range, inflated and verified. */
#include <errno.h>

#include "fs/models_room.h"
#include "fs/reads.h"

struct filling {
	struct block_new block;
	struct chunk_check check;
};

static int fill(void *arg, const void *p, size_t n, struct err *e)
{
	struct filling *f = arg;

	return chunk_check_take(&f->check, p, n, e) < 0 ? -1 : block_write(&f->block, p, n, e);
}

int archive_bucket(struct model *md, const struct archive *a, struct s3_bucket *out,
		   struct cancel *c, struct err *e)
{
	if (!a->bucket)
		return mount_bucket(md->s->m, out, c, e);
	*out = (struct s3_bucket){0};
	snprintf(out->name, sizeof out->name, "%s", a->bucket);
	return 0;
}

static int get(struct model *md, const struct archive *a, size_t i, struct buf *out,
	       struct cancel *c, struct err *e)
{
	struct s3_bucket bucket;
	struct s3_range part = {.etag = a->etag};

	gz_chunk_range(&a->index, i, &part.from, &part.n);
	out->max = (size_t)part.n;
	if (archive_bucket(md, a, &bucket, c, e) < 0)
		return -1;
	if (s3_get_range(md->s->m->aws, &bucket, a->key, &part, out, c, e) == 0)
		return 0;
	if (e->http == 404) {
		e->no = ESTALE;
		return err_append(e, "its archive is not in S3 any more; somebody deleted it");
	}
	return -1;
}

static struct block *inflate_into(struct blocks *b, const struct archive *a, size_t i,
				  const struct buf *bytes, struct err *e)
{
	struct filling f;
	uint64_t length;

	if (block_begin(&f.block, b, e) < 0)
		return NULL;
	chunk_check_begin(&f.check, a, i);
	int r = gz_chunk_inflate(&a->index, i, bytes->data, bytes->len, fill, &f, &length, e);
	chunk_check_drop(&f.check);
	if (r < 0) {
		block_drop(&f.block);
		return NULL;
	}
	struct block *k = block_end(&f.block, a->id, i);
	if (!k)
		err_set(e, ENOMEM, "out of memory");
	return k;
}

static struct block *fetch(struct blocks *b, struct model *md, struct archive *a, size_t i,
			   struct cancel *c, struct err *e)
{
	for (int tries = 0;; tries++) {
		_cleanup_buf_ struct buf bytes = BUF_INIT(0);

		if (get(md, a, i, &bytes, c, e) < 0)
			return NULL;
		struct block *k = inflate_into(b, a, i, &bytes, e);
		/* a range has no checksum on its way: it may have been the way */
		if (k || e->no != EBADMSG || tries)
			return k;
	}
}

struct block *fetch_chunk(struct blocks *b, struct model *md, struct archive *a, size_t i,
			  struct cancel *c, struct err *e)
{
	uint64_t length = gz_chunk_length(&a->index, i);
	struct block *k = blocks_load(b, a->id, i, length, a->index.chunks[i].crc);

	if (k)
		return k;
	if (length == UINT64_MAX)
		length = 0;
	progress_join(&md->reads, PROGRESS_READING, length);
	k = fetch(b, md, a, i, c, e);
	if (k)
		progress_add(&md->reads, length);
	progress_leave(&md->reads);
	return k;
}
