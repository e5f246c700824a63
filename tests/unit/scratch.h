/* scratch.h: what the tests of several units need: cmocka in its order, a private directory, files in it. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sagemaker/buf.h"
#include "sagemaker/unpack.h"
#include "sagemaker/util.h"

struct scratch {
	char path[64];
	int fd;
};

static inline void scratch_make(struct scratch *s)
{
	snprintf(s->path, sizeof(s->path), "/tmp/smfs-test-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->fd >= 0);
}

static inline void scratch_drop(struct scratch *s)
{
	close(s->fd);
	assert_int_equal(remove_tree(AT_FDCWD, s->path, NULL), 0);
}

#define _cleanup_scratch_ _cleanup_(scratch_drop)

/* Every directory on the way to path, then the file with n bytes. */
static inline void scratch_file(const struct scratch *s, const char *path, const void *data,
				size_t n)
{
	char part[512];

	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		size_t len = (size_t)(slash - path);

		assert_true(len < sizeof(part));
		memcpy(part, path, len);
		part[len] = '\0';
		assert_true(mkdirat(s->fd, part, 0755) == 0 || errno == EEXIST);
	}
	int fd = openat(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	close(fd);
}

static inline void scratch_text(const struct scratch *s, const char *path, const char *text)
{
	scratch_file(s, path, text, strlen(text));
}

/* The file's text; a static buffer. */
static inline const char *scratch_read(const struct scratch *s, const char *path)
{
	static char text[65536];
	int fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

#endif
