/*
 * rmdir's work: DeleteEndpoint, then the configuration, then the model, then waiting until the endpoint is gone. The journal has
 * a row {"config", "model", "created", "known", "accepted"} until then, so that the next mount goes on where this one stopped.
 */
#include <errno.h>

#include "fs/endpoints_room.h"
#include "sagemaker/aws_errors.h"
#include "sagemaker/json.h"

#define KIND      "delete"
#define AGAIN_MS  1000
#define MARKED_MS 15000 /* the mount that left the wish is given so long to fulfil it */
#define TRIES_MAX \
 20 /* of removing configuration and model; then they are named in the log and left */

void deletion_free(struct deletion *d)
{
	free(d);
}

/* --- journal */

static char *deletion_json(const struct deletion *d)
{
	_cleanup_json_ cJSON *o = cJSON_CreateObject();

	if (!o || !cJSON_AddStringToObject(o, "config", d->config) ||
	    !cJSON_AddStringToObject(o, "model", d->model) ||
	    !cJSON_AddNumberToObject(o, "created", d->created) ||
	    !cJSON_AddBoolToObject(o, "known", d->known) ||
	    !cJSON_AddBoolToObject(o, "accepted", d->accepted))
		return NULL;
	return cJSON_PrintUnformatted(o);
}

static int deletion_journal(struct deletion *d, struct err *e)
{
	struct journal *j = d->s->m->journal;
	_cleanup_free_ char *json = deletion_json(d);

	if (!json)
		return err_set(e, ENOMEM, "out of memory");
	if (d->journal)
		return journal_update(j, d->journal, json, e);
	return journal_begin(j, KIND, d->name, json, &d->journal, e);
}

static void deletion_unjournal(struct deletion *d)
{
	struct err e;

	if (d->journal && journal_end(d->s->m->journal, d->journal, &e))
		ep_log(d->s, LOG_LEVEL_WARNING, "%s", e.text);
	d->journal = 0;
}

/* --- the end */

static bool settle(struct deletion *d, int no)
{
	pthread_mutex_lock(&d->s->mu);
	struct promise *p = steal(d->promise);
	pthread_mutex_unlock(&d->s->mu);
	return p && promise_settle(p, no);
}

/* Takes it out of its entry and forgets it. */
static void end(struct deletion *d, const struct err *kept)
{
	struct endpoints *s = d->s;
	char name[64];

	memcpy(name, d->name, sizeof name);
	deletion_unjournal(d);
	pthread_mutex_lock(&s->mu);
	struct ep *ep = ep_find_locked(s, name);
	if (ep && ep->deletion == d)
		ep->deletion = NULL;
	if (ep && kept)
		ep_keep(&ep->kept, kept);
	pthread_cond_broadcast(&s->quiet);
	pthread_mutex_unlock(&s->mu);
	deletion_free(d);
	ep_tell(s, name);
}

static void gone(struct deletion *d)
{
	settle(d, 0);
	ep_log(d->s, LOG_LEVEL_INFO, "endpoint '%s': deleted", d->name);
	end(d, NULL);
}

/* To be taken up again by the poller. */
static void later(struct deletion *d, const struct err *why)
{
	struct endpoints *s = d->s;
	char name[64];

	memcpy(name, d->name, sizeof name);
	pthread_mutex_lock(&s->mu);
	d->withdrawn = false;
	d->running = false;
	d->again = now_ms() + MIN((int64_t)AGAIN_MS * (1 + d->tries), 30000);
	if (why)
		d->why = *why;
	else
		err_clear(&d->why);
	pthread_cond_broadcast(&s->quiet);
	pthread_mutex_unlock(&s->mu);
	ep_tell(s, name);
	poll_kick(s, 0);
}

/* rmdir says why, if it still can; else what will not change by itself becomes the endpoint's error, and the rest is tried again. */
static void failed(struct deletion *d, struct err *e)
{
	mount_fail(d->s->m, ROOM_ENDPOINTS, e);
	pthread_mutex_lock(&d->s->mu);
	d->withdrawn = d->promise != NULL; /* there is an rmdir to fail */
	pthread_mutex_unlock(&d->s->mu);
	if (settle(d, e->no ? e->no : EIO)) {
		end(d, NULL);
		return;
	}
	if (!may_pass(e)) {
		end(d, e);
		return;
	}
	d->tries++;
	later(d, e);
}

/* The endpoint may be on its way out already, and what it was made of must go with it: asked again until somebody says. */
static void unanswered(struct deletion *d, struct err *e)
{
	mount_fail(d->s->m, ROOM_ENDPOINTS, e);
	settle(d, 0);
	d->tries++;
	later(d, e);
}

