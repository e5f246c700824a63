/*
 * blocks.h: a new file written from its beginning to its end, in big blocks past the page cache where the file system lets us.
 *
 * A model's archive is written once, as fast as the disk takes it, and read once, when it is unpacked. Copied through the page
 * cache it would cost a copy and a page for every page, and push out the very files that the client is still reading.
 */
#ifndef SAGEMAKER_LOCAL_BLOCKS_H
#define SAGEMAKER_LOCAL_BLOCKS_H

#include "sagemaker/err.h"
#include "sagemaker/util.h"

struct blocks {
	int fd;        /* -1: none */
	bool direct;   /* fd is O_DIRECT: whole, aligned blocks only */
	char *block;   /* gathers bytes; NULL: they are written as they come */
	size_t held;   /* bytes in block */
	uint64_t at;   /* bytes of the file that are written */
	uint64_t sent; /* up to here the kernel was told to write back */
};

/* blocks_open: name in dirfd, which must not exist. size: as far as known what will come; small files take the plain way. */
int blocks_open(struct blocks *b, int dirfd, const char *name, uint64_t size, struct err *e)
	_must_check_;
int blocks_add(struct blocks *b, const void *p, size_t n, struct err *e) _must_check_;
/* blocks_sync: all that was added is on the disk; nothing can be added after it. */
int blocks_sync(struct blocks *b, struct err *e) _must_check_;
void blocks_close(struct blocks *b);

#endif
