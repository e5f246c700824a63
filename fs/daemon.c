#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/command.h"
#include "fs/mount_private.h"

#define READY     'K' /* what the daemon writes when usable; else the sentence */
#define FILES_MAX 65536

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t wrote = write(fd, p, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return; /* the parent has gone: nobody to tell */
		p += wrote;
		n -= (size_t)wrote;
	}
}

static void to_null(void)
{
	_cleanup_close_ int in = null_fd(O_RDONLY), out = null_fd(O_WRONLY);

	if (in < 0 || out < 0)
		return;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
}

static void usable(void *arg)
{
	int *fd = arg;
	const char yes = READY;

	if (*fd < 0)
		return;
	to_null();
	write_all(*fd, &yes, 1);
	close(*fd);
	*fd = -1;
}

/* Keys stay out of core files (a limit of 0 alone would not do where a program takes them over a pipe), and other processes of
 * the same user may not look into this one; a killed reader of ours is no reason to die, many files may be open. */
static void prepare_process(void)
{
	struct rlimit files, none = {0, 0};
	sigset_t blocked;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_MAX) {
		files.rlim_cur = MIN(files.rlim_max, (rlim_t)FILES_MAX);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* ulimit -f: the write fails, with EFBIG */
	/* Until the loop takes them; threads made from here on keep them blocked. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	umask(0); /* modes come from the kernel with the caller's umask applied; our own directories are 0700 */
}

/* The sentence with AWS's code and request id, without the line's end, which the parent adds. */
static void write_error(int fd, const struct err *e)
{
	_cleanup_buf_ struct buf text = {0};

	err_show(e, &text);
	write_all(fd, buf_cstr(&text), strcspn(buf_cstr(&text), "\n"));
}

static _Noreturn void be_daemon(struct options *o, int fd)
{
	struct err e = {0};

	setsid();
	prepare_process();
	if (chdir("/") < 0)
		_exit(1);
	int rc = mount_run(o, usable, &fd, &e);
	if (rc < 0 && fd >= 0)
		write_error(fd, &e);
	exit(rc < 0 ? 1 : 0); /* not _exit: leak checkers report at exit */
}

static int await_daemon(int fd, struct err *e)
{
	_cleanup_buf_ struct buf said = {0};

	if (buf_read_fd(&said, fd) < 0)
		return err_errno(e, "cannot hear the mount's process");
	if (said.len && said.data[0] == READY)
		return 0;
	if (said.len)
		return err_set(e, EIO, "%s", buf_cstr(&said));
	return err_set(e, EIO, "the mount's process ended without a word; run with -f to see why");
}

static int in_background(struct options *o, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, "cannot start the mount's process");
	/* Forked before any thread, curl handle or database exists. */
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		be_daemon(o, ends[1]);
	}
	int no = errno;
	close(ends[1]);
	_cleanup_close_ int from = ends[0];
	errno = no;
	if (pid < 0)
		return err_errno(e, "cannot start the mount's process");
	return await_daemon(from, e);
}

int daemon_mount(struct options *o, struct err *e)
{
	if (mountpoint_check(&o->mountpoint, e) < 0 || fuse_device_check(e) < 0)
		return -1;
	/* A relative store is relative to here, not to the daemon's directory. */
	if (starts_with(o->source, "local:")) {
		_cleanup_free_ char *store = local_store(o->source, e);
		char *source = store ? str_printf("local:%s", store) : NULL;
		if (!source)
			return -1;
		free(o->source);
		o->source = source;
	}
	if (mountpoint_hides(o->mountpoint))
		fprintf(stderr,
			"sagemakerfs: note: '%s' is not empty: what lies in it is hidden until the unmount\n",
			o->mountpoint);
	if (!o->foreground)
		return in_background(o, e);
	prepare_process();
	return mount_run(o, NULL, NULL, e);
}
