/*
 * gzip.h: one gzip member made by several threads (isa-l level 1), in one pass and bounded memory.
 *
 * Input is cut into 16 MiB chunks, each compressed on its own (full flush at its end, so chunks concatenate and restart
 * points are known); a chunk that shrinks by less than 10 % is written as stored blocks. CRC-32s are combined.
 */
#ifndef SAGEMAKER_GZIP_H
#define SAGEMAKER_GZIP_H

#include "sagemaker/buf.h"
#include "sagemaker/cancel.h"
#include "sagemaker/err.h"

/* The receiver of compressed bytes, in order, one thread at a time; -1 with e filled stops everything. */
typedef int gzip_sink(void *arg, const void *p, size_t n, struct err *e);

struct gzip_point {   /* a place where inflating can start: after a full flush */
	uint64_t in;  /* offset in the uncompressed stream */
	uint64_t out; /* offset in the compressed stream */
	uint32_t
		crc; /* CRC-32 of the uncompressed bytes from here to the next point, or to the end */
};

struct gzip;
struct gzip *gzip_new(gzip_sink *sink, void *arg, unsigned threads /* 0: processors */,
		      struct err *e) _must_check_;
int gzip_write(struct gzip *g, const void *p, size_t n, struct err *e) _must_check_;
/* gzip_finish: flushes, writes the trailer; points (may be NULL) is malloc'ed for the caller. Frees g in every case. */
int gzip_finish(struct gzip *g, struct gzip_point **points, size_t *n_points, struct err *e)
	_must_check_;
void gzip_free(struct gzip *g); /* give up */

#endif
