/* The index of somebody else's archive, as the cache's disk gives it back: what is accepted makes sense, and no chunk of it, inflated from
 * whatever bytes, leaves its buffers. The hash at its end is put there here: it is no defence against a liar. */
#include <errno.h>

#include "fs/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int drop(void *arg, const void *p, size_t n, struct err *e)
{
	uint64_t *left = arg;

	(void)p;
	if (n > *left)
		return err_set(e, EFBIG, "enough");
	*left -= n;
	return 0;
}

static void check(const struct archive *a, const uint8_t *p, size_t n)
{
	struct err e = {0};

	if (gz_index_check(&a->index, &e) < 0)
		abort();
	for (size_t i = 0; i < a->index.n && i < 16; i++) {
		uint64_t left = (uint64_t)4 << 20, length, from, bytes;

		gz_chunk_range(&a->index, i, &from, &bytes);
		if (from + bytes > a->index.size ||
		    gz_chunk_of(&a->index, a->index.chunks[i].in) != i)
			abort();
		(void)!gz_chunk_inflate(&a->index, i, p, MIN(n, (size_t)bytes), drop, &left,
					&length, &e);
	}
	for (size_t i = 0; i + 1 < a->n; i++) {
		if (a->members[i].from + a->members[i].size > a->members[i + 1].from)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	_cleanup_buf_ struct buf file = BUF_INIT((size_t)16 << 20);
	_cleanup_(archive_unrefp)
	struct archive *a = archive_new(NULL, "model/x.tar.gz", "");
	unsigned char digest[SHA256_LEN];
	struct err e = {0};

	buf_str(&file, "smfsidx1\n");
	buf_add(&file, p, n);
	sha256(file.data, file.len, digest);
	if (!a || buf_add(&file, digest, sizeof digest) < 0)
		return 0;
	if (archive_read(a, file.data, file.len, &e) == 0)
		check(a, p, n);
	else if (!e.no)
		abort();
	return 0;
}
