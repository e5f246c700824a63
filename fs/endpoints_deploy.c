/*
 * mkdir's work. The FUSE worker checks what is known, journals and queues; a job publishes the model, chooses the image and makes
 * the three calls. The journal's row of an attempt: {"suffix", "model", "step", "failed", "errno"}; it ends when the endpoint is
 * the service's, or when rmdir clears a failed attempt whose mkdir had said "success".
 */
#include <errno.h>

#include "fs/endpoints_room.h"
#include "sagemaker/images.h"
#include "sagemaker/old_code.h"

#define DEPLOY_KIND "deploy"
#define TELL_MS     1000 /* between two events of an upload */
#define EARLY_MS    50   /* how often a waiting mkdir looks whether the upload has begun */

void attempt_free(struct attempt *t)
{
	free(t);
}

/* --- journal */

static char *attempt_json(const struct attempt *t)
{
	_cleanup_json_ cJSON *o = cJSON_CreateObject();

	if (!o || !cJSON_AddStringToObject(o, "suffix", t->suffix) ||
	    !cJSON_AddStringToObject(o, "model", t->model) ||
	    !cJSON_AddNumberToObject(o, "step", t->step))
		return NULL;
	if (t->phase == ATTEMPT_FAILED && (!cJSON_AddStringToObject(o, "failed", t->why.text) ||
					   !cJSON_AddNumberToObject(o, "errno", t->why.no) ||
					   !cJSON_AddBoolToObject(o, "leftovers", t->leftovers)))
		return NULL;
	return cJSON_PrintUnformatted(o);
}

int attempt_journal(struct attempt *t, struct err *e)
{
	struct journal *j = t->s->m->journal;
	_cleanup_free_ char *json = attempt_json(t);

	if (!json)
		return err_set(e, ENOMEM, "out of memory");
	if (t->journal)
		return journal_update(j, t->journal, json, e);
	return journal_begin(j, DEPLOY_KIND, t->name, json, &t->journal, e);
}

static void attempt_unjournal(struct attempt *t)
{
	struct err e;

	if (t->journal && journal_end(t->s->m->journal, t->journal, &e))
		ep_log(t->s, LOG_LEVEL_WARNING, "%s", e.text);
	t->journal = 0;
}

void attempt_clear(struct attempt *t)
{
	attempt_unjournal(t);
	attempt_free(t);
}

/* --- the end of an attempt */

/* Answers the mkdir that waits, if one does. True: no was its answer. */
static bool settle(struct attempt *t, int no)
{
	pthread_mutex_lock(&t->s->mu);
	struct promise *p = steal(t->promise);
	pthread_mutex_unlock(&t->s->mu);
	return p && promise_settle(p, no);
}

static void detach(struct attempt *t)
{
	SCOPED_LOCK(&t->s->mu);
	struct ep *ep = ep_find_locked(t->s, t->name);

	if (ep && ep->attempt == t)
		ep->attempt = NULL;
}

/* Nobody is to see it: mkdir says why, or rmdir has come meanwhile. */
void attempt_vanish(struct attempt *t)
{
	struct endpoints *s = t->s;
	char name[64];

	memcpy(name, t->name, sizeof name);
	detach(t);
	attempt_clear(t);
	ep_tell(s, name);
	poll_kick(s, 0); /* a deletion may have waited for this */
}

static void fail(struct attempt *t, bool leftovers, const struct err *why)
{
	struct endpoints *s = t->s;
	struct err e;

	mount_fail(s->m, ROOM_ENDPOINTS, why);
	pthread_mutex_lock(&s->mu);
	struct ep *ep = ep_find_locked(s, t->name);
	bool unwanted = ep && ep->deletion;
	t->phase = ATTEMPT_FAILED;
	t->why = *why;
	t->leftovers = leftovers;
	t->again = now_ms() + RECOVER_MS;
	t->hidden = true; /* until it is clear whether mkdir says it */
	pthread_mutex_unlock(&s->mu);
	bool answered = settle(t, why->no ? why->no : EIO);
	if ((answered || unwanted) && !leftovers) {
		attempt_vanish(t);
		return;
	}
	if (attempt_journal(t, &e))
		ep_log(s, LOG_LEVEL_ERROR, "endpoint '%s': %s", t->name, e.text);
	pthread_mutex_lock(&s->mu);
	t->hidden = answered;
	t->running = false;
	pthread_mutex_unlock(&s->mu);
	ep_tell(s, t->name);
	poll_kick(s, 0);
}

