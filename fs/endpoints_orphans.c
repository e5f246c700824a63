/* endpoints/.orphans/: what no endpoint runs on, listed when somebody looks, removed by rmdir after another look. */
#include <errno.h>

#include "fs/endpoints_room.h"

static int ask_orphans(const struct question *q, struct cancel *c, struct err *e)
{
	return sweep_orphans(q->s, c, e);
}

/* Nothing has to be asked. */
static bool fresh(struct endpoints *s, int64_t ms)
{
	SCOPED_LOCK(&s->mu);
	return s->swept_at && now_ms() - s->swept_at < ms;
}

/* --- .orphans/NAME/ */

static const struct orphan *find_locked(const struct endpoints *s, const char *name)
{
	for (size_t i = 0; i < s->n_orphans; i++)
		if (streq(s->orphans[i].name, name))
			return &s->orphans[i];
	return NULL;
}

static void describe(const struct orphan *o, struct buf *out)
{
	static const char *const tags[] = {[ORPHAN_TAGGED] = "",
					   [ORPHAN_UNTAGGED] = ", without our tags",
					   [ORPHAN_UNKNOWN] = ", tags unknown"};
	char age[32];

	age_text(o->created, age);
	buf_printf(out, "%s%s%s, %s old%s, costs nothing",
		   o->config ? "endpoint configuration" : "", o->config && o->model ? " and " : "",
		   o->model ? "model" : "", age, tags[o->tags]);
}

static int show_status(struct node *dir, struct buf *out, struct err *e)
{
	const struct endpoint_ref *at = dir->data;

	(void)e;
	SCOPED_LOCK(&at->s->mu);
	const struct orphan *o = find_locked(at->s, at->name);
	if (!o)
		return 0;
	describe(o, out);
	return buf_char(out, '\n');
}

static const struct vfile orphan_files[] = {
	{.name = "status",     .mode = 0444, .show = show_status},
	{0},
};

/* --- .orphans/ */

static void lookup_answer(struct req *r, struct question *q, int no)
{
	struct node_make how = {.ops = &endpoint_ref_ops, .rows = orphan_files, .type = S_IFDIR};

	(void)no;
	pthread_mutex_lock(&q->s->mu);
	bool known = find_locked(q->s, q->name);
	pthread_mutex_unlock(&q->s->mu);
	struct endpoint_ref *at = known ? calloc(1, sizeof *at) : NULL;
	if (!at) {
		reply_err(r, known ? ENOMEM : ENOENT);
		return;
	}
	at->s = q->s;
	memcpy(at->name, q->name, sizeof at->name);
	how.data = at;
	vdir_reply(r, q->dir, q->name, &how, free);
}

static void orphans_lookup(struct req *r, struct node *dir, const char *name)
{
	struct question q = {
		.s = dir->data, .dir = dir, .ask = ask_orphans, .answer = lookup_answer};

	if (strlen(name) >= sizeof q.name || !deploy_made_by_any(name)) {
		reply_err(r, ENOENT);
		return;
	}
	snprintf(q.name, sizeof q.name, "%s", name);
	if (fresh(q.s, 60000))
		lookup_answer(r, &q, 0);
	else
		ask_for(r, &q);
}

static void list_answer(struct req *r, struct question *q, int no)
{
	int rc = 0;

	pthread_mutex_lock(&q->s->mu);
	bool never = !q->s->swept_at;
	for (size_t i = 0; rc == 0 && i < q->s->n_orphans; i++)
		rc = dirfill_add(q->fill, q->s->orphans[i].name, 0, S_IFDIR);
	pthread_mutex_unlock(&q->s->mu);
	if (rc || (no && never))
		reply_err(r, rc ? ENOMEM : no);
	else
		reply_dir(r, q->fill);
}

static void orphans_list_dir(struct req *r, struct node *dir, struct dirfill *f)
{
	struct question q = {
		.s = dir->data, .dir = dir, .fill = f, .ask = ask_orphans, .answer = list_answer};

	if (fresh(q.s, FRESH_MS))
		list_answer(r, &q, 0);
	else
		ask_for(r, &q);
}

static void forget(struct endpoints *s, const char *name)
{
	SCOPED_LOCK(&s->mu);
	for (size_t i = 0; i < s->n_orphans; i++)
		if (streq(s->orphans[i].name, name)) {
			s->orphans[i] = s->orphans[--s->n_orphans];
			return;
		}
}

/* An attempt or a deletion of this mount still works on it. */
static bool in_hand(struct endpoints *s, const char *name)
{
	char made[64];

	SCOPED_LOCK(&s->mu);
	for (const struct ep *ep = s->all; ep; ep = ep->next) {
		const struct deletion *d = ep->deletion;

		made[0] = '\0';
		if (ep->attempt)
			deploy_resource(ep->attempt->name, ep->attempt->suffix, made);
		if (streq(made, name) || (d && (streq(d->config, name) || streq(d->model, name))))
			return true;
	}
	return false;
}

static int ask_removal(const struct question *q, struct cancel *c, struct err *e)
{
	struct endpoints *s = q->s;
	int rc;

	if (s->m->opt->delete_what == DELETE_NONE)
		rc = err_set(e, EPERM, "this mount deletes nothing (-o delete=none)");
	else if (in_hand(s, q->name))
		rc = err_set(e, EBUSY, "this mount is still at work on it");
	else
		rc = orphans_remove(s->m->aws, q->name, s->m->opt->delete_what == DELETE_ANY, c, e);
	if (rc)
		return err_prefix(e, "orphan '%s'", q->name);
	forget(s, q->name);
	ep_log(s, LOG_LEVEL_INFO, "orphan '%s': removed", q->name);
	return 0;
}

static void remove_answer(struct req *r, struct question *q, int no)
{
	if (!no)
		node_detach(q->s->m->tree, q->dir, q->name);
	reply_err(r, no);
}

static void orphans_rmdir(struct req *r, struct node *dir, const char *name)
{
	struct question q = {
		.s = dir->data, .dir = dir, .ask = ask_removal, .answer = remove_answer};

	snprintf(q.name, sizeof q.name, "%s", name);
	ask_for(r, &q);
}

const struct node_ops orphans_ops = {
	.lookup = orphans_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = orphans_list_dir,
	.rmdir = orphans_rmdir,
};

void orphans_status(struct endpoints *s, struct buf *out)
{
	SCOPED_LOCK(&s->mu);
	for (size_t i = 0; i < s->n_orphans; i++) {
		buf_printf(out, "orphan   %-20s ", s->orphans[i].name);
		describe(&s->orphans[i], out);
		buf_str(out, "\n");
	}
	if (s->n_orphans)
		buf_str(out,
			"         no endpoint runs on these; rmdir endpoints/.orphans/NAME removes one\n");
}
