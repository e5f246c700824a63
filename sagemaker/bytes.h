/*
 * bytes.h: a file, or memory, that a parser looks at here and there; bounds are checked in one place. For the parsers of
 * models' files, which may be cut short or hostile.
 */
#ifndef SAGEMAKER_BYTES_H
#define SAGEMAKER_BYTES_H

#include "sagemaker/util.h"

#define BYTES_WINDOW ((size_t)64 << 10)

struct bytes {
	int fd;             /* -1: memory */
	const uint8_t *mem; /* the memory, or the window of a file */
	uint64_t size;
	uint64_t at; /* where the window stands, and how long it is */
	size_t n;
	bool failed; /* the file could not be read: errno is in no */
	int no;
	uint8_t *window; /* BYTES_WINDOW bytes, owned */
};

/* bytes_of_fd: a view of an open file, which is borrowed. -1: memory is out or it cannot be read (errno). Released in every case. */
int bytes_of_fd(struct bytes *b, int fd) _must_check_;
void bytes_of_memory(struct bytes *b, const void *p, size_t n);
void bytes_release(struct bytes *b);
#define _cleanup_bytes_ _cleanup_(bytes_release)

/* bytes_at: n (<= BYTES_WINDOW) bytes at an offset, valid until the next call; NULL when they are not all there. */
const uint8_t *bytes_at(struct bytes *b, uint64_t at, size_t n);
/* bytes_some: as many as the window gives there, *n of them; NULL at the end. */
const uint8_t *bytes_some(struct bytes *b, uint64_t at, size_t *n);
/* bytes_find: the offset of `what` (n bytes, less than a window) at or after `at` and before `end`; UINT64_MAX: not there. */
uint64_t bytes_find(struct bytes *b, uint64_t at, uint64_t end, const void *what, size_t n);

static inline uint64_t bytes_le(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static inline uint64_t bytes_be(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

#endif
