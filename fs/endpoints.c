#include <errno.h>

#include "fs/endpoints_room.h"
#include "fs/thread.h"

#define SEE_GONE_MS     3000
#define INVOKE_TEXT_MAX ((size_t)64 << 10)

struct endpoints *endpoints_start(struct mount *m, struct err *e)
{
	struct endpoints *s = calloc(1, sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->m = m;
	pthread_mutex_init(&s->mu, NULL);
	thread_cond_init(&s->quiet);
	s->timer = (struct timer){.fn = poll_fire, .arg = s};
	s->sweep = (struct timer){.fn = sweep_fire, .arg = s};
	if (defaults_load(s, e) || deploy_resume(s, e) || delete_resume(s, e)) {
		endpoints_free(s);
		return NULL;
	}
	poll_kick(s, 0);
	timer_arm(m->watch, &s->sweep, SWEEP_FIRST_MS);
	return s;
}

/* How far the deletions are: the service still has to be told, or does the rest by itself, or there are none. */
static enum { UNTOLD, GOING, NONE } deletions_locked(const struct endpoints *s)
{
	bool going = false;

	for (const struct ep *ep = s->all; ep; ep = ep->next) {
		if (!ep->deletion)
			continue;
		if (!ep->deletion->accepted || !ep->deletion->released)
			return UNTOLD;
		going = true;
	}
	return going ? GOING : NONE;
}

/* Waits while the deletions are at `state` and the time is not over. */
static void await_locked(struct endpoints *s, int state, long ms)
{
	const struct timespec until = thread_deadline(now_ms() + ms);

	while ((int)deletions_locked(s) == state &&
	       pthread_cond_timedwait(&s->quiet, &s->mu, &until) == 0)
		;
}

size_t endpoints_unfinished(struct endpoints *s)
{
	size_t n = 0;

	SCOPED_LOCK(&s->mu);
	for (const struct ep *ep = s->all; ep; ep = ep->next)
		n += ep->deletion != NULL;
	return n;
}

void endpoints_await(struct endpoints *s, long ms)
{
	const struct timespec until = thread_deadline(now_ms() + ms);

	SCOPED_LOCK(&s->mu);
	(void)pthread_cond_timedwait(&s->quiet, &s->mu, &until);
}

void endpoints_stop(struct endpoints *s, long grace_ms, long linger_ms)
{
	pthread_mutex_lock(&s->mu);
	await_locked(s, UNTOLD, linger_ms > 0 ? MIN(grace_ms, SEE_GONE_MS) : grace_ms);
	/* Accepted ones end without us; seeing the end spares the next mount the question. */
	await_locked(s, GOING, MIN(grace_ms, SEE_GONE_MS));
	s->stopping = linger_ms <= 0 || deletions_locked(s) == NONE;
	bool over = s->stopping;
	pthread_mutex_unlock(&s->mu);
	if (!over)
		return;
	timer_disarm(s->m->watch, &s->timer);
	timer_disarm(s->m->watch, &s->sweep);
}

void endpoints_free(struct endpoints *s)
{
	if (!s)
		return;
	ep_free_all(s);
	free(s->orphans);
	pthread_cond_destroy(&s->quiet);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

void endpoints_entry(struct endpoints *s, struct node_make *how)
{
	*how = (struct node_make){
		.ops = &endpoints_ops, .rows = endpoints_files, .data = s, .type = S_IFDIR};
}

void endpoints_listen(struct endpoints *s, void (*fn)(void *arg, const char *name), void *arg)
{
	SCOPED_LOCK(&s->mu);
	s->listener = fn;
	s->listener_arg = arg;
}

/* --- for invoke/ */

static bool known_locked(const struct endpoints *s, const struct ep *ep, int64_t since)
{
	if (ep && (ep_trying(ep) || ep->deletion))
		return true;
	if (ep && ep->seen_at >= since && ep->seen_at)
		return true;
	return !ep && s->listed_ever && s->listed_at >= since;
}

static void info_locked(const struct ep *ep, struct endpoint_info *out)
{
	out->phase = ep ? ep_phase(ep) : EP_ABSENT;
	snprintf(out->content_type, sizeof out->content_type, "%s",
		 ep && ep->content_type[0] ? ep->content_type : "application/json");
}

static void info_texts(struct endpoints *s, const char *name, struct endpoint_info *out)
{
	ep_status(s, name, out->status);
	ep_model(s, name, out->model);
}

bool endpoints_info(struct endpoints *s, const char *name, long max_age_ms,
		    struct endpoint_info *out)
{
	memset(out, 0, sizeof *out);
	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	bool known = known_locked(s, ep, now_ms() - max_age_ms);
	/* The content type comes with the description of its parts. */
	if (known && ep && !ep_trying(ep) && !ep->deletion && ep_exists(ep) && !ep->content_type[0])
		known = false;
	if (known)
		info_locked(ep, out);
	pthread_mutex_unlock(&s->mu);
	if (known)
		info_texts(s, name, out);
	return known;
}

int endpoints_refresh(struct endpoints *s, const char *name, struct endpoint_info *out,
		      struct cancel *c, struct err *e)
{
	memset(out, 0, sizeof *out);
	if (ask_one(s, name, c, e))
		return -1;
	pthread_mutex_lock(&s->mu);
	info_locked(ep_find_locked(s, name), out);
	pthread_mutex_unlock(&s->mu);
	info_texts(s, name, out);
	return 0;
}

void endpoints_failed(struct endpoints *s, const char *name, const char *text)
{
	SCOPED_LOCK(&s->mu);
	struct ep *ep = ep_find_locked(s, name);

	if (ep) {
		ep_invoked_well(ep);
		ep->invoke = strndup(text, INVOKE_TEXT_MAX);
	}
}

/* --- all of them */

/* Copies the names of what is in endpoints/: rows of 64 bytes, *n of them; NULL: none, or memory. */
static char (*names_copy(struct endpoints *s, bool (*is)(const struct ep *), size_t *n))[64]
{
	size_t all = 0;

	SCOPED_LOCK(&s->mu);
	*n = 0;
	for (const struct ep *ep = s->all; ep; ep = ep->next)
		all += is(ep);
	char(*names)[64] = all ? calloc(all, sizeof *names) : NULL;
	for (const struct ep *ep = s->all; names && ep; ep = ep->next)
		if (is(ep))
			memcpy(names[(*n)++], ep->name, sizeof *names);
	return names;
}

/* Until its deletion is accepted, an endpoint uses its model; a failed deployment does not. */
static bool uses_one(const struct ep *ep)
{
	if (ep_trying(ep))
		return ep->attempt->phase != ATTEMPT_FAILED;
	return ep_exists(ep) && ep_phase(ep) != EP_DELETING;
}

static bool uses_any(const struct ep *ep)
{
	return uses_one(ep) || (ep->deletion && !ep->deletion->accepted && ep_exists(ep));
}

static bool undescribed(const struct ep *ep)
{
	return uses_any(ep) && !ep_trying(ep) && !ep->parts.config[0] && !ep->parts.data_url[0];
}

/* Names of those that use a model, each described as well as may be. */
static char (*users_now(struct endpoints *s, struct cancel *c, size_t *n))[64]
{
	struct err e;

	if (ask_all(s, c, &e))
		ep_log(s, LOG_LEVEL_WARNING,
		       "which models are in use is known from before only: %s", e.text);
	char(*names)[64] = names_copy(s, undescribed, n);
	for (size_t i = 0; i < *n; i++)
		if (ask_one(s, names[i], c, &e))
			ep_log(s, LOG_LEVEL_WARNING, "%s", e.text);
	free(names);
	return names_copy(s, uses_any, n);
}

bool endpoints_uses_model(struct endpoints *s, const char *model, char endpoint[64],
			  struct cancel *c)
{
	bool used = false;
	char runs[64];
	size_t n;
	char(*names)[64] = users_now(s, c, &n);

	for (size_t i = 0; i < n && !used; i++) {
		ep_model(s, names[i], runs);
		used = streq(runs, model);
		if (used)
			memcpy(endpoint, names[i], 64);
	}
	free(names);
	return used;
}

void endpoints_each_archive(struct endpoints *s,
			    void (*fn)(void *arg, const char *endpoint, const char *uri), void *arg,
			    struct cancel *c)
{
	size_t n;
	char(*names)[64] = users_now(s, c, &n);

	for (size_t i = 0; i < n; i++) {
		char uri[sizeof((struct parts *)0)->data_url] = "";

		{
			SCOPED_LOCK(&s->mu);
			const struct ep *ep = ep_find_locked(s, names[i]);
			if (ep)
				memcpy(uri, ep->parts.data_url, sizeof uri);
		}
		if (uri[0])
			fn(arg, names[i], uri);
	}
	free(names);
}

/* --- status */

void age_text(double since, char out[32])
{
	static const struct unit {
		const char *name;
		long seconds;
	} units[] = {
		{"d",   86400},
                {"h",   3600 },
                {"min", 60   },
                {"s",   1    }
        };

	long age = since > 0 ? MAX((long)time(NULL) - (long)since, 0) : 0;
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && age < units[i].seconds)
		i++;
	snprintf(out, 32, "%ld %s", age / units[i].seconds, units[i].name);
}

static void status_line(struct endpoints *s, const char *name, bool deleting, struct buf *out)
{
	char status[64], model[64], type[32] = "", age[32];
	double created = 0;
	bool untagged = false;
	int count = 0;

	ep_status(s, name, status);
	ep_model(s, name, model);
	pthread_mutex_lock(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	if (ep) {
		const struct attempt *t = ep_trying(ep);

		memcpy(type, t ? t->instance_type : ep->parts.instance_type, sizeof type);
		count = t ? t->instance_count : ep->parts.instance_count;
		created = ep->seen.created;
		untagged = ep->untagged;
	}
	pthread_mutex_unlock(&s->mu);
	age_text(created, age);
	buf_printf(out, "%s %-20s %-12s", deleting ? "deletion" : "endpoint", name, status);
	if (type[0])
		buf_printf(out, " %d x %s", count, type);
	if (created > 0)
		buf_printf(out, ", %s", age);
	if (model[0])
		buf_printf(out, ", models/%s", model);
	if (untagged)
		buf_str(out, ", without tags (sagemaker:AddTags is not permitted)");
	buf_str(out, deleting ? ", billed until it is gone\n" : "\n");
}

void endpoints_status(struct endpoints *s, struct buf *out)
{
	static bool (*const which[])(const struct ep *) = {ep_shown, ep_deleting};
	size_t n;

	for (size_t k = 0; k < ARRAY_SIZE(which); k++) {
		char(*names)[64] = names_copy(s, which[k], &n);

		for (size_t i = 0; i < n; i++)
			status_line(s, names[i], k == 1, out);
		free(names);
	}
	orphans_status(s, out);
}
