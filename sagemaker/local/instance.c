/* instance.c: the processes of a variant: started, asked until they answer, started again when they crash, ended. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "sagemaker/http.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/spawner.h"
#include "sagemaker/local/validate.h"

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

static struct endpoint *endpoint_of(const struct instance *i)
{
	return i->variant->dep->ep;
}

/* The instance, if that process is still its own and lives; NULL. */
static struct instance *alive_locked(const struct step *s)
{
	struct instance *i = s->ep->all->stopping ? NULL : instance_find(s->ep, s->process);

	return i && i->alive ? i : NULL;
}

static void after_locked(struct instance *i, long ms, void (*fn)(void *))
{
	struct endpoint *ep = endpoint_of(i);
	struct step *s = step_new_locked(ep, i->process);
	struct err e;

	if (s && http_timer(ep->all->be->http, ms, NULL, fn, s, &e) == 0)
		return;
	logger_error(ep->all->be->log, "endpoint %s: no timer: %s", ep->name,
		     s ? e.text : "out of memory");
	if (s) {
		ep->refs--; /* the table's own is left */
		free(s);
	}
}

/* The sentence of AWS and the model server's own last words, the very last first: a model server ends with its reason. */
static void fail_with_log_locked(struct instance *i, const char *what)
{
	char reason[1025];
	_cleanup_buf_ struct buf lines = BUF_INIT(2048);
	int n = snprintf(reason, sizeof reason, NOT_HEALTHY "%s", i->variant->name, what);

	instance_last_lines(i, sizeof reason - (size_t)n - 26, &lines);
	const char *all = buf_cstr(&lines), *last = strrchr(all, '\n');
	if (last && last[1]) {
		lines.data[last - all] = '\0';
		snprintf(reason + n, sizeof reason - (size_t)n, " It said: %s; Last lines: %s",
			 last + 1, all);
	} else if (lines.len) {
		snprintf(reason + n, sizeof reason - (size_t)n, " Last lines: %s", all);
	}
	deployment_fail_locked(i->variant->dep, reason);
}

/* Whether its deployment is still on its way to be healthy for the first time: then a failure is the deployment's. */
static bool is_first_start(const struct instance *i)
{
	const struct endpoint *ep = endpoint_of(i);

	return i->variant->dep == ep->next_up || (ep->status == UPDATING && !i->proven);
}

static void ping(void *arg);

/* A ping's answer, on the engine's thread. */
static void on_ping(void *arg, struct http_resp *resp, const struct err *err)
{
	struct step *s = arg;

	(void)err;
	pthread_mutex_lock(&s->ep->all->mu);
	struct instance *i = alive_locked(s);
	if (i && resp->status == 200) {
		i->ready = !i->leaving;
		i->proven = true;
		i->variant->used = time_mono();
		endpoint_check_locked(s->ep);
	} else if (i && is_first_start(i) && time_mono() > i->deadline) {
		fail_with_log_locked(i, "");
	} else if (i && !i->variant->dep->retired) {
		after_locked(i, PING_EVERY_MS, ping);
	}
	pthread_mutex_unlock(&s->ep->all->mu);
	step_free(s);
}

/* The socket listens before the server does: a ping is answered the moment the server accepts. */
static void ping(void *arg)
{
	struct step *s = arg;
	char url[64] = "";
	struct http_req q = {
		.method = "GET", .url = url, .timeout_ms = PING_TIMEOUT_MS, .max_reply = 65536};
	struct err e;

	pthread_mutex_lock(&s->ep->all->mu);
	const struct instance *i = alive_locked(s);
	if (i)
		snprintf(url, sizeof url, "http://127.0.0.1:%u/ping", i->port);
	pthread_mutex_unlock(&s->ep->all->mu);
	if (!url[0] || http_start(s->ep->all->be->http, &q, on_ping, s, &e) < 0)
		step_free(s);
}

/* Starting ----------------------------------------------------------------------------------- */

