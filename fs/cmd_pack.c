#include <errno.h>
#include <fcntl.h>

#include "fs/commands.h"
#include "sagemaker/package.h"

static int to_file(void *arg, const void *p, size_t n, struct err *e)
{
	const int *fd = arg;
	const char *at = p;

	while (n) {
		ssize_t wrote = write(*fd, at, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return err_errno(e, "cannot write the archive");
		at += wrote;
		n -= (size_t)wrote;
	}
	return 0;
}

static int write_archive(struct package_plan *p, const char *path, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	struct package_output out = {.sink = to_file, .arg = &fd};

	if (fd < 0)
		return err_errno(e, "cannot write '%s'", path);
	int rc = package_write(p, &out, NULL, e);
	free(out.points);
	free(out.member_offsets);
	if (rc < 0)
		unlink(path);
	else
		printf("archive: %s\n", path);
	return rc;
}

/* The model's name: the directory's. */
static char *name_of(const char *dir, struct err *e)
{
	char real[4096];

	if (!realpath(dir, real)) {
		err_errno(e, "'%s'", dir);
		return NULL;
	}
	const char *slash = strrchr(real, '/');
	return strdup(slash[1] ? slash + 1 : "model");
}

static int describe(const char *dir, const char *archive, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = NULL;
	_cleanup_free_ char *name = name_of(dir, e);
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)64 << 20);
	_cleanup_close_ int fd = name ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!name)
		return -1;
	if (fd < 0 && errno == ENOTDIR)
		return err_set(e, ENOTDIR, "'%s' is a file: put it into a directory, and pack that",
			       dir);
	if (fd < 0)
		return err_errno(e, "'%s'", dir);
	if (package_plan(fd, name, NULL, &p, e) < 0)
		return err_prefix(e, "'%s'", dir);
	package_describe(p, &text);
	fputs(buf_cstr(&text), stdout);
	if (!p->whole) {
		*e = p->why;
		return -1;
	}
	if (package_digest(p, NULL, NULL, e) < 0)
		return -1;
	printf("digest: %s\n", p->digest);
	return archive ? write_archive(p, archive, e) : 0;
}

int cmd_pack(int argc, char **argv, _unused_ int *status, struct err *e)
{
	const char *dir = NULL, *archive = NULL;

	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "-o") && i + 1 < argc)
			archive = argv[++i];
		else if (argv[i][0] != '-' && !dir)
			dir = argv[i];
		else
			return usage_error("pack", e);
	}
	return dir ? describe(dir, archive, e) : usage_error("pack", e);
}
