#include "fs/local_start.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fs/command.h"
#include "fs/dirs.h"
#include "fs/jobs.h"
#include "fs/thread.h"
#include "sagemaker/buf.h"

#define JOIN_MS  30000 /* a backend that starts or ends is waited for so long */
#define RETRY_MS 50

struct local_backend {
	char *store, *address; /* "127.0.0.1:4321" */
	int store_fd, users_fd;
	bool strict_runtimes;
	pid_t pid;
	struct log *log;
	pthread_t guard;
	bool guarded;
	int stop_fd; /* readable: the guard ends */
};

char *local_store(const char *source, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	char *path = NULL;

	if (starts_with(source, "local:") && source[6] == '/')
		return strdup(source + 6);
	if (starts_with(source, "local:")) {
		_cleanup_free_ char *cwd = getcwd(NULL, 0);
		path = cwd ? str_printf("%s/%s", cwd, source + 6) : NULL;
	} else {
		data = dirs_path(DIRS_DATA, e);
		path = data ? str_printf("%s/local", data) : NULL;
	}
	if (!path && !(e && e->no))
		err_set(e, ENOMEM, "out of memory");
	return path;
}

void local_run_release(struct local_run *r)
{
	char *const texts[] = {r->url, r->region, r->account, r->access_key, r->role};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	if (r->secret_key)
		explicit_bzero(r->secret_key, strlen(r->secret_key));
	free(r->secret_key);
	*r = (struct local_run){0};
}

static char *text_of(const cJSON *j, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, name));

	return s ? strdup(s) : NULL;
}

static int read_run(int store_fd, struct local_run *out)
{
	_cleanup_buf_ struct buf text = BUF_INIT(65536);

	*out = (struct local_run){0};
	if (buf_read_file(&text, store_fd, "run.json") < 0)
		return -1;
	_cleanup_json_ cJSON *j = cJSON_Parse(buf_cstr(&text));
	*out = (struct local_run){
		.url = text_of(j, "url"),
		.region = text_of(j, "region"),
		.account = text_of(j, "account"),
		.access_key = text_of(j, "access_key"),
		.secret_key = text_of(j, "secret_key"),
		.role = text_of(j, "role"),
		.pid = (pid_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, "pid"))};
	if (text.data)
		explicit_bzero(text.data, text.len);
	if (out->url && out->region && out->account && out->access_key && out->secret_key &&
	    out->pid > 0)
		return 0;
	local_run_release(out);
	errno = EBADMSG;
	return -1;
}

/* Whether somebody serves the store now. The shared lock is for an instant; a backend that is refused for it is tried again. */
static bool served(int store_fd)
{
	_cleanup_close_ int fd = openat(store_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int local_read(const char *store, struct local_run *out, struct err *e)
{
	_cleanup_close_ int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "no local store '%s'", store);
	if (!served(fd))
		return err_set(
			e, ENOENT,
			"no backend serves '%s': mount it, or run sagemakerfs serve --store '%s'",
			store, store);
	return read_run(fd, out) < 0 ? err_errno(e, "cannot read '%s/run.json'", store) : 0;
}

static void env_export(const char *name, const char *value, FILE *to)
{
	fprintf(to, "export %s='", name);
	for (const char *s = value ? value : ""; *s; s++)
		*s == '\'' ? fputs("'\\''", to) : fputc(*s, to);
	fputs("'\n", to);
}

/* What of the caller's environment would lead boto3 and the AWS CLI elsewhere, or with other keys. */
static void env_unset(FILE *to)
{
	static const char *const names[] = {
		"AWS_SESSION_TOKEN",
		"AWS_SECURITY_TOKEN",
		"AWS_PROFILE",
		"AWS_DEFAULT_PROFILE",
		"AWS_USE_FIPS_ENDPOINT",
		"AWS_USE_DUALSTACK_ENDPOINT",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	};
	static const char url[] = "AWS_ENDPOINT_URL_",
			  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (getenv(names[i]))
			fprintf(to, "unset %s\n", names[i]);
	}
	for (char **v = environ; *v; v++) {
		size_t n = strcspn(*v, "=");

		if (starts_with(*v, url) && strspn(*v, letters) == n)
			fprintf(to, "unset %.*s\n", (int)n, *v);
	}
}

/* No other program spares the loopback its proxy by itself. */
static void env_no_proxy(const char *endpoint, FILE *to)
{
	const char *old = getenv("no_proxy") ? getenv("no_proxy") : getenv("NO_PROXY");
	const char *host = strstr(endpoint, "://");
	_cleanup_free_ char *name = host ? strndup(host + 3, strcspn(host + 3, ":/")) : NULL;

	if (!name || !(getenv("http_proxy") || getenv("HTTP_PROXY")) || (old && strstr(old, name)))
		return;
	_cleanup_free_ char *all =
		str_printf("%s%s%s", old ? old : "", old && *old ? "," : "", name);
	env_export("no_proxy", all, to);
	env_export("NO_PROXY", all, to);
}