static double health_seconds(const struct variant *v)
{
	const struct local_options *o = v->dep->ep->all->be->options;

	if (v->serverless)
		return MIN(o->health_timeout, o->serverless_wait);
	return member_number(v->json, "ContainerStartupHealthCheckTimeoutInSeconds",
			     o->health_timeout);
}

static void kill_late(void *arg)
{
	struct step *s = arg;

	pthread_mutex_lock(&s->ep->all->mu);
	const struct instance *i = alive_locked(s);
	if (i)
		spawner_kill(s->ep->all->be->spawner, i->process, SIGKILL);
	pthread_mutex_unlock(&s->ep->all->mu);
	step_free(s);
}

struct start {
	struct deployment *dep; /* a reference */
	struct launch launch;
};

/* The process that was forked is asked until it answers; one that was not is a failure. */
static void started(struct start *t, int rc, long long from, const struct err *e)
{
	struct endpoint *ep = t->dep->ep;
	struct step *s = NULL;

	pthread_mutex_lock(&ep->all->mu);
	struct instance *i = instance_find(ep, t->launch.process);
	if (i && rc == 0) {
		i->log_from = from;
		i->pid = t->launch.pid;
		i->installing = t->launch.installs;
		if (i->installing)
			after_locked(i, (long)(1000 * health_seconds(i->variant)), kill_late);
		else
			s = step_new_locked(ep, i->process);
	} else if (i) {
		i->alive = false;
		if (i->variant->dep->retired)
			deployment_quiet_locked(i->variant->dep);
		else if (i->leaving)
			instance_drop_locked(i);
		else if (is_first_start(i))
			deployment_fail_locked(i->variant->dep, e->text);
		else
			logger_error(ep->all->be->log, "endpoint %s: %s", ep->name, e->text);
	}
	pthread_mutex_unlock(&ep->all->mu);
	if (s)
		ping(s);
}

/* Its socket, made when it is started first; a process after a crash gets the same. */
static int listen_once(struct start *t, struct err *e)
{
	struct fleet *all = t->dep->ep->all;
	_cleanup_close_ int fd = -1;

	if (t->launch.listen_fd >= 0)
		return 0;
	if (instance_listen(&fd, &t->launch.port, e))
		return -1;
	SCOPED_LOCK(&all->mu);
	struct instance *i = instance_find(t->dep->ep, t->launch.process);
	if (!i)
		return err_set(e, ECANCELED, "cancelled");
	i->port = t->launch.port;
	t->launch.listen_fd = i->listen_fd = steal_fd(&fd);
	return 0;
}

static bool is_wanted(const struct start *t)
{
	SCOPED_LOCK(&t->dep->ep->all->mu);
	const struct instance *i = instance_find(t->dep->ep, t->launch.process);

	return i && !i->leaving;
}

/* On a worker. */
static void start_job(void *arg)
{
	struct start *t = arg;
	struct endpoint *ep = t->dep->ep;
	struct err e = {0};
	long long from = 0;
	int rc = is_wanted(t) ? listen_once(t, &e) : err_set(&e, ECANCELED, "cancelled");

	if (rc == 0)
		rc = instance_spawn(&t->launch, &from, &e);
	started(t, rc, from, &e);
	pthread_mutex_lock(&ep->all->mu);
	deployment_unref_locked(t->dep);
	pthread_mutex_unlock(&ep->all->mu);
	endpoint_unref(ep);
	free(t);
}

