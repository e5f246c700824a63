/* The attribute files: rows of endpoints/, endpoints/NAME/, endpoints/.deleting/NAME/ and endpoints/.defaults/. */
#include <ctype.h>
#include <errno.h>

#include "fs/endpoints_room.h"
#include "fs/events.h"
#include "sagemaker/images.h"

/* The value ends as all one-value files do. */
static int line(struct buf *out, const char *text)
{
	if (!text[0])
		return 0;
	buf_str(out, text);
	return buf_char(out, '\n');
}

/* The entry that the rows of dir show, with s->mu held until unlock; NULL: there is none. */
static struct ep *row_entry(struct node *dir)
{
	const struct endpoint_ref *at = dir->data;

	pthread_mutex_lock(&at->s->mu);
	return ep_find_locked(at->s, at->name);
}

static void row_done(struct node *dir)
{
	const struct endpoint_ref *at = dir->data;

	pthread_mutex_unlock(&at->s->mu);
}

static int show_status(struct node *dir, struct buf *out, struct err *e)
{
	const struct endpoint_ref *at = dir->data;
	char status[64];

	(void)e;
	ep_status(at->s, at->name, status);
	return line(out, status);
}

/* The first that there is: why our own work on it failed, what the service says, the last failed invocation. */
static void show_reason(const struct ep *ep, struct buf *out)
{
	const struct attempt *t = ep_trying(ep);

	if (t && t->phase == ATTEMPT_FAILED)
		err_show(&t->why, out);
	else if (ep->deletion && ep->deletion->why.no)
		err_show(&ep->deletion->why, out);
	else if (ep->kept)
		err_show(ep->kept, out);
	else if (ep_exists(ep) && ep->seen.failure[0])
		line(out, ep->seen.failure);
	else if (ep->invoke)
		buf_str(out, ep->invoke);
}

static int show_error(struct node *dir, struct buf *out, struct err *e)
{
	const struct ep *ep = row_entry(dir);

	(void)e;
	if (ep)
		show_reason(ep, out);
	row_done(dir);
	return 0;
}

static int show_model(struct node *dir, struct buf *out, struct err *e)
{
	const struct endpoint_ref *at = dir->data;
	char model[64];

	ep_model(at->s, at->name, model);
	if (!model[0])
		return err_set(e, ENOENT, "endpoint '%s' runs a model that is not in models/",
			       at->name);
	return buf_printf(out, "../../models/%s", model);
}

static int show_instance_type(struct node *dir, struct buf *out, struct err *e)
{
	const struct ep *ep = row_entry(dir);

	(void)e;
	if (ep)
		line(out, ep_trying(ep) ? ep->attempt->instance_type : ep->parts.instance_type);
	row_done(dir);
	return 0;
}

static int show_instance_count(struct node *dir, struct buf *out, struct err *e)
{
	const struct ep *ep = row_entry(dir);
	int n = 0;

	(void)e;
	if (ep && ep_trying(ep))
		n = ep->attempt->instance_count;
	else if (ep)
		n = ep->seen.current_count ? ep->seen.current_count : ep->parts.instance_count;
	row_done(dir);
	return n ? buf_printf(out, "%d\n", n) : 0;
}

static int show_config(struct node *dir, struct buf *out, struct err *e)
{
	const struct ep *ep = row_entry(dir);

	(void)e;
	if (ep && ep->parts.text)
		buf_str(out, ep->parts.text);
	row_done(dir);
	return 0;
}

static int show_arn(struct node *dir, struct buf *out, struct err *e)
{
	const struct ep *ep = row_entry(dir);

	(void)e;
	if (ep && ep_exists(ep))
		line(out, ep->seen.arn);
	row_done(dir);
	return 0;
}

/* A reason of several lines becomes the one line that `wait` prints. */
static void flatten(struct buf *out)
{
	while (out->len && out->data[out->len - 1] == '\n')
		out->len--;
	for (size_t i = 0; i < out->len; i++)
		if (out->data[i] == '\n')
			out->data[i] = ' ';
	buf_char(out, '\n');
}

/* What a waiting reader is told. */
enum verdict { NOT_YET, SERVES, FAILED, DELETED, REFUSED /* we may not even ask */ };

static enum verdict judge(const struct ep *ep)
{
	if (!ep || ep_deleting(ep))
		return DELETED;
	if (ep_trying(ep))
		return ep->attempt->phase == ATTEMPT_FAILED ? FAILED : NOT_YET;
	if (ep->asking && !is_transient(ep->asking))
		return REFUSED;
	if (!ep_settled(ep))
		return NOT_YET;
	if (!ep_exists(ep))
		return DELETED;
	return ep_phase(ep) == EP_IN_SERVICE ? SERVES : FAILED;
}

