#include "sagemaker/local/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FD_PATH   40
#define PATH_SIZE 2048

static void fd_path(int fd, const char *name, char *out, size_t size)
{
	snprintf(out, size, "/proc/self/fd/%d%s%s", fd, *name ? "/" : "", name);
}

static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* A user namespace in which we are who we were, when we may not make a mount namespace as we are. */
static int enter_namespaces(struct err *e)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_errno(e, "cannot make a mount namespace");
	if (write_file("/proc/self/setgroups", "deny") < 0 && errno != ENOENT)
		return err_errno(e, "cannot set up a user namespace");
	snprintf(map, sizeof map, "%u %u 1\n", uid, uid);
	if (write_file("/proc/self/uid_map", map) < 0)
		return err_errno(e, "cannot map the user in a user namespace");
	snprintf(map, sizeof map, "%u %u 1\n", gid, gid);
	return write_file("/proc/self/gid_map", map) < 0
		       ? err_errno(e, "cannot map the group in a user namespace")
		       : 0;
}

static int bind(const char *from, const char *to)
{
	return mount(from, to, NULL, MS_BIND | MS_REC, NULL);
}

/* Show `name` of the directory behind fd as to/name. What cannot be shown is left out. */
static void mirror_entry(int fd, const char *name, const char *to)
{
	char from[FD_PATH + 300], target[PATH_SIZE], link[PATH_SIZE];
	struct stat st;

	fd_path(fd, name, from, sizeof from);
	if (snprintf(target, sizeof target, "%s/%s", to, name) >= (int)sizeof target ||
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, name, link, sizeof link - 1);
		link[MAX(n, 0)] = '\0';
		if (n > 0 && symlink(link, target) < 0)
			return;
	} else if (S_ISDIR(st.st_mode)) {
		if (mkdir(target, 0755) == 0 && bind(from, target) < 0)
			rmdir(target);
	} else {
		_cleanup_close_ int made =
			open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (made >= 0 && bind(from, target) < 0)
			unlink(target);
	}
}

static void mirror(int fd, const char *to, const char *but)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = copy < 0 ? NULL : fdopendir(copy);

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		if (!streq(t->d_name, ".") && !streq(t->d_name, "..") && !streq(t->d_name, but))
			mirror_entry(fd, t->d_name, to);
	}
}

