/*
 * Archives as anyone may upload them. The input is a tar, compressed here so that the fuzzer need not find gzip's checksums;
 * when the first byte is odd it is taken as it is. Whatever unpack says, nothing may appear outside the directory and nothing
 * but files and directories in it.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "sagemaker/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(int dirfd)
{
	_cleanup_closedir_ DIR *d = fdopendir(dup(dirfd));
	const struct dirent *de;

	while (d && (de = readdir(d))) {
		struct stat st;

		if (streq(de->d_name, ".") || streq(de->d_name, "..") ||
		    fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || st.st_mode & 06022)
			abort();
		_cleanup_close_ int sub =
			S_ISDIR(st.st_mode) ? openat(dirfd, de->d_name, O_RDONLY) : -1;
		if (sub >= 0)
			check(sub);
	}
}

static int archive_of(const uint8_t *p, size_t n)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	if (p[0] & 1) {
		(void)!write(fd, p + 1, n - 1);
	} else {
		gzFile z = gzdopen(dup(fd), "wb1");

		gzwrite(z, p + 1, (unsigned)n - 1);
		gzclose(z);
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int ignore(void *arg, const char *path, uint64_t size, mode_t mode)
{
	(void)arg;
	(void)path;
	(void)size;
	(void)mode;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct unpack_limits limits = {1 << 20, 100};
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX];
	struct err e = {0};

	snprintf(dir, sizeof dir, "%s/smfs-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (!n || !mkdtemp(dir))
		return 0;
	_cleanup_close_ int archive = archive_of(p, n);
	_cleanup_close_ int outside = open(dir, O_RDONLY | O_DIRECTORY);
	if (mkdirat(outside, "in", 0755))
		abort();
	_cleanup_close_ int in = openat(outside, "in", O_RDONLY | O_DIRECTORY);
	(void)!unpack(archive, in, &limits, NULL, &e);
	check(in);
	lseek(archive, 0, SEEK_SET);
	(void)!unpack_list(archive, &limits, ignore, NULL, &e);
	if (remove_tree(outside, "in", &e) || rmdir(dir)) /* not empty: something escaped */
		abort();
	return 0;
}
