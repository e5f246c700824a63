/* reads_copy.c: whole published files for a job: into staging. */
#include <errno.h>

#include "fs/reads_internal.h"

#define PIECE ((uint64_t)1 << 20)

/* What one copy takes of a block. */
static int copy_part(const struct block *k, uint64_t at, uint64_t n, reads_put *put, void *arg,
		     struct err *e)
{
	_cleanup_free_ char *piece = malloc(PIECE);

	if (!piece)
		return err_set(e, ENOMEM, "out of memory");
	while (n) {
		ssize_t got = pread(k->fd, piece, (size_t)MIN(n, PIECE), (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(e, EIO, "the cache cannot be read");
		if (put(arg, piece, (size_t)got, e) < 0)
			return -1;
		at += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return 0;
}

/* Bytes on their way to who copies, hashed where no chunk holds the whole member and was compared with its hash. */
struct copying {
	struct sha256 *hash;
	reads_put *put;
	void *arg;
};

static int copy_on(void *arg, const void *p, size_t n, struct err *e)
{
	const struct copying *c = arg;

	if (c->hash)
		sha256_update(c->hash, p, n);
	return c->put(c->arg, p, n, e);
}

static void copying_end(struct copying *c)
{
	sha256_free(c->hash);
}

static int copy_chunks(struct model *md, struct archive *a, const struct extent *x,
		       struct copying *to, struct cancel *c, struct err *e)
{
	struct reads *q = md->s->reads;

	for (uint64_t pos = x->from, end = x->from + x->size; pos < end;) {
		size_t i = gz_chunk_of(&a->index, pos);
		_cleanup_(block_putp)
		struct block *k = NULL;

		reads_ahead(q, md, a, i, true);
		k = reads_block(q, md, a, i, c, e);
		if (!k)
			return -1;
		uint64_t at = pos - a->index.chunks[i].in;
		if (at >= k->n)
			return err_set(e, EBADMSG, "its archive in S3 ends too early");
		uint64_t n = MIN(end - pos, k->n - at);
		if (copy_part(k, at, n, copy_on, to, e) < 0)
			return -1;
		pos += n;
	}
	return 0;
}

int reads_copy(struct model *md, struct archive *a, const struct extent *x, reads_put *put,
	       void *arg, struct cancel *c, struct err *e)
{
	bool parts = x->size && gz_chunk_of(&a->index, x->from) !=
					gz_chunk_of(&a->index, x->from + x->size - 1);
	struct copying to _cleanup_(copying_end) = {NULL, put, arg};
	unsigned char digest[SHA256_LEN];

	if (parts && x->hashed && !(to.hash = sha256_new()))
		return err_set(e, ENOMEM, "out of memory");
	if (copy_chunks(md, a, x, &to, c, e) < 0)
		return -1;
	if (!to.hash)
		return 0;
	sha256_final(steal(to.hash), digest);
	return memcmp(digest, x->sha256, sizeof digest) == 0
		       ? 0
		       : err_set(e, EBADMSG,
				 "its bytes in S3 are not those that were published (SHA-256 differs)");
}
