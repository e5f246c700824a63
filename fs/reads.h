/*
 * reads.h: published files, read by ranges. A read is answered from blocks (blocks.h); what is not there is fetched by jobs, one
 * request for each chunk, and the read waits for it without a thread. Who reads on finds the next chunks fetched ahead.
 */
#ifndef FS_READS_H
#define FS_READS_H

#include "fs/archive.h"

struct model;
struct models;
struct req;
struct node;
struct reads;

struct reads *reads_new(struct models *s, struct blocks *blocks);
void reads_free(struct reads *q);
/* reads_forget: what is cached of an archive that was deleted: of the mount's own bucket. */
void reads_forget(struct reads *q, const char *key);

/* An open published file: of the version that was current when it was opened. */
struct published {
	struct manifest *man;
	const struct manifest_member *member; /* of man */
	struct archive *archive;              /* models.mu; NULL until the first read */
	uint64_t next;                        /* reads.mu: where the last read ended */
};

/* published_new: man is referenced. */
struct published *published_new(struct manifest *man, const struct manifest_member *member);
void published_free(struct published *p);
/* published_read: answers r, now or when the bytes are there. */
void published_read(struct req *r, struct model *md, struct published *p, size_t size, off_t off);

/* reads_copy: all bytes of an extent, verified, to put. Job thread. */
typedef int reads_put(void *arg, const void *p, size_t n, struct err *e);
int reads_copy(struct model *md, struct archive *a, const struct extent *x, reads_put *put,
	       void *arg, struct cancel *c, struct err *e) _must_check_;

/* archive_known: what holds m's bytes, a member that is not empty (NULL: of an archive, any): man's archive, or m's own object, when that takes no asking: NULL and ENODATA when it does. archive_learn: the same, reading all of it once
 * where its manifest does not say enough. Job thread. */
struct archive *archive_known(struct model *md, const struct manifest *man,
			      const struct manifest_member *m, struct err *e);
struct archive *archive_learn(struct model *md, const struct manifest *man,
			      const struct manifest_member *m, struct cancel *c, struct err *e);

struct blocks *reads_blocks(struct reads *q);

/* archive_scan.c: archive_scan: *a, of which only the place is known, is read once, or has been. Job thread. -1: e; *a is to be given
 * back in every case. */
int archive_scan(struct model *md, struct archive **a, struct cancel *c, struct err *e)
	_must_check_;

/* reads_fetch.c */
/* archive_bucket: the bucket that an archive is in; whoever owns another one than ours is not known. Job thread. */
int archive_bucket(struct model *md, const struct archive *a, struct s3_bucket *out,
		   struct cancel *c, struct err *e) _must_check_;
/* fetch_chunk: chunk i of a, from the cache or from S3. Job thread. NULL: e. */
struct block *fetch_chunk(struct blocks *b, struct model *md, struct archive *a, size_t i,
			  struct cancel *c, struct err *e);

#endif
