/* endpoints/.orphans/: what no endpoint runs on, listed when somebody looks, removed by rmdir after another look. */
#include <errno.h>

#include "fs/endpoints_room.h"

/* Work on behalf of a request. */
struct task {
	struct endpoints *s;
	struct node *dir;
	char name[64];
	struct dirfill *fill;
	void (*work)(struct task *t, struct cancel *c, struct err *e);
	void (*answer)(struct req *r, struct task *t, int no);
	struct promise *promise;
	unsigned refs; /* s->mu: the answer and the job */
};

static void task_unref(struct task *t)
{
	pthread_mutex_lock(&t->s->mu);
	bool last = --t->refs == 0;
	pthread_mutex_unlock(&t->s->mu);
	if (last)
		free(t);
}

static void task_answer(struct req *r, void *arg, int no)
{
	struct task *t = arg;

	t->answer(r, t, no);
	task_unref(t);
}

static void task_job(void *arg, struct cancel *c)
{
	struct task *t = arg;
	struct err e;

	err_clear(&e);
	t->work(t, c, &e);
	if (e.no)
		mount_fail(t->s->m, ROOM_ENDPOINTS, &e);
	promise_settle(t->promise, e.no);
	task_unref(t);
}

static void task_run(struct req *r, const struct task *what)
{
	struct task *t = malloc(sizeof *t);

	if (!t) {
		reply_err(r, ENOMEM);
		return;
	}
	*t = *what;
	t->refs = 2;
	t->promise = promise_new(r, PROMISE_LIMIT_MS, task_answer, t);
	if (!t->promise) {
		free(t);
		reply_err(r, ENOMEM);
		return;
	}
	if (jobs_run(t->s->m->jobs, task_job, t) == 0)
		return;
	promise_settle(t->promise, ENOMEM);
	task_unref(t);
}

static void look_work(struct task *t, struct cancel *c, struct err *e)
{
	if (sweep_orphans(t->s, c, e) == 0)
		err_clear(e);
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

static void ref_free(struct node *n)
{
	free(n->data);
}

static const struct node_ops orphan_ops = {
	.lookup = vdir_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = vdir_list,
	.unlink = vdir_unlink,
	.free = ref_free,
};

/* --- .orphans/ */

static void lookup_answer(struct req *r, struct task *t, int no)
{
	struct node_make how = {.ops = &orphan_ops, .rows = orphan_files, .type = S_IFDIR};

	(void)no;
	pthread_mutex_lock(&t->s->mu);
	bool known = find_locked(t->s, t->name);
	pthread_mutex_unlock(&t->s->mu);
	struct endpoint_ref *at = known ? calloc(1, sizeof *at) : NULL;
	if (!at) {
		reply_err(r, known ? ENOMEM : ENOENT);
		return;
	}
	at->s = t->s;
	memcpy(at->name, t->name, sizeof at->name);
	how.data = at;
	vdir_reply(r, t->dir, t->name, &how, free);
}

static void orphans_lookup(struct req *r, struct node *dir, const char *name)
{
	struct task t = {.s = dir->data, .dir = dir, .work = look_work, .answer = lookup_answer};

	if (strlen(name) >= sizeof t.name || !deploy_made_by_any(name)) {
		reply_err(r, ENOENT);
		return;
	}
	snprintf(t.name, sizeof t.name, "%s", name);
	if (fresh(t.s, 60000))
		lookup_answer(r, &t, 0);
	else
		task_run(r, &t);
}

static void list_answer(struct req *r, struct task *t, int no)
{
	int rc = 0;

	pthread_mutex_lock(&t->s->mu);
	bool never = !t->s->swept_at;
	for (size_t i = 0; rc == 0 && i < t->s->n_orphans; i++)
		rc = dirfill_add(t->fill, t->s->orphans[i].name, 0, S_IFDIR);
	pthread_mutex_unlock(&t->s->mu);
	if (rc || (no && never))
		reply_err(r, rc ? ENOMEM : no);
	else
		reply_dir(r, t->fill);
}

static void orphans_list_dir(struct req *r, struct node *dir, struct dirfill *f)
{
	struct task t = {
		.s = dir->data, .dir = dir, .fill = f, .work = look_work, .answer = list_answer};

	if (fresh(t.s, FRESH_MS))
		list_answer(r, &t, 0);
	else
		task_run(r, &t);
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

static void remove_work(struct task *t, struct cancel *c, struct err *e)
{
	struct endpoints *s = t->s;
	bool by_name = s->m->opt->delete_what == DELETE_ANY;

	if (s->m->opt->delete_what == DELETE_NONE)
		err_set(e, EPERM, "this mount deletes nothing (-o delete=none)");
	else if (in_hand(s, t->name))
		err_set(e, EBUSY, "this mount is still at work on it");
	else if (orphans_remove(s->m->aws, t->name, by_name, c, e) == 0)
		err_clear(e);
	if (e->no) {
		err_prefix(e, "orphan '%s'", t->name);
		return;
	}
	forget(s, t->name);
	ep_log(s, LOG_LEVEL_INFO, "orphan '%s': removed", t->name);
}

static void remove_answer(struct req *r, struct task *t, int no)
{
	if (!no)
		node_detach(t->s->m->tree, t->dir, t->name);
	reply_err(r, no);
}

static void orphans_rmdir(struct req *r, struct node *dir, const char *name)
{
	struct task t = {.s = dir->data, .dir = dir, .work = remove_work, .answer = remove_answer};

	snprintf(t.name, sizeof t.name, "%s", name);
	task_run(r, &t);
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
