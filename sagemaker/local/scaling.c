/* scaling.c: what targets and policies ask for is done: bounds are kept, the metric is tracked. */
#include "sagemaker/local/scaling.h"

#include <errno.h>
#include <stdatomic.h>

#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/validate.h"

#define OUT_MINUTES 3   /* above the value, AWS's alarms */
#define IN_SHARE    0.9 /* of it, that SCALING_MINUTES are below */
#define COOLDOWN    300 /* seconds, AWS's default */

struct scaling {
	struct backend *be;
	atomic_bool asked;   /* do it at the next tick */
	atomic_bool running; /* a job does it */
	int64_t minute;      /* that it was done in; the main loop's */
};

struct scaling *scaling_new(struct backend *be, struct err *e)
{
	struct scaling *s = calloc(1, sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->be = be;
	return s;
}

void scaling_free(struct scaling *s)
{
	free(s);
}

void scaling_ask(struct scaling *s)
{
	atomic_store(&s->asked, true);
}

/* ---- what there should be ---- */

static int at_least(double v)
{
	int n = (int)v;

	return n + (v > n);
}

int scaling_decide(const struct tracking *t)
{
	bool out = t->may_out && t->value > 0, in = t->may_in && t->value > 0;
	double highest = 0;
	int want = t->count;

	for (int i = 0; i < SCALING_MINUTES; i++) {
		double v = t->minutes[i];

		out = out && (i >= OUT_MINUTES || v > t->value);
		in = in && v >= 0 && v < IN_SHARE * t->value;
		highest = MAX(highest, v);
	}
	if (out)
		want = at_least(MIN(t->count * (t->minutes[0] / t->value), (double)t->high));
	else if (in)
		want = MIN(t->count, at_least(t->count * (highest / t->value)));
	return MIN(MAX(want, t->low), t->high);
}

/* ---- one target ---- */

struct target {
	struct target *next;
	char resource[160], endpoint[64], variant[64];
	cJSON *row;    /* owned */
	cJSON *policy; /* its configuration; owned; NULL: none */
};

static int read_minutes(struct backend *be, const struct target *t, double out[SCALING_MINUTES],
			struct err *e)
{
	int64_t now = (int64_t)(time_now() / 60);
	const struct metric_query q = {t->endpoint,           t->variant, METRIC_PER_INSTANCE,
				       now - SCALING_MINUTES, now,        1};
	size_t n;
	_cleanup_free_ struct point *points = metrics_points(be->metrics, &q, &n, e);

	if (n == SIZE_MAX)
		return -1;
	for (int i = 0; i < SCALING_MINUTES; i++)
		out[i] = -1;
	for (size_t i = 0; i < n; i++)
		out[now - 1 - points[i].minute] = points[i].bucket.sum;
	return 0;
}

static bool is_suspended(const struct target *t, const char *direction)
{
	return cJSON_IsTrue(
		cJSON_GetObjectItem(cJSON_GetObjectItem(t->row, "SuspendedState"), direction));
}

static bool has_cooled(const struct target *t, const char *cooldown, const char *last)
{
	return time_now() - member_number(t->row, last, 0) >=
	       member_number(t->policy, cooldown, COOLDOWN);
}

static int wish(struct backend *be, const struct target *t, int count, int *out, struct err *e)
{
	struct tracking k = {
		.value = member_number(t->policy, "TargetValue", 0),
		.count = count,
		.low = (int)member_number(t->row, "MinCapacity", 1),
		.high = (int)member_number(t->row, "MaxCapacity", 1),
		.may_out = t->policy && !is_suspended(t, "DynamicScalingOutSuspended") &&
			   has_cooled(t, "ScaleOutCooldown", "LastOut"),
		.may_in = t->policy && !is_suspended(t, "DynamicScalingInSuspended") &&
			  !cJSON_IsTrue(cJSON_GetObjectItem(t->policy, "DisableScaleIn")) &&
			  has_cooled(t, "ScaleInCooldown", "LastIn") &&
			  has_cooled(t, "ScaleInCooldown", "LastOut"),
	};

	if (t->policy && read_minutes(be, t, k.minutes, e) < 0)
		return -1;
	*out = scaling_decide(&k);
	return 0;
}

static void remember(struct backend *be, const struct target *t, const char *when)
{
	struct err e;

	cJSON_DeleteItemFromObjectCaseSensitive(t->row, when);
	cJSON_AddNumberToObject(t->row, when, time_now());
	if (resource_update(be, &KIND_SCALABLE_TARGET, t->resource, t->row, &e) < 0)
		logger_error(be->log, "scaling of %s was not kept: %s", t->resource, e.text);
}

static enum change scale_to(struct backend *be, const struct target *t, int count, struct err *e)
{
	_cleanup_json_ cJSON *wishes = cJSON_CreateArray();
	cJSON *w = cJSON_CreateObject();

