/* serve.c: the backend's beginning, main loop and end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "sagemaker/hash.h"
#include "sagemaker/http.h"
#include "sagemaker/local/async.h"
#include "sagemaker/local/backend.h"
#include "sagemaker/local/db.h"
#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/faults.h"
#include "sagemaker/local/history.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/logs.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/notify.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/patterns.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/request.h"
#include "sagemaker/local/scaling.h"
#include "sagemaker/local/server.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/stats.h"
#include "sagemaker/local/throttle.h"

#define UNUSED_SECONDS 10
#define STOP_MS        4000
#define QUICK_THREADS  4
#define SLOW_THREADS   2
#define SWEEP_SECONDS  600

/* ---- the store ---- */

static int make_dir(const char *path, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return err_errno(e, "cannot make the directory '%s'", copy);
		*p = '/';
	}
	return mkdir(copy, 0700) < 0 && errno != EEXIST
		       ? err_errno(e, "cannot make the store '%s'", path)
		       : 0;
}

static int open_store(struct backend *be, struct err *e)
{
	const char *path = be->options->store;

	if (make_dir(path, e) < 0)
		return -1;
	be->dir = realpath(path, NULL);
	be->dirfd = be->dir ? open(be->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (be->dirfd < 0)
		return err_errno(e, "cannot open the store '%s'", path);
	be->lockfd = openat(be->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (be->lockfd < 0)
		return err_errno(e, "cannot open '%s/lock'", be->dir);
	if (flock(be->lockfd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_errno(e, "cannot lock '%s/lock'", be->dir);
	return err_set(e, EBUSY, "another local backend serves the store '%s'", be->dir);
}

/* DIR/name, replaced in one step and on disk when this returns. */
static int write_private(struct backend *be, const char *name, const char *text, struct err *e)
{
	char temp[64];

	snprintf(temp, sizeof temp, ".%s.new", name);
	_cleanup_close_ int fd = openat(
		be->dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) < 0 ||
	    renameat(be->dirfd, temp, be->dirfd, name) < 0)
		return err_errno(e, "cannot write '%s/%s'", be->dir, name);
	fsync(be->dirfd);
	return 0;
}

static void new_keys(struct backend *be)
{
	char tail[17];

	random_text(tail, sizeof tail);
	for (char *p = tail; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	snprintf(be->access_key, sizeof be->access_key, "AKIA%s", tail);
	random_text(be->secret_key, 41);
}

/* Those given, or the store's own, made once. */
static int load_keys(struct backend *be, struct err *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	char text[256];

	if (be->options->access_key[0]) {
		snprintf(be->access_key, sizeof be->access_key, "%s", be->options->access_key);
		snprintf(be->secret_key, sizeof be->secret_key, "%s", be->options->secret_key);
		return 0;
	}
	if (buf_read_file(&b, be->dirfd, "keys.json") == 0) {
		_cleanup_json_ cJSON *j = cJSON_Parse(buf_cstr(&b));
		const char *access = cJSON_GetStringValue(cJSON_GetObjectItem(j, "access_key"));
		const char *secret = cJSON_GetStringValue(cJSON_GetObjectItem(j, "secret_key"));
		if (access && secret && strlen(access) < sizeof be->access_key &&
		    strlen(secret) < sizeof be->secret_key) {
			snprintf(be->access_key, sizeof be->access_key, "%s", access);
			snprintf(be->secret_key, sizeof be->secret_key, "%s", secret);
			return 0;
		}
	}
	new_keys(be);
	snprintf(text, sizeof text, "{\"access_key\":\"%s\",\"secret_key\":\"%s\"}\n",
		 be->access_key, be->secret_key);
	return write_private(be, "keys.json", text, e);
}

/* For the SageMaker Python SDK (SAGEMAKER_USER_CONFIG_OVERRIDE): version 2 builds the address of STS itself and would ask AWS for the
 * account; with the bucket and the role from here it need not ask. */
static int write_sdk_config(struct backend *be, struct err *e)
{
	char text[512];

	snprintf(text, sizeof text,
		 "SchemaVersion: '1.0'\n"
		 "SageMaker:\n"
		 "  PythonSDK:\n"
		 "    Modules:\n"
		 "      TelemetryOptOut: true\n"
		 "      Session:\n"
		 "        DefaultS3Bucket: sagemaker-%s-" LOCAL_ACCOUNT "\n"
		 "  Model:\n"
		 "    ExecutionRoleArn: " LOCAL_ROLE_ARN "\n",
		 be->region);
	return write_private(be, "sagemaker-config.yaml", text, e);
}

static int publish(struct backend *be, const char *url, struct err *e)
{
	char text[2048], sandbox[SANDBOX_TEXT];

	if (write_sdk_config(be, e) < 0)
		return -1;
	spawner_sandbox(be->spawner, sandbox);
	logger_line(be->log, "sandbox of models: %s", sandbox);
	snprintf(text, sizeof text,
		 "{\"pid\":%d,\"url\":\"%s\",\"region\":\"%s\",\"account\":\"" LOCAL_ACCOUNT
		 "\",\"access_key\":\"%s\",\"secret_key\":\"%s\","
		 "\"role\":\"" LOCAL_ROLE_ARN "\",\"sandbox\":\"%s\"}\n",
		 (int)getpid(), url, be->region, be->access_key, be->secret_key, sandbox);
	return write_private(be, "run.json", text, e);
}

/* ---- beginning and end ---- */

static int start_http(struct backend *be, struct err *e)
{
	be->http_config = (struct config){.region = be->region,
					  .connect_timeout_ms = 2000,
					  .timeout_ms = 70000, /* each request says its own */
					  .max_attempts = 1};
	be->http = http_new(&be->http_config, e);
	return be->http ? 0 : -1;
}

static int start_faults(struct backend *be, struct err *e)
{
	const char *env = getenv("SAGEMAKERFS_FAULTS");

	if (!be->options->faults && !(env && streq(env, "1")))
		return 0;
	be->faults = faults_new(be, be->options->faults, e);
	return be->faults ? 0 : -1;
}

/* What makes it as slow as AWS, when asked for. */
static int start_manners(struct backend *be, struct err *e)
{
	const struct local_options *o = be->options;

	be->history = o->stale > 0 ? history_new(o->stale) : NULL;
	be->throttle = o->control_rate > 0 ? throttle_new(o->control_rate) : NULL;
	return (o->stale > 0 && !be->history) || (o->control_rate > 0 && !be->throttle)
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}

static int open_database(struct backend *be, struct err *e)
{
	_cleanup_free_ char *path = str_printf("%s/store.db", be->dir);

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	be->db = db_open(path, e);
	return be->db ? 0 : -1;
}

static int start_spawner(struct backend *be, struct err *e)
{
	be->spawner = spawner_new(e);
	return be->spawner ? 0 : -1;
}

static int start_log(struct backend *be, struct err *e)
{
	be->log = logger_new(be->dirfd, e);
	return be->log ? 0 : -1;
}

static int start_patterns(struct backend *be, struct err *e)
{
	be->patterns = patterns_new(e);
	return be->patterns ? 0 : -1;
}

static int start_objects(struct backend *be, struct err *e)
{
	be->objects = objects_new(be, e);
	return be->objects ? 0 : -1;
}

static int start_pools(struct backend *be, struct err *e)
{
	be->quick = pool_new(QUICK_THREADS, e);
	be->slow = be->quick ? pool_new(SLOW_THREADS, e) : NULL;
	return be->slow ? 0 : -1;
}

static int start_fleet(struct backend *be, struct err *e)
{
	be->async = async_new(be);
	if (!be->async)
		return err_set(e, ENOMEM, "out of memory");
	be->endpoints = fleet_new(be, e);
	return be->endpoints ? 0 : -1;
}

static int start_metrics(struct backend *be, struct err *e)
{
	be->metrics = metrics_new(be, e);
	be->usage = be->metrics ? usage_new(be, e) : NULL;
	be->scaling = be->usage ? scaling_new(be, e) : NULL;
	be->stats = be->scaling ? stats_new(be, e) : NULL;
	return be->stats ? 0 : -1;
}

static int start_server(struct backend *be, struct err *e)
{
	return server_new(be, be->options->listen ? be->options->listen : "127.0.0.1:0", e);
}

/* In this order: the spawner forks before there are threads, the server answers when all else is there. */
static int start(struct backend *be, struct err *e)
{
	static int (*const steps[])(struct backend * be, struct err * e) = {
		open_store,    start_spawner, start_log,     load_keys,    start_patterns,
		open_database, start_objects, start_manners, start_pools,  start_http,
		start_metrics, start_fleet,   start_faults,  start_server,
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i](be, e) < 0)
			return -1;
	}
	return 0;
}

/* Requests and steps in work keep what they need alive: first they have to be gone. */
static void stop(struct backend *be)
{
	bool quiet = !be->server || server_drain(be->server, 500);

	faults_free(be->faults); /* lets go what is withheld */
	be->faults = NULL;
	if (be->async)
		async_stop(be->async);
	if (be->endpoints)
		fleet_stop(be->endpoints);
	pool_free(be->slow);
	http_free(be->http); /* ends invocations in flight */
	quiet = quiet || server_drain(be->server, 500);
	if (!quiet)
		return; /* a call is stuck: the process ends, nothing is freed under it */
	pool_free(be->quick);
	server_free(be->server);
	fleet_free(be->endpoints);
	stats_free(be->stats);
	scaling_free(be->scaling);
	usage_free(be->usage);
	metrics_free(be->metrics);
	async_free(be->async);
	spawner_free(be->spawner);
	objects_free(be->objects);
	patterns_free(be->patterns);
	db_close(be->db);
	history_free(be->history);
	throttle_free(be->throttle);
	logger_free(be->log);
	closep(&be->dirfd);
	closep(&be->lockfd);
	free(be->dir);
}

static void tell(const struct local_options *o, const char *word, const char *text)
{
	if (o->ready_fd < 0)
		return;
	dprintf(o->ready_fd, "%s %s\n", word, text);
	close(o->ready_fd);
}

/* ---- the main loop ---- */

struct loop {
	struct backend *be;
	int signals;
	int users;   /* DIR/users */
	int unused;  /* seconds that nobody held it */
	int unswept; /* seconds until old logs are looked for */
	bool ending;
};

static void drain_events(struct loop *l)
{
	uint64_t tag;
	int status, r;

	while ((r = spawner_next(l->be->spawner, &tag, &status)) > 0)
		fleet_exited(l->be->endpoints, tag, status);
	if (r < 0) {
		logger_error(l->be->log, "the spawner has died: ending");
		l->ending = true;
	}
}

static void wait_events(struct loop *l, int ms)
{
	struct pollfd p[] = {
		{l->signals,                     POLLIN, 0},
                {spawner_events(l->be->spawner), POLLIN, 0}
        };
	struct signalfd_siginfo info;

	if (poll(p, ARRAY_SIZE(p), ms) <= 0)
		return;
	if (p[0].revents && read(l->signals, &info, sizeof info) == (ssize_t)sizeof info)
		l->ending = true;
	if (p[1].revents)
		drain_events(l);
}

/* While mounts hold DIR/users shared we stay; the exclusive lock is kept once nobody came for long enough. */
static void check_users(struct loop *l)
{
	if (flock(l->users, LOCK_EX | LOCK_NB) < 0) {
		l->unused = 0;
		return;
	}
	if (++l->unused >= UNUSED_SECONDS)
		l->ending = true;
	else
		flock(l->users, LOCK_UN);
}

static bool has_instance(void *be, const char *id)
{
	return fleet_has_instance(((struct backend *)be)->endpoints, id);
}

static void sweep_job(void *be)
{
	logs_sweep(be, has_instance, be);
}

/* Old logs go, now and then. */
static void check_logs(struct loop *l)
{
	if (--l->unswept > 0)
		return;
	l->unswept = SWEEP_SECONDS;
	if (pool_run(l->be->slow, sweep_job, l->be) < 0)
		l->unswept = 1;
}

static void main_loop(struct loop *l)
{
	double tick = time_mono() + 1;

	while (!l->ending) {
		wait_events(l, (int)MAX(1.0, MIN(1000.0, (tick - time_mono()) * 1e3)));
		if (time_mono() < tick)
			continue;
		tick = time_mono() + 1;
		fleet_tick(l->be->endpoints);
		async_tick(l->be->async);
		check_logs(l);
		usage_sample(l->be->usage);
		metrics_tick(l->be->metrics);
		scaling_tick(l->be->scaling);
		stats_tick(l->be->stats);
		if (l->users >= 0)
			check_users(l);
	}
}

static void stop_models(struct loop *l)
{
	double until = time_mono() + STOP_MS / 1e3;

	fleet_stop(l->be->endpoints);
	while (fleet_alive(l->be->endpoints) && time_mono() < until)
		wait_events(l, 100);
}

static int run(struct backend *be, int signals, struct err *e)
{
	struct loop l = {.be = be, .signals = signals, .users = -1};
	char url[128];

	snprintf(url, sizeof url, "http://%s:%u",
		 be->options->listen && starts_with(be->options->listen, "[::1]") ? "[::1]"
										  : "127.0.0.1",
		 be->port);
	if (be->options->until_unused) {
		l.users = openat(be->dirfd, "users", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (l.users < 0)
			return err_errno(e, "cannot open '%s/users'", be->dir);
	}
	if (publish(be, url, e) < 0)
		return -1;
	logger_line(be->log, "serving %s, process %d, region %s", url, (int)getpid(), be->region);
	fleet_start(be->endpoints);
	tell(be->options, "ready", url);
	if (!be->options->until_unused)
		notify_service("READY=1");
	main_loop(&l);
	if (!be->options->until_unused)
		notify_service("STOPPING=1");
	logger_line(be->log, "ending");
	unlinkat(be->dirfd, "run.json", 0);
	stop_models(&l);
	stop(be);
	closep(&l.users);
	return 0;
}

static int block_signals(struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? err_errno(e, "cannot make a signal descriptor") : fd;
}

static void raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = MIN(r.rlim_max, (rlim_t)65536);
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int local_serve(const struct local_options *o, struct err *e)
{
	struct backend *be = calloc(1, sizeof *be);
	int signals = -1, r = -1;

	if (!be)
		return err_set(e, ENOMEM, "out of memory");
	be->options = o;
	be->dirfd = be->lockfd = -1;
	be->max_invoke = (size_t)o->max_payload;
	snprintf(be->region, sizeof be->region, "%s", o->region ? o->region : LOCAL_REGION);
	random_text(be->host_id, sizeof be->host_id);
	raise_files();
	signals = block_signals(e);
	if (signals >= 0 && start(be, e) == 0)
		r = run(be, signals, e);
	if (r < 0) {
		tell(o, "error", e->text);
		stop(be);
	}
	closep(&signals);
	free(be);
	return r;
}
