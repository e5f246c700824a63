#include <errno.h>
#include <time.h>

#include "fs/endpoints_room.h"
#include "sagemaker/framework.h"
#include "sagemaker/images.h"

#define YOUNG_S 60 /* an endpoint whose configuration and model may not be described yet */

bool is_transient(const struct err *e)
{
	return e->http == 0 || e->http >= 500 || e->no == EBUSY;
}

bool may_pass(const struct err *e)
{
	return is_transient(e) || e->keys || !e->code[0];
}

/* The configuration as the service describes it, with what it says of its model beside it, for people and jq. */
static char *config_text(cJSON *raw, const struct model_state *m)
{
	cJSON *model = cJSON_AddObjectToObject(raw, "Model");
	_cleanup_free_ char *json = NULL;

	if (model && m->name[0]) {
		cJSON_AddStringToObject(model, "ModelName", m->name);
		cJSON_AddStringToObject(model, "Image", m->image);
		cJSON_AddStringToObject(model, "ModelDataUrl", m->data_url);
		cJSON_AddStringToObject(model, "ExecutionRoleArn", m->role);
		cJSON_AddStringToObject(model, "ModelArn", m->arn);
	}
	json = cJSON_Print(raw);
	return json ? str_printf("%s\n", json) : NULL;
}

/* A configuration or model that is gone or not ours to see leaves its part of the page empty; it is no failure of the endpoint. */
static int missing_is_fine(int rc, const struct err *e)
{
	return rc && !control_not_found(e) && e->no != EACCES ? -1 : 0;
}

int ask_parts(struct endpoints *s, const char *config, struct parts *p, struct cancel *c,
	      struct err *e)
{
	_cleanup_json_ cJSON *raw = NULL;
	struct endpoint_config_state cfg;
	struct model_state model;

	memset(p, 0, sizeof *p);
	memset(&cfg, 0, sizeof cfg);
	memset(&model, 0, sizeof model);
	if (missing_is_fine(control_describe_endpoint_config(s->m->aws, config, &cfg, &raw, c, e),
			    e))
		return -1;
	if (cfg.model[0] &&
	    missing_is_fine(control_describe_model(s->m->aws, cfg.model, &model, c, e), e))
		return -1;
	snprintf(p->config, sizeof p->config, "%s", config);
	memcpy(p->model, cfg.model, sizeof p->model);
	memcpy(p->instance_type, cfg.instance_type, sizeof p->instance_type);
	memcpy(p->data_url, model.data_url, sizeof p->data_url);
	memcpy(p->image, model.image, sizeof p->image);
	p->instance_count = cfg.instance_count;
	p->text = raw ? config_text(raw, &model) : NULL;
	return 0;
}

/* What a plain invoke/NAME sends: by the family of the image. */
static const char *content_type_of(const char *image)
{
	struct image parsed;

	return framework_content_type(images_parse(image, &parsed) ? parsed.framework : "");
}

static bool parts_known(struct endpoints *s, const char *name, const char *config)
{
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);

	return !config[0] || (ep && streq(ep->parts.config, config));
}

/* Whether what is not described may come yet: descriptions lag behind. */
static bool is_young(const struct endpoint_state *state)
{
	return (double)time(NULL) - state->created < YOUNG_S;
}

/* Parts are learnt once per configuration name; failing to learn them leaves them for the next time. */
static void learn_parts(struct endpoints *s, const struct endpoint_state *state, struct cancel *c)
{
	struct parts p;
	struct err e;

	if (parts_known(s, state->name, state->config))
		return;
	if (ask_parts(s, state->config, &p, c, &e)) {
		ep_log(s, LOG_LEVEL_WARNING, "endpoint '%s': what it runs is not known: %s",
		       state->name, e.text);
		return;
	}
	const char *content_type = content_type_of(p.image);
	const bool whole = (p.text && p.data_url[0]) || !is_young(state);
	SCOPED_LOCK(&s->mu);
	struct ep *ep = ep_find_locked(s, state->name);
	if (!ep || !whole) {
		parts_release(&p);
		return;
	}
	parts_release(&ep->parts);
	ep->parts = p;
	snprintf(ep->content_type, sizeof ep->content_type, "%s", content_type);
}

/* The service knows names regardless of case; the tree does not. */
static bool is_absent(int rc, const struct err *e, const struct endpoint_state *state,
		      const char *name)
{
	return rc ? control_not_found(e) : !streq(state->name, name);
}

/* Puts the answer into the table. True: what is shown changed. */
static bool hear(struct endpoints *s, const char *name, const struct endpoint_state *state,
		 int64_t asked_at, const struct err *failure)
{
	SCOPED_LOCK(&s->mu);
	struct ep *ep = state ? ep_get_locked(s, name) : ep_find_locked(s, name);

	if (!ep)
		return false;
	if (state) {
		bool shown = ep_shown(ep), changed = ep_hear_locked(ep, state, asked_at);

		if (!shown && ep_shown(ep))
			ep_renew_locked(s, ep);
		return changed;
	}
	if (!failure)
		return ep_hear_gone_locked(s, ep, asked_at);
	ep_keep(&ep->asking, failure);
	return false;
}