void local_env(const char *store, const struct local_run *r, FILE *to)
{
	_cleanup_free_ char *sdk = str_printf("%s/sagemaker-config.yaml", store);

	const struct {
		const char *name, *value;
	} rows[] = {
		{"AWS_ENDPOINT_URL",               r->url       },
		{"AWS_ACCESS_KEY_ID",              r->access_key},
		{"AWS_SECRET_ACCESS_KEY",          r->secret_key},
		{"AWS_DEFAULT_REGION",             r->region    },
		{"AWS_REGION",                     r->region    },
		{"SAGEMAKER_ROLE_ARN",             r->role      },
		{"SAGEMAKER_USER_CONFIG_OVERRIDE", sdk          },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		env_export(rows[i].name, rows[i].value, to);
	env_unset(to);
	env_no_proxy(r->url ? r->url : "", to);
}

/* The backend runs as long as mounts use it and needs no keys: AWS's settings and proxies, which may hold passwords, stay with
 * who set them. The strings are those of environ. */
static char **own_environment(void)
{
	size_t n = 0, kept = 0;

	while (environ[n])
		n++;
	char **env = calloc(n + 1, sizeof *env);
	for (size_t i = 0; env && i < n; i++) {
		size_t name = strcspn(environ[i], "=");
		bool proxy = name > 6 && strncasecmp(environ[i] + name - 6, "_proxy", 6) == 0;

		if (!proxy && !starts_with(environ[i], "AWS_"))
			env[kept++] = environ[i];
	}
	return env;
}

/* ------------------------------------------------------------------ starting */

/* This program again, as `serve`, in a session of its own, saying on ready_fd whether it serves. */
static int spawn_serve(const struct local_backend *b, const char *listen, int ready_fd, pid_t *pid)
{
	char ready[16];
	const char *argv[12] = {"sagemakerfs",    "serve",      "--store", b->store,
				"--until-unused", "--ready-fd", ready};
	size_t n = 7;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	_cleanup_free_ char **env = own_environment();

	union {
		const char *const *in;
		char *const *out;
	} args = {argv};

	snprintf(ready, sizeof ready, "%d", STDERR_FILENO + 1);
	if (listen) {
		argv[n++] = "--listen";
		argv[n++] = listen;
	}
	if (b->strict_runtimes)
		argv[n++] = "--strict-runtimes";
	posix_spawn_file_actions_init(&files);
	_cleanup_close_ int in = null_fd(O_RDONLY), out = null_fd(O_WRONLY);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&files, ready_fd, STDERR_FILENO + 1);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 2);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	int no = env ? posix_spawn(pid, "/proc/self/exe", &files, &attr, args.out, env) : ENOMEM;
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return no;
}

/* What it says: "ready URL" or "error TEXT"; nothing: it died. */
static int await_ready(int fd, struct err *e)
{
	_cleanup_buf_ struct buf said = BUF_INIT(8192);

	if (buf_read_fd(&said, fd) < 0)
		return err_errno(e, "cannot hear the local backend");
	const char *text = buf_cstr(&said);
	if (starts_with(text, "ready "))
		return 0;
	int n = (int)strcspn(text, "\n");
	if (starts_with(text, "error "))
		return err_set(e, EIO, "the local backend did not start: %.*s", n - 6, text + 6);
	return err_set(e, EIO, "the local backend ended while starting");
}

static int start(struct local_backend *b, const char *listen, struct err *e)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, "cannot start the local backend");
	_cleanup_close_ int from = ends[0];
	int no = spawn_serve(b, listen, ends[1], &pid);
	close(ends[1]);
	if (no) {
		errno = no;
		return err_errno(e, "cannot start the local backend");
	}
	int rc = await_ready(from, e);
	if (rc < 0)
		waitpid(pid, NULL, 0);
	return rc;
}

static const char *address_of(const char *url)
{
	const char *scheme = strstr(url, "://");

	return scheme ? scheme + 3 : url;
}

static int follow(struct local_backend *b, struct local_run *run)
{
	char *address = strdup(address_of(run->url));

	if (!address)
		return -1;
	free(b->address);
	b->address = address;
	b->pid = run->pid;
	return 0;
}

static bool alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

