/* endpoint_life.c: the steps of an endpoint's life: a deployment is prepared, takes its place or fails, is retired. */
#include "sagemaker/http.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/pool.h"

void run_locked(struct deployment *dep, void (*job)(void *dep))
{
	struct endpoint *ep = dep->ep;

	if (ep->all->stopping)
		return; /* the next start takes it up again */
	endpoint_ref_locked(ep);
	deployment_ref_locked(dep);
	if (pool_run(ep->all->be->slow, job, dep) == 0)
		return;
	ep->refs--;
	dep->refs--;
	logger_error(ep->all->be->log, "endpoint %s: out of memory", ep->name);
}

/* The end of every job: what run_locked took. */
static void job_done(struct deployment *dep)
{
	struct endpoint *ep = dep->ep;

	pthread_mutex_lock(&ep->all->mu);
	deployment_unref_locked(dep);
	pthread_mutex_unlock(&ep->all->mu);
	endpoint_unref(ep);
}

/* Files first, then the row: what a crash leaves in between is removed at the next start. */
static void forget_locked(struct endpoint *ep)
{
	struct err e;

	if (resource_delete(ep->all->be, &KIND_ENDPOINT, ep->name, &e) < 0)
		logger_error(ep->all->be->log, "endpoint %s: cannot forget it: %s", ep->name,
			     e.text);
	else
		endpoint_unlist_locked(ep);
}

static bool is_settled(const struct endpoint *ep)
{
	return time_mono() >= ep->settles;
}

static void remove_job(void *arg)
{
	struct deployment *dep = arg;
	struct endpoint *ep = dep->ep;

	deployment_remove_files(dep);
	pthread_mutex_lock(&ep->all->mu);
	struct deployment **at = &ep->old;
	while (*at != dep)
		at = &(*at)->next_old;
	*at = dep->next_old;
	deployment_unref_locked(dep); /* the list's; the job's is left */
	if (ep->status == DELETING && !ep->old && is_settled(ep))
		forget_locked(ep);
	pthread_mutex_unlock(&ep->all->mu);
	job_done(dep);
}

void deployment_quiet_locked(struct deployment *dep)
{
	for (size_t k = 0; k < dep->n; k++) {
		for (const struct instance *i = dep->variants[k].first; i; i = i->next) {
			if (i->alive)
				return;
		}
	}
	if (!dep->removing && !dep->ep->all->stopping) {
		dep->removing = true;
		run_locked(dep, remove_job);
	}
}

/* Its place is taken, or it failed. The endpoint's reference goes to its list of old ones. */
static void retire_locked(struct deployment *dep, bool at_once)
{
	struct endpoint *ep = dep->ep;

	dep->retired = true;
	dep->next_old = ep->old;
	ep->old = dep;
	for (size_t k = 0; k < dep->n; k++) {
		for (struct instance *i = dep->variants[k].first; i; i = i->next)
			instance_end_locked(i, at_once);
	}
	deployment_quiet_locked(dep);
}

/* Prepared on a worker: every variant's runtime and files, then the processes. */
static void prepare_job(void *arg)
{
	struct deployment *dep = arg;
	struct err e = {0};
	int rc = 0;

	for (size_t k = 0; k < dep->n && rc == 0; k++)
		rc = variant_choose(&dep->variants[k], &e) || variant_unpack(&dep->variants[k], &e);
	pthread_mutex_lock(&dep->ep->all->mu);
	if (rc && !dep->retired)
		deployment_fail_locked(dep, e.text);
	for (size_t k = 0; rc == 0 && !dep->retired && k < dep->n; k++)
		instances_start_locked(&dep->variants[k]);
	if (rc == 0 && !dep->retired)
		endpoint_check_locked(dep->ep);
	pthread_mutex_unlock(&dep->ep->all->mu);
	job_done(dep);
}

void endpoint_begin_locked(struct endpoint *ep)
{
	ep->begun = true;
	run_locked(ep->next_up, prepare_job);
}

