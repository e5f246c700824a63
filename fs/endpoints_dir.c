/* The directories: endpoints/, endpoints/NAME/, endpoints/.deleting/, endpoints/.defaults/. What needs the service is asked by
 * a job; the kernel's request is answered with what is known when that takes too long. */
#include <errno.h>

#include "fs/endpoints_room.h"

static void ref_free(struct node *n)
{
	free(n->data);
}

static struct endpoint_ref *ref_new(struct endpoints *s, const char *name)
{
	struct endpoint_ref *at = calloc(1, sizeof *at);

	if (at) {
		at->s = s;
		snprintf(at->name, sizeof at->name, "%s", name);
	}
	return at;
}

static void question_unref(struct question *q)
{
	pthread_mutex_lock(&q->s->mu);
	bool last = --q->refs == 0;
	pthread_mutex_unlock(&q->s->mu);
	if (last)
		free(q);
}

long limit_ms_locked(const struct endpoints *s)
{
	return now_ms() < s->slow_until ? SLOW_LIMIT_MS : PROMISE_LIMIT_MS;
}

void in_vain_locked(struct endpoints *s)
{
	s->slow_until = now_ms() + SLOW_FOR_MS;
}

static void question_answer(struct req *r, void *arg, int no)
{
	struct question *q = arg;

	pthread_mutex_lock(&q->s->mu);
	if (!q->answered)
		in_vain_locked(q->s);
	pthread_mutex_unlock(&q->s->mu);
	q->answer(r, q, no);
	question_unref(q);
}

/* What the job will say comes too late for who is answered now. */
static int not_in_time(const struct question *q)
{
	struct err e;

	err_set(&e, ETIMEDOUT,
		"endpoint '%s': the service has not answered in time whether there is one; try again",
		q->name);
	mount_fail(q->s->m, ROOM_ENDPOINTS, &e);
	return e.no;
}

static void question_job(void *arg, struct cancel *c)
{
	struct question *q = arg;
	struct err e;

	err_clear(&e);
	int rc = q->ask(q, c, &e);
	if (rc)
		mount_fail(q->s->m, ROOM_ENDPOINTS, &e);
	pthread_mutex_lock(&q->s->mu);
	q->answered = true;
	pthread_mutex_unlock(&q->s->mu);
	promise_settle(q->promise, rc ? e.no : 0);
	question_unref(q);
}

void ask_for(struct req *r, const struct question *what)
{
	struct question *q = malloc(sizeof *q);

	if (!q) {
		reply_err(r, ENOMEM);
		return;
	}
	*q = *what;
	q->refs = 2;
	pthread_mutex_lock(&q->s->mu);
	long limit = limit_ms_locked(q->s);
	pthread_mutex_unlock(&q->s->mu);
	q->promise = promise_new(r, limit, question_answer, q);
	if (!q->promise) {
		free(q);
		reply_err(r, ENOMEM);
		return;
	}
	if (jobs_run(q->s->m->jobs, question_job, q) == 0)
		return;
	promise_settle(q->promise, ENOMEM);
	question_unref(q);
}

static int ask_named(const struct question *q, struct cancel *c, struct err *e)
{
	return ask_one(q->s, q->name, c, e);
}

static bool name_known(struct endpoints *s, const char *name, bool (*is)(const struct ep *),
		       double times[2])
{
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);

	if (!ep || !is(ep))
		return false;
	times[0] = ep->seen.created;
	times[1] = ep->seen.modified;
	return true;
}

/* Answers with the directory of an endpoint, its times set. */
static void answer_dir(struct endpoints *s, struct req *r, struct node *dir, const char *name,
		       struct node_make how, const double times[2])
{
	struct stat st;
	bool made;

	how.type = S_IFDIR;
	how.data = ref_new(s, name);
	struct node *n = how.data ? node_make(s->m->tree, dir, name, &how, &made) : NULL;
	if (!n || !made)
		free(how.data);
	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	if (times[0] > 0)
		vdir_times(n, times[0], times[1]);
	vdir_stat(s->m, n, &st);
	reply_entry(r, n, &st, 0);
	node_unref(s->m->tree, n);
}

static const struct node_ops endpoint_ops, deleting_ops, defaults_ops;

void dir_answer(struct endpoints *s, struct req *r, struct node *dir, const char *name)
{
	double times[2];

	if (name_known(s, name, ep_shown, times))
		answer_dir(s, r, dir, name,
			   (struct node_make){.ops = &endpoint_ops, .rows = endpoint_files}, times);
	else
		reply_err(r, ENOENT);
}

/* --- endpoints/ */