/* --- the job */

bool delete_permitted(const struct endpoints *s, const char *name, const char *config,
		      struct err *e)
{
	switch (s->m->opt->delete_what) {
	case DELETE_ANY:
		return true;
	case DELETE_NONE:
		err_set(e, EPERM, "endpoint '%s': this mount deletes no endpoints (-o delete=none)",
			name);
		return false;
	default:
		if (starts_with(config, DEPLOY_PREFIX))
			return true;
		err_set(e, EPERM,
			"endpoint '%s': it was made by others (its configuration '%s' is none of sagemakerfs); mount with -o delete=any to delete it",
			name, config);
		return false;
	}
}

/* By the time of its creation, else (asked for by a tag, or by an older version) by the configuration. */
static bool another(const struct deletion *d, const struct ep *ep)
{
	if (d->created > 0 && ep->created > 0)
		return ep->created > d->created || ep->created < d->created;
	return d->config[0] && !streq(d->config, ep->seen.config);
}

/* Looks at it as it is now. 1: it is gone, or another endpoint has its name: other mounts delete and deploy, too. */
static int look(struct deletion *d, struct parts *known, struct cancel *c, struct err *e)
{
	struct endpoints *s = d->s;

	memset(known, 0, sizeof *known);
	if (ask_one(s, d->name, c, e))
		return -1;
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, d->name);
	if (!ep || !ep_exists(ep))
		return 1;
	if (another(d, ep)) {
		d->accepted = true; /* ours is gone */
		return 1;
	}
	d->created = ep->created;
	d->known =
		d->known && streq(d->config, ep->seen.config); /* else it was updated meanwhile */
	memcpy(d->config, ep->seen.config, sizeof d->config);
	if (streq(ep->parts.config, d->config)) {
		memcpy(known->config, d->config, sizeof known->config);
		memcpy(known->model, ep->parts.model, sizeof known->model);
	}
	return 0;
}

/* What the endpoint consists of and whether we may delete it, journaled before anything is deleted. 1: as look says. */
static int learn(struct deletion *d, struct cancel *c, struct err *e)
{
	struct parts p;
	int rc = look(d, &p, c, e);

	if (rc || d->known)
		return rc;
	if (!delete_permitted(d->s, d->name, d->config, e))
		return -1;
	if (!p.config[0]) {
		rc = ask_parts(d->s, d->config, &p, c, e);
		free(p.text);
		if (rc)
			return err_prefix(e, "endpoint '%s'", d->name);
	}
	memcpy(d->model, p.model, sizeof d->model);
	d->known = true;
	return deletion_journal(d, e);
}

/* The service has taken it: from now on the endpoint uses its model no more. */
static void accepted(struct deletion *d)
{
	struct endpoints *s = d->s;
	struct err e;

	pthread_mutex_lock(&s->mu);
	struct ep *ep = ep_find_locked(s, d->name);
	d->accepted = true;
	d->tries = 0;
	err_clear(&d->why);
	if (ep && ep_exists(ep)) {
		snprintf(ep->seen.status, sizeof ep->seen.status, "Deleting");
		ep->since = ep->stamp = now_ms();
	}
	pthread_mutex_unlock(&s->mu);
	if (deletion_journal(d, &e)) /* the next mount would only ask again */
		ep_log(s, LOG_LEVEL_WARNING, "endpoint '%s': %s", d->name, e.text);
	settle(d, 0);
	ep_tell(s, d->name);
}

/* There is none: by DeleteEndpoint's own word, asked for at asked_at, which holds for one made just now, too. */
static void mark_gone(struct deletion *d, int64_t asked_at)
{
	SCOPED_LOCK(&d->s->mu);
	struct ep *ep = ep_find_locked(d->s, d->name);

	if (ep) {
		ep->stamp = MIN(ep->stamp, asked_at - VISIBLE_MS);
		ep_hear_gone_locked(d->s, ep, asked_at);
	}
	d->accepted = true;
}

static bool is_gone(struct deletion *d)
{
	SCOPED_LOCK(&d->s->mu);
	const struct ep *ep = ep_find_locked(d->s, d->name);

	return !ep || deletion_over(ep);
}

/* Accepted once, and yet it is there and not Deleting: the service has given up, so it is asked again. */
static void recheck(struct deletion *d)
{
	SCOPED_LOCK(&d->s->mu);
	const struct ep *ep = ep_find_locked(d->s, d->name);

	if (ep && d->accepted && !deletion_over(ep) && ep_exists(ep) &&
	    !streq(ep->seen.status, "Deleting"))
		d->accepted = false;
}

