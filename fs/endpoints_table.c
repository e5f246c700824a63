#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "fs/endpoints_room.h"
#include "sagemaker/framework.h"
#include "sagemaker/images.h"

/* The service's words. busy: it will change by itself, and a deletion is refused meanwhile (Deleting: is not needed). */
static const struct status {
	const char *word;
	enum endpoint_phase phase;
	bool busy;
} statuses[] = {
	{"Creating",             EP_CREATING,   true },
	{"Updating",             EP_UPDATING,   true },
	{"SystemUpdating",       EP_UPDATING,   true },
	{"RollingBack",          EP_UPDATING,   true },
	{"InService",            EP_IN_SERVICE, false},
	{"Deleting",             EP_DELETING,   true },
	{"Failed",               EP_FAILED,     false},
	{"OutOfService",         EP_FAILED,     false},
	{"UpdateRollbackFailed", EP_FAILED,     false},
};

static const struct status *status_row(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (streq(statuses[i].word, word))
			return &statuses[i];
	return NULL;
}

enum endpoint_phase status_phase(const char *status)
{
	const struct status *row = status_row(status);

	return row ? row->phase : EP_UNKNOWN;
}

/* FNV-1a, regardless of case: rivals share a bucket. */
static struct ep **bucket_of(struct endpoints *s, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint32_t)tolower((unsigned char)*name)) * 16777619u;
	return &s->buckets[h % EP_BUCKETS];
}

struct ep *ep_find_locked(struct endpoints *s, const char *name)
{
	struct ep *ep = *bucket_of(s, name);

	while (ep && !streq(ep->name, name))
		ep = ep->same;
	return ep;
}

static void list_first_locked(struct endpoints *s, struct ep *ep)
{
	ep->seq = ++s->seq;
	ep->next = s->all;
	s->all = ep;
}

void ep_renew_locked(struct endpoints *s, struct ep *ep)
{
	struct ep **at = &s->all;

	if (ep->seq == s->seq)
		return;
	while (*at != ep)
		at = &(*at)->next;
	*at = ep->next;
	list_first_locked(s, ep);
}

struct ep *ep_get_locked(struct endpoints *s, const char *name)
{
	struct ep *ep = ep_find_locked(s, name);

	if (ep)
		return ep;
	ep = calloc(1, sizeof *ep);
	if (!ep)
		return NULL;
	snprintf(ep->name, sizeof ep->name, "%s", name);
	ep->since = now_ms();
	struct ep **bucket = bucket_of(s, name);
	ep->same = *bucket;
	*bucket = ep;
	list_first_locked(s, ep);
	return ep;
}

struct ep *ep_rival_locked(struct endpoints *s, const char *name)
{
	for (struct ep *ep = *bucket_of(s, name); ep; ep = ep->same)
		if (strcasecmp(ep->name, name) == 0 && !streq(ep->name, name) &&
		    (ep_shown(ep) || ep_deleting(ep)))
			return ep;
	return NULL;
}

bool ep_exists(const struct ep *ep)
{
	return ep->seen.status[0] && !ep->gone;
}

struct attempt *ep_trying(const struct ep *ep)
{
	return ep->attempt && !ep->attempt->hidden ? ep->attempt : NULL;
}

bool ep_deleting(const struct ep *ep)
{
	return (ep->deletion && !ep->deletion->withdrawn) ||
	       (ep_exists(ep) && status_phase(ep->seen.status) == EP_DELETING);
}

bool ep_shown(const struct ep *ep)
{
	return !ep_deleting(ep) && (ep_trying(ep) || ep_exists(ep));
}

bool ep_in_progress(const struct ep *ep)
{
	const struct status *row = ep_exists(ep) ? status_row(ep->seen.status) : NULL;

	return row && row->busy && row->phase != EP_DELETING;
}

bool ep_in_transition(const struct ep *ep)
{
	const struct status *row = ep_exists(ep) ? status_row(ep->seen.status) : NULL;

	return row && row->busy;
}

