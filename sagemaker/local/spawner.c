#include "sagemaker/local/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sagemaker/buf.h"

#define CALL_FD       3 /* in the spawner's process */
#define EVENT_FD      4
#define MESSAGE_MAX   ((size_t)160 << 10)
#define STRINGS_MAX   140
#define FIXED_STRINGS 4   /* python, script, base, home */
#define CODE_SIGNAL   128 /* an exit code above it tells of a signal, as a shell does */

enum { ASK_START, ASK_KILL };

struct ask { /* followed by the strings: the fixed ones, then the environment */
	uint64_t tag;
	int what;
	int signal;
	unsigned n_strings;
	bool network;
};

struct forked { /* the answer to ASK_START */
	int no; /* errno, 0: it was */
	pid_t pid;
};

struct event {
	uint64_t tag;
	int status;
};

struct spawner {
	pid_t pid;
	int call, event;
	struct sandbox sandbox;
	pthread_mutex_t mu; /* one call and its answer at a time */
};

/* ---- the spawner's process ---- */

struct child {
	struct child *next;
	pid_t pid;
	uint64_t tag;
};

struct zygote {
	struct child *children;
	const struct sandbox *sandbox;
	int signals;
	int self; /* pidfd */
};

static void note(const char *what, const struct err *e)
{
	dprintf(2, "sagemakerfs: %s: %s\n", what, e->text);
}

/* Where the model's files are; and the only port that Landlock leaves it, by the name that AWS's containers have for such. */
static void fill_environment(const struct sandbox *s, char **env, size_t n, char **strings,
			     size_t n_strings)
{
	static char base[2100] = "SAGEMAKER_BASE_DIR=/opt/ml", ports[64];
	static const char range[] = "SAGEMAKER_SAFE_PORT_RANGE=";
	size_t out = 0;

	for (size_t i = FIXED_STRINGS; i < n_strings && out + 3 < n; i++) {
		if (!s->port || !starts_with(strings[i], range))
			env[out++] = strings[i];
	}
	if (!s->root)
		snprintf(base, sizeof base, "SAGEMAKER_BASE_DIR=%s", s->base);
	env[out++] = base;
	if (s->port) {
		snprintf(ports, sizeof ports, "%s%u-%u", range, s->port - 1, s->port);
		env[out++] = ports;
	}
	env[out] = NULL;
}

/* A standard input at its end; /dev/null may be closed to us. */
static int empty_input(void)
{
	int ends[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return pipe2(ends, O_CLOEXEC) < 0 || close(ends[1]) < 0 ? -1 : ends[0];
}

/* fds 0-2 and 3 are what the model server gets. */
static void take_files(int listen_fd, int log_fd)
{
	int null = empty_input();
	int keep = fcntl(listen_fd, F_DUPFD, 10); /* clear of the numbers that are filled next */

	if (keep < 0 || dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    dup2(keep, 3) < 0)
		_exit(125);
	close_range(4, ~0U, 0);
}

/* The first process of a process namespace: it waits for the model server and for what that leaves, and ends with it, which
 * ends whatever is left. The server cannot look into it: it is a copy of the backend. */
static void be_init(pid_t server)
{
	int status;
	pid_t pid;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "smfs-init", 0, 0, 0);
	close_range(0, ~0U, 0);
	do {
		pid = waitpid(-1, &status, 0);
	} while (pid != server && (pid > 0 || errno == EINTR));
	_exit(pid != server         ? 125
	      : WIFSIGNALED(status) ? CODE_SIGNAL + WTERMSIG(status)
				    : WEXITSTATUS(status));
}

/* Below the first process of its namespace, if it has one: signals that it does not handle have their usual effect. */
static void split(const struct sandbox *s)
{
	pid_t pid = s->namespaces ? fork() : 0;

	if (pid < 0)
		_exit(125);
	if (pid > 0)
		be_init(pid);
}

static void run_server(struct sandbox *s, char **strings, size_t n_strings)
{
	char *env[STRINGS_MAX + 3], text[SANDBOX_TEXT];
	char *argv[] = {strings[0], strings[1], NULL};
	pid_t parent = getppid();
	struct err e;

	fill_environment(s, env, ARRAY_SIZE(env), strings, n_strings);
	if (chdir(s->scratch) < 0) {
		err_errno(&e, "cannot enter '%s'", s->scratch);
		note("start", &e);
		_exit(126);
	}
	sandbox_drop(s);
	if (getppid() != parent)
		_exit(126); /* it ended before the death signal was set */
	sandbox_describe(s, text);
	dprintf(2, "sagemakerfs: sandbox: %s\n", text);
	execve(strings[0], argv, env);
	err_errno(&e, "cannot run '%s'", strings[0]);
	note("start", &e);
	_exit(127);
}