/* Nothing has to be asked: what this mount works on itself, what was heard lately, what a fresh listing does not have. */
static bool fresh_locked(const struct endpoints *s, const struct ep *ep)
{
	const int64_t now = now_ms();

	if (ep && (ep_trying(ep) || ep->deletion || (ep->seen_at && now - ep->seen_at < FRESH_MS)))
		return true;
	return !ep && s->listed_ever && now - s->listed_at < FRESH_MS;
}

/* For a lookup. ls -l, find and shells look up every name of the directory: that must not be a question each. A name that is not
 * there is no name of the directory: somebody means it, and what another mount made since is to be found. */
static bool enough_known(struct endpoints *s, const char *name)
{
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);

	if (fresh_locked(s, ep))
		return (ep && (ep_shown(ep) || ep_deleting(ep))) || !may_ask_locked(s);
	return ep && ep_shown(ep) && believed_locked(s, ep);
}

bool endpoints_glance(struct endpoints *s, const char *name, struct endpoint_info *out)
{
	if (!enough_known(s, name))
		return false;
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);
	*out = (struct endpoint_info){.phase = ep ? ep_phase(ep) : EP_ABSENT};
	return true;
}

static bool known_at_all(struct endpoints *s, const char *name)
{
	SCOPED_LOCK(&s->mu);
	const struct ep *ep = ep_find_locked(s, name);

	return ep && (ep_shown(ep) || ep_deleting(ep));
}

static void lookup_answer(struct req *r, struct question *q, int no)
{
	pthread_mutex_lock(&q->s->mu);
	bool silent = !q->answered;
	pthread_mutex_unlock(&q->s->mu);
	if ((no || silent) && !known_at_all(q->s, q->name))
		reply_err(r, no ? no : not_in_time(q));
	else
		dir_answer(q->s, r, q->dir, q->name);
}

static void endpoints_lookup(struct req *r, struct node *dir, const char *name)
{
	struct endpoints *s = dir->data;
	struct node_make how = {.data = s, .type = S_IFDIR};

	if (streq(name, ".deleting")) {
		how.ops = &deleting_ops;
		vdir_reply(r, dir, name, &how, NULL);
		return;
	}
	if (streq(name, ".orphans")) {
		how.ops = &orphans_ops;
		vdir_reply(r, dir, name, &how, NULL);
		return;
	}
	if (streq(name, ".defaults")) {
		how.ops = &defaults_ops;
		how.rows = default_files;
		vdir_reply(r, dir, name, &how, NULL);
		return;
	}
	if (vdir_row(dir, name) || !deploy_name_ok(name)) {
		vdir_lookup(r, dir, name);
		return;
	}
	if (enough_known(s, name)) {
		dir_answer(s, r, dir, name);
		return;
	}
	struct question q = {.s = s, .dir = dir, .ask = ask_named, .answer = lookup_answer};
	snprintf(q.name, sizeof q.name, "%s", name);
	ask_for(r, &q);
}

static int fill_names(struct endpoints *s, struct dirfill *f, bool (*is)(const struct ep *))
{
	SCOPED_LOCK(&s->mu);
	for (const struct ep *ep = s->all; ep; ep = ep->next)
		if (is(ep) && dirfill_add(f, ep->name, 0, S_IFDIR))
			return -1;
	return 0;
}

static const struct stream_kind endpoints_kind = {
	.room = ROOM_ENDPOINTS,
	.type = S_IFDIR,
	.extras = (const struct stream_extra[]){{".error", S_IFREG},
						{".defaults", S_IFDIR},
						{".deleting", S_IFDIR},
						{".orphans", S_IFDIR},
						{NULL, 0}},
};

static void endpoints_list(struct req *r, struct node *dir, struct dirfill *f)
{
	endpoints_stream(dir->data, r, f, &endpoints_kind);
}

static void endpoints_mkdir(struct req *r, struct node *dir, const char *name, mode_t mode)
{
	(void)mode;
	deploy_begin(dir->data, r, name);
}

static void endpoints_rmdir(struct req *r, struct node *dir, const char *name)
{
	if (name[0] == '.')
		reply_err(r, EPERM);
	else
		delete_begin(dir->data, r, name);
}

static void refuse_rename(struct req *r, struct node *dir, const char *name, struct node *newdir,
			  const char *newname, unsigned flags)
{
	const struct endpoints *s = dir->data;
	struct err e;

	(void)newdir;
	(void)flags;
	err_set(&e, EPERM,
		"endpoint '%s': cannot be renamed to '%s': its name is its address; deploy the other name and remove this one",
		name, newname);
	mount_fail(s->m, ROOM_ENDPOINTS, &e);
	reply_err(r, EPERM);
}

