/* sandbox_root.c: the root directory of a model server: the system's programs, its runtime, the model; all of it read-only but
 * a scratch directory. What is not named here does not exist for it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sagemaker/local/sandbox.h"

#define FD_PATH   40
#define PATH_SIZE 2048

/* What programs need of a system, where it is there. */
#define RESOLVER "/run/systemd/resolve"

static const char *const system_entries[] = {"usr",    "bin", "sbin", "lib", "lib32", "lib64",
					     "libx32", "etc", "nix",  "gnu", "sys"};
static const char *const devices[] = {"null", "zero",  "full",   "random", "urandom",
				      "fd",   "stdin", "stdout", "stderr", "kfd"};

static void fd_path(int fd, const char *name, char *out, size_t size)
{
	snprintf(out, size, "/proc/self/fd/%d%s%s", fd, *name ? "/" : "", name);
}

static int bind(int fd, const char *to)
{
	char from[FD_PATH];

	fd_path(fd, "", from, sizeof from);
	return mount(from, to, NULL, MS_BIND | MS_REC, NULL);
}

/* Show `name` of the directory behind fd as to/name. What cannot be shown is left out. */
static void mirror_entry(int fd, const char *name, const char *to)
{
	char target[PATH_SIZE], link[PATH_SIZE];
	struct stat st;

	if (snprintf(target, sizeof target, "%s/%s", to, name) >= (int)sizeof target ||
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, name, link, sizeof link - 1);
		link[MAX(n, 0)] = '\0';
		if (n > 0 && symlink(link, target) < 0)
			return;
		return;
	}
	_cleanup_close_ int from = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(target, 0755) == 0 && bind(from, target) < 0)
			rmdir(target);
	} else {
		_cleanup_close_ int made =
			open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (made >= 0 && bind(from, target) < 0)
			unlink(target);
	}
}

/* The entries of `from`, a directory, for which keep() holds, as to/... */
static void mirror(const char *from, const char *to, bool (*keep)(const char *name))
{
	_cleanup_closedir_ DIR *d = opendir(from);

	mkdir(to, 0755);
	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		if (!streq(t->d_name, ".") && !streq(t->d_name, "..") && keep(t->d_name))
			mirror_entry(dirfd(d), t->d_name, to);
	}
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (streq(name, names[i]))
			return true;
	}
	return false;
}

static bool is_system(const char *name)
{
	return is_one_of(name, system_entries, ARRAY_SIZE(system_entries));
}

static bool is_device(const char *name)
{
	return is_one_of(name, devices, ARRAY_SIZE(devices)) || starts_with(name, "nvidia");
}

static bool is_not_ml(const char *name)
{
	return !streq(name, "ml");
}

/* The directories of root/path, root itself being there. */
static int make_dirs(const char *root, const char *path)
{
	char part[PATH_SIZE];

	if (snprintf(part, sizeof part, "%s%s/", root, path) >= (int)sizeof part)
		return -1;
	for (char *p = part + strlen(root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

/* A directory at its own path; one that is shown already, as part of another, stays as it is. */
static int keep_dir(const char *root, const char *path, struct err *e)
{
	char target[PATH_SIZE];
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || snprintf(target, sizeof target, "%s%s", root, path) >= (int)sizeof target)
		return err_errno(e, "cannot open '%s'", path);
	if (access(target, F_OK) == 0)
		return 0;
	if (make_dirs(root, path) < 0 || bind(fd, target) < 0)
		return err_errno(e, "cannot mount '%s'", path);
	return 0;
}

/* path without its last n names. */
static void above(const char *path, int n, char *out, size_t size)
{
	snprintf(out, size, "%s", path);
	while (n-- > 0) {
		char *slash = strrchr(out, '/');
		if (slash)
			*slash = '\0';
	}
}

void sandbox_prefix(const char *python, char *out, size_t size)
{
	_cleanup_free_ char *real = realpath(python, NULL);
	char first[PATH_SIZE];

	above(real ? real : "", 2, out, size);
	snprintf(first, sizeof first, "%s", *out ? out + 1 : "");
	first[strcspn(first, "/")] = '\0';
	if (!*out || is_system(first) || streq(out, "/opt"))
		*out = '\0';
}

static int keep_programs(const char *root, const struct sandbox *s, struct err *e)
{
	char dir[PATH_SIZE];

	above(s->python, 2, dir, sizeof dir);
	if (keep_dir(root, dir, e) < 0)
		return -1;
	sandbox_prefix(s->python, dir, sizeof dir);
	if (*dir && keep_dir(root, dir, e) < 0)
		return -1;
	/* where /etc/resolv.conf leads to on many systems */
	if (s->network && access(RESOLVER, X_OK) == 0 && keep_dir(root, RESOLVER, e) < 0)
		return -1;
	above(s->script, 1, dir, sizeof dir);
	return keep_dir(root, dir, e);
}

static int make_dir_at(const char *root, const char *name, struct err *e)
{
	return make_dirs(root, name) < 0 ? err_errno(e, "cannot make '%s'", name) : 0;
}

static int mount_at(const char *root, const char *name, const char *type, const char *options)
{
	char target[PATH_SIZE];

	snprintf(target, sizeof target, "%s%s", root, name);
	return mount(type, target, type, MS_NOSUID | MS_NODEV, options);
}

/* Only the processes of our own namespace; where the system allows no new /proc, its own one, of others' it says little. */
static int show_processes(const char *root, struct err *e)
{
	char target[PATH_SIZE];

	snprintf(target, sizeof target, "%s/proc", root);
	if (mount_at(root, "/proc", "proc", NULL) == 0 ||
	    mount("/proc", target, NULL, MS_BIND | MS_REC, NULL) == 0)
		return 0;
	return err_errno(e, "cannot mount '/proc'");
}

/* Everything of which there is only one. */
static int show_system(const char *root, struct err *e)
{
	static const char *const empty[] = {"/proc", "/dev/shm", "/tmp", "/var", "/opt/ml/model"};
	char at[PATH_SIZE];

	mirror("/", root, is_system);
	snprintf(at, sizeof at, "%s/dev", root);
	mirror("/dev", at, is_device);
	snprintf(at, sizeof at, "%s/opt", root);
	mirror("/opt", at, is_not_ml);
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		if (make_dir_at(root, empty[i], e) < 0)
			return -1;
	}
	return show_processes(root, e);
}

static int bind_at(int fd, const char *root, const char *name, struct err *e)
{
	char target[PATH_SIZE];

	snprintf(target, sizeof target, "%s%s", root, name);
	return bind(fd, target) < 0 ? err_errno(e, "cannot mount '%s'", name) : 0;
}

/* Its scratch directory, without what is mounted on it: the root directory that is being made. */
static int bind_scratch(int fd, const char *root, const char *name, struct err *e)
{
	char from[64], target[PATH_SIZE];

	snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
	snprintf(target, sizeof target, "%s%s", root, name);
	return mount(from, target, NULL, MS_BIND, NULL) < 0
		       ? err_errno(e, "cannot mount the scratch directory at '%s'", name)
		       : 0;
}

static int read_only(const char *path, struct err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};

	return mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &a, sizeof a) < 0
		       ? err_errno(e, "cannot make its files read-only")
		       : 0;
}