static void failed_line(const struct ep *ep, enum verdict v, struct buf *out)
{
	buf_str(out, "Failed: ");
	size_t before = out->len;
	if (v == REFUSED)
		err_show(ep->asking, out);
	else if (v == DELETED)
		buf_str(out, "the endpoint was deleted");
	else
		show_reason(ep, out);
	if (out->len == before)
		buf_printf(out, "%s, and the service gives no reason", ep->seen.status);
	flatten(out);
}

static int settled_line(const struct ep *ep, const char *name, struct buf *out, struct err *e)
{
	enum verdict v = judge(ep);

	if (v == NOT_YET)
		return 0;
	if (v == SERVES)
		return line(out, "InService") == 0;
	failed_line(ep, v, out);
	err_set(e, v == REFUSED ? ep->asking->no : EREMOTEIO, "endpoint '%s': %.*s", name,
		(int)strcspn(buf_cstr(out), "\n"), buf_cstr(out));
	return 1;
}

static int wait_settled(struct node *dir, struct buf *out, struct err *e)
{
	const struct endpoint_ref *at = dir->data;
	const struct ep *ep = row_entry(dir);
	int rc = settled_line(ep, at->name, out, e);

	row_done(dir);
	return rc;
}

/* A reader parked: ask often from now on. */
static void waiting(struct node *dir, bool on)
{
	const struct endpoint_ref *at = dir->data;
	struct ep *ep = row_entry(dir);

	if (!ep && on)
		ep = ep_get_locked(at->s, at->name);
	if (ep && on && ep->waiters++ == 0)
		ep->waiting_since = now_ms();
	else if (ep && !on && ep->waiters)
		ep->waiters--;
	if (on)
		poll_kick_locked(at->s, 0);
	row_done(dir);
}

/* What a follower is told: the status, and why where it failed. False: nothing is known yet. */
static bool event_text(struct node *dir, struct buf *out)
{
	const struct endpoint_ref *at = dir->data;
	char status[64];

	ep_status(at->s, at->name, status);
	const struct ep *ep = row_entry(dir);
	bool asked = ep && (ep->seen_at || ep->attempt || ep->deletion);
	buf_str(out, status[0] ? status : "deleted");
	if (asked && streq(status, "Failed")) {
		buf_str(out, ": ");
		show_reason(ep, out);
	}
	row_done(dir);
	return asked || !ep;
}

static uint64_t text_hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h | 1; /* 0: nothing has been told */
}

/* A line whenever the status is another one; the last one is "deleted". */
static int follow_events(struct node *dir, uint64_t *seen, struct buf *out)
{
	_cleanup_buf_ struct buf text = {0};
	bool told = *seen != 0;

	if (!event_text(dir, &text))
		return 0;
	bool gone = streq(buf_cstr(&text), "deleted");
	uint64_t now = text_hash(buf_cstr(&text));
	if (now == *seen || (gone && !told))
		return gone;
	_cleanup_free_ char *line = events_line(buf_cstr(&text));
	*seen = now;
	return line ? buf_str(out, line) : 0;
}

static void following(struct node *dir, bool on)
{
	const struct endpoint_ref *at = dir->data;
	struct ep *ep = row_entry(dir);

	if (ep && on)
		ep->followers++;
	else if (ep && ep->followers)
		ep->followers--;
	if (on)
		poll_kick_locked(at->s, 0);
	row_done(dir);
}

const struct vfile endpoint_files[] = {
	{.name = "status",         .mode = 0444, .show = show_status, .learn = endpoint_learn_status},
	{.name = "error",     .mode = 0444, .show = show_error, .learn = endpoint_learn},
	{.name = "model",                        .mode = 0777, .flags = VF_LINK, .show = show_model},
	{.name = "instance_type",
	 .mode = 0444,
	 .show = show_instance_type,
	 .learn = endpoint_learn},
	{.name = "instance_count",
	 .mode = 0444,
	 .show = show_instance_count,
	 .learn = endpoint_learn},
	{.name = "config",          .mode = 0444, .show = show_config, .learn = endpoint_learn},
	{.name = "arn",        .mode = 0444, .show = show_arn},
	{.name = "wait",
	 .mode = 0444,
	 .flags = VF_HIDDEN,
	 .settled = wait_settled,
	 .waiting = waiting},
	{.name = "events",
	 .mode = 0444,
	 .flags = VF_HIDDEN,
	 .follow = follow_events,
	 .waiting = following},
	{0 },
};

