#include "sagemaker/local/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sagemaker/buf.h"
#include "sagemaker/local/local.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC)
#define OWN_UIDS   0x60000000U /* nobody's: where distributions and containers have theirs is below */

static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* ---- namespaces ---- */

pid_t sandbox_fork(const struct sandbox *s)
{
	return s->namespaces ? (pid_t)syscall(SYS_clone, s->namespaces | SIGCHLD, 0, 0, 0, 0)
			     : fork();
}

/* In a new user namespace: we are who we were. */
static int map_user(unsigned uid, unsigned gid, struct err *e)
{
	char map[64];

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

/* A server asks itself (TensorFlow's REST API from a handler): the only network there is. */
static int raise_loopback(struct err *e)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? err_errno(e, "cannot raise the loopback")
							 : 0;
}

static int set_up(const struct sandbox *s, struct err *e)
{
	if (s->namespaces & CLONE_NEWUSER && map_user(s->user, s->group, e) < 0)
		return -1;
	return s->namespaces & CLONE_NEWNET ? raise_loopback(e) : 0;
}

/* In a process made for it: whether that much is allowed, all of it; 0 or an errno. A namespace that was allowed may still
 * refuse its mounts. */
static int try_all(const struct sandbox *s)
{
	struct err e;

	if (set_up(s, &e) < 0)
		return e.no;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k") < 0)
		return errno;
	return 0;
}

static int try(const struct sandbox *s)
{
	int status = 0;
	pid_t pid = sandbox_fork(s);

	if (pid == 0)
		_exit(try_all(s));
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

void sandbox_probe(struct sandbox *s)
{
	const unsigned tries[] = {NAMESPACES, NAMESPACES | CLONE_NEWUSER};

	*s = (struct sandbox){
		.landlock = landlock_version(), .user = geteuid(), .group = getegid()};
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		s->namespaces = tries[i];
		errno = try(s);
		s->root = !errno;
		if (s->root) {
			s->why.no = 0;
			return;
		}
		err_errno(&s->why, "no namespaces for models");
	}
	s->namespaces = 0;
}

static const char *owned(const struct sandbox *s)
{
	if (!s->namespaces)
		return "";
	return s->namespaces & CLONE_NEWNET ? ", own network, processes, IPC"
					    : ", own processes, IPC";
}

void sandbox_describe(const struct sandbox *s, char out[SANDBOX_TEXT])
{
	char uid[32] = "", landlock[64] = "";

	if (s->uid)
		snprintf(uid, sizeof uid, ", user %u", s->uid);
	if (s->landlock && !s->root)
		snprintf(landlock, sizeof landlock, ", Landlock %d (files%s%s)", s->landlock,
			 s->landlock >= 4 && !s->namespaces && !s->network ? ", TCP" : "",
			 s->landlock >= 6 ? ", signals" : "");
	snprintf(out, SANDBOX_TEXT, "no privileges%s%s%s%s%s%s", owned(s),
		 s->root ? ", own files" : "",
		 s->namespaces & CLONE_NEWUSER ? " in a user namespace" : "", uid, landlock,
		 s->why.no ? "; " : "");
	size_t n = strlen(out);
	snprintf(out + n, SANDBOX_TEXT - n, "%s", s->why.no ? s->why.text : "");
}

bool local_sandbox(struct buf *out)
{
	struct sandbox s;
	char text[SANDBOX_TEXT];

	sandbox_probe(&s);
	sandbox_describe(&s, text);
	buf_str(out, text);
	return s.root || s.landlock;
}

/* ---- entering ---- */

/* A user that nobody is, another for each instance: what it leaves is not read, nor it signalled, by any other. */
static unsigned own_uid(const char *scratch)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (const char *p = scratch; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	return OWN_UIDS | (hash & 0x0fffffffU);
}

/* A port that is free now, for a server that asks itself in the network that it shares with everybody. */
static unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
			       getsockname(fd, (struct sockaddr *)&a, &len) < 0
		       ? 0
		       : ntohs(a.sin_port);
}

void sandbox_enter(struct sandbox *s)
{
	umask(022);
	write_file("/proc/self/oom_score_adj", "500");
	s->root = false;
	if (!s->namespaces) {
		s->port = free_port();
		return;
	}
	if (set_up(s, &s->why) < 0)
		return;
	if (s->user == 0 && !(s->namespaces & CLONE_NEWUSER)) {
		s->uid = own_uid(s->scratch);
		if (chown(s->scratch, s->uid, s->uid) < 0)
			s->uid = 0;
	}
	s->root = sandbox_root(s, &s->why) == 0;
	if (!s->root)
		s->uid = 0; /* the store is closed to it */
}

/* ---- giving up ---- */

static void limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(what, &r) < 0)
		return;
	r.rlim_max = MIN(r.rlim_max, most);
	r.rlim_cur = MIN(r.rlim_max, most);
	setrlimit(what, &r);
}

/* All capabilities go; root that stays root keeps the one over file permissions: a runtime's files may be another user's. */
static void drop_bounding(void)
{
	const bool root = geteuid() == 0;

	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!root || cap != CAP_DAC_OVERRIDE)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{0, 0, 0},
                {0, 0, 0}
        };

	if (geteuid() == 0)
		data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
	syscall(SYS_capset, &head, data);
}

/* Only when that user can read what it needs; else the backend's. */
static void take_uid(struct sandbox *s)
{
	const unsigned uid = s->uid;

	s->uid = 0;
	if (!uid || setgroups(0, NULL) < 0 || setegid(uid) < 0 || seteuid(uid) < 0)
		return;
	const bool readable = faccessat(AT_FDCWD, s->python, X_OK, AT_EACCESS) == 0 &&
			      faccessat(AT_FDCWD, s->script, R_OK, AT_EACCESS) == 0 &&
			      faccessat(AT_FDCWD, "/opt/ml/model", R_OK | X_OK, AT_EACCESS) == 0;
	if (seteuid(0) < 0 || setegid(0) < 0)
		_exit(126);
	if (!readable)
		return;
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(126);
	s->uid = uid;
}

void sandbox_drop(struct sandbox *s)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 65536);
	limit(RLIMIT_NPROC, 16384);
	drop_bounding();
	take_uid(s);
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (s->landlock && !s->root && landlock_enter(s, s->namespaces & CLONE_NEWNET) < 0) {
		err_errno(&s->why, "Landlock failed");
		s->landlock = 0;
	}
	/* Last: changes of credentials clear it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* ---- trees ---- */

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
				      writable ? st.st_mode | 0644 : (st.st_mode | 0444) & 0555);
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
