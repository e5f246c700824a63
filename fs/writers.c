/* writers.c: pidfds of programs, and how they ended. */
#include "fs/writers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sagemaker/buf.h"

/* The first version of linux/pidfd.h's struct pidfd_info, which distributions' headers do not have yet. */
struct exit_info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};

#define GET_INFO  _IOWR(0xFF, 11, struct exit_info)
#define INFO_EXIT (1u << 3)

static int proc_text(pid_t pid, const char *file, struct buf *out)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
	return buf_read_file(out, AT_FDCWD, path);
}

/* The process of thread tid. */
static pid_t process_of(pid_t tid)
{
	_cleanup_buf_ struct buf text = {0};
	const char *line;

	if (proc_text(tid, "status", &text) < 0 || !(line = strstr(buf_cstr(&text), "\nTgid:")))
		return tid;
	return (pid_t)strtol(line + strlen("\nTgid:"), NULL, 10);
}

static void name_of(pid_t tid, char out[16])
{
	_cleanup_buf_ struct buf text = {0};

	if (proc_text(tid, "comm", &text) < 0)
		buf_str(&text, "a program");
	size_t n = MIN(strcspn(buf_cstr(&text), "\n"), (size_t)15);
	memcpy(out, buf_cstr(&text), n);
	out[n] = 0;
}

bool writers_has(const struct writers *w, pid_t tid)
{
	pid_t process = process_of(tid);

	for (unsigned i = 0; i < w->n; i++) {
		if (process_of(w->w[i].tid) == process)
			return true;
	}
	return false;
}

/* Whether descriptor fd (a number) of thread tid was opened for writing. */
static bool open_to_write(pid_t tid, const char *fd)
{
	_cleanup_buf_ struct buf text = {0};
	char file[64];
	const char *line;

	snprintf(file, sizeof file, "fdinfo/%.20s", fd);
	if (proc_text(tid, file, &text) < 0 || !(line = strstr(buf_cstr(&text), "flags:")))
		return false;
	return (strtol(line + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

bool writers_opened(pid_t tid, const char *dir)
{
	char path[64], target[PATH_MAX];
	_cleanup_closedir_ DIR *d = NULL;
	const struct dirent *de;

	snprintf(path, sizeof path, "/proc/%ld/fd", (long)tid);
	d = opendir(path);
	while (d && (de = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), de->d_name, target, sizeof target - 1);

		target[MAX(n, 0)] = 0;
		if (starts_with(target, dir) && open_to_write(tid, de->d_name))
			return true;
	}
	return false;
}

static void drop(struct writers *w, unsigned i)
{
	close(w->w[i].pidfd);
	w->n--;
	memmove(&w->w[i], &w->w[i + 1], (w->n - i) * sizeof w->w[0]);
}

void writers_note(struct writers *w, pid_t tid)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (w->w[i].tid == tid)
			return;
	}
	int fd = tid > 0 ? (int)syscall(SYS_pidfd_open, process_of(tid), 0) : -1;

	if (fd < 0)
		return;
	if (w->n == WRITERS_KEPT) {
		(void)writers_judge(w);
		if (w->n == WRITERS_KEPT)
			drop(w, 0);
	}
	w->w[w->n] = (struct writer){.tid = tid, .pidfd = fd};
	name_of(tid, w->w[w->n++].program);
}

/* As wait(2) has it, of a process that has ended and not been asked for yet. */
static int zombie_code(pid_t tid)
{
	_cleanup_buf_ struct buf text = {0};

	if (proc_text(tid, "stat", &text) < 0)
		return 0;
	const char *last = strrchr(buf_cstr(&text), ' ');
	return last ? (int)strtol(last, NULL, 10) : 0;
}

/* False: it runs. */
static bool ended(const struct writer *w, int *code)
{
	struct pollfd p = {.fd = w->pidfd, .events = POLLIN};
	struct exit_info info = {.mask = INFO_EXIT};

	if (poll(&p, 1, 0) <= 0)
		return false;
	bool told = ioctl(w->pidfd, GET_INFO, &info) == 0 && info.mask & INFO_EXIT;
	*code = told ? info.exit_code : zombie_code(w->tid);
	return true;
}

static void say(const struct writer *w, int code, char out[128])
{
	if (WIFSIGNALED(code))
		snprintf(out, 128, "'%s' was ended by signal %d (%s)", w->program, WTERMSIG(code),
			 sigdescr_np(WTERMSIG(code)) ? sigdescr_np(WTERMSIG(code)) : "?");
	else
		snprintf(out, 128, "'%s' ended with status %d", w->program, WEXITSTATUS(code));
}

bool writers_judge(struct writers *w)
{
	int code;

	for (unsigned i = 0; i < w->n;) {
		if (!ended(&w->w[i], &code)) {
			i++;
			continue;
		}
		w->broken[0] = 0;
		if (code)
			say(&w->w[i], code, w->broken);
		drop(w, i);
	}
	return w->broken[0];
}

void writers_forget(struct writers *w)
{
	while (w->n)
		drop(w, w->n - 1);
	w->broken[0] = 0;
}
