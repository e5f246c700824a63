#include "fs/invoke_room.h"

#include <fcntl.h>

#include "fs/vfile.h"

/* Who may not describe an endpoint is not made to wait for that answer again with every invocation. */
static bool undescribed_lately(struct invoke *s, const char *endpoint)
{
	SCOPED_LOCK(&s->mu);

	for (size_t i = 0; i < UNDESCRIBED_MAX; i++) {
		if (streq(s->undescribed[i].endpoint, endpoint) &&
		    now_ms() < s->undescribed[i].until)
			return true;
	}
	return false;
}

static void note_undescribed(struct invoke *s, const char *endpoint)
{
	SCOPED_LOCK(&s->mu);
	struct undescribed *u = &s->undescribed[s->next_undescribed++ % UNDESCRIBED_MAX];

	snprintf(u->endpoint, sizeof u->endpoint, "%s", endpoint);
	u->until = now_ms() + UNDESCRIBED_MS;
}

int invoke_ask(struct invoke *s, const char *endpoint, struct endpoint_info *out, struct cancel *c,
	       struct err *e)
{
	if (endpoints_info(s->m->endpoints, endpoint, FRESH_MS, out))
		return 0;
	if (!undescribed_lately(s, endpoint)) {
		if (endpoints_refresh(s->m->endpoints, endpoint, out, c, e) == 0)
			return 0;
		if (!e->action[0])
			return -1;
		note_undescribed(s, endpoint);
	}
	*out = (struct endpoint_info){.phase = EP_UNKNOWN, .content_type = "application/json"};
	return 0;
}

/* --- lookup */

/* A name that exists. Takes f. */
static void reply_found(struct req *r, struct node *dir, struct invoke_file *f,
			const struct node_ops *ops)
{
	struct mount *m = f->room->m;
	struct node_make how = {.ops = ops, .data = f, .type = S_IFREG};
	struct stat st;
	bool made = false;

	/* Exact for this caller, although nothing of it is kept: sendfile and splice believe it without a getattr. */
	_cleanup_answer_ struct answer *a = file_answer(f, r);
	file_stat(f, a, &st);
	struct node *n = node_make(m->tree, dir, f->name, &how, &made);
	if (!made)
		file_unref(f);
	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	reply_entry(r, n, &st, 0);
	node_unref(m->tree, n);
}

/* --- */

static void lookup_answer(struct waiting *w, const struct endpoint_info *info)
{
	if (info->phase == EP_ABSENT)
		reply_err(w->r, ENOENT);
	else
		reply_found(w->r, w->node, file_ref(w->file), &invoke_file_ops);
}

static void lookup_claimed(struct waiting *w, const struct endpoint_info *info)
{
	if (!waiting_claim(w))
		return;
	lookup_answer(w, info);
	waiting_done(w);
}

static void lookup_job(struct waiting *w, struct cancel *c)
{
	struct endpoint_info info;
	struct err e = {0};

	if (invoke_ask(w->room, w->file->endpoint, &info, c, &e) == 0 ||
	    endpoints_info(w->room->m->endpoints, w->file->endpoint, LONG_MAX, &info)) {
		lookup_claimed(w, &info);
		return;
	}
	if (!waiting_claim(w))
		return;
	mount_fail(w->room->m, ROOM_INVOKE, &e);
	invoke_refuse(w->r, e.no);
	waiting_done(w);
}

/* The service is slow: what was known before must do, if anything was. */
static void lookup_late(struct waiting *w)
{
	struct endpoint_info info;

	if (endpoints_info(w->room->m->endpoints, w->file->endpoint, LONG_MAX, &info))
		lookup_claimed(w, &info);
}

static void lookup_endpoint(struct req *r, struct node *dir, struct invoke_file *f)
{
	struct invoke *s = f->room;
	struct endpoint_info info;
	struct waiting what = {
		.node = dir, .file = f, .r = r, .late = lookup_late, .job = lookup_job};

	if (endpoints_glance(s->m->endpoints, f->endpoint, &info)) {
		lookup_answer(&what, &info);
		return;
	}
	struct waiting *w = waiting_new(s, r, &what);
	if (!w)
		return;
	waiting_timer(w, LIST_LIMIT_MS);
	waiting_job(w);
	waiting_unref(w);
}

