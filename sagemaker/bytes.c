#include "sagemaker/bytes.h"

#include <errno.h>
#include <sys/stat.h>

int bytes_of_fd(struct bytes *b, int fd)
{
	struct stat st;

	*b = (struct bytes){.fd = fd};
	if (fstat(fd, &st))
		return -1;
	b->size = (uint64_t)st.st_size;
	b->window = malloc(BYTES_WINDOW);
	b->mem = b->window;
	return b->window ? 0 : -1;
}

void bytes_of_memory(struct bytes *b, const void *p, size_t n)
{
	*b = (struct bytes){.fd = -1, .mem = p, .size = n, .n = n};
}

void bytes_release(struct bytes *b)
{
	free(b->window);
	*b = (struct bytes){.fd = -1};
}

/* Move the window so that it begins at `at`. */
static void fill(struct bytes *b, uint64_t at)
{
	size_t want = (size_t)MIN((uint64_t)BYTES_WINDOW, b->size - at);

	b->at = at;
	b->n = 0;
	while (b->n < want) {
		ssize_t n = pread(b->fd, b->window + b->n, want - b->n, (off_t)(at + b->n));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			b->failed = true;
			b->no = errno;
		}
		if (n <= 0)
			return;
		b->n += (size_t)n;
	}
}

const uint8_t *bytes_at(struct bytes *b, uint64_t at, size_t n)
{
	if (n > b->size || at > b->size - n || n > (b->fd < 0 ? b->n : BYTES_WINDOW))
		return NULL;
	if (b->fd >= 0 && (at < b->at || at + n > b->at + b->n))
		fill(b, at);
	if (at < b->at || at - b->at + n > b->n)
		return NULL;
	return b->mem + (at - b->at);
}

const uint8_t *bytes_some(struct bytes *b, uint64_t at, size_t *n)
{
	const uint8_t *p = at < b->size ? bytes_at(b, at, 1) : NULL;

	*n = p ? (size_t)(b->at + b->n - at) : 0;
	return p;
}

uint64_t bytes_find(struct bytes *b, uint64_t at, uint64_t end, const void *what, size_t n)
{
	size_t have;

	while (at < end) {
		const uint8_t *p = bytes_some(b, at, &have);

		if (p && have < n) /* across the window's end */
			p = bytes_at(b, at, have = n);
		if (!p)
			break;
		const uint8_t *hit = memmem(p, have, what, n);
		if (hit)
			return at + (uint64_t)(hit - p) < end ? at + (uint64_t)(hit - p)
							      : UINT64_MAX;
		at += have - n + 1;
	}
	return UINT64_MAX;
}
