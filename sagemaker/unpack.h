/*
 * unpack.h: a model.tar.gz, possibly hostile, into an empty directory. Only regular files and directories, nothing outside
 * it, no set-id bits, limits on bytes, entries, path length and depth; directories 0755, files 0644 or 0755.
 */
#ifndef SAGEMAKER_UNPACK_H
#define SAGEMAKER_UNPACK_H

#include "sagemaker/cancel.h"
#include "sagemaker/err.h"

struct unpack_limits {
	uint64_t bytes;   /* uncompressed; 0: 64 GiB */
	uint64_t entries; /* 0: 100,000 */
	/* not 0: of a file, so many bytes of its beginning and of its end are written, the rest is a hole: to look into large
	 * archives; not of *.params, whose headers stand between the values */
	uint64_t keep;
};

/* unpack: archive is a descriptor at offset 0 of a .tar.gz; everything is made beneath dirfd with openat. Refusals: EINVAL (not
 * gzip/tar, links, devices, absolute or ".." paths), EFBIG (limits), ENOSPC...; what was written stays for the caller to remove. */
int unpack(int archive, int dirfd, const struct unpack_limits *limits, struct cancel *cancel,
	   struct err *e) _must_check_;
/* unpack_list: calls fn for every member without writing; same refusals. */
int unpack_list(int archive, const struct unpack_limits *limits,
		int (*fn)(void *arg, const char *path, uint64_t size, mode_t mode), void *arg,
		struct err *e) _must_check_;

/* unpack_walk: the same of a tar stream that is inflated already, read once from front to back; fn is told of every regular file
 * where its bytes are. Sparse files are refused: theirs are not all there. */
struct unpack_file {
	const char *path;
	uint64_t from, size; /* in the stream */
	mode_t mode;
	int64_t mtime;
	unsigned char sha256[32];
};

typedef ssize_t unpack_source(void *arg, const void **p,
			      struct err *e); /* the next piece; 0: the end */
int unpack_walk(unpack_source *source, void *arg, const struct unpack_limits *limits,
		int (*fn)(void *arg, const struct unpack_file *f), struct cancel *cancel,
		struct err *e) _must_check_;
/* remove_tree: rm -r of dirfd/name without following links. */
int remove_tree(int dirfd, const char *name, struct err *e);

#endif
