/*
 * buf.h: a byte buffer that is created with a ceiling.
 *
 * Invariants: data is NUL-terminated whenever it is not NULL, and len does not count that NUL. A failed add
 * (ceiling, memory) sets `failed` and leaves the contents as they were; later adds fail too, so a chain of adds
 * needs one check at its end. Not thread-safe.
 */
#ifndef SAGEMAKER_BUF_H
#define SAGEMAKER_BUF_H

#include <stdarg.h>

#include "sagemaker/util.h"

struct buf {
	char *data;  /* NULL until something is added */
	size_t len;  /* bytes in use */
	size_t cap;  /* bytes allocated */
	size_t max;  /* ceiling of len; 0 means BUF_DEFAULT_MAX */
	bool failed; /* an add did not fit: the contents are not whole */
};

#define BUF_DEFAULT_MAX ((size_t)1 << 20)
/* clang-format 14 takes an initializer for a block. */
/* clang-format off */
#define BUF_INIT(max_) {NULL, 0, 0, (max_), false}
/* clang-format on */
#define _cleanup_buf_   _cleanup_(buf_release)

/* buf_add: append n bytes. Returns 0, or -1 when it would pass the ceiling or memory is out. */
int buf_add(struct buf *b, const void *p, size_t n);

/* buf_str, buf_char, buf_printf: append a string, a byte, a formatted string. As buf_add. */
int buf_str(struct buf *b, const char *s);
int buf_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) _printf_(2, 0);

/* buf_reserve: make room for n more bytes and return where they go; the caller writes there and adds what it
 * wrote to len, then NUL-terminates with buf_terminate. NULL on failure. */
void *buf_reserve(struct buf *b, size_t n);
void buf_terminate(struct buf *b);

/* buf_cstr: the contents as a string, never NULL. Valid until the next add or release. */
const char *buf_cstr(const struct buf *b);

/* buf_steal: hand the memory to the caller (free()), leaving b empty; never NULL unless memory is out. */
char *buf_steal(struct buf *b);

/* buf_reset: empty, keeping the memory and the ceiling. buf_release: free; b may be used again. */
void buf_reset(struct buf *b);
void buf_release(struct buf *b);

/* buf_remove: drop the first n bytes (n <= len). */
void buf_remove(struct buf *b, size_t n);

/* buf_read_file: append the whole file PATH, at most the ceiling. 0, or -1 with errno (EFBIG past the ceiling). */
int buf_read_file(struct buf *b, int dirfd, const char *path);
int buf_read_fd(struct buf *b, int fd);

/* str_printf: an allocated formatted string (free()), NULL when memory is out. */
char *str_printf(const char *fmt, ...) _printf_(1, 2);

#endif
