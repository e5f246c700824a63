/*
 * gzindex.h: where inflating of a gzip stream can start, so that a part of an archive is read without what is before it. Pure.
 *
 * A stream is cut into chunks, each from one restart point to the next. The points of archives that we wrote are in their manifests
 * (pack.h: full flushes at whole bytes). Those of anybody else's are found by inflating it once (gzscan.h), and take the 32 KiB
 * before them and perhaps some bits of the byte before. Every chunk has the CRC-32 of its inflated bytes: nothing else is believed.
 */
#ifndef SAGEMAKER_GZINDEX_H
#define SAGEMAKER_GZINDEX_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

#define GZ_WINDOW 32768
#define GZ_CHUNK_MAX \
 ((uint64_t)256 << 20) /* inflated bytes between two points; compressed ones, too */

struct gz_chunk {
	uint64_t in;        /* offset in the inflated stream */
	uint64_t out;       /* offset in the compressed one of the first whole byte */
	uint32_t crc;       /* CRC-32 of its inflated bytes */
	uint16_t window;    /* bytes before it that it may refer to, at windows + at */
	unsigned char bits; /* of the byte before out that belong to it, 0 to 7 */
	size_t at;
};

struct gz_index {
	struct gz_chunk *chunks;
	size_t n, cap;
	uint64_t size;   /* of the compressed stream */
	uint64_t length; /* of the inflated one; 0: not known */
	bool raw;        /* nothing is compressed: chunks are pieces of the object as it is */
	struct buf windows;
};

void gz_index_release(struct gz_index *x);
/* gz_index_add: one more chunk, with the window (may be NULL) before it. -1: memory. */
int gz_index_add(struct gz_index *x, const struct gz_chunk *c, const void *window) _must_check_;
/* gz_index_check: EBADMSG unless the chunks make sense: from 0 on, ever further, none too long, within size. */
int gz_index_check(const struct gz_index *x, struct err *e) _must_check_;
/* gz_chunk_of: the chunk that holds this byte of the inflated stream. */
size_t gz_chunk_of(const struct gz_index *x, uint64_t in);
/* gz_chunk_length: inflated bytes; of the last chunk UINT64_MAX when the stream's length is not known. */
uint64_t gz_chunk_length(const struct gz_index *x, size_t i);
/* gz_chunk_range: which bytes of the compressed stream it takes. */
void gz_chunk_range(const struct gz_index *x, size_t i, uint64_t *from, uint64_t *n);

/* gz_crc: CRC-32 of n more bytes, from that so far. */
uint32_t gz_crc(uint32_t so_far, const void *p, size_t n);

/* gz_chunk_inflate: p, n: that range. Hands the inflated bytes to sink in pieces; *length: how many they were. EBADMSG: they are
 * not what the index says; what sink got is to be thrown away. */
typedef int gz_sink(void *arg, const void *p, size_t n, struct err *e);
int gz_chunk_inflate(const struct gz_index *x, size_t i, const void *p, size_t n, gz_sink *sink,
		     void *arg, uint64_t *length, struct err *e) _must_check_;

#endif
