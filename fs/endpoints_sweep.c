/*
 * What other mounts have left. A mount that is asked to delete an endpoint while the service still makes it says so in a tag of the
 * endpoint, and may then be gone for ever: any mount of the account that sees such a tag takes the deletion over. Tags are read
 * when an endpoint of ours is first seen to change, and again when it has done so: nobody marks one that stands still. For those
 * that stood still before this mount came, and for orphans, everything is looked through once at the start and every hour.
 */
#include <errno.h>

#include "fs/endpoints_room.h"
#include "sagemaker/json.h"

#define READ_MAX  16  /* tags per round of the poller */
#define SWEEP_MAX 100 /* endpoints whose tags are read per sweep: those that changed last */

static bool may_delete(const struct endpoints *s)
{
	return !s->m->opt->read_only && s->m->opt->delete_what != DELETE_NONE;
}

/* --- wishes */

static bool already_read(const struct ep *ep)
{
	return streq(ep->tags_status, ep->seen.status) && ep->tags_modified == ep->seen.modified;
}

bool tags_due_locked(const struct endpoints *s, const struct ep *ep)
{
	return ep->tags_wanted && !s->no_tags && may_delete(s) && ep_exists(ep) && !ep_trying(ep) &&
	       !ep->deletion && ep->seen.arn[0] && deploy_made(ep->seen.config, ep->name) &&
	       status_phase(ep->seen.status) != EP_DELETING && !already_read(ep);
}

/* The next endpoint whose tags are to be read; from now on they count as read. */
static bool next_due(struct endpoints *s, struct endpoint_state *out)
{
	SCOPED_LOCK(&s->mu);
	for (struct ep *ep = s->all; ep; ep = ep->next) {
		if (!tags_due_locked(s, ep))
			continue;
		*out = ep->seen;
		memcpy(ep->tags_status, ep->seen.status, sizeof ep->tags_status);
		ep->tags_modified = ep->seen.modified;
		ep->tags_wanted = ep_in_transition(ep); /* once more when that is over */
		return true;
	}
	return false;
}

static void read_again(struct endpoints *s, const char *name)
{
	SCOPED_LOCK(&s->mu);
	struct ep *ep = ep_find_locked(s, name);

	if (ep) {
		ep->tags_status[0] = '\0';
		ep->tags_wanted = true;
	}
}

/* 0: go on reading tags. */
static int read_one(struct endpoints *s, const struct endpoint_state *seen, struct cancel *c)
{
	_cleanup_json_ cJSON *tags = NULL;
	struct err e;

	if (control_list_tags(s->m->aws, seen->arn, &tags, c, &e)) {
		if (control_not_found(&e))
			return 0;
		if (e.no != EACCES) {
			read_again(s, seen->name);
			return -1;
		}
		ep_log(s, LOG_LEVEL_INFO,
		       "deletions that other mounts were asked for are not seen here: %s", e.text);
		SCOPED_LOCK(&s->mu);
		s->no_tags = true;
		return -1;
	}
	const char *wish = json_text(tags, DEPLOY_TAGS "delete");
	if (wish && streq(wish, "requested") && delete_permitted(s, seen->name, seen->config, &e))
		delete_marked(s, seen->name, seen);
	return 0;
}

void tags_read(struct endpoints *s, struct cancel *c)
{
	struct endpoint_state seen;

	for (int i = 0; i < READ_MAX && !cancel_is_set(c) && next_due(s, &seen); i++)
		if (read_one(s, &seen, c))
			return;
}

/* --- everything */

static int by_name(const void *a, const void *b)
{
	const struct control_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Whether some configuration (rows sorted by name) says that one of our attempts has made this endpoint. */
static bool ours(const struct ep *ep, const struct control_item *configs, size_t n)
{
	char prefix[64];
	size_t low = 0, high = n;

	deploy_resource(ep->name, "", prefix);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(configs[middle].name, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n && starts_with(configs[low].name, prefix); low++)
		if (deploy_made(configs[low].name, ep->name))
			return true;
	return false;
}

static struct ep *newest_unread_locked(struct endpoints *s, const struct control_item *configs,
				       size_t n)
{
	struct ep *best = NULL;

	for (struct ep *ep = s->all; ep; ep = ep->next) {
		if (ep->tags_wanted || !ep_exists(ep) || ep_trying(ep) || ep->deletion ||
		    already_read(ep) || (best && best->seen.modified >= ep->seen.modified))
			continue;
		if (ours(ep, configs, n))
			best = ep;
	}
	return best;
}

/* The configurations that attempts have made, sorted by name. */
static int list_made(struct endpoints *s, struct control_item **out, size_t *n, struct cancel *c,
		     struct err *e)
{
	static const struct control_filter f = {.contains = DEPLOY_PREFIX};

	if (control_list_endpoint_configs(s->m->aws, &f, out, n, c, e))
		return -1;
	if (*n) /* *out may be NULL else */
		qsort(*out, *n, sizeof **out, by_name);
	return 0;
}

/* Endpoints of ours whose tags were not read since they changed last are described, then their tags are read. */
static int sweep_wishes(struct endpoints *s, struct cancel *c, struct err *e)
{
	_cleanup_free_ struct control_item *configs = NULL;
	char name[64];
	size_t n;

	if (s->no_tags || !may_delete(s))
		return 0;
	if (ask_all(s, c, e) || list_made(s, &configs, &n, c, e))
		return -1;
	for (int i = 0; i < SWEEP_MAX && !cancel_is_set(c); i++) {
		pthread_mutex_lock(&s->mu);
		struct ep *ep = newest_unread_locked(s, configs, n);
		bool describe = ep && !ep->seen.config[0];
		if (ep) {
			ep->tags_wanted = true;
			memcpy(name, ep->name, sizeof name);
		}
		pthread_mutex_unlock(&s->mu);
		if (!ep)
			return 0;
		if (describe && ask_one(s, name, c, e))
			return -1;
		tags_read(s, c);
	}
	return 0;
}

int sweep_orphans(struct endpoints *s, struct cancel *c, struct err *e)
{
	struct orphan *all;
	size_t n;

	if (orphans_list(s->m->aws, &all, &n, c, e))
		return err_prefix(e, "look for orphans");
	SCOPED_LOCK(&s->mu);
	free(s->orphans);
	s->orphans = all;
	s->n_orphans = n;
	s->swept_at = now_ms();
	return 0;
}

static void sweep_job(void *arg, struct cancel *c)
{
	struct endpoints *s = arg;
	struct err e;

	if (sweep_wishes(s, c, &e) && !cancel_is_set(c))
		ep_log(s, LOG_LEVEL_DEBUG, "%s", e.text);
	if (sweep_orphans(s, c, &e) && !cancel_is_set(c))
		ep_log(s, LOG_LEVEL_DEBUG, "%s", e.text);
	SCOPED_LOCK(&s->mu);
	s->sweeping = false;
	if (!s->stopping)
		timer_arm(s->m->watch, &s->sweep, SWEEP_EVERY_MS);
}

void sweep_fire(struct timer *t)
{
	struct endpoints *s = t->arg;

	pthread_mutex_lock(&s->mu);
	bool go = !s->stopping && !s->sweeping;
	s->sweeping |= go;
	pthread_mutex_unlock(&s->mu);
	if (go && jobs_run(s->m->jobs, sweep_job, s)) {
		SCOPED_LOCK(&s->mu);
		s->sweeping = false;
	}
}