void endpoint_end_locked(struct endpoint *ep)
{
	struct deployment *both[] = {ep->live, ep->next_up};

	ep->begun = true;
	if (both[0] || both[1])
		memcpy(ep->last_config, (both[0] ? both[0] : both[1])->config,
		       sizeof ep->last_config);
	ep->live = ep->next_up = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (both[i])
			retire_locked(both[i], true);
	}
}

/* An update that a restart of the backend interrupted goes on. */
static void take_up_pending_locked(struct endpoint *ep)
{
	_cleanup_json_ cJSON *p = steal(ep->pending);

	if (!p)
		return;
	ep->next_up = deployment_of(ep, p);
	endpoint_set_locked(ep, ep->next_up ? UPDATING : IN_SERVICE, NULL);
	if (ep->next_up)
		endpoint_begin_locked(ep);
}

void endpoint_check_locked(struct endpoint *ep)
{
	if (!is_settled(ep))
		return; /* looked at again when it is */
	if (ep->next_up && deployment_healthy(ep->next_up)) {
		struct deployment *old = ep->live;

		ep->live = steal(ep->next_up);
		endpoint_set_locked(ep, IN_SERVICE, NULL);
		if (old)
			retire_locked(old, false);
		take_up_pending_locked(ep);
	} else if (ep->status == UPDATING && !ep->next_up && ep->live &&
		   deployment_healthy(ep->live)) {
		endpoint_set_locked(ep, IN_SERVICE, NULL);
	}
}

/* On the engine's thread: the least time in its status is over. */
static void settle(void *arg)
{
	struct endpoint *ep = arg;

	pthread_mutex_lock(&ep->all->mu);
	if (ep->listed && !ep->all->stopping) {
		if (ep->status == DELETING && !ep->live && !ep->next_up && !ep->old &&
		    is_settled(ep))
			forget_locked(ep);
		else
			endpoint_check_locked(ep);
	}
	pthread_mutex_unlock(&ep->all->mu);
	endpoint_unref(ep);
}

void endpoint_delay_locked(struct endpoint *ep, double seconds)
{
	struct err e;

	ep->settles = 0;
	if (seconds <= 0)
		return;
	endpoint_ref_locked(ep);
	/* Before the timer is made: it must not be early, since nobody looks again. */
	ep->settles = time_mono() + seconds;
	if (http_timer(ep->all->be->http, (long)(seconds * 1e3) + 1, NULL, settle, ep, &e) == 0)
		return;
	ep->settles = 0;
	ep->refs--;
	logger_warn(ep->all->be->log, "endpoint %s: no delay: %s", ep->name, e.text);
}

/* Scaling failed: what answers is what there is. */
static void shrink_locked(struct deployment *dep)
{
	for (size_t k = 0; k < dep->n; k++) {
		struct variant *v = &dep->variants[k];

		for (struct instance *i = v->first, *next; i; i = next) {
			next = i->next;
			if (i->ready || i->leaving)
				continue;
			instance_end_locked(i, true);
			if (!i->alive)
				instance_drop_locked(i);
		}
		v->count = MAX((int)variant_ready(v), 1);
	}
}

void deployment_fail_locked(struct deployment *dep, const char *reason)
{
	struct endpoint *ep = dep->ep;
	char text[1025];

	if (ep->status == FAILED)
		return; /* the first reason stays */
	snprintf(text, sizeof text, "%s", reason);
	utf8_clean(text, strlen(text));
	if (dep == ep->next_up && !ep->live) {
		endpoint_set_locked(ep, FAILED, text);
		for (size_t k = 0; k < dep->n; k++) {
			for (struct instance *i = dep->variants[k].first; i; i = i->next)
				instance_end_locked(i, true);
		}
	} else if (dep == ep->next_up) {
		endpoint_set_locked(ep, ROLLING_BACK, text);
		ep->next_up = NULL;
		retire_locked(dep, true);
		endpoint_set_locked(ep, IN_SERVICE, text);
	} else if (dep == ep->live && ep->status == UPDATING) {
		endpoint_set_locked(ep, ROLLING_BACK, text);
		shrink_locked(dep);
		endpoint_set_locked(ep, IN_SERVICE, text);
	}
}