/* Configuration and model. What cannot be removed now is tried again, without end while the service does not answer or does not
 * know us; what never can costs nothing, is named in the log and found among the orphans. */
static void release(struct deletion *d, struct cancel *c)
{
	struct err e;

	if (d->released)
		return;
	if (deploy_release(d->s->m->aws, d->name, d->config, d->model, c, &e) == 0) {
		d->released = true;
		return;
	}
	err_prefix(&e, "endpoint '%s'", d->name);
	mount_fail(d->s->m, ROOM_ENDPOINTS, &e);
	bool permitted = e.no != EACCES || may_pass(&e);
	bool answered = e.http && !e.keys;
	if (!permitted || (++d->tries >= TRIES_MAX && answered))
		d->released = true;
}

/* Asks for the deletion once. 0: go on with releasing; 1: not now, or over: d is not ours any more. */
static int request(struct deletion *d, struct cancel *c)
{
	enum deploy_deletion answer;
	struct err e;
	int learnt = learn(d, c, &e);
	const int64_t asked_at = now_ms();

	if (learnt < 0) {
		failed(d, &e);
		return 1;
	}
	if (learnt == 0 && deploy_delete(d->s->m->aws, d->name, &answer, c, &e)) {
		if (aws_may_have_acted(&e))
			unanswered(d, &e);
		else
			failed(d, &e);
		return 1;
	}
	if (learnt > 0) {
		d->accepted = true;
		return 0;
	}
	if (answer == DEPLOY_GONE) {
		mark_gone(d, asked_at);
		return 0;
	}
	if (answer == DEPLOY_ACCEPTED) {
		accepted(d);
		return 0;
	}
	err_set(&e, EBUSY,
		"endpoint '%s': the service deletes no endpoint while it is being created or updated; asked again until it does",
		d->name);
	settle(d, 0);
	later(d, &e);
	return 1;
}

static void deletion_job(void *arg, struct cancel *c)
{
	struct deletion *d = arg;

	d->theirs = false;
	recheck(d);
	if (!d->accepted && request(d, c))
		return;
	release(d, c);
	if (d->released && is_gone(d))
		gone(d);
	else
		later(d, NULL);
}

void deletion_run(struct deletion *d)
{
	if (jobs_run(d->s->m->jobs, deletion_job, d) == 0)
		return;
	SCOPED_LOCK(&d->s->mu);
	d->again = now_ms() + AGAIN_MS;
	d->running = false;
}

/* --- rmdir */

static void rmdir_answer(struct req *r, void *arg, int no)
{
	(void)arg;
	reply_err(r, no);
}

/* An attempt that failed leaves with its rmdir: nothing of it is at the service, or what is will be removed still. */
static bool clears(struct attempt *t, struct attempt **cleared)
{
	if (!t || t->phase != ATTEMPT_FAILED)
		return false;
	t->hidden = true;
	if (!t->leftovers && !t->running)
		*cleared = t;
	return true;
}

/* While the attempt failed, another mount has made an endpoint of that name: whoever removes the failed one has not seen that. EEXIST: the
 * service has said so. */
static bool overtaken(const struct ep *ep, const struct attempt *t)
{
	char config[64];

	deploy_resource(t->name, t->suffix, config);
	return ep_exists(ep) ? ep->seen.config[0] && !streq(ep->seen.config, config)
			     : t->why.no == EEXIST;
}

/* What the worker can decide alone. 0: to be deleted; 1: nothing is to be asked of the service; -1: e. */
static int decide(struct endpoints *s, const char *name, struct attempt **cleared, struct err *e)
{
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);

	if (ep && ep_deleting(ep))
		return err_set(e, ENOENT, "endpoint '%s': it is being deleted already", name);
	if (!ep || !ep_shown(ep))
		return 1; /* one that vanished meanwhile: that is what was asked for */
	if (clears(ep_trying(ep), cleared))
		return overtaken(ep, ep->attempt)
			       ? err_set(e, EBUSY,
					 "endpoint '%s': what failed here is cleared, but another mount has made an endpoint of that name meanwhile; rmdir again deletes that one",
					 name)
			       : 1;
	if (!ep_trying(ep) && !ep->seen.config[0])
		return 0; /* not known yet whose it is */
	return delete_permitted(s, name, ep_trying(ep) ? DEPLOY_PREFIX : ep->seen.config, e) ? 0
											     : -1;
}

static void clear(struct endpoints *s, const char *name, struct attempt *t)
{
	pthread_mutex_lock(&s->mu);
	struct ep *ep = ep_find_locked(s, name);
	bool mine = ep && ep->attempt == t && !t->running;
	if (mine)
		ep->attempt = NULL;
	pthread_mutex_unlock(&s->mu);
	if (mine)
		attempt_clear(t);
}

