/*
 * gzscan.h: a gzip stream of anybody's, inflated once from front to back; on the way its restart points are found (gzindex.h): at
 * the beginnings of deflate blocks, with the 32 KiB before them. Several gzip members one after another are one stream.
 */
#ifndef SAGEMAKER_GZSCAN_H
#define SAGEMAKER_GZSCAN_H

#include "sagemaker/gzindex.h"

struct gz_scan;

/* The next piece of the compressed stream: its length, valid until the next call; 0: the end; -1. */
typedef ssize_t gz_source(void *arg, const void **p, struct err *e);

/* gz_scan_new: points at least spacing inflated bytes apart go into x, which is empty and the caller's. NULL: memory. */
struct gz_scan *gz_scan_new(gz_source *source, void *arg, uint64_t spacing, struct gz_index *x);
/* gz_scan_read: the next inflated piece, which lies in the newest chunk of x; valid until the next call. 0: all of it came, its own
 * checksums hold, and x is whole. EINVAL: it is not gzip, damaged, or cut short. EFBIG: no point for too long. */
ssize_t gz_scan_read(struct gz_scan *s, const void **p, struct err *e) _must_check_;
void gz_scan_free(struct gz_scan *s);

#endif
