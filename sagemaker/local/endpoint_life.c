/* endpoint_life.c: the steps of an endpoint's life. */
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "sagemaker/http.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/validate.h"

#define HEALTH_SECONDS  480 /* a container has 8 minutes to pass its first ping */
#define PING_TIMEOUT_MS 2000
#define PING_EVERY_MS   50
#define TERM_MS         30000 /* between SIGTERM and SIGKILL */
#define BACKOFF_MIN_MS  100
#define BACKOFF_MAX_MS  30000
#define STEADY_SECONDS  60 /* a process that ran so long did not crash at its start */
#define NOT_HEALTHY                                                                                                  \
 "The primary container for production variant %s did not pass the ping health check. Please check CloudWatch logs " \
 "for this endpoint."

/* What a callback was about: one process of one endpoint. Holds a reference. */
struct step {
	struct endpoint *ep;
	uint64_t process;
};

static struct step *step_new_locked(struct endpoint *ep, uint64_t process)
{
	struct step *s = calloc(1, sizeof *s);

	if (s)
		*s = (struct step){endpoint_ref_locked(ep), process};
	return s;
}

static void step_free(struct step *s)
{
	endpoint_unref(s->ep);
	free(s);
}

static bool still_locked(const struct step *s)
{
	return s->ep->process == s->process && s->ep->alive && !s->ep->all->stopping;
}

static void after_locked(struct endpoint *ep, uint64_t process, long ms, void (*fn)(void *))
{
	struct step *s = step_new_locked(ep, process);
	struct err e;

	if (s && http_timer(ep->all->be->http, ms, NULL, fn, s, &e) == 0)
		return;
	logger_line(ep->all->be->log, "endpoint %s: no timer: %s", ep->name,
		    s ? e.text : "out of memory");
	if (s) {
		ep->refs--; /* the table's own is left */
		free(s);
	}
}

static void fail_locked(struct endpoint *ep, const char *reason)
{
	endpoint_set_locked(ep, FAILED, reason);
	if (ep->alive)
		spawner_kill(ep->all->be->spawner, ep->process, SIGKILL);
	ep->ready = false;
}

void endpoint_fail(struct endpoint *ep, const char *fmt, ...)
{
	char reason[1025];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	utf8_clean(reason, strlen(reason));
	SCOPED_LOCK(&ep->all->mu);
	if (ep->status == CREATING && !ep->all->stopping)
		fail_locked(ep, reason);
}

/* The sentence of AWS and the model server's own last words. */
static void fail_with_log_locked(struct endpoint *ep, const char *what)
{
	char reason[1025];
	_cleanup_buf_ struct buf lines = BUF_INIT(2048);

	int n = snprintf(reason, sizeof reason, NOT_HEALTHY "%s", ep->variant, what);
	endpoint_last_lines(ep, ep->log_from, sizeof reason - (size_t)n - 14, &lines);
	if (lines.len)
		snprintf(reason + n, sizeof reason - (size_t)n, " Last lines: %s",
			 buf_cstr(&lines));
	fail_locked(ep, reason);
}

static void ping(void *arg);
static void restart(void *arg);

/* A ping's answer, on the engine's thread. */
static void on_ping(void *arg, struct http_resp *resp, const struct err *err)
{
	struct step *s = arg;
	struct endpoint *ep = s->ep;
	bool again = false;

	(void)err;
	pthread_mutex_lock(&ep->all->mu);
	if (still_locked(s) && resp->status == 200) {
		ep->ready = true;
		if (ep->status == CREATING)
			endpoint_set_locked(ep, IN_SERVICE, NULL);
	} else if (still_locked(s) && ep->status == CREATING && time_mono() > ep->deadline) {
		fail_with_log_locked(ep, "");
	} else {
		again = still_locked(s) && (ep->status == CREATING || ep->status == IN_SERVICE);
	}
	if (again)
		after_locked(ep, s->process, PING_EVERY_MS, ping);
	pthread_mutex_unlock(&ep->all->mu);
	step_free(s);
}

/* The socket listens before the server does: a ping is answered the moment the server accepts. */
static void ping(void *arg)
{
	struct step *s = arg;
	char url[64];
	struct http_req q = {
		.method = "GET", .url = url, .timeout_ms = PING_TIMEOUT_MS, .max_reply = 65536};
	struct err e;

	pthread_mutex_lock(&s->ep->all->mu);
	bool go = still_locked(s);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/ping", s->ep->port);
	pthread_mutex_unlock(&s->ep->all->mu);
	if (!go || http_start(s->ep->all->be->http, &q, on_ping, s, &e) < 0)
		step_free(s);
}

