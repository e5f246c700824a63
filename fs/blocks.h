/*
 * blocks.h: a bounded cache of verified pieces of archives: CACHE/ID/N is chunk N of archive ID, inflated. Shared by all mounts of a
 * user: a file appears by a rename, is compared with its CRC-32 when it is opened, and may be removed by anybody at any time (who has
 * it open goes on reading). Holds only what can be fetched again; a disk that is full or missing costs speed, not answers.
 */
#ifndef FS_BLOCKS_H
#define FS_BLOCKS_H

#include "fs/log.h"
#include "sagemaker/buf.h"
#include "sagemaker/err.h"
#include "sagemaker/util.h"

#define BLOCK_ID      33 /* 32 hex digits, and the NUL */
#define BLOCKS_OPEN   64 /* kept open */
#define BLOCKS_MEMORY 4  /* of these, at most, in memory instead of on disk */

struct blocks;

/* An open block: counted, its bytes never change. */
struct block {
	int fd;
	uint64_t n;
	/* blocks.c's own */
	struct blocks *of;
	char id[BLOCK_ID];
	size_t i;
	unsigned refs;  /* blocks.mu */
	uint64_t used;  /* blocks.mu */
	int64_t marked; /* blocks.mu: now_ms() when its file's time was set */
	bool memory;
};

/* blocks_new: dirfd is taken; -1: no disk. max: bytes of all files there, 0: none on disk. */
struct blocks *blocks_new(int dirfd, uint64_t max, struct log *log);
void blocks_free(struct blocks *b); /* after every block was given back */

/* blocks_find: one that is open already, or NULL. Quick. */
struct block *blocks_find(struct blocks *b, const char *id, size_t i);
/* blocks_load: the same from the disk, verified: NULL: not there, or not what it should be (then it is removed). n: UINT64_MAX: unknown. */
struct block *blocks_load(struct blocks *b, const char *id, size_t i, uint64_t n, uint32_t crc);
void block_put(struct block *k);
void block_putp(struct block **k);

/* A block being made: begin, write, then end or drop. */
struct block_new {
	struct blocks *b;
	int fd;
	uint64_t n;
	bool memory;
	char temp[32];
};

int block_begin(struct block_new *w, struct blocks *b, struct err *e) _must_check_;
/* block_write: where the disk is full, the least recently used go; where that is not enough, it stays in memory. */
int block_write(struct block_new *w, const void *p, size_t n, struct err *e) _must_check_;
/* block_end: it is verified: from now on everybody's. NULL: memory. */
struct block *block_end(struct block_new *w, const char *id, size_t i);
void block_drop(struct block_new *w);

/* blocks_keeps: whether anything is kept on disk. */
bool blocks_keeps(const struct blocks *b);
/* blocks_file: another file beside an archive's blocks, whole. -1: there is none. blocks_put_file: makes one, if it can. */
int blocks_file(struct blocks *b, const char *id, const char *name, struct buf *out);
void blocks_put_file(struct blocks *b, const char *id, const char *name, const void *p, size_t n);

/* blocks_forget: the archive is gone. */
void blocks_forget(struct blocks *b, const char *id);

/* blocks_disk.c: blocks_trim: least recently used files go until at most bytes are left. How many went. */
size_t blocks_trim(int root, uint64_t bytes, uint64_t *left);

#endif