static bool enter(struct deletion *d, bool run)
{
	SCOPED_LOCK(&d->s->mu);
	struct ep *ep = ep_get_locked(d->s, d->name);

	if (!ep || ep->deletion)
		return false;
	ep_keep(&ep->kept, NULL);
	ep->deletion = d;
	ep->since = now_ms();
	d->running =
		run && !ep_trying(ep); /* else the poller starts it when the attempt has ended */
	return true;
}

static struct deletion *deletion_new(struct endpoints *s, const char *name)
{
	struct deletion *d = calloc(1, sizeof *d);

	if (d) {
		d->s = s;
		snprintf(d->name, sizeof d->name, "%s", name);
	}
	return d;
}

/* What mkdir is making is what rmdir means: not an endpoint of that name that another mount makes before its turn has come. */
static void mean_attempt(struct deletion *d)
{
	SCOPED_LOCK(&d->s->mu);
	const struct ep *ep = ep_find_locked(d->s, d->name);
	const struct attempt *t = ep ? ep_trying(ep) : NULL;

	if (t)
		deploy_resource(t->name, t->suffix, d->config);
}

static void refuse(struct endpoints *s, struct req *r, const struct err *e)
{
	mount_fail(s->m, ROOM_ENDPOINTS, e);
	reply_err(r, e->no);
}

void delete_begin(struct endpoints *s, struct req *r, const char *name)
{
	struct attempt *cleared = NULL;
	struct deletion *d;
	struct err e;
	bool run;

	int decided = decide(s, name, &cleared, &e);
	if (cleared)
		clear(s, name, cleared);
	if (decided)
		ep_tell(s, name);
	if (decided < 0) {
		refuse(s, r, &e);
		return;
	}
	if (decided > 0) {
		reply_err(r, 0);
		return;
	}
	d = deletion_new(s, name);
	if (!d) {
		reply_err(r, ENOMEM);
		return;
	}
	mean_attempt(d);
	if (deletion_journal(d, &e)) {
		deletion_free(d);
		refuse(s, r, &e);
		return;
	}
	d->promise = promise_new(r, PROMISE_LIMIT_MS, rmdir_answer, NULL);
	if (!d->promise || !enter(d, true)) {
		if (d->promise)
			settle(d, EBUSY);
		else
			reply_err(r, ENOMEM);
		deletion_unjournal(d);
		deletion_free(d);
		return;
	}
	pthread_mutex_lock(&s->mu);
	run = d->running;
	pthread_mutex_unlock(&s->mu);
	ep_tell(s, name);
	if (run)
		deletion_run(d);
}

/* --- a wish that another mount has left on the endpoint as a tag */

void delete_marked(struct endpoints *s, const char *name, const struct endpoint_state *seen)
{
	struct deletion *d = deletion_new(s, name);
	struct err e;

	if (!d)
		return;
	memcpy(d->config, seen->config, sizeof d->config);
	d->again = now_ms() + MARKED_MS;
	d->theirs = true;
	if (deletion_journal(d, &e)) {
		ep_log(s, LOG_LEVEL_WARNING, "endpoint '%s': %s", name, e.text);
		deletion_free(d);
		return;
	}
	if (!enter(d, false)) {
		deletion_unjournal(d);
		deletion_free(d);
		return;
	}
	ep_log(s, LOG_LEVEL_INFO, "endpoint '%s': its deletion was asked for by another mount",
	       name);
	ep_tell(s, name);
	poll_kick(s, 0);
}

/* --- the next mount */

static void copy_name(const cJSON *o, const char *key, char out[64])
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	snprintf(out, 64, "%s", text ? text : "");
}

static int resume_row(void *arg, int64_t id, const char *name, const char *json)
{
	struct endpoints *s = arg;
	_cleanup_json_ cJSON *o = cJSON_Parse(json);
	struct deletion *d = deploy_name_ok(name) ? deletion_new(s, name) : NULL;

	if (!d)
		return 0;
	d->journal = id;
	copy_name(o, "config", d->config);
	copy_name(o, "model", d->model);
	d->created = json_number(o, "created");
	d->known = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "known"));
	d->accepted = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "accepted"));
	if (!(d->created > 0) &&
	    !d->accepted) /* not seen yet: made the moment before the mount died? */
		d->again = now_ms() + VISIBLE_MS;
	if (enter(d, false))
		return 0;
	deletion_unjournal(d);
	deletion_free(d);
	return 0;
}

int delete_resume(struct endpoints *s, struct err *e)
{
	return journal_each(s->m->journal, KIND, resume_row, s, e);
}