	cJSON_AddStringToObject(w, "VariantName", t->variant);
	cJSON_AddNumberToObject(w, "DesiredInstanceCount", count);
	cJSON_AddItemToArray(wishes, w);
	return fleet_scale(be->endpoints, t->endpoint, wishes, e);
}

/* false: the endpoint is being changed: later. */
static bool serve_target(struct backend *be, const struct target *t)
{
	struct variant_state v;
	struct err e = {0};
	int want;

	if (!fleet_variant(be->endpoints, t->endpoint, t->variant, &v) || v.serverless)
		return true; /* an update took it away */
	if (!v.steady)
		return false;
	if (wish(be, t, v.count, &want, &e) < 0) {
		logger_warn(be->log, "scaling of %s: %s", t->resource, e.text);
		return true;
	}
	if (want == v.count)
		return true;
	enum change result = scale_to(be, t, want, &e);
	if (result == CHANGE_BEGUN) {
		logger_line(be->log, "scaling of %s: from %d to %d instances", t->resource, v.count,
			    want);
		remember(be, t, want > v.count ? "LastOut" : "LastIn");
	} else if (e.no) {
		logger_warn(be->log, "scaling of %s: %s", t->resource, e.text);
	}
	return result != CHANGE_IN_PROGRESS;
}

/* ---- all of them ---- */

static void add_target(void *arg, const char *name, double created, cJSON *json)
{
	struct target **list = arg, *t = json ? calloc(1, sizeof *t) : NULL;

	(void)created;
	if (!t || !scaling_parse(name, t->endpoint, t->variant)) {
		cJSON_Delete(json);
		free(t);
		return;
	}
	snprintf(t->resource, sizeof t->resource, "%s", name);
	t->row = json;
	t->next = *list;
	*list = t;
}

/* One policy of a target is enough; of several the last by name tracks. */
static void add_policy(void *arg, const char *name, double created, cJSON *json)
{
	(void)created;
	for (struct target *t = *(struct target **)arg; t; t = t->next) {
		size_t n = strlen(t->resource);

		if (strncasecmp(name, t->resource, n) != 0 || name[n] != '/')
			continue;
		cJSON_Delete(t->policy);
		t->policy = cJSON_DetachItemFromObject(json,
						       "TargetTrackingScalingPolicyConfiguration");
	}
	cJSON_Delete(json);
}

static void scale_all(struct scaling *s)
{
	struct target *list = NULL;
	struct err e;

	if (resource_each(s->be, &KIND_SCALABLE_TARGET, add_target, &list, &e) < 0 ||
	    resource_each(s->be, &KIND_SCALING_POLICY, add_policy, &list, &e) < 0)
		logger_warn(s->be->log, "scaling: %s", e.text);
	while (list) {
		struct target *t = list;

		if (!serve_target(s->be, t))
			scaling_ask(s);
		list = t->next;
		cJSON_Delete(t->row);
		cJSON_Delete(t->policy);
		free(t);
	}
}

static void scale_job(void *arg)
{
	struct scaling *s = arg;

	scale_all(s);
	atomic_store(&s->running, false);
}

void scaling_tick(struct scaling *s)
{
	int64_t minute = (int64_t)(time_now() / 60);

	if (atomic_load(&s->running) || (minute == s->minute && !atomic_load(&s->asked)))
		return;
	s->minute = minute;
	atomic_store(&s->asked, false);
	atomic_store(&s->running, true);
	if (pool_run(s->be->quick, scale_job, s) == 0)
		return;
	atomic_store(&s->running, false);
	scaling_ask(s);
}

/* ---- forgetting ---- */

int scaling_remove_policies(struct backend *be, const char *resource, struct err *e)
{
	SCOPED_LOCK(db_lock(be->db));
	return db_run(
		be->db, e,
		"DELETE FROM resource WHERE kind=? AND substr(name, 1, length(?) + 1) = ? || '/' COLLATE NOCASE",
		"sss", KIND_SCALING_POLICY.kind, resource, resource);
}

void scaling_forget(struct backend *be, const char *endpoint)
{
	_cleanup_free_ char *prefix = str_printf("endpoint/%s/variant/", endpoint);
	struct err e;
	int rc = -1;

	if (prefix) {
		SCOPED_LOCK(db_lock(be->db));
		rc = db_run(
			be->db, &e,
			"DELETE FROM resource WHERE kind IN (?, ?) AND substr(name, 1, length(?)) = ? COLLATE NOCASE",
			"ssss", KIND_SCALABLE_TARGET.kind, KIND_SCALING_POLICY.kind, prefix,
			prefix);
	}
	if (rc < 0)
		logger_line(be->log, "endpoint %s: its scalable targets are left", endpoint);
}