/* CreateEndpoint was accepted: from here on the service is asked. */
void attempt_accepted(struct attempt *t, const char *arn, const struct parts *p)
{
	struct endpoints *s = t->s;
	const int64_t now = now_ms();
	struct ep *ep;

	pthread_mutex_lock(&s->mu);
	ep = ep_find_locked(s, t->name);
	if (ep) {
		memset(&ep->seen, 0, sizeof ep->seen);
		snprintf(ep->seen.name, sizeof ep->seen.name, "%s", t->name);
		snprintf(ep->seen.status, sizeof ep->seen.status, "Creating");
		snprintf(ep->seen.arn, sizeof ep->seen.arn, "%s", arn);
		deploy_resource(t->name, t->suffix, ep->seen.config);
		ep->seen.created = ep->seen.modified = (double)time(NULL);
		ep->seen_at = ep->stamp = ep->since = now;
		ep->created = 0;
		ep->gone = ep->missed = false;
		ep->stale = true;
		ep->untagged = t->untagged;
		ep->tags_wanted =
			true; /* when it is made: another mount may have been asked to delete it */
		parts_release(&ep->parts);
		if (p)
			ep->parts = *p;
		ep_invoked_well(ep);
		ep_keep(&ep->asking, NULL);
		ep_keep(&ep->kept, NULL);
		ep->attempt = NULL;
	}
	pthread_mutex_unlock(&s->mu);
	attempt_unjournal(t);
	settle(t, 0);
	ep_log(s, LOG_LEVEL_INFO, "endpoint '%s': deploying model '%s'", t->name, t->model);
	ep_tell(s, t->name);
	attempt_free(t);
	poll_kick(s, 100);
}

/* --- the job */

/* An attempt while its calls are made. */
struct making {
	struct attempt *t;
	const struct model_version *v;
	struct cancel *c;
};

/* Before a step: is it still wanted, and, once the model at the service names the archive, is that still there? Whoever removes
 * archives looks at the models after having withdrawn theirs from the manifest: one of the two sees the other. */
static int taking(void *arg, enum deploy_step step, struct err *e)
{
	const struct making *k = arg;
	struct attempt *t = k->t;

	pthread_mutex_lock(&t->s->mu);
	const struct ep *ep = ep_find_locked(t->s, t->name);
	bool unwanted = ep && ep->deletion;
	pthread_mutex_unlock(&t->s->mu);
	if (unwanted)
		return err_set(e, ECANCELED, "it was removed before it was made");
	if (step == DEPLOY_CONFIG && models_confirm(t->s->m->models, k->v, k->c, e))
		return -1;
	t->step = step;
	return attempt_journal(t, e);
}

/* The image of the version, for this region and instance type: the model's own, or by framework and version. */
static int choose_image(const struct attempt *t, const struct model_version *v, char out[256],
			struct err *e)
{
	const char *region = t->s->m->config.region;
	struct image image;
	char version[IMAGE_VERSION_MAX];

	if (v->image[0]) {
		memcpy(out, v->image, sizeof v->image);
		return 0;
	}
	snprintf(version, sizeof version, "%s", v->framework_version);
	if (!version[0] && images_default_version(v->framework, v->made_with, region,
						  t->instance_type, version, e))
		return -1;
	if (images_uri(v->framework, version, v->py_version, region, t->instance_type, &image, e))
		return -1;
	memcpy(out, image.uri, sizeof image.uri);
	return 0;
}

/* Instance type: the model's sagemaker.json before the default. Role: likewise, before the mount's. */
static int choose(struct attempt *t, const struct model_version *v, char image[256], char role[512],
		  struct cancel *c, struct err *e)
{
	pthread_mutex_lock(&t->s->mu);
	snprintf(t->instance_type, sizeof t->instance_type, "%s",
		 v->instance_type[0] ? v->instance_type : t->s->default_type);
	pthread_mutex_unlock(&t->s->mu);
	if (choose_image(t, v, image, e))
		return err_prefix(e, "image for model '%s'", t->model);
	return mount_role(t->s->m, v->role, role, c, e);
}

static int make(struct attempt *t, const struct model_version *v, struct deploy_result *out,
		struct parts *p, struct cancel *c, struct err *e)
{
	struct making k = {t, v, c};
	const struct deploy_hooks hooks = {.taking = taking, .arg = &k};
	char image[256], role[512];