static int read_only(const char *path)
{
	struct mount_attr a = {.attr_set =
				       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

	return mount_setattr(AT_FDCWD, path, 0, &a, sizeof a);
}

/* What is behind fd as the directory `to`, read-only. */
static int show(int fd, const char *to, struct err *e)
{
	char from[FD_PATH];

	fd_path(fd, "", from, sizeof from);
	if (mkdir(to, 0755) < 0 || bind(from, to) < 0)
		return err_errno(e, "cannot mount the model at '%s'", to);
	return read_only(to) < 0 ? err_errno(e, "cannot make '%s' read-only", to) : 0;
}

/*
 * /opt becomes a small file system of our own: what was there, ml/model, and ml/code when there is code. The machine's /opt
 * stays as it is, and a runtime that lives there is still found.
 */
static int show_model(int model, int code, struct err *e)
{
	_cleanup_close_ int opt = open("/opt", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (opt < 0)
		return err_errno(e, "cannot open '/opt'");
	if (mount("tmpfs", "/opt", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755") < 0)
		return err_errno(e, "cannot mount over '/opt'");
	mirror(opt, "/opt", "ml");
	if (mkdir("/opt/ml", 0755) < 0)
		return err_errno(e, "cannot make '/opt/ml'");
	if (show(model, "/opt/ml/model", e) < 0 || (code >= 0 && show(code, "/opt/ml/code", e) < 0))
		return -1;
	return read_only("/opt") < 0 ? err_errno(e, "cannot make '/opt' read-only") : 0;
}

static int make_dirs(const char *root, const char *path)
{
	char part[PATH_SIZE];
	int n = snprintf(part, sizeof part, "%s", path);

	if (n >= (int)sizeof part)
		return -1;
	for (char *p = part + strlen(root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int hide_store(const char *store, const char *scratch, int scratch_fd, struct err *e)
{
	char from[FD_PATH];

	fd_path(scratch_fd, "", from, sizeof from);
	if (mount("tmpfs", store, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0700") < 0)
		return err_errno(e, "cannot mount over the store");
	if (make_dirs(store, scratch) == 0 && bind(from, scratch) == 0 && read_only(store) == 0)
		return 0;
	err_errno(e, "cannot mount '%s'", scratch);
	umount2(store, MNT_DETACH);
	return -1;
}

/*
 * The mounts of sagemakerfs itself are nothing to a model, and a copy of them here would keep their daemon from learning that
 * the user unmounted them. Only a hope where the namespace is an unprivileged user's: the kernel locks what it inherits.
 */
static void drop_own_mounts(void)
{
	_cleanup_fclose_ FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent row;
	char text[PATH_SIZE];

	while (f && getmntent_r(f, &row, text, sizeof text)) {
		if (streq(row.mnt_type, "fuse.sagemakerfs"))
			umount2(row.mnt_dir, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
}

int sandbox_mounts(const char *store, const char *base, const char *scratch, struct err *e)
{
	char model[PATH_SIZE], code[PATH_SIZE];

	if (snprintf(model, sizeof model, "%s/model", base) >= (int)sizeof model ||
	    snprintf(code, sizeof code, "%s/code", base) >= (int)sizeof code ||
	    strlen(scratch) >= PATH_SIZE)
		return err_set(e, ENAMETOOLONG, "the store's path is too long");
	if (enter_namespaces(e) < 0)
		return -1;
	/* Slave, not private: what is unmounted outside goes here too. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(e, "cannot make mounts private");
	drop_own_mounts();
	_cleanup_close_ int model_fd = open(model, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int scratch_fd = open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int code_fd = open(code, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (model_fd < 0 || scratch_fd < 0 || (code_fd < 0 && errno != ENOENT))
		return err_errno(e, "cannot open the endpoint's directories");
	if (show_model(model_fd, code_fd, e) < 0)
		return -1;
	return hide_store(store, scratch, scratch_fd, e);
}

/* What cannot be changed is met again, and told, when it is removed. */
static void chmod_quietly(int dirfd, const char *name, mode_t mode)
{
	if (fchmodat(dirfd, name, mode & 07777, 0) < 0)
		errno = 0;
}

void tree_writable(int dirfd, const char *name, bool writable)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	fchmod(fd, writable ? 0755 : 0555);
	_cleanup_closedir_ DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	for (struct dirent *t = readdir(d); t; t = readdir(d)) {
		struct stat st;
		if (streq(t->d_name, ".") || streq(t->d_name, "..") ||
		    fstatat(fd, t->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			tree_writable(fd, t->d_name, writable);
		else if (S_ISREG(st.st_mode))
			chmod_quietly(fd, t->d_name,
				      writable ? st.st_mode | 0200 : st.st_mode & 0555);
	}
}

void sandbox_plain(const char *base)
{
	_cleanup_close_ int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	tree_writable(fd, "model", false);
	tree_writable(fd, "code", false);
}

/* All capabilities go but the one over file permissions: root's own files may be another user's, as a runtime's. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{0, 0, 0},
                {0, 0, 0}
        };
	const bool root = geteuid() == 0;

	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!root || cap != CAP_DAC_OVERRIDE)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	if (root)
		data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
	syscall(SYS_capset, &head, data);
}

static void limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(what, &r) < 0)
		return;
	r.rlim_max = MIN(r.rlim_max, most);
	r.rlim_cur = MIN(r.rlim_max, most);
	setrlimit(what, &r);
}

void sandbox_limits(void)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 65536);
	limit(RLIMIT_NPROC, 16384);
	write_file("/proc/self/oom_score_adj", "500");
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Last: changes of credentials clear it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}
