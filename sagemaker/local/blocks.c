#include "sagemaker/local/blocks.h"

#include <errno.h>
#include <fcntl.h>

#define BLOCK      ((size_t)1 << 20)
#define ALIGNMENT  ((size_t)4096) /* what every disk's logical block divides */
#define WORTH_IT   ((uint64_t)4 << 20)
#define FLUSH_STEP ((uint64_t)8 << 20)

/* Not every file system knows O_DIRECT, and a sandboxed one may say so only at the first write. */
static int make(int dirfd, const char *name, int direct)
{
	return openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | direct,
		      0600);
}

int blocks_open(struct blocks *b, int dirfd, const char *name, uint64_t size, struct err *e)
{
	void *block = NULL;

	*b = (struct blocks){.fd = -1};
	if (size >= WORTH_IT && posix_memalign(&block, ALIGNMENT, BLOCK) == 0) {
		b->fd = make(dirfd, name, O_DIRECT);
		b->direct = b->fd >= 0;
		if (b->fd < 0 && errno == EINVAL) /* some file systems leave the file behind */
			(void)!unlinkat(dirfd, name, 0);
	}
	if (b->direct)
		b->block = block;
	else
		free(block);
	if (b->fd < 0)
		b->fd = make(dirfd, name, 0);
	return b->fd < 0 ? err_errno(e, "cannot make a file in the store") : 0;
}

static int buffered(struct blocks *b)
{
	int flags = fcntl(b->fd, F_GETFL);

	b->direct = false;
	return flags < 0 ? -1 : fcntl(b->fd, F_SETFL, flags & ~O_DIRECT);
}

static int put(struct blocks *b, const char *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t m = pwrite(b->fd, p, n, (off_t)b->at);

		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0 && errno == EINVAL && b->direct && buffered(b) == 0)
			continue;
		if (m < 0)
			return err_errno(e, "cannot write into the store");
		if (b->direct && (size_t)m < n && buffered(b) < 0) /* what is left is not aligned */
			return err_errno(e, "cannot write into the store");
		p += m;
		n -= (size_t)m;
		b->at += (uint64_t)m;
	}
	return 0;
}

/* What went through the page cache is written back early, so that little is left for the end. */
static void flush_early(struct blocks *b)
{
	if (b->direct || b->at - b->sent < FLUSH_STEP)
		return;
	sync_file_range(b->fd, (off_t)b->sent, (off_t)(b->at - b->sent), SYNC_FILE_RANGE_WRITE);
	b->sent = b->at;
}

static int add_to_block(struct blocks *b, const char *p, size_t n, struct err *e)
{
	while (n) {
		size_t part = MIN(n, BLOCK - b->held);

		memcpy(b->block + b->held, p, part);
		b->held += part;
		p += part;
		n -= part;
		if (b->held < BLOCK)
			continue;
		if (put(b, b->block, BLOCK, e))
			return -1;
		b->held = 0;
	}
	return 0;
}

int blocks_add(struct blocks *b, const void *p, size_t n, struct err *e)
{
	if (b->block ? add_to_block(b, p, n, e) : put(b, p, n, e))
		return -1;
	flush_early(b);
	return 0;
}

/* The last block: what is aligned of it, then the rest. */
static int put_rest(struct blocks *b, struct err *e)
{
	size_t aligned = b->held / ALIGNMENT * ALIGNMENT;

	if (put(b, b->block, aligned, e))
		return -1;
	if (b->direct && buffered(b) < 0)
		return err_errno(e, "cannot write into the store");
	return put(b, b->block + aligned, b->held - aligned, e);
}

int blocks_sync(struct blocks *b, struct err *e)
{
	if (b->held && put_rest(b, e))
		return -1;
	b->held = 0;
	return fdatasync(b->fd) < 0 ? err_errno(e, "cannot write into the store") : 0;
}

void blocks_close(struct blocks *b)
{
	closep(&b->fd);
	free(b->block);
	*b = (struct blocks){.fd = -1};
}