/* .deleting/NAME: over when the entry is no deletion any more. */
static int deleted_line(const struct ep *ep, struct buf *out, struct err *e)
{
	if (ep && ep_deleting(ep))
		return 0;
	if (!ep || !ep->kept)
		return line(out, "deleted") == 0;
	buf_str(out, "Failed: ");
	err_show(ep->kept, out);
	flatten(out);
	err_set(e, EREMOTEIO, "endpoint '%s' was not deleted: %s", ep->name, ep->kept->text);
	return 1;
}

static int deleted_settled(struct node *dir, struct buf *out, struct err *e)
{
	int rc = deleted_line(row_entry(dir), out, e);

	row_done(dir);
	return rc;
}

const struct vfile deleting_files[] = {
	{.name = "status",     .mode = 0444, .show = show_status},
	{.name = "error", .mode = 0444, .show = show_error},
	{.name = "wait",
	 .mode = 0444,
	 .flags = VF_HIDDEN,
	 .settled = deleted_settled,
	 .waiting = waiting},
	{0 },
};

static int show_room_error(struct node *dir, struct buf *out, struct err *e)
{
	const struct endpoints *s = dir->data;

	(void)e;
	return mount_show_error(s->m, ROOM_ENDPOINTS, out);
}

const struct vfile endpoints_files[] = {
	{.name = ".error",        .mode = 0444, .flags = VF_LISTED_ALL, .show = show_room_error},
	{0},
};

/*
 * .defaults/: what a plain mkdir uses; kept in the mount's journal, which is one per account and region. An -o option is the
 * first value of its mount; what is written afterwards counts, here and in the next mount without that option.
 */
#define KEY_TYPE  "defaults.instance_type"
#define KEY_COUNT "defaults.instance_count"

static int count_check(const char *text, int *out, struct err *e)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 1 || n > 10000 || !isdigit((unsigned char)text[0]))
		return err_set(e, EINVAL, "'%s' is no instance count: it is a number, 1 or more",
			       text);
	*out = (int)n;
	return 0;
}

static int show_default_type(struct node *dir, struct buf *out, struct err *e)
{
	struct endpoints *s = dir->data;

	(void)e;
	SCOPED_LOCK(&s->mu);
	return line(out, s->default_type);
}

static int show_default_count(struct node *dir, struct buf *out, struct err *e)
{
	struct endpoints *s = dir->data;

	(void)e;
	SCOPED_LOCK(&s->mu);
	return buf_printf(out, "%d\n", s->default_count);
}

static int store_default_type(struct node *dir, const char *text, size_t n, struct err *e)
{
	struct endpoints *s = dir->data;

	(void)n;
	if (images_check_type(text, e) || journal_set(s->m->journal, KEY_TYPE, text, e))
		return err_prefix(e, "default instance type");
	SCOPED_LOCK(&s->mu);
	snprintf(s->default_type, sizeof s->default_type, "%s", text);
	return 0;
}

static int store_default_count(struct node *dir, const char *text, size_t n, struct err *e)
{
	struct endpoints *s = dir->data;
	int count = 0;

	(void)n;
	if (count_check(text, &count, e) || journal_set(s->m->journal, KEY_COUNT, text, e))
		return err_prefix(e, "default instance count");
	SCOPED_LOCK(&s->mu);
	s->default_count = count;
	return 0;
}

const struct vfile default_files[] = {
	{.name = "instance_type",
	 .mode = 0644,
	 .max_write = 64,
	 .show = show_default_type,
	 .store = store_default_type},
	{.name = "instance_count",
	 .mode = 0644,
	 .max_write = 16,
	 .show = show_default_count,
	 .store = store_default_count},
	{0},
};

int defaults_load(struct endpoints *s, struct err *e)
{
	const struct options *opt = s->m->opt;
	_cleanup_free_ char *type = NULL;
	_cleanup_free_ char *count = NULL;
	struct err ignored;

	if (journal_get(s->m->journal, KEY_TYPE, &type, e) ||
	    journal_get(s->m->journal, KEY_COUNT, &count, e))
		return -1;
	s->default_count = opt->instance_count > 0 ? (int)opt->instance_count : 1;
	if (opt->instance_count <= 0 && count && count_check(count, &s->default_count, &ignored))
		s->default_count = 1;
	const char *kept = type && images_check_type(type, NULL) == 0 ? type : "ml.m5.large";
	snprintf(s->default_type, sizeof s->default_type, "%s",
		 opt->instance_type ? opt->instance_type : kept);
	return 0;
}

void endpoints_default_type(struct endpoints *s, char out[32])
{
	SCOPED_LOCK(&s->mu);
	memcpy(out, s->default_type, sizeof s->default_type);
}