const struct node_ops endpoints_ops = {
	.lookup = endpoints_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = endpoints_list,
	.more = endpoints_list,
	.mkdir = endpoints_mkdir,
	.rmdir = endpoints_rmdir,
	.rename = refuse_rename,
	.unlink = vdir_unlink,
};

/* --- endpoints/NAME/ */

/* Whether the rows have all they show. */
static bool described_locked(const struct ep *ep)
{
	return !ep || ep_trying(ep) || ep->deletion || !ep_exists(ep) ||
	       (!ep->stale && ep->parts.config[0]);
}

static bool described(const struct endpoint_ref *at)
{
	SCOPED_LOCK(&at->s->mu);
	return described_locked(ep_find_locked(at->s, at->name));
}

/* find and du look into every directory: more than a few at a time are listed by what is known. */
static bool listed_as_known(const struct endpoint_ref *at)
{
	SCOPED_LOCK(&at->s->mu);
	return described_locked(ep_find_locked(at->s, at->name)) || !may_ask_locked(at->s);
}

static void row_answer(struct req *r, struct question *q, int no)
{
	(void)no;
	vdir_lookup(r, q->dir, q->row);
}

static void rows_answer(struct req *r, struct question *q, int no)
{
	(void)no;
	vdir_list(r, q->dir, q->fill);
}

static void endpoint_lookup(struct req *r, struct node *dir, const char *name)
{
	const struct endpoint_ref *at = dir->data;

	const struct vfile *row = vdir_row(dir, name);

	/* whether there is a link at all is a matter of its target; the others are asked for when they are opened */
	if (!row || !(row->flags & VF_LINK) || described(at)) {
		vdir_lookup(r, dir, name);
		return;
	}
	struct question q = {.s = at->s, .dir = dir, .ask = ask_named, .answer = row_answer};
	memcpy(q.name, at->name, sizeof q.name);
	snprintf(q.row, sizeof q.row, "%s", name);
	ask_for(r, &q);
}

static void endpoint_list(struct req *r, struct node *dir, struct dirfill *f)
{
	const struct endpoint_ref *at = dir->data;

	if (listed_as_known(at)) {
		vdir_list(r, dir, f);
		return;
	}
	struct question q = {
		.s = at->s, .dir = dir, .fill = f, .ask = ask_named, .answer = rows_answer};
	memcpy(q.name, at->name, sizeof q.name);
	ask_for(r, &q);
}

static void learnt(struct req *r, struct question *q, int no)
{
	struct learning l = q->learning;

	(void)no; /* what cannot be learnt because the service is silent is shown as it is known */
	l.then(r, l.arg);
}

static bool learn(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
		  void *arg)
{
	const struct endpoint_ref *at = dir->data;
	struct question q = {
		.s = at->s,
		.dir = dir,
		.ask = ask_named,
		.answer = learnt,
		.learning = {then, arg}
        };

	memcpy(q.name, at->name, sizeof q.name);
	ask_for(r, &q);
	return true;
}

bool endpoint_learn(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
		    void *arg)
{
	if (described(dir->data))
		return false;
	return !r || learn(dir, r, then, arg);
}

/* The status changes, so it is as old as a second when it is read. */
bool endpoint_learn_status(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
			   void *arg)
{
	const struct endpoint_ref *at = dir->data;

	pthread_mutex_lock(&at->s->mu);
	bool fresh = fresh_locked(at->s, ep_find_locked(at->s, at->name));
	pthread_mutex_unlock(&at->s->mu);
	return !fresh && r && learn(dir, r, then, arg);
}

static const struct node_ops endpoint_ops = {
	.lookup = endpoint_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = endpoint_list,
	.unlink = vdir_unlink,
	.free = ref_free,
};

/* --- endpoints/.deleting/, .deleting/NAME/, .defaults/: known here, never asked for */

static void deleting_lookup(struct req *r, struct node *dir, const char *name)
{
	struct endpoints *s = dir->data;
	double times[2];

	if (name_known(s, name, ep_deleting, times))
		answer_dir(s, r, dir, name,
			   (struct node_make){.ops = &endpoint_ref_ops, .rows = deleting_files},
			   times);
	else
		reply_err(r, ENOENT);
}

static void deleting_list(struct req *r, struct node *dir, struct dirfill *f)
{
	if (fill_names(dir->data, f, ep_deleting))
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

static const struct node_ops deleting_ops = {
	.lookup = deleting_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = deleting_list,
};

const struct node_ops endpoint_ref_ops = {
	.lookup = vdir_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = vdir_list,
	.unlink = vdir_unlink,
	.free = ref_free,
};

static const struct node_ops defaults_ops = {
	.lookup = vdir_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = vdir_list,
	.unlink = vdir_unlink,
};