static void invoke_lookup(struct req *r, struct node *dir, const char *name)
{
	struct invoke *s = dir->data;
	char endpoint[ENDPOINT_NAME_MAX + 1] = "";
	const char *type = NULL;
	bool error = streq(name, ERROR_FILE);

	if (!error && invoke_name(name, endpoint, &type) < 0) {
		reply_err(r, ENOENT);
		return;
	}
	struct invoke_file *f = file_new(s, name, endpoint, type);
	if (!f) {
		reply_err(r, ENOMEM);
		return;
	}
	if (error) {
		reply_found(r, dir, f, &invoke_error_ops);
		return;
	}
	lookup_endpoint(r, dir, f);
	file_unref(f);
}

/* Only names that a lookup did not find come here. */
static void invoke_create(struct req *r, struct node *dir, const char *name, mode_t mode, int flags)
{
	struct invoke *s = dir->data;
	struct caller who = req_caller(r);
	_cleanup_chain_ struct chain *chain = chain_read(s->procfd, who.uid, who.tid);
	char endpoint[ENDPOINT_NAME_MAX + 1];
	const char *type;
	struct err e = {0};

	(void)mode;
	(void)flags;
	if (invoke_name(name, endpoint, &type) < 0)
		err_set(&e, ENOENT,
			"invoke '%s': that is neither an endpoint's name (letters, digits, '-') nor one with the "
			"extension of a content type (.json, .csv, .npy, .jsonl)",
			name);
	else
		err_set(&e, ENOENT,
			"invoke '%s': there is no endpoint '%s'; 'mkdir endpoints/%s' deploys a model",
			name, endpoint, endpoint);
	if (chain)
		failure_show(s, chain, &e);
	reply_err(r, ENOENT);
}

/* --- list */

static const struct stream_kind invoke_kind = {
	.room = ROOM_INVOKE,
	.type = S_IFREG,
	.extras = (const struct stream_extra[]){{ERROR_FILE, S_IFREG}, {NULL, 0}},
};

static void invoke_list(struct req *r, struct node *dir, struct dirfill *f)
{
	const struct invoke *s = dir->data;

	endpoints_stream(s->m->endpoints, r, f, &invoke_kind);
}

static const struct node_ops invoke_dir_ops = {
	.lookup = invoke_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = invoke_list,
	.more = invoke_list,
	.create = invoke_create,
};

void invoke_entry(struct invoke *s, struct node_make *how)
{
	*how = (struct node_make){.ops = &invoke_dir_ops, .data = s, .type = S_IFDIR};
}

/* --- the room */

static void changed(void *arg, const char *name)
{
	struct invoke *s = arg;
	struct endpoint_info info;

	if (endpoints_info(s->m->endpoints, name, LONG_MAX, &info) && info.phase == EP_ABSENT)
		answers_forget(s->answers, name);
	waiting_news(s, name);
}

struct invoke *invoke_start(struct mount *m, struct err *e)
{
	struct invoke *s = calloc(1, sizeof *s);

	if (!s) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->m = m;
	pthread_mutex_init(&s->mu, NULL);
	thread_cond_init(&s->quiet);
	TAILQ_INIT(&s->waitings);
	TAILQ_INIT(&s->exchanges);
	s->procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	s->answers = answers_new(&ANSWERS_LIMITS);
	if (s->procfd < 0)
		err_errno(e, "open '/proc'");
	else if (!s->answers)
		err_set(e, ENOMEM, "out of memory");
	if (s->procfd < 0 || !s->answers) {
		invoke_free(s);
		return NULL;
	}
	endpoints_listen(m->endpoints, changed, s);
	return s;
}

void invoke_stop(struct invoke *s)
{
	if (!s)
		return;
	waiting_stop(s);
	exchange_stop(s, 5000);
	timer_disarm(s->m->watch, &s->expiry);
}

void invoke_free(struct invoke *s)
{
	if (!s)
		return;
	if (s->procfd >= 0)
		close(s->procfd);
	answers_free(s->answers);
	pthread_cond_destroy(&s->quiet);
	pthread_mutex_destroy(&s->mu);
	free(s);
}
