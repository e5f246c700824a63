/* status, unmount, error, env: what is asked of mounts that are there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "fs/command.h"
#include "fs/commands.h"
#include "fs/journal.h"
#include "fs/local_start.h"
#include "fs/mount_linger.h"
#include "fs/mountinfo.h"

/* The mount that path lies in, as mountinfo names it; path NULL: the only mount there is. */
static char *find_mount(const char *path, struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	const struct mount_line *found = NULL;

	if (mountinfo_read(&mounts, e) < 0)
		return NULL;
	if (!path)
		mountinfo_own(&mounts);
	if (!path && mounts.n > 1) {
		err_set(e, EINVAL, "%zu mounts: name the one that is meant", mounts.n);
		return NULL;
	}
	if (path) {
		char real[PATH_MAX];
		_cleanup_free_ char *absolute = path_absolute(path, e);
		if (!absolute)
			return NULL;
		found = mountinfo_around(&mounts, absolute);
		if (!found && realpath(absolute, real))
			found = mountinfo_around(&mounts, real);
	} else if (mounts.n) {
		found = &mounts.rows[0];
	}
	if (found)
		return strdup(found->mountpoint);
	if (path)
		err_set(e, ENOENT, "'%s' is not in a mount of sagemakerfs", path);
	else
		err_set(e, ENOENT, "nothing is mounted");
	return NULL;
}

static int print_status(const char *mountpoint, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)64 << 20);

	if (own_file(mountpoint, "status", &text, e) < 0)
		return -1;
	fputs(buf_cstr(&text), stdout);
	return 0;
}

int cmd_status(int argc, char **argv, _unused_ int *status, struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	int rc = 0;

	if (argc > 2)
		return usage_error("status", e);
	if (argc == 2) {
		_cleanup_free_ char *mountpoint = find_mount(argv[1], e);
		return mountpoint ? print_status(mountpoint, e) : -1;
	}
	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	mountinfo_own(&mounts);
	if (!mounts.n)
		puts("nothing is mounted");
	for (size_t i = 0; i < mounts.n; i++) {
		if (i)
			puts("");
		rc |= print_status(mounts.rows[i].mountpoint, e);
	}
	return rc;
}

/* ------------------------------------------------------------------ unmount */

struct leaving {
	char *mountpoint, *state;
	pid_t pid;
	int pidfd;
};

static void leaving_release(struct leaving *l)
{
	free(l->mountpoint);
	free(l->state);
	closep(&l->pidfd);
}

static void learn(struct leaving *l)
{
	_cleanup_buf_ struct buf pid = {0}, state = {0};

	l->pidfd = -1;
	if (own_file(l->mountpoint, "pid", &pid, NULL) < 0 ||
	    own_file(l->mountpoint, "state", &state, NULL) < 0)
		return; /* dead already: it is only taken off */
	l->pid = (pid_t)strtol(buf_cstr(&pid), NULL, 10);
	l->state = strndup(buf_cstr(&state), strcspn(buf_cstr(&state), "\n"));
	if (l->pid > 0)
		l->pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0);
}

