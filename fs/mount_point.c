#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "fs/command.h"
#include "fs/mount_private.h"
#include "fs/mountinfo.h"

int fuse_device_check(struct err *e)
{
	_cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == EACCES)
		return err_set(
			e, EACCES,
			"'/dev/fuse' is closed to this user: as root, run chmod 0666 /dev/fuse (and put "
			"KERNEL==\"fuse\", MODE=\"0666\" into /etc/udev/rules.d/99-fuse.rules to keep it so)");
	if (fd < 0)
		return err_set(
			e, ENODEV,
			"'/dev/fuse' is not there or does not work: as root, run modprobe fuse; in a container, "
			"start it with --device /dev/fuse --cap-add SYS_ADMIN");
	if (geteuid() != 0 && !command_find("fusermount3"))
		return err_set(
			e, ENOENT,
			"'fusermount3' is not installed: as root, run apt-get install fuse3");
	return 0;
}

static int detach(const char *path, struct err *e)
{
	if (umount2(path, MNT_DETACH) == 0)
		return 0;
	if (command_run((const char *const[]){"fusermount3", "-u", "-z", "--", path, NULL}) == 0)
		return 0;
	return err_set(e, ENOTCONN,
		       "a dead mount is on '%s' and cannot be removed: run fusermount3 -uz '%s'",
		       path, path);
}

/* One of ours is mounted there: dead ones go, live ones stay. */
static int check_ours(const char *path, struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	struct statvfs fs;

	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	while (mountinfo_find(&mounts, path)) {
		/* not stat(2): the kernel may still believe the root's attributes */
		if (statvfs(path, &fs) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
			return err_set(
				e, EBUSY,
				"'%s' is mounted already: use it, or run sagemakerfs unmount '%s'",
				path, path);
		if (detach(path, e) < 0)
			return -1;
		mountinfo_release(&mounts);
		if (mountinfo_read(&mounts, e) < 0)
			return -1;
	}
	return 0;
}

static int check_directory(const char *real, const char *given, struct err *e)
{
	struct stat st;

	if (stat(real, &st) < 0)
		return err_errno(e, "mountpoint '%s'", given);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "mountpoint '%s' is no directory", given);
	if (geteuid() != 0 && access(real, W_OK) < 0)
		return err_set(e, EACCES, "mountpoint '%s': mounting needs write permission there",
			       given);
	return 0;
}

/* A mount within one of ours is what fusermount3 refuses, with a sentence that says nothing. */
static int check_outside(const char *real, struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};

	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	const struct mount_line *in = mountinfo_around(&mounts, real);
	return in ? err_set(e, EINVAL,
			    "mountpoint '%s' lies in the mount '%s': choose a directory outside",
			    real, in->mountpoint)
		  : 0;
}

/* A word that is no path may have been meant as a command. */
static int not_there(const char *path, struct err *e)
{
	return err_set(e, ENOENT, "mountpoint '%s' does not exist: run mkdir -p '%s'%s", path, path,
		       strchr(path, '/') ? ""
					 : " (and there is no such command: sagemakerfs --help)");
}

bool mountpoint_hides(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d = NULL;

	while (dir && (d = readdir(dir)) && (streq(d->d_name, ".") || streq(d->d_name, "..")))
		;
	if (dir)
		closedir(dir);
	return d;
}

int mountpoint_check(char **path, struct err *e)
{
	_cleanup_free_ char *absolute = path_absolute(*path, e);
	char real[PATH_MAX];

	if (!absolute)
		return err_prefix(e, "mountpoint");
	if (check_ours(absolute, e) < 0)
		return -1;
	if (!realpath(absolute, real)) {
		return errno == ENOENT ? not_there(*path, e)
				       : err_errno(e, "mountpoint '%s'", *path);
	}
	/* Through a symbolic link the mount may lie elsewhere. */
	if (!streq(real, absolute) && check_ours(real, e) < 0)
		return -1;
	if (check_outside(real, e) < 0 || check_directory(real, *path, e) < 0)
		return -1;
	free(*path);
	*path = strdup(real);
	return *path ? 0 : err_set(e, ENOMEM, "out of memory");
}