/* Whether something that it is to see lies below `dir`, which ends in '/'. */
static bool is_above(const char *dir, const struct sandbox *s)
{
	return starts_with(s->scratch, dir) || starts_with(s->python, dir) ||
	       starts_with(s->script, dir);
}

/* Where /tmp has none of its files it is its scratch directory, else a small file system around them. */
static int make_tmp(const char *root, const struct sandbox *s, struct err *e)
{
	char target[PATH_SIZE];

	snprintf(target, sizeof target, "%s/var/tmp", root);
	if (!is_above("/var/tmp/", s) && symlink("/tmp", target) < 0)
		return err_errno(e, "cannot make '/var/tmp'");
	if (is_above("/tmp/", s) && mount_at(root, "/tmp", "tmpfs", "mode=1777") < 0)
		return err_errno(e, "cannot mount '/tmp'");
	return 0;
}

static int open_tmp(const char *root, const struct sandbox *s, int scratch, struct err *e)
{
	struct mount_attr a = {.attr_clr = MOUNT_ATTR_RDONLY};
	char target[PATH_SIZE];

	if (!is_above("/tmp/", s))
		return bind_scratch(scratch, root, "/tmp", e);
	snprintf(target, sizeof target, "%s/tmp", root);
	return mount_setattr(AT_FDCWD, target, 0, &a, sizeof a) < 0
		       ? err_errno(e, "cannot make '/tmp' writable")
		       : 0;
}

/* The model's files and, where there is code beside it, that. */
static int show_model(const char *root, const struct sandbox *s, int model, struct err *e)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/code", s->base);
	_cleanup_close_ int code = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (code >= 0 && (make_dir_at(root, "/opt/ml/code", e) < 0 ||
			  bind_at(code, root, "/opt/ml/code", e) < 0))
		return -1;
	if (code < 0 && errno != ENOENT)
		return err_errno(e, "cannot open '%s'", path);
	return bind_at(model, root, "/opt/ml/model", e);
}

/* In this order: the places first, then nothing is written any more, then what may be. */
static int fill(const char *root, const struct sandbox *s, int model, int scratch, struct err *e)
{
	if (show_system(root, e) < 0 || make_tmp(root, s, e) < 0 || keep_programs(root, s, e) < 0 ||
	    make_dir_at(root, s->scratch, e) < 0 || show_model(root, s, model, e) < 0 ||
	    read_only(root, e) < 0)
		return -1;
	if (mount_at(root, "/dev/shm", "tmpfs", "mode=1777") < 0)
		return err_errno(e, "cannot mount '/dev/shm'");
	return open_tmp(root, s, scratch, e) < 0 ? -1 : bind_scratch(scratch, root, s->scratch, e);
}

static int change_root(const char *root, struct err *e)
{
	if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, "cannot change the root directory");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(e, "cannot leave the old root directory");
	return 0;
}

int sandbox_root(const struct sandbox *s, struct err *e)
{
	char path[PATH_SIZE];
	const char *root = s->scratch; /* a directory to mount on that is sure to be there */

	if (snprintf(path, sizeof path, "%s/model", s->base) >= (int)sizeof path ||
	    strlen(s->scratch) + strlen(s->python) + strlen(s->script) >= PATH_SIZE - 64)
		return err_set(e, ENAMETOOLONG, "the store's path is too long");
	_cleanup_close_ int model = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int scratch = open(s->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (model < 0 || scratch < 0)
		return err_errno(e, "cannot open the endpoint's directories");
	/* Slave, not private: what is unmounted outside goes here too, until the old root is left. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(e, "cannot make mounts private");
	if (mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755") < 0)
		return err_errno(e, "cannot mount a root directory");
	if (fill(root, s, model, scratch, e) == 0 && change_root(root, e) == 0)
		return 0;
	umount2(root, MNT_DETACH);
	return -1;
}