/* Listings may round times; and while it is being deleted nobody updates it: another configuration is another endpoint. */
bool deletion_over(const struct ep *ep)
{
	const struct deletion *d = ep->deletion;

	if (ep->gone || !d || !d->accepted || !ep_exists(ep))
		return ep->gone;
	bool later = d->created > 0 && ep->seen.created > d->created + 1;
	return later || (d->config[0] && ep->seen.config[0] && !streq(d->config, ep->seen.config));
}

bool ep_settled(const struct ep *ep)
{
	if (!ep->seen_at || ep->stale || ep_in_transition(ep))
		return false;
	return now_ms() - ep->seen_at < FRESH_MS ||
	       (ep->waiters && ep->seen_at >= ep->waiting_since);
}

enum endpoint_phase ep_phase(const struct ep *ep)
{
	if (ep_deleting(ep))
		return EP_DELETING;
	if (ep_trying(ep))
		return ep->attempt->phase == ATTEMPT_FAILED ? EP_FAILED : EP_CREATING;
	return ep_exists(ep) ? status_phase(ep->seen.status) : EP_ABSENT;
}

/* A failed attempt gives way to an endpoint of that name which somebody else has made: its end is looked at once more. */
static void overtake(struct attempt *t)
{
	if (!t || t->running)
		return;
	t->leftovers = true;
	t->again = 0;
}

static bool too_old(const struct ep *ep, int64_t asked_at)
{
	return asked_at < ep->stamp || asked_at < ep->seen_at;
}

/* What was made a moment ago may not be visible everywhere yet; and while Creating nobody can have deleted it. */
static bool too_new(const struct ep *ep, int64_t asked_at)
{
	return ep_exists(ep) && streq(ep->seen.status, "Creating") && ep->stamp &&
	       asked_at - ep->stamp < VISIBLE_MS;
}

static void hear_common(struct ep *ep, int64_t asked_at, bool changed)
{
	ep->seen_at = asked_at;
	ep->gone = ep->missed = false;
	ep_keep(&ep->asking, NULL);
	if (changed)
		ep->since = now_ms();
	ep->tags_wanted |= ep_in_transition(ep);
	overtake(ep->attempt);
}

bool ep_hear_locked(struct ep *ep, const struct endpoint_state *state, int64_t asked_at)
{
	if (too_old(ep, asked_at))
		return false;
	bool changed = ep->gone || !streq(ep->seen.status, state->status) ||
		       !streq(ep->seen.failure, state->failure) ||
		       !streq(ep->seen.config, state->config);

	ep->seen = *state;
	ep->created = state->created;
	ep->stale = false;
	hear_common(ep, asked_at, changed);
	return changed;
}

bool ep_hear_summary_locked(struct ep *ep, const struct endpoint_summary *sum, int64_t asked_at)
{
	if (too_old(ep, asked_at))
		return false;
	bool changed = ep->gone || !streq(ep->seen.status, sum->status);

	if (changed || sum->modified != ep->seen.modified) {
		ep->stale = true;
		ep->seen.failure[0] = '\0';
	}
	memcpy(ep->seen.name, sum->name, sizeof ep->seen.name);
	memcpy(ep->seen.arn, sum->arn, sizeof ep->seen.arn);
	memcpy(ep->seen.status, sum->status, sizeof ep->seen.status);
	ep->seen.created = sum->created;
	ep->seen.modified = sum->modified;
	hear_common(ep, asked_at, changed);
	return changed;
}

bool ep_hear_gone_locked(struct endpoints *s, struct ep *ep, int64_t asked_at)
{
	if (too_old(ep, asked_at))
		return false;
	ep->missed = too_new(ep, asked_at);
	if (ep->missed)
		return false;
	bool changed = ep_exists(ep);

	memset(&ep->seen, 0, sizeof ep->seen);
	ep->created = 0;
	parts_release(&ep->parts);
	ep_invoked_well(ep);
	ep_keep(&ep->asking, NULL);
	ep->untagged = ep->tags_wanted = false;
	ep->seen_at = asked_at;
	ep->gone = true;
	if (changed)
		ep->since = ep->stamp = now_ms();
	pthread_cond_broadcast(&s->quiet);
	return changed;
}

void parts_release(struct parts *p)
{
	free(p->text);
	memset(p, 0, sizeof *p);
}

void ep_invoked_well(struct ep *ep)
{
	free(steal(ep->invoke));
}