/* umount(2) as root, else fusermount3; both refuse when something is open there. */
static int take_off(const char *mountpoint, int *status, struct err *e)
{
	if (umount2(mountpoint, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EPERM &&
	    command_run((const char *const[]){"fusermount3", "-u", "--", mountpoint, NULL}) == 0)
		return 0;
	int no = errno;
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	if (!mountinfo_find(&mounts, mountpoint))
		return 0;
	if (no != EBUSY && no != EPERM)
		return err_set(e, no, "cannot unmount '%s': %s", mountpoint, strerrordesc_np(no));
	*status = EBUSY;
	return err_set(
		e, EBUSY,
		"'%s' is in use: a shell stands in it or a file there is open (fuser -vm '%s' shows whose)",
		mountpoint, mountpoint);
}

/* Whether the process has left; else the next 100 ms are waited for that. */
static bool has_left(const struct leaving *l)
{
	struct pollfd p = {.fd = l->pidfd, .events = POLLIN};

	if (l->pid <= 0)
		return true;
	if (l->pidfd >= 0)
		return poll(&p, 1, 100) > 0;
	if (kill(l->pid, 0) < 0 && errno != EPERM)
		return true;
	poll(NULL, 0, 50);
	return false;
}

struct rest {
	const char *what, *how;
	int n;
};

static int print_rest(void *arg, int64_t id, const char *name, const char *json)
{
	struct rest *r = arg;

	(void)id;
	(void)json;
	printf("not finished: %s of '%s' (%s)\n", r->what, name, r->how);
	r->n++;
	return 0;
}

/* What the mount left in its journal; the number. */
static int report_rest(int state, bool lingers)
{
	static const char *const kinds[] = {"commit", "deploy", "delete"};
	struct rest rest = {.how = lingers ? "goes on in the background"
					   : "goes on when this is mounted again"};
	struct err e;
	struct journal *j = state < 0 ? NULL : journal_look(state, &e);
	int rc = state < 0 || j ? 0 : -1;

	for (size_t i = 0; j && rc == 0 && i < ARRAY_SIZE(kinds); i++) {
		rest.what = kinds[i];
		rc = journal_each(j, kinds[i], print_rest, &rest, &e);
	}
	journal_close(j);
	if (rc < 0)
		printf("what is not finished is not known: %s\n", e.text);
	return rest.n + (rc < 0);
}

/* Its process has left, or stays without the mount for what is left to delete. */
static int await_end(const struct leaving *l)
{
	_cleanup_close_ int state =
		l->state ? open(l->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool left, lingers = false;

	while (!(left = has_left(l)) && !lingers)
		lingers = state >= 0 && faccessat(state, LINGERING, F_OK, 0) == 0;
	return report_rest(state, !left);
}

int cmd_unmount(int argc, char **argv, int *status, struct err *e)
{
	_cleanup_(leaving_release)
	struct leaving l = {.pidfd = -1};

	if (argc != 2)
		return usage_error("unmount", e);
	l.mountpoint = find_mount(argv[1], e);
	if (!l.mountpoint)
		return -1;
	learn(&l);
	if (take_off(l.mountpoint, status, e) < 0)
		return -1;
	*status = await_end(&l) ? 3 : 0;
	return 0;
}

/* ------------------------------------------------------------------ error, env */

/* From path upwards to the mountpoint: the first error file. */
static int print_error(const char *mountpoint, char *path, struct err *e)
{
	static const char *const names[] = {".sagemaker/error", "error", ".error"};
	char file[PATH_MAX + 32];

	for (;;) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			_cleanup_buf_ struct buf text = {0};

			snprintf(file, sizeof file, "%s/%s", path, names[i]);
			if (access(file, F_OK) == 0 && buf_read_file(&text, AT_FDCWD, file) == 0) {
				fputs(text.len ? buf_cstr(&text) : "no failure so far\n", stdout);
				return 0;
			}
		}
		char *slash = strrchr(path, '/');
		if (streq(path, mountpoint) || !slash || slash == path)
			return err_set(e, ENOENT, "no error file above '%s'", path);
		*slash = '\0';
	}
}

int cmd_error(int argc, char **argv, _unused_ int *status, struct err *e)
{
	if (argc > 2)
		return usage_error("error", e);
	_cleanup_free_ char *mountpoint = find_mount(argc == 2 ? argv[1] : NULL, e);
	if (!mountpoint)
		return -1;
	_cleanup_free_ char *path = argc == 2 ? path_absolute(argv[1], e) : strdup(mountpoint);
	return path ? print_error(mountpoint, path, e) : -1;
}

static int print_store(const char *store, struct err *e)
{
	_cleanup_(local_run_release)
	struct local_run run = {0};

	if (local_read(store, &run, e) < 0)
		return -1;
	local_env(store, &run, stdout);
	return 0;
}

/* No mount, but perhaps a backend that was started by hand; if not, what was said of mounts stands. */
static int print_own_store(void)
{
	struct err why;
	_cleanup_free_ char *store = local_store("local", &why);

	return store && print_store(store, &why) == 0 ? 0 : -1;
}

int cmd_env(int argc, char **argv, _unused_ int *status, struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};

	if (argc == 3 && streq(argv[1], "--store")) {
		_cleanup_free_ char *store = path_absolute(argv[2], e);
		return store ? print_store(store, e) : -1;
	}
	if (argc > 2)
		return usage_error("env", e);
	_cleanup_free_ char *mountpoint = find_mount(argc == 2 ? argv[1] : NULL, e);
	if (!mountpoint)
		return argc == 1 ? print_own_store() : -1;
	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	const struct mount_line *m = mountinfo_find(&mounts, mountpoint);
	if (!m || !starts_with(m->source, "local:"))
		return err_set(
			e, EINVAL,
			"'%s' is a mount of AWS: boto3 and the AWS CLI find it by their own settings",
			mountpoint);
	return print_store(m->source + strlen("local:"), e);
}
