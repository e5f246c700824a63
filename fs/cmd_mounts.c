/* status, unmount, error, env: what is asked of mounts that are there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "fs/command.h"
#include "fs/commands.h"
#include "fs/leftover.h"
#include "fs/local_start.h"
#include "fs/mount_linger.h"
#include "fs/mountinfo.h"
#include "fs/progress.h"

#define BAR_WIDTH 24

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

/* "models/big  uploading 43 % ..." gets a bar before the phase, on a terminal. */
static void print_line(const char *line, bool tty)
{
	const char *sign = strstr(line, " % "), *phase = strstr(line, "  "), *digits = sign;

	while (digits && digits > line && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (!tty || !sign || digits == sign || !phase || phase > digits ||
	    !(starts_with(line, "models/") || starts_with(line, "total "))) {
		puts(line);
		return;
	}
	_cleanup_buf_ struct buf bar = {0};
	phase += strspn(phase, " ");
	progress_bar((int)strtol(digits, NULL, 10), BAR_WIDTH, &bar);
	printf("%.*s%s  %s\n", (int)(phase - line), line, buf_cstr(&bar), phase);
}

/* fn for each line of text, which is changed. */
static void each_line(char *text, void (*fn)(const char *line, bool tty), bool tty)
{
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) && rest)
		fn(line, tty);
}

/* A mount that nobody has looked around in yet knows of no endpoints: it asks when they are listed. */
static void look_around(const char *mountpoint)
{
	_cleanup_free_ char *path = str_printf("%s/endpoints", mountpoint);
	DIR *dir = path ? opendir(path) : NULL;

	while (dir && readdir(dir))
		;
	if (dir)
		closedir(dir);
}

static int print_status(const char *mountpoint, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)64 << 20);

	look_around(mountpoint);
	if (own_file(mountpoint, "status", &text, e) < 0)
		return -1;
	_cleanup_free_ char *lines = strdup(buf_cstr(&text));
	if (!lines)
		return err_set(e, ENOMEM, "out of memory");
	each_line(lines, print_line, isatty(STDOUT_FILENO));
	return 0;
}

/* Every mount, also when one of them has died; then what those left that are gone. */
static int print_all(struct err *e)
{
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	_cleanup_buf_ struct buf left = BUF_INIT((size_t)64 << 20);
	size_t dead = 0;

	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	mountinfo_own(&mounts);
	if (!mounts.n)
		puts("nothing is mounted");
	for (size_t i = 0; i < mounts.n; i++) {
		struct err why;

		if (i)
			puts("");
		if (print_status(mounts.rows[i].mountpoint, &why) == 0)
			continue;
		printf("mount      %s\ndead       %s; mounting it again goes on, `sagemakerfs unmount` takes it off\n",
		       mounts.rows[i].mountpoint, why.text);
		dead++;
	}
	leftover_all(&left);
	fputs(buf_cstr(&left), stdout);
	return dead ? err_set(e, ENOTCONN, "%zu of %zu mounts: the process has ended", dead,
			      mounts.n)
		    : 0;
}

int cmd_status(int argc, char **argv, _unused_ int *status, struct err *e)
{
	if (argc > 2)
		return usage_error("status", e);
	if (argc < 2)
		return print_all(e);
	_cleanup_free_ char *mountpoint = find_mount(argv[1], e);
	return mountpoint ? print_status(mountpoint, e) : -1;
}

/* ------------------------------------------------------------------ unmount */

struct leaving {
	char *mountpoint, *state;
	char *running; /* its status before, NULL: not known */
	pid_t pid;
	int pidfd;
};

static void leaving_release(struct leaving *l)
{
	free(l->mountpoint);
	free(l->state);
	free(l->running);
	closep(&l->pidfd);
}

static void learn(struct leaving *l)
{
	_cleanup_buf_ struct buf pid = {0}, state = {0}, status = BUF_INIT((size_t)64 << 20);

	l->pidfd = -1;
	if (own_file(l->mountpoint, "pid", &pid, NULL) < 0 ||
	    own_file(l->mountpoint, "state", &state, NULL) < 0)
		return; /* dead already: it is only taken off */
	if (own_file(l->mountpoint, "status", &status, NULL) == 0)
		l->running = strdup(buf_cstr(&status));
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
	int no = errno;
	if (no == EPERM &&
	    command_run((const char *const[]){"fusermount3", "-u", "--", mountpoint, NULL}) == 0)
		return 0;
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	const struct mount_line *there = mountinfo_find(&mounts, mountpoint);
	if (!there)
		return 0;
	if (no != EBUSY && no != EPERM)
		return err_set(e, no, "cannot unmount '%s': %s", mountpoint, strerrordesc_np(no));
	if (no == EPERM && there->uid != (long)getuid())
		return err_set(
			e, EPERM,
			"'%s' was mounted by another user (uid %ld): only that user and root can unmount it",
			mountpoint, there->uid);
	if (no == EPERM && access("/etc/mtab", R_OK) < 0)
		return err_set(
			e, ENOENT,
			"cannot unmount '%s': fusermount3 reads '/etc/mtab', which is not there: as root, "
			"run ln -s ../proc/self/mounts /etc/mtab",
			mountpoint);
	*status = EBUSY;
	return err_set(
		e, EBUSY,
		"'%s' is in use: a shell stands in it or a file there is open (fuser -vm '%s', of the package psmisc, shows whose)",
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

/* What the mount left in its journal; the number. */
static int report_rest(int state, bool lingers)
{
	_cleanup_buf_ struct buf lines = BUF_INIT((size_t)64 << 20);
	struct err e;
	int n = state < 0 ? 0
			  : leftover_lines(state,
					   lingers ? "goes on in the background"
						   : "goes on when this is mounted again",
					   &lines, &e);

	fputs(buf_cstr(&lines), stdout);
	if (n < 0)
		printf("what is not finished is not known: %s\n", e.text);
	return n < 0 ? 1 : n;
}

/* A line of status about work under way, which the unmount waits for; nobody waits for what was read. */
static void print_running(const char *line, bool tty)
{
	const char *phase = strstr(line, "  ");

	(void)tty;
	if (!starts_with(line, "models/") || !phase)
		return;
	phase += strspn(phase, " ");
	for (int i = PROGRESS_IDLE + 1; i < PROGRESS_PHASES; i++) {
		if (i != PROGRESS_READING &&
		    starts_with(phase, progress_word((enum progress_phase)i)))
			printf("finishing: %s\n", line);
	}
	fflush(stdout);
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
	if (l.running)
		each_line(l.running, print_running, false);
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
