/*
 * pack.h: bytes into deflate blocks, in place. What is put in stands as stored blocks in the room it goes out from; a chunk of it that
 * shrinks is deflated (isa-l, level 1) and put there instead. So weights, which hardly shrink, are read from a file straight into
 * what is sent. Every chunk ends on a full flush: chunks can stand in any order, and inflating can start at each.
 */
#ifndef SAGEMAKER_PACK_H
#define SAGEMAKER_PACK_H

#include "sagemaker/util.h"

#define PACK_BLOCK    ((size_t)65535)   /* a stored block's most */
#define PACK_CHUNK    (64 * PACK_BLOCK) /* bytes that go into one chunk */
/* PACK_BOUND: room for what n bytes become. */
#define PACK_BOUND(n) ((n) + ((n) / PACK_BLOCK + 2) * 5)

struct deflater; /* what one thread needs to deflate */
struct deflater *deflater_new(void);
void deflater_free(struct deflater *d);

/* A chunk under construction. Embed; zero but for room and len. One thread at a time. */
struct pack {
	unsigned char *
		room; /* borrowed: PACK_BOUND(PACK_CHUNK) are free behind len when a chunk begins */
	size_t len;   /* bytes of it that are made: whole chunks, and blocks of the open one */
	size_t chunk; /* where the open chunk begins */
	size_t block; /* bytes in the open block, whose header is at len */
	size_t raw;   /* bytes that went into the open chunk */
	uint32_t crc; /* CRC-32 of them */
};

/* pack_room: where the next bytes go, *n of them at most (never 0: pack_took ends a chunk that is full). */
unsigned char *pack_room(const struct pack *p, size_t *n);
/* pack_took: n bytes were put there. true: the chunk is full, pack_end is next. */
bool pack_took(struct pack *p, size_t n);
/* pack_end: the open chunk, if it has bytes, becomes final: deflated where that is worth it. p->raw and p->crc are of it until
 * pack_next. */
void pack_end(struct pack *p, struct deflater *d);
/* pack_next: the next chunk begins. */
void pack_next(struct pack *p);

/* What stands around the chunks: a gzip header, and the empty last block with the trailer. */
#define PACK_HEADER  10
#define PACK_TRAILER 10
void pack_header(unsigned char out[PACK_HEADER]);
void pack_trailer(uint32_t crc, uint64_t size, unsigned char out[PACK_TRAILER]);

#endif