	memset(out, 0, sizeof *out);
	if (choose(t, v, image, role, c, e))
		return -1;
	_cleanup_json_ cJSON *env =
		old_code_environment(v->environment, image, t->s->m->config.region, v->uri);
	if (!env)
		return err_set(e, ENOMEM, "out of memory");
	const struct deployment d = {.endpoint = t->name,
				     .suffix = t->suffix,
				     .role = role,
				     .image = image,
				     .data_url = v->uri,
				     .digest = v->digest,
				     .environment = env,
				     .instance_type = t->instance_type,
				     .instance_count = t->instance_count,
				     .tags = t->s->m->opt->tags,
				     .n_tags = t->s->m->opt->n_tags};
	if (deploy_create(t->s->m->aws, &d, &hooks, out, c, e))
		return -1;
	t->untagged = out->untagged;
	if (t->untagged)
		ep_log(t->s, LOG_LEVEL_WARNING,
		       "endpoint '%s': deployed without tags: sagemaker:AddTags is not permitted",
		       t->name);
	memset(p, 0, sizeof *p);
	deploy_resource(t->name, t->suffix, p->model);
	snprintf(p->data_url, sizeof p->data_url, "%s", v->uri);
	memcpy(p->image, image, sizeof p->image);
	memcpy(p->instance_type, t->instance_type, sizeof p->instance_type);
	p->instance_count =
		t->instance_count; /* config stays "": what the service says of it is asked once */
	return 0;
}

/* While mkdir waits: once bytes of the model are on their way, checks have passed and it may be told. Then those who follow the
 * endpoint's events are told how far they are. */
struct early {
	struct timer timer;
	struct attempt *t;
};

static void early_look(struct timer *timer)
{
	struct early *w = timer->arg;

	struct endpoints *s = w->t->s;
	bool begun = models_upload_percent(s->m->models, w->t->model) > 0;

	if (begun) {
		settle(w->t, 0);
		ep_tell(s, w->t->name);
	}
	timer_arm(s->m->watch, timer, begun ? TELL_MS : EARLY_MS);
}

static int publish(struct attempt *t, struct model_version *v, struct cancel *c, struct err *e)
{
	struct endpoints *s = t->s;
	struct early early = {
		.timer = {.fn = early_look, .arg = &early},
                  .t = t
        };

	bool waits = !models_published(s->m->models, t->model);
	if (waits)
		timer_arm(s->m->watch, &early.timer, EARLY_MS);
	int rc = models_publish(s->m->models, t->model, v, c, e);
	if (waits)
		timer_disarm(s->m->watch, &early.timer);
	if (rc)
		return -1;
	pthread_mutex_lock(&s->mu);
	t->phase = ATTEMPT_CREATING;
	struct ep *ep = ep_find_locked(s, t->name);
	if (ep)
		memcpy(ep->content_type, v->content_type, sizeof ep->content_type);
	pthread_mutex_unlock(&s->mu);
	ep_tell(s, t->name);
	return 0;
}

static int resolve(struct attempt *t, struct cancel *c, struct err *e)
{
	char model[64];

	if (t->model[0])
		return 0;
	if (models_resolve(t->s->m->models, t->name, model, c, e))
		return -1;
	SCOPED_LOCK(&t->s->mu);
	memcpy(t->model, model, sizeof t->model);
	return 0;
}

static void deploy_job(void *arg, struct cancel *c)
{
	struct attempt *t = arg;
	struct model_version v;
	struct deploy_result made = {0};
	struct parts p;
	struct err e;

	err_clear(&e);
	memset(&v, 0, sizeof v);
	if (resolve(t, c, &e) || publish(t, &v, c, &e) || make(t, &v, &made, &p, c, &e)) {
		err_prefix(&e, "endpoint '%s'", t->name);
		if (cancel_is_set(c))
			settle(t, EINTR); /* the mount ends: the journal tells the next one */
		else
			fail(t, made.leftovers, &e);
	} else {
		attempt_accepted(t, made.arn, &p);
	}
	model_version_release(&v);
}

/* --- mkdir */

static void mkdir_answer(struct req *r, void *arg, int no)
{
	struct endpoint_ref *at = arg;
	struct node *dir;

	if (no) {
		reply_err(r, no);
	} else {
		dir = node_child(at->s->m->tree, tree_root(at->s->m->tree), "endpoints");
		if (dir)
			dir_answer(at->s, r, dir, at->name);
		else
			reply_err(r, ENOENT);
		if (dir)
			node_unref(at->s->m->tree, dir);
	}
	free(at);
}

static void refuse(struct endpoints *s, struct req *r, const char *name, struct err *e)
{
	err_prefix(e, "endpoint '%s'", name);
	mount_fail(s->m, ROOM_ENDPOINTS, e);
	reply_err(r, e->no);
}