static void start_locked(struct instance *i)
{
	struct endpoint *ep = endpoint_of(i);
	struct start *t = ep->all->stopping ? NULL : calloc(1, sizeof *t);

	if (!t)
		return; /* the next start of the backend takes it up again */
	i->process = ++ep->all->last_tag;
	i->alive = true;
	i->pid = 0;
	i->in_flight = 0; /* what the process before it had is answered by its end */
	i->started = time_mono();
	i->deadline = i->started + health_seconds(i->variant);
	*t = (struct start){
		deployment_ref_locked(i->variant->dep),
		{.variant = i->variant,
				   .process = i->process,
				   .installed = i->installed,
				   .listen_fd = i->listen_fd,
				   .port = i->port}
        };
	memcpy(t->launch.id, i->id, sizeof i->id);
	endpoint_ref_locked(ep);
	if (pool_run(ep->all->be->slow, start_job, t) == 0)
		return;
	i->alive = false;
	ep->refs--;
	deployment_unref_locked(t->dep);
	free(t);
	logger_error(ep->all->be->log, "endpoint %s: out of memory", ep->name);
}

void instances_start_locked(struct variant *v)
{
	int n = 0;

	for (const struct instance *i = v->first; i; i = i->next)
		n += !i->leaving;
	for (; n < v->count; n++) {
		struct instance *i = instance_new(v);

		if (i)
			start_locked(i);
	}
}

/* Ending --------------------------------------------------------------------------------------- */

void instance_end_locked(struct instance *i, bool at_once)
{
	i->leaving = true;
	i->ready = false;
	if (!i->alive || (i->in_flight && !at_once))
		return;
	spawner_kill(endpoint_of(i)->all->be->spawner, i->process, SIGTERM);
	after_locked(i, TERM_MS, kill_late);
}

void instance_released_locked(struct instance *i)
{
	i->in_flight--;
	if (i->leaving && !i->in_flight)
		instance_end_locked(i, true);
}

void variant_rest_locked(struct variant *v, double seconds)
{
	if (!v->serverless || v->provisioned || v->serving || !v->count ||
	    time_mono() - v->used < seconds)
		return;
	v->count = 0;
	logger_line(v->dep->ep->all->be->log, "endpoint %s: not used, its process ends until it is",
		    v->dep->ep->name);
	for (struct instance *i = v->first, *next; i; i = next) {
		next = i->next;
		instance_end_locked(i, true);
		if (!i->alive)
			instance_drop_locked(i);
	}
}

static void restart(void *arg)
{
	struct step *s = arg;

	pthread_mutex_lock(&s->ep->all->mu);
	struct instance *i = instance_find(s->ep, s->process);
	if (i && !i->alive && !i->leaving && !s->ep->all->stopping)
		start_locked(i);
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

static void crashed_locked(struct instance *i, const char *how)
{
	struct endpoint *ep = endpoint_of(i);

	i->crashes = time_mono() - i->started > STEADY_SECONDS ? 0 : MIN(i->crashes + 1, 10u);
	long ms = MIN(BACKOFF_MIN_MS << i->crashes, BACKOFF_MAX_MS);
	logger_warn(ep->all->be->log, "endpoint %s:%s It is started again in %ld ms.", ep->name,
		    how, ms);
	after_locked(i, ms, restart);
}

static void ended_locked(struct instance *i, int status)
{
	struct deployment *dep = i->variant->dep;
	char how[96];

	i->alive = i->ready = false;
	describe_end(status, how, sizeof how);
	if (dep->ep->all->stopping)
		return;
	bool ready_to_serve = i->installing && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	i->installed =
		ready_to_serve; /* in a scratch directory that the next start empties, else */
	i->installing = false;
	if (dep->retired)
		deployment_quiet_locked(dep);
	else if (i->leaving)
		instance_drop_locked(i);
	else if (ready_to_serve)
		start_locked(i);
	else if (is_first_start(i))
		fail_with_log_locked(i, how);
	else
		crashed_locked(i, how);
}

void fleet_exited(struct fleet *all, uint64_t tag, int status)
{
	SCOPED_LOCK(&all->mu);
	for (struct endpoint *ep = all->first; ep; ep = ep->next) {
		struct instance *i = instance_find(ep, tag);

		if (i && i->alive) {
			ended_locked(i, status);
			return;
		}
	}
}
