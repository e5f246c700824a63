#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/json.h"
#include "sagemaker/shlex.h"

#define LIMIT_S    120 /* it may ask a person, and a person may not be there */
#define SLICE_MS   100
#define MAX_OUTPUT ((size_t)64 << 10)
#define MAX_SAID   200 /* of its complaint in a sentence */

int find_process(struct look *l, struct origin *out, struct err *e)
{
	const char *command = texts_get(&l->settings, "credential_process");

	if (!command)
		return 0;
	texts_put(&out->settings, "credential_process", command);
	return from_profile(out, "credential_process", e) ? -1 : 1;
}

/* A program that runs, and the ends of its pipes that are ours: standard output and standard error. */
struct child {
	pid_t pid;
	int from[2];
	struct buf text[2];
};

static void child_release(struct child *c)
{
	for (int i = 0; i < 2; i++) {
		if (c->from[i] >= 0)
			close(c->from[i]);
		if (c->text[i].data)
			explicit_bzero(c->text[i].data, c->text[i].cap);
		buf_release(&c->text[i]);
	}
}

/* No shell, no signals blocked, no descriptor of ours, a process group of its own so that it ends with its children. */
static int spawn(char **words, const int out[2], pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int failed;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out[0], 1);
	posix_spawn_file_actions_adddup2(&files, out[1], 2);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	failed = posix_spawnp(pid, words[0], &files, &attr, words, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return failed;
}

static int start(struct child *c, char **words, struct err *e)
{
	int out[2] = {-1, -1}, failed = 0;

	for (int i = 0; i < 2 && !failed; i++) {
		int ends[2];

		failed = pipe2(ends, O_CLOEXEC) ? errno : 0;
		if (!failed) {
			c->from[i] = ends[0];
			out[i] = ends[1];
		}
	}
	if (!failed)
		failed = spawn(words, out, &c->pid);
	for (int i = 0; i < 2; i++) {
		if (out[i] >= 0)
			close(out[i]);
	}
	errno = failed;
	return failed ? err_errno(e, "could not run '%s'", words[0]) : 0;
}

/* Reads what has come from one pipe; what does not fit is dropped and makes the text unusable. */
static void drain(struct child *c, int i)
{
	char chunk[4096];
	ssize_t n = read(c->from[i], chunk, sizeof chunk);

	if (n > 0)
		buf_add(&c->text[i], chunk, (size_t)n);
	explicit_bzero(chunk, sizeof chunk);
	if (n > 0 || (n < 0 && errno == EINTR))
		return;
	close(c->from[i]);
	c->from[i] = -1;
}

static int64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One look at the pipes and the child; true when both are at their end. */
static bool step(struct child *c, int *status)
{
	struct pollfd p[2] = {
		{c->from[0], POLLIN, 0},
                {c->from[1], POLLIN, 0}
        };

	if (c->from[0] < 0 && c->from[1] < 0) {
		if (waitpid(c->pid, status, WNOHANG) == c->pid)
			return true;
		poll(NULL, 0, 5);
		return false;
	}
	poll(p, 2, SLICE_MS);
	for (int i = 0; i < 2; i++) {
		if (p[i].revents)
			drain(c, i);
	}
	return false;
}

/* Waits for its end: 0 with its status; -1: it was ended for its time or a cancel. */
static int await(struct child *c, struct cancel *cancel, int *status, struct err *e)
{
	int64_t limit = monotonic_ms() + LIMIT_S * 1000L;

	while (!step(c, status)) {
		bool late = monotonic_ms() > limit;

		if (!late && !cancel_is_set(cancel))
			continue;
		kill(-c->pid, SIGKILL);
		waitpid(c->pid, status, 0);
		return late ? err_set(e, ETIMEDOUT, "it did not end within %d s", LIMIT_S)
			    : err_set(e, ECANCELED, "cancelled");
	}
	return 0;
}

/* The last line of what it says, short and printable. */
static void set_said(char out[MAX_SAID + 1], const struct buf *text)
{
	const char *all = buf_cstr(text), *end = all + strlen(all), *line;
	size_t n = 0;

	while (end > all && isspace((unsigned char)end[-1]))
		end--;
	for (line = end; line > all && line[-1] != '\n';)
		line--;
	for (; line < end && n < MAX_SAID; line++)
		out[n++] = (char)(iscntrl((unsigned char)*line) ? ' ' : *line);
	out[n] = '\0';
}

static int check_end(const struct child *c, int status, struct err *e)
{
	char said[MAX_SAID + 1];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return c->text[0].failed ? err_set(e, EPROTO, "it wrote more than keys take") : 0;
	set_said(said, &c->text[1]);
	if (WIFSIGNALED(status))
		return err_set(e, EACCES, "it was ended by signal %d", WTERMSIG(status));
	return err_set(e, EACCES, "it failed with exit code %d%s%s", WEXITSTATUS(status),
		       *said ? ": " : "", said);
}

static int take(const struct buf *text, const struct origin *s, struct lease *out, struct err *e)
{
	static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "SessionToken",
					     "Expiration"};
	_cleanup_secret_json_ cJSON *o = json_parse(text->data, text->len, NULL);
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(o, "Version");

	if (!o)
		return err_set(e, EPROTO, "what it wrote is not JSON");
	if (!cJSON_IsNumber(version) || version->valuedouble != 1)
		return err_set(e, EPROTO, "what it wrote has not \"Version\": 1");
	return lease_take_json(out, o, names, 2, s->from, e);
}

static int run(char **words, const struct fetch *f, const struct origin *s, struct lease *out,
	       struct err *e)
{
	struct child c _cleanup_(child_release) = {
		.from = {-1,                  -1                 },
                  .text = {{.max = MAX_OUTPUT}, {.max = MAX_OUTPUT}}
        };
	int status = 0;

	if (start(&c, words, e) || await(&c, f->cancel, &status, e) || check_end(&c, status, e))
		return -1;
	return take(&c.text[0], s, out, e);
}

int fetch_process(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	size_t n;
	_cleanup_free_ char **words =
		shlex_split(texts_get(&s->settings, "credential_process"), &n);

	if (!words || !n)
		return err_set(e, EINVAL, "credential_process is no command: %s",
			       words ? "it is empty" : "its quotes do not fit together");
	return run(words, f, s, out, e);
}