static int refuse_attempt(const struct attempt *t, struct err *e)
{
	if (t->hidden)
		return err_set(
			e, EBUSY,
			"what its last try left at the service is still being removed; try again soon");
	if (t->phase == ATTEMPT_FAILED)
		return err_set(e, EEXIST, "its last deployment failed; remove it with rmdir first");
	return err_set(e, EEXIST, "it is being deployed already");
}

/* What the table says against a new endpoint of this name. */
static int check_free_locked(struct endpoints *s, const char *name, struct err *e)
{
	const struct ep *ep = ep_find_locked(s, name);
	const struct ep *rival = ep_rival_locked(s, name);

	if (ep && ep_deleting(ep))
		return err_set(
			e, EBUSY,
			"it is still being deleted; wait for it with: cat endpoints/.deleting/%s/wait",
			name);
	if (ep && ep->attempt && (ep_trying(ep) || !ep_exists(ep)))
		return refuse_attempt(ep->attempt, e);
	if (ep && ep_shown(ep))
		return err_set(e, EEXIST, "it exists already");
	if (rival)
		return err_set(
			e, EEXIST,
			"endpoint '%s' exists already, and upper and lower case do not tell names apart",
			rival->name);
	return 0;
}

static struct attempt *attempt_new(struct endpoints *s, const char *name, const char *model,
				   struct err *e)
{
	struct attempt *t = calloc(1, sizeof *t);

	if (!t) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	t->s = s;
	snprintf(t->name, sizeof t->name, "%s", name);
	snprintf(t->model, sizeof t->model, "%s", model);
	t->running = true;
	if (deploy_suffix(t->suffix, e) == 0 && attempt_journal(t, e) == 0)
		return t;
	attempt_free(t);
	return NULL;
}

/* Puts the attempt into the table, unless another was faster. */
static int enter(struct attempt *t, struct err *e)
{
	struct endpoints *s = t->s;

	SCOPED_LOCK(&s->mu);
	if (s->stopping)
		return err_set(e, EBUSY, "the mount is ending");
	if (check_free_locked(s, t->name, e))
		return -1;
	struct ep *ep = ep_get_locked(s, t->name);
	if (!ep)
		return err_set(e, ENOMEM, "out of memory");
	snprintf(t->instance_type, sizeof t->instance_type, "%s", s->default_type);
	t->instance_count = s->default_count;
	ep_keep(&ep->kept, NULL);
	ep_invoked_well(ep);
	ep->since = now_ms();
	ep->attempt = t;
	return 0;
}

static int check_name(struct endpoints *s, const char *name, char model[64], struct err *e)
{
	if (!deploy_name_ok(name))
		return err_set(
			e, EINVAL,
			"this is no name of an endpoint: the rule is %s (letters, digits and hyphens, at most 63)",
			DEPLOY_NAME_RULE);
	pthread_mutex_lock(&s->mu);
	int taken = check_free_locked(s, name, e);
	pthread_mutex_unlock(&s->mu);
	if (taken)
		return -1;
	model[0] = '\0';
	int found = models_resolve_quick(s->m->models, name, model, e);
	if (found == 0)
		return e->no ? -1 : err_set(e, ENOENT, "there is no model '%s' in models/", name);
	if (found < 0)
		model[0] = '\0'; /* the job looks */
	return 0;
}

void deploy_begin(struct endpoints *s, struct req *r, const char *name)
{
	struct endpoint_ref *at;
	struct attempt *t;
	char model[64];
	struct err e;

	err_clear(&e);
	if (check_name(s, name, model, &e)) {
		refuse(s, r, name, &e);
		return;
	}
	t = attempt_new(s, name, model, &e);
	if (!t) {
		refuse(s, r, name, &e);
		return;
	}
	at = calloc(1, sizeof *at);
	if (!at || enter(t, &e)) {
		if (!at)
			err_set(&e, ENOMEM, "out of memory");
		free(at);
		attempt_clear(t);
		refuse(s, r, name, &e);
		return;
	}
	at->s = s;
	memcpy(at->name, t->name, sizeof at->name);
	t->promise = promise_new(r, PROMISE_LIMIT_MS, mkdir_answer, at);
	err_set(&e, ENOMEM, "endpoint '%s': out of memory", name);
	if (!t->promise) {
		free(at);
		reply_err(r, ENOMEM);
		fail(t, false, &e);
	} else if (jobs_run(s->m->jobs, deploy_job, t)) {
		fail(t, false, &e);
	}
}