void ep_keep(struct err **at, const struct err *e)
{
	if (!e)
		free(steal(*at));
	else if (*at || (*at = malloc(sizeof **at)))
		**at = *e;
}

static void leave_bucket(struct endpoints *s, const struct ep *ep)
{
	struct ep **at = bucket_of(s, ep->name);

	while (*at != ep)
		at = &(*at)->same;
	*at = ep->same;
}

static void ep_free(struct endpoints *s, struct ep *ep)
{
	leave_bucket(s, ep);
	ep_keep(&ep->kept, NULL);
	ep_keep(&ep->asking, NULL);
	parts_release(&ep->parts);
	attempt_free(ep->attempt);
	deletion_free(ep->deletion);
	ep_invoked_well(ep);
	free(ep);
}

void ep_sweep_locked(struct endpoints *s)
{
	const int64_t old = now_ms() - TOMBSTONE_MS;

	for (struct ep **at = &s->all; *at;) {
		struct ep *ep = *at;

		if (ep_exists(ep) || ep->attempt || ep->deletion || ep->waiters || ep->followers ||
		    MAX(ep->stamp, ep->seen_at) > old) {
			at = &ep->next;
			continue;
		}
		*at = ep->next;
		ep_free(s, ep);
	}
}

void ep_free_all(struct endpoints *s)
{
	while (s->all) {
		struct ep *ep = s->all;

		s->all = ep->next;
		ep_free(s, ep);
	}
}

/* The node is found by name no more. The kernel believes no entry of these directories without asking, so it need not be told:
 * telling would wait for the directory's lock, which an unanswered rmdir holds. */
static void tell_dir(struct mount *m, struct node *dir, const char *name, bool there)
{
	vfile_wake_named(m, dir, name);
	if (!there)
		node_detach(m->tree, dir, name);
}

void ep_tell(struct endpoints *s, const char *name)
{
	void (*listener)(void *, const char *);
	bool shown = false, deleting = false;
	void *arg;

	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	if (ep) {
		shown = ep_shown(ep);
		deleting = ep_deleting(ep);
	}
	listener = s->listener;
	arg = s->listener_arg;
	pthread_mutex_unlock(&s->mu);

	struct node *dir = node_child(s->m->tree, tree_root(s->m->tree), "endpoints");
	struct node *del = dir ? node_child(s->m->tree, dir, ".deleting") : NULL;
	if (dir)
		tell_dir(s->m, dir, name, shown);
	if (del) {
		tell_dir(s->m, del, name, deleting);
		node_unref(s->m->tree, del);
	}
	if (dir)
		node_unref(s->m->tree, dir);
	if (listener)
		listener(arg, name);
}

void ep_status(struct endpoints *s, const char *name, char out[64])
{
	char model[64] = "";

	out[0] = '\0';
	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	if (ep && ep_trying(ep)) {
		const char *words[] = {[ATTEMPT_PUBLISHING] = "Uploading 0 %",
				       [ATTEMPT_CREATING] = "Creating",
				       [ATTEMPT_FAILED] = "Failed"};

		snprintf(out, 64, "%s", words[ep->attempt->phase]);
		if (ep->attempt->phase == ATTEMPT_PUBLISHING)
			memcpy(model, ep->attempt->model, sizeof model);
	} else if (ep && ep_exists(ep)) {
		snprintf(out, 64, "%s", ep->seen.status);
	} else if (ep && ep->deletion) {
		snprintf(out, 64, "Deleting");
	}
	pthread_mutex_unlock(&s->mu);
	int percent = model[0] ? models_upload_percent(s->m->models, model) : -1;
	if (percent >= 0)
		snprintf(out, 64, "Uploading %d %%", MIN(percent, 100));
}

void ep_model(struct endpoints *s, const char *name, char out[64])
{
	char uri[sizeof((struct parts *)NULL)->data_url] = "";

	out[0] = '\0';
	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	if (ep && ep_trying(ep))
		memcpy(out, ep->attempt->model, 64);
	else if (ep)
		memcpy(uri, ep->parts.data_url, sizeof uri);
	pthread_mutex_unlock(&s->mu);
	if (uri[0])
		models_of_uri(s->m->models, uri, out);
}