/* Whether somebody listens at HOST:PORT. A backend that is being killed may hold its lock for a moment longer than its port. */
static bool listens(const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	_cleanup_free_ char *host = colon ? strndup(address, (size_t)(colon - address)) : NULL;
	struct addrinfo *at = NULL;
	char *name = host;
	bool yes = false;

	if (host && *host == '[' && ends_with(host, "]")) {
		host[strlen(host) - 1] = 0;
		name = host + 1;
	}
	if (!host || getaddrinfo(name, colon + 1, &hints, &at))
		return false;
	for (const struct addrinfo *a = at; a && !yes; a = a->ai_next) {
		_cleanup_close_ int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		yes = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0;
	}
	freeaddrinfo(at);
	return yes;
}

static bool serves(const struct local_run *run)
{
	return alive(run->pid) && listens(address_of(run->url));
}

/* Joins whoever serves or starts somebody; a backend that is just ending, and one that another mount starts at the same moment,
 * are tried again. */
static int find_or_start(struct local_backend *b, struct local_run *out, struct err *e)
{
	int64_t until = now_ms() + JOIN_MS;
	struct err last = {0};

	do {
		if (served(b->store_fd)) {
			if (read_run(b->store_fd, out) == 0 && serves(out))
				return follow(b, out) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
			local_run_release(
				out); /* of the one before: the new one has not written its own yet */
		} else if (start(b, b->address, &last) < 0 && !served(b->store_fd)) {
			/* The address of before may be somebody else's by now. */
			if (!b->address && now_ms() + JOIN_MS - until > 2000)
				break;
			free(steal(b->address));
		} else {
			continue;
		}
		poll(NULL, 0, RETRY_MS);
	} while (now_ms() < until);
	if (!last.no)
		err_set(&last, ETIMEDOUT, "the backend of '%s' does not get ready", b->store);
	if (e)
		*e = last;
	return -1;
}

struct local_backend *local_join(const char *store, bool strict_runtimes, struct local_run *out,
				 struct err *e)
{
	struct local_backend *b = calloc(1, sizeof *b);

	if (!b || !(b->store = strdup(store))) {
		free(b);
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	b->strict_runtimes = strict_runtimes;
	b->users_fd = b->stop_fd = -1;
	b->store_fd = dirs_make(store, e);
	if (b->store_fd < 0)
		goto fail;
	b->users_fd = openat(b->store_fd, "users", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->users_fd < 0 || flock(b->users_fd, LOCK_SH) < 0) {
		err_errno(e, "cannot use the local store '%s'", store);
		goto fail;
	}
	if (find_or_start(b, out, e) < 0)
		goto fail;
	return b;
fail:
	local_leave(b);
	return NULL;
}

/* ------------------------------------------------------------------ guarding */

/* Waits for the backend's end. False: we are to stop. */
static bool await_end(struct local_backend *b)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, b->pid, 0);
	struct pollfd fds[] = {
		{.fd = b->stop_fd, .events = POLLIN},
                {.fd = fd,         .events = POLLIN}
        };

	/* Without pidfd (gone already, or an old kernel): look every second. */
	while (poll(fds, 2, fd < 0 ? 1000 : -1) < 0 && errno == EINTR)
		;
	return !(fds[0].revents & POLLIN);
}

static void *guard_thread(void *arg)
{
	struct local_backend *b = arg;
	struct local_run run = {0};
	struct err e;

	while (await_end(b)) {
		waitpid(b->pid, NULL, WNOHANG); /* perhaps our child */
		if (served(b->store_fd) && alive(b->pid))
			continue;
		_cleanup_free_ char *was = b->address ? strdup(b->address) : NULL;
		log_line(b->log, LOG_LEVEL_WARNING, "backend", "it ended; starting it again");
		if (find_or_start(b, &run, &e) < 0) {
			log_line(b->log, LOG_LEVEL_ERROR, "backend", "%s", e.text);
			poll(&(struct pollfd){.fd = b->stop_fd, .events = POLLIN}, 1, 5000);
		} else if (was && !streq(was, b->address)) {
			log_line(b->log, LOG_LEVEL_ERROR, "backend",
				 "it is back at another address, %s instead of %s: mount anew",
				 b->address, was);
		}
		local_run_release(&run);
	}
	return NULL;
}

int local_guard(struct local_backend *b, struct log *log, struct err *e)
{
	b->log = log;
	b->stop_fd = eventfd(0, EFD_CLOEXEC);
	int no = b->stop_fd < 0 ? errno : thread_start(&b->guard, guard_thread, b);
	if (no) {
		errno = no;
		return err_errno(e, "cannot watch the local backend");
	}
	b->guarded = true;
	return 0;
}

void local_leave(struct local_backend *b)
{
	if (!b)
		return;
	if (b->guarded && eventfd_write(b->stop_fd, 1) == 0)
		pthread_join(b->guard, NULL);
	int fds[] = {b->stop_fd, b->users_fd, b->store_fd};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(b->store);
	free(b->address);
	free(b);
}
