/* Attempts after a crash, and those that ended without knowing whether all they made is undone. */
#include <errno.h>

#include "fs/endpoints_room.h"

/* The table has its endpoint by the service's own word, or a deletion has taken it down meanwhile: nothing is to be said of it. */
static bool heard_of(const struct attempt *t)
{
	SCOPED_LOCK(&t->s->mu);
	const struct ep *ep = ep_find_locked(t->s, t->name);

	return ep && (ep_exists(ep) || (ep->deletion && ep->deletion->accepted));
}

static void recover_job(void *arg, struct cancel *c)
{
	struct attempt *t = arg;
	struct endpoints *s = t->s;
	bool adopted;
	struct err e;
	char arn[1] = "";

	if (deploy_recover(s->m->aws, t->name, t->suffix, &adopted, c, &e)) {
		ep_log(s, LOG_LEVEL_WARNING,
		       "endpoint '%s': its interrupted deployment is not cleared up yet: %s",
		       t->name, e.text);
		SCOPED_LOCK(&s->mu);
		t->again = now_ms() + (may_pass(&e) ? RECOVER_MS : 60 * RECOVER_MS);
		t->running = false;
		return;
	}
	if (adopted && !heard_of(t)) {
		attempt_accepted(t, arn, NULL);
		return;
	}
	if (adopted) {
		attempt_vanish(t);
		return;
	}
	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, t->name);
	bool show = ep && !t->hidden && !ep->deletion && !ep_exists(ep);
	t->leftovers = false;
	t->phase = ATTEMPT_FAILED;
	pthread_mutex_unlock(&s->mu);
	if (!show) {
		attempt_vanish(t);
		return;
	}
	if (attempt_journal(t, &e))
		ep_log(s, LOG_LEVEL_ERROR, "endpoint '%s': %s", t->name, e.text);
	pthread_mutex_lock(&s->mu);
	t->running = false;
	pthread_mutex_unlock(&s->mu);
	ep_tell(s, t->name);
}

void attempt_recover(struct attempt *t)
{
	if (jobs_run(t->s->m->jobs, recover_job, t) == 0)
		return;
	SCOPED_LOCK(&t->s->mu);
	t->again = now_ms() + RECOVER_MS;
	t->running = false;
}

static const char *text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text ? text : "";
}

static bool resume_enter(struct attempt *t)
{
	SCOPED_LOCK(&t->s->mu);
	struct ep *ep = ep_get_locked(t->s, t->name);

	if (!ep || ep->attempt)
		return false;
	ep->attempt = t;
	return true;
}

/* One row of the journal becomes an attempt that failed: with its own reason, or because the mount ended under it. Then what
 * it may have made is looked for. */
static int resume_row(void *arg, int64_t id, const char *name, const char *json)
{
	struct endpoints *s = arg;
	_cleanup_json_ cJSON *o = cJSON_Parse(json);
	struct attempt *t = deploy_name_ok(name) ? calloc(1, sizeof *t) : NULL;

	if (!t)
		return 0;
	const char *failed = text_of(o, "failed");
	const cJSON *no = cJSON_GetObjectItemCaseSensitive(o, "errno");
	const cJSON *step = cJSON_GetObjectItemCaseSensitive(o, "step");
	t->s = s;
	t->journal = id;
	snprintf(t->name, sizeof t->name, "%s", name);
	snprintf(t->suffix, sizeof t->suffix, "%s", text_of(o, "suffix"));
	snprintf(t->model, sizeof t->model, "%s", text_of(o, "model"));
	t->leftovers = failed[0] ? cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "leftovers"))
				 : !cJSON_IsNumber(step) || step->valueint != DEPLOY_NOTHING;
	t->phase = failed[0] || !t->leftovers ? ATTEMPT_FAILED
					      : ATTEMPT_CREATING; /* until it is looked at */
	err_set(&t->why, cJSON_IsNumber(no) && no->valueint > 0 ? no->valueint : EINTR, "%s",
		failed);
	if (!failed[0])
		err_set(&t->why, EINTR,
			"endpoint '%s': the mount ended before it was created; remove it with rmdir, then mkdir deploys anew",
			name);
	if (t->suffix[0] && resume_enter(t))
		return 0;
	attempt_clear(t);
	return 0;
}

int deploy_resume(struct endpoints *s, struct err *e)
{
	return journal_each(s->m->journal, DEPLOY_KIND, resume_row, s, e);
}
