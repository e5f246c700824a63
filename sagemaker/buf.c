#include "sagemaker/buf.h"

#include <errno.h>
#include <fcntl.h>

static size_t ceiling(const struct buf *b)
{
	return b->max ? b->max : BUF_DEFAULT_MAX;
}

static int fail(struct buf *b)
{
	b->failed = true;
	return -1;
}

void *buf_reserve(struct buf *b, size_t n)
{
	if (b->failed || n > ceiling(b) - b->len) {
		fail(b);
		return NULL;
	}
	size_t need = b->len + n + 1;
	if (need > b->cap) {
		size_t cap = MAX(need, MIN(b->cap * 2, ceiling(b) + 1));
		char *p = realloc(b->data, MAX(cap, (size_t)64));
		if (!p) {
			fail(b);
			return NULL;
		}
		b->data = p;
		b->cap = MAX(cap, (size_t)64);
	}
	return b->data + b->len;
}

void buf_terminate(struct buf *b)
{
	if (b->data)
		b->data[b->len] = '\0';
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	void *to = buf_reserve(b, n);

	if (!to)
		return -1;
	if (n)
		memcpy(to, p, n);
	b->len += n;
	buf_terminate(b);
	return 0;
}

int buf_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return fail(b);
	char *to = buf_reserve(b, (size_t)n);
	if (!to)
		return -1;
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

const char *buf_cstr(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_steal(struct buf *b)
{
	char *p = b->data ? b->data : strdup("");

	b->data = NULL;
	b->len = b->cap = 0;
	b->failed = false;
	return p;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	buf_terminate(b);
}

void buf_release(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->failed = false;
}

void buf_remove(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	buf_terminate(b);
}

int buf_read_fd(struct buf *b, int fd)
{
	char chunk[8192];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (buf_add(b, chunk, (size_t)n) < 0) {
			errno = EFBIG;
			return -1;
		}
	}
}

int buf_read_file(struct buf *b, int dirfd, const char *path)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : buf_read_fd(b, fd);
}

char *str_printf(const char *fmt, ...)
{
	struct buf b = BUF_INIT((size_t)16 << 20);
	va_list ap;

	va_start(ap, fmt);
	int r = buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (r < 0) {
		buf_release(&b);
		return NULL;
	}
	return buf_steal(&b);
}