/* In the child: never returns. */
static void become_server(const struct zygote *z, const struct sandbox *sandbox, char **strings,
			  size_t n_strings, const int fds[2])
{
	struct pollfd parent = {z->self, POLLIN, 0};
	char scratch[2100];
	struct sandbox s = *sandbox;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (poll(&parent, 1, 0) != 0)
		_exit(126); /* it ended before the death signal was set */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	take_files(fds[0], fds[1]);
	snprintf(scratch, sizeof scratch, "%s/tmp", strings[3]);
	s.python = strings[0];
	s.script = strings[1];
	s.base = strings[2];
	s.scratch = scratch;
	sandbox_enter(&s);
	if (!s.root)
		sandbox_plain(s.base);
	split(&s);
	run_server(&s, strings, n_strings);
}

static void answer(int no, pid_t pid)
{
	const struct forked f = {no, pid};

	send(CALL_FD, &f, sizeof f, MSG_NOSIGNAL);
}

static void start_child(struct zygote *z, const struct ask *a, char **strings, const int fds[2])
{
	struct child *c = calloc(1, sizeof *c);
	struct sandbox s = *z->sandbox;

	s.network = a->network;
	if (s.network)
		s.namespaces &= ~(unsigned)CLONE_NEWNET;
	pid_t pid = c ? sandbox_fork(&s) : -1;
	if (pid == 0)
		become_server(z, &s, strings, a->n_strings, fds);
	if (pid < 0) {
		answer(errno ? errno : ENOMEM, 0);
		free(c);
		return;
	}
	*c = (struct child){z->children, pid, a->tag};
	z->children = c;
	answer(0, pid);
}

static void kill_child(const struct zygote *z, uint64_t tag, int sig)
{
	for (const struct child *c = z->children; c; c = c->next) {
		if (c->tag == tag && kill(-c->pid, sig) < 0)
			kill(c->pid, sig); /* it has no group of its own yet */
	}
}

/* Ended children: first what is left of their groups, while the number cannot be anybody else's. */
static void reap(struct zygote *z)
{
	siginfo_t info = {0};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
		struct event ev = {0, 0};
		struct child **p = &z->children;
		kill(-info.si_pid, SIGKILL);
		waitpid(info.si_pid, &ev.status, 0);
		if (z->sandbox->namespaces && WIFEXITED(ev.status) &&
		    WEXITSTATUS(ev.status) > CODE_SIGNAL)
			ev.status = WEXITSTATUS(ev.status) - CODE_SIGNAL; /* as wait(2) has it */
		while (*p && (*p)->pid != info.si_pid)
			p = &(*p)->next;
		if (*p) {
			struct child *c = *p;
			ev.tag = c->tag;
			*p = c->next;
			free(c);
			send(EVENT_FD, &ev, sizeof ev, MSG_NOSIGNAL);
		}
		info.si_pid = 0;
	}
}

static bool split_strings(char *p, size_t n, char **out, unsigned n_strings)
{
	char *end = p + n;

	if (n_strings > STRINGS_MAX || n_strings < FIXED_STRINGS || !n || end[-1])
		return false;
	for (unsigned i = 0; i < n_strings; i++) {
		if (p >= end)
			return false;
		out[i] = p;
		p += strlen(p) + 1;
	}
	return true;
}

/* One call from the backend. false: it is gone. */
static bool serve_call(struct zygote *z, char *message)
{
	char control[CMSG_SPACE(2 * sizeof(int))], *strings[STRINGS_MAX];
	struct iovec io = {message, MESSAGE_MAX};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	ssize_t n = recvmsg(CALL_FD, &m, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	struct ask a;
	int fds[2] = {-1, -1};

	if (n < (ssize_t)sizeof a)
		return n < 0 && errno == EINTR;
	memcpy(&a, message, sizeof a);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fds))
		memcpy(fds, CMSG_DATA(c), sizeof fds);
	if (a.what == ASK_KILL)
		kill_child(z, a.tag, a.signal);
	else if (fds[0] < 0 ||
		 !split_strings(message + sizeof a, (size_t)n - sizeof a, strings, a.n_strings))
		answer(EINVAL, 0);
	else
		start_child(z, &a, strings, fds);
	closep(&fds[0]);
	closep(&fds[1]);
	return true;
}