int ask_one(struct endpoints *s, const char *name, struct cancel *c, struct err *e)
{
	const int64_t asked_at = now_ms();
	struct endpoint_state state;

	err_clear(e);
	memset(&state, 0, sizeof state);
	int rc = control_describe_endpoint(s->m->aws, name, &state, c, e);
	if (is_absent(rc, e, &state, name)) {
		if (hear(s, name, NULL, asked_at, NULL))
			ep_tell(s, name);
		return 0;
	}
	if (rc) {
		hear(s, name, NULL, asked_at, e);
		ep_tell(s, name); /* who waits is told, if it is of no use */
		return err_prefix(e, "endpoint '%s'", name);
	}
	hear(s, name, &state, asked_at, NULL);
	learn_parts(s, &state, c);
	ep_tell(s,
		name); /* readers that wait look again even when nothing changed: it is fresh now */
	return 0;
}

/* Names whose entries a listing changed, told after the lock is released. */
struct names {
	char (*rows)[64];
	size_t n, cap;
};

static void names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		char(*rows)[64] = realloc(l->rows, cap * sizeof *rows);

		if (!rows)
			return; /* readers of this one learn of it a poll later */
		l->rows = rows;
		l->cap = cap;
	}
	snprintf(l->rows[l->n++], 64, "%s", name);
}

static void tell_all(struct endpoints *s, struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		ep_tell(s, l->rows[i]);
	free(l->rows);
	*l = (struct names){0};
}

#define DOUBTS_MAX 16 /* asked for singly after a listing */

/* A listing on its way into the table. */
struct hearing {
	struct endpoints *s;
	int64_t began, asked_at; /* of the listing, of the page */
	uint64_t round;
	size_t pages;
	struct names changed, doubtful;
};

/* What a whole listing does not name is gone. Of what was made so lately that the listing may not know it, the service is asked;
 * so it is of the few that a list of several pages may have lost because it shifted meanwhile. */
static void bury_unlisted_locked(struct hearing *h)
{
	for (struct ep *ep = h->s->all; ep; ep = ep->next) {
		if (!ep_exists(ep) || ep->round >= h->round)
			continue;
		bool young = ep->stamp && h->began - ep->stamp < LISTING_LAG_MS;

		if (young || (h->pages > 1 && h->doubtful.n < DOUBTS_MAX))
			names_add(&h->doubtful, ep->name);
		else if (ep_hear_gone_locked(h->s, ep, h->began))
			names_add(&h->changed, ep->name);
	}
}

static void hear_row_locked(struct hearing *h, const struct endpoint_summary *row)
{
	struct ep *ep = deploy_name_ok(row->name) ? ep_get_locked(h->s, row->name) : NULL;

	if (!ep)
		return;
	bool shown = ep_shown(ep);
	ep->round = MAX(ep->round, h->round);
	if (ep_hear_summary_locked(ep, row, h->asked_at))
		names_add(&h->changed, ep->name);
	if (!shown && ep_shown(ep))
		ep_renew_locked(h->s, ep);
}

static void hear_page(void *arg, const struct endpoint_summary *rows, size_t n)
{
	struct hearing *h = arg;

	pthread_mutex_lock(&h->s->mu);
	h->pages++;
	for (size_t i = 0; i < n; i++)
		hear_row_locked(h, &rows[i]);
	pthread_mutex_unlock(&h->s->mu);
	tell_all(h->s, &h->changed);
	stream_news(h->s);
	h->asked_at = now_ms();
}

static void hear_end_locked(struct hearing *h)
{
	struct endpoints *s = h->s;

	bury_unlisted_locked(h);
	s->listed_at = h->began;
	s->listed_ever = true;
	s->listing.took_ms = now_ms() - h->began;
	s->listing.pages = h->pages;
	ep_sweep_locked(s);
}

int ask_all(struct endpoints *s, struct cancel *c, struct err *e)
{
	struct hearing h = {.s = s, .began = now_ms()};
	struct err one;

	h.asked_at = h.began;
	pthread_mutex_lock(&s->mu);
	h.round = ++s->round;
	pthread_mutex_unlock(&s->mu);
	err_clear(e);
	int rc = control_page_endpoints(s->m->aws, hear_page, &h, c, e);
	pthread_mutex_lock(&s->mu);
	s->unlisted = rc && e->no == EACCES;
	if (rc == 0)
		hear_end_locked(&h);
	poll_kick_locked(s, 0);
	pthread_mutex_unlock(&s->mu);
	tell_all(s, &h.changed);
	for (size_t i = 0; i < h.doubtful.n; i++)
		if (ask_one(s, h.doubtful.rows[i], c, &one))
			ep_log(s, LOG_LEVEL_DEBUG, "%s", one.text);
	free(h.doubtful.rows);
	return rc ? err_prefix(e, "list endpoints") : 0;
}