static double health_seconds(const struct endpoint *ep)
{
	return member_number(cJSON_GetObjectItem(ep->plan, "Variant"),
			     "ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_SECONDS);
}

/* Start a process and ask it until it answers. On a worker. */
static void launch(struct endpoint *ep)
{
	struct fleet *all = ep->all;
	struct err e;
	long long from = 0;

	pthread_mutex_lock(&all->mu);
	bool go = (ep->status == CREATING || ep->status == IN_SERVICE) && !ep->alive &&
		  !all->stopping;
	if (go) {
		ep->process = ++all->last_tag;
		ep->alive = true;
		ep->started = time_mono();
		ep->deadline = ep->started + health_seconds(ep);
	}
	uint64_t tag = ep->process;
	pthread_mutex_unlock(&all->mu);
	if (!go)
		return;
	int started = endpoint_spawn(ep, tag, &from, &e);
	pthread_mutex_lock(&all->mu);
	ep->log_from = from;
	struct step *s = started == 0 ? step_new_locked(ep, tag) : NULL;
	if (!s)
		ep->alive = false;
	if (!s && ep->status == IN_SERVICE)
		after_locked(ep, tag, BACKOFF_MAX_MS, restart);
	pthread_mutex_unlock(&all->mu);
	if (s)
		ping(s);
	else
		endpoint_fail(ep, "%s", started < 0 ? e.text : "out of memory");
}

static void prepare(void *arg)
{
	struct endpoint *ep = arg;
	struct err e;

	if (endpoint_choose(ep, &e) < 0 || endpoint_unpack(ep, &e) < 0 ||
	    endpoint_listen(ep, &e) < 0)
		endpoint_fail(ep, "%s", e.text);
	else
		launch(ep);
	endpoint_unref(ep);
}

static void run_locked(struct endpoint *ep, void (*job)(void *))
{
	if (ep->all->stopping)
		return; /* the next start takes it up again */
	endpoint_ref_locked(ep);
	if (pool_run(ep->all->be->slow, job, ep) == 0)
		return;
	ep->refs--;
	logger_line(ep->all->be->log, "endpoint %s: out of memory", ep->name);
}

void endpoint_begin_locked(struct endpoint *ep)
{
	ep->begun = true;
	run_locked(ep, prepare);
}

/* Files first, then the row: what a crash leaves in between is removed at the next start. */
static void remove_endpoint(void *arg)
{
	struct endpoint *ep = arg;
	struct fleet *all = ep->all;
	struct err e;

	endpoint_remove_files(ep);
	pthread_mutex_lock(&all->mu);
	if (ep->listed && resource_delete(all->be, &KIND_ENDPOINT, ep->name, &e) < 0) {
		logger_line(all->be->log, "endpoint %s: cannot forget it: %s", ep->name, e.text);
	} else if (ep->listed) {
		struct endpoint **p = &all->first;
		while (*p != ep)
			p = &(*p)->next;
		*p = ep->next;
		ep->listed = false;
		ep->refs--; /* the table's; the job's is left */
		/* A timer of its last process may hold the rest for a while. */
		if (ep->listen_fd >= 0)
			close(steal_fd(&ep->listen_fd));
		logger_line(all->be->log, "endpoint %s: deleted", ep->name);
	}
	pthread_mutex_unlock(&all->mu);
	endpoint_unref(ep);
}

static void kill_late(void *arg)
{
	struct step *s = arg;

	pthread_mutex_lock(&s->ep->all->mu);
	if (still_locked(s))
		spawner_kill(s->ep->all->be->spawner, s->process, SIGKILL);
	pthread_mutex_unlock(&s->ep->all->mu);
	step_free(s);
}

void endpoint_end_locked(struct endpoint *ep)
{
	ep->begun = true;
	ep->ready = false;
	if (!ep->alive) {
		run_locked(ep, remove_endpoint);
		return;
	}
	spawner_kill(ep->all->be->spawner, ep->process, SIGTERM);
	after_locked(ep, ep->process, TERM_MS, kill_late);
}

static void restart_job(void *arg)
{
	struct endpoint *ep = arg;

	launch(ep);
	endpoint_unref(ep);
}

static void restart(void *arg)
{
	struct step *s = arg;

	pthread_mutex_lock(&s->ep->all->mu);
	if (s->ep->process == s->process && !s->ep->alive && s->ep->status == IN_SERVICE)
		run_locked(s->ep, restart_job);
	pthread_mutex_unlock(&s->ep->all->mu);
	step_free(s);
}

static void describe_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, " The model server was killed by signal %d.", WTERMSIG(status));
	else
		snprintf(out, size, " The model server ended with exit code %d.",
			 WEXITSTATUS(status));
}

static void ended_locked(struct endpoint *ep, int status)
{
	char how[96];

	ep->alive = ep->ready = false;
	describe_end(status, how, sizeof how);
	if (ep->all->stopping)
		return;
	if (ep->status == CREATING) {
		fail_with_log_locked(ep, how);
	} else if (ep->status == DELETING) {
		run_locked(ep, remove_endpoint);
	} else if (ep->status == IN_SERVICE) {
		ep->crashes =
			time_mono() - ep->started > STEADY_SECONDS ? 0 : MIN(ep->crashes + 1, 10u);
		long ms = MIN(BACKOFF_MIN_MS << ep->crashes, BACKOFF_MAX_MS);
		logger_line(ep->all->be->log, "endpoint %s:%s It is started again in %ld ms.",
			    ep->name, how, ms);
		after_locked(ep, ep->process, ms, restart);
	}
}

void fleet_exited(struct fleet *all, uint64_t tag, int status)
{
	SCOPED_LOCK(&all->mu);
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		if (ep->process == tag && ep->alive) {
			ended_locked(ep, status);
			return;
		}
	}
}