static void zygote_main(pid_t parent, const struct sandbox *sandbox)
{
	struct zygote z = {NULL, sandbox, -1, (int)syscall(SYS_pidfd_open, getpid(), 0)};
	sigset_t set;
	char *message = malloc(MESSAGE_MAX);
	struct signalfd_siginfo drop[8];

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NAME, "smfs-spawner", 0, 0, 0);
	if (getppid() != parent || !message)
		_exit(1);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	z.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	for (bool go = z.signals >= 0; go;) {
		struct pollfd p[2] = {
			{CALL_FD,   POLLIN, 0},
                        {z.signals, POLLIN, 0}
                };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && read(z.signals, drop, sizeof drop) > 0)
			reap(&z);
		if (p[0].revents)
			go = serve_call(&z, message);
	}
	for (const struct child *c = z.children; c; c = c->next)
		kill(-c->pid, SIGKILL);
	_exit(0);
}

/* ---- the backend's side ---- */

static int make_pairs(int call[2], int event[2])
{
	int size = (int)MESSAGE_MAX * 2;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, call) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, event) < 0)
		return -1;
	setsockopt(call[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return 0;
}

static void run_zygote(pid_t parent, int call, int event, const struct sandbox *sandbox)
{
	int c = fcntl(call, F_DUPFD, 10), v = fcntl(event, F_DUPFD, 10);

	if (c < 0 || v < 0 || dup2(c, CALL_FD) < 0 || dup2(v, EVENT_FD) < 0)
		_exit(1);
	close_range(5, ~0U, 0);
	zygote_main(parent, sandbox);
}

struct spawner *spawner_new(struct err *e)
{
	struct spawner *s = calloc(1, sizeof *s);
	int call[2] = {-1, -1}, event[2] = {-1, -1};
	pid_t parent = getpid();

	if (!s || make_pairs(call, event) < 0) {
		err_errno(e, "cannot make the spawner's sockets");
		free(s);
		return NULL;
	}
	sandbox_probe(&s->sandbox);
	s->pid = fork();
	if (s->pid == 0)
		run_zygote(parent, call[1], event[1], &s->sandbox);
	close(call[1]);
	close(event[1]);
	s->call = call[0];
	s->event = event[0];
	fcntl(s->event, F_SETFL, O_NONBLOCK);
	pthread_mutex_init(&s->mu, NULL);
	if (s->pid > 0)
		return s;
	err_errno(e, "cannot fork");
	spawner_free(s);
	return NULL;
}

void spawner_free(struct spawner *s)
{
	if (!s)
		return;
	close(s->call);
	close(s->event);
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	pthread_mutex_destroy(&s->mu);
	free(s);
}

static int add_string(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s) + 1);
}

/* The message's strings; the number, or -1 when they do not fit. */
static int add_strings(struct buf *b, const struct spawn *p)
{
	int n = FIXED_STRINGS;

	add_string(b, p->python);
	add_string(b, p->script);
	add_string(b, p->base);
	add_string(b, p->home);
	for (; p->env[n - FIXED_STRINGS]; n++)
		add_string(b, p->env[n - FIXED_STRINGS]);
	return b->failed || n > STRINGS_MAX ? -1 : n;
}

static int call(struct spawner *s, struct buf *b, const int fds[2], pid_t *pid)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec io = {b->data, b->len};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct forked f = {0, 0};

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	SCOPED_LOCK(&s->mu);
	if (sendmsg(s->call, &m, MSG_NOSIGNAL) < 0)
		return errno;
	ssize_t n = recv(s->call, &f, sizeof f, 0);
	*pid = f.pid;
	return n == (ssize_t)sizeof f ? f.no : EPIPE;
}

int spawner_start(struct spawner *s, const struct spawn *p, pid_t *pid, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MESSAGE_MAX);
	struct ask a = {.tag = p->tag, .what = ASK_START, .network = p->network};
	int fds[2] = {p->listen_fd, p->log_fd};

	buf_add(&b, &a, sizeof a);
	int n = add_strings(&b, p);
	if (n < 0)
		return err_set(e, E2BIG, "the model's environment is too large");
	a.n_strings = (unsigned)n;
	memcpy(b.data, &a, sizeof a);
	errno = call(s, &b, fds, pid);
	return errno ? err_errno(e, "cannot start the model server") : 0;
}

void spawner_kill(struct spawner *s, uint64_t tag, int signal)
{
	struct ask a = {.tag = tag, .what = ASK_KILL, .signal = signal};

	SCOPED_LOCK(&s->mu);
	send(s->call, &a, sizeof a, MSG_NOSIGNAL);
}

void spawner_sandbox(const struct spawner *s, char out[SANDBOX_TEXT])
{
	sandbox_describe(&s->sandbox, out);
}

int spawner_events(const struct spawner *s)
{
	return s->event;
}

int spawner_next(struct spawner *s, uint64_t *tag, int *status)
{
	struct event ev;
	ssize_t n = recv(s->event, &ev, sizeof ev, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n != (ssize_t)sizeof ev)
		return -1;
	*tag = ev.tag;
	*status = ev.status;
	return 1;
}
