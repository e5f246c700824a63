#include "fs/invoke_room.h"

#include <fcntl.h>

#define ERROR_XATTR "user.sagemaker.error"
#define RETRY_MS    2000 /* -o wait: how often the endpoint is asked besides the news of it */

struct invoke_file *file_new(struct invoke *s, const char *name, const char *endpoint,
			     const char *type)
{
	struct invoke_file *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->room = s;
	f->type = type;
	atomic_init(&f->refs, 1);
	snprintf(f->name, sizeof f->name, "%s", name);
	snprintf(f->endpoint, sizeof f->endpoint, "%s", endpoint);
	return f;
}

struct invoke_file *file_ref(struct invoke_file *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void file_unref(struct invoke_file *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		free(f);
}

static void file_free(struct node *n)
{
	file_unref(n->data);
}

static struct chain *chain_of(struct invoke *s, const struct req *r)
{
	struct caller c = req_caller(r);

	return chain_read(s->procfd, c.uid, c.tid);
}

/* A failure has size 0: to tools that means "read and see", and reading shows it. */
void file_stat(const struct invoke_file *f, const struct answer *a, struct stat *st)
{
	const struct mount *m = f->room->m;
	time_t t = a ? a->when : m->started;

	*st = (struct stat){.st_mode = S_IFREG | (f->endpoint[0] ? 0600 : 0400),
			    .st_nlink = 1,
			    .st_uid = m->uid,
			    .st_gid = m->gid,
			    .st_blksize = 65536};
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = t;
	if (a && !a->no) {
		st->st_size = (off_t)a->len;
		st->st_blocks = (blkcnt_t)((a->len + 511) / 512);
	}
}

static void reply_stat(struct req *r, const struct invoke_file *f, const struct answer *a)
{
	struct stat st;

	file_stat(f, a, &st);
	reply_attr(r, &st, 0);
}

static struct answer *answer_for(const struct invoke_file *f, const struct chain *reader)
{
	return answers_get(f->room->answers, f->name, reader, now_ms());
}

struct answer *file_answer(const struct invoke_file *f, const struct req *r)
{
	_cleanup_chain_ struct chain *chain = chain_of(f->room, r);

	if (!chain)
		return NULL;
	return f->endpoint[0] ? answer_for(f, chain) : error_text(f->room, chain);
}

/* --- waiting for a relative's held body */

static void finish_claimed(struct waiting *w)
{
	if (!waiting_claim(w))
		return;
	w->finish(w);
	waiting_done(w);
}

static void held_news(struct waiting *w, const char *endpoint)
{
	if (!endpoint && !answers_awaited(w->room->answers, w->file->name, w->chain, now_ms()))
		finish_claimed(w);
}

/* finish: now, or when the body that a relative of the caller has begun is answered; HELD_LIMIT_MS at most. */
static void after_held(struct req *r, struct node *n, struct chain *chain, int flags,
		       void (*finish)(struct waiting *w))
{
	struct invoke_file *f = n->data;
	struct waiting what = {.node = n,
			       .file = f,
			       .chain = chain,
			       .flags = flags,
			       .late = finish_claimed,
			       .news = held_news,
			       .finish = finish};

	if (!answers_awaited(f->room->answers, f->name, chain, now_ms())) {
		what.r = r;
		finish(&what);
		return;
	}
	struct waiting *w = waiting_new(f->room, r, &what);
	if (!w)
		return;
	waiting_timer(w, HELD_LIMIT_MS);
	held_news(w, NULL); /* it may have come meanwhile */
	waiting_unref(w);
}

/* --- getattr */

static void finish_getattr(struct waiting *w)
{
	_cleanup_answer_ struct answer *a = answer_for(w->file, w->chain);

	reply_stat(w->r, w->file, a);
}

static void file_getattr(struct req *r, struct node *n, void *handle)
{
	struct invoke_file *f = n->data;
	struct handle *h = handle;

	if (h) {
		pthread_mutex_lock(&h->mu);
		_cleanup_answer_ struct answer *a = answer_ref(h->answer);
		pthread_mutex_unlock(&h->mu);
		reply_stat(r, f, a);
		return;
	}
	_cleanup_chain_ struct chain *chain = chain_of(f->room, r);
	if (!chain) {
		reply_err(r, ENOMEM);
		return;
	}
	after_held(r, n, chain, 0, finish_getattr);
}

/* --- open */

static void finish_open(struct waiting *w)
{
	bool reads = (w->flags & O_ACCMODE) != O_WRONLY;
	_cleanup_answer_ struct answer *a = reads ? answer_for(w->file, w->chain) : NULL;
	struct handle *h = handle_new(w->file, w->chain, w->flags, a);

	if (!h) {
		reply_err(w->r, ENOMEM);
		return;
	}
	memcpy(h->type, w->type, sizeof h->type);
	h->json = invoke_is_json(h->type);
	if (reply_open(w->r, h, OPEN_DIRECT_IO) < 0)
		handle_unref(h);
}

/* Why an endpoint in this phase takes no request; errno 0: it takes them. */
static const struct {
	int no;
	const char *why;
} verdicts[] = {
	[EP_ABSENT] = {ENOENT,    "does not exist"						     },
	[EP_CREATING] = {EBUSY,     "is not in service yet; 'cat endpoints/NAME/wait' waits for it, "
				"and so does a mount with -o wait=SECONDS"},
	[EP_UPDATING] = {0,         NULL								 },
	[EP_IN_SERVICE] = {0,         NULL								 },
	[EP_FAILED] = {EREMOTEIO, "has failed; 'cat endpoints/NAME/error' says why"                    },
	[EP_DELETING] = {EBUSY,     "is being deleted"						   },
	[EP_UNKNOWN] = {0,         NULL								 },
};

static void refuse_open(struct waiting *w, const struct endpoint_info *info)
{
	int no = verdicts[info->phase].no;
	struct err e = {0};

	err_set(&e, no, "invoke '%s': the endpoint %s%s%s%s", w->file->endpoint,
		verdicts[info->phase].why, info->status[0] ? " (status: " : "", info->status,
		info->status[0] ? ")" : "");
	failure_show(w->room, w->chain, &e);
	invoke_refuse(w->r, no);
}

static void open_answer(struct waiting *w, const struct endpoint_info *info)
{
	const char *type = w->file->type ? w->file->type : info->content_type;

	snprintf(w->type, sizeof w->type, "%s", type[0] ? type : "application/json");
	if (verdicts[info->phase].no)
		refuse_open(w, info);
	else
		finish_open(w);
}

/* The endpoint's phase is known: answer, unless there is patience left (-o wait) and reason for it. */
static void open_decide(struct waiting *w, const struct endpoint_info *info)
{
	int64_t left = w->deadline - now_ms();

	if (info->phase == EP_CREATING && left > 0) {
		waiting_timer(w, (long)MIN(left, RETRY_MS));
		return;
	}
	if (!waiting_claim(w))
		return;
	open_answer(w, info);
	waiting_done(w);
}

static void open_job(struct waiting *w, struct cancel *c)
{
	struct endpoint_info info;
	struct err e = {0};

	if (invoke_ask(w->room, w->file->endpoint, &info, c, &e) == 0) {
		open_decide(w, &info);
		return;
	}
	if (!waiting_claim(w))
		return;
	err_prefix(&e, "invoke '%s'", w->file->endpoint);
	failure_show(w->room, w->chain, &e);
	invoke_refuse(w->r, e.no);
	waiting_done(w);
}

static void open_news(struct waiting *w, const char *endpoint)
{
	struct endpoint_info info;

	if (endpoint && streq(endpoint, w->file->endpoint) &&
	    endpoints_info(w->room->m->endpoints, endpoint, LONG_MAX, &info) &&
	    info.phase != EP_CREATING)
		open_decide(w, &info);
}

static void open_writing(struct req *r, struct node *n, struct chain *chain, int flags)
{
	struct invoke_file *f = n->data;
	struct invoke *s = f->room;
	struct endpoint_info info;
	struct waiting what = {.node = n,
			       .file = f,
			       .chain = chain,
			       .flags = flags,
			       .room = s,
			       .r = r,
			       .deadline = now_ms() + s->m->opt->wait * 1000,
			       .late = waiting_job,
			       .news = open_news,
			       .job = open_job};
	bool known = endpoints_info(s->m->endpoints, f->endpoint, FRESH_MS, &info);

	if (known && (info.phase != EP_CREATING || s->m->opt->wait == 0)) {
		open_answer(&what, &info);
		return;
	}
	struct waiting *w = waiting_new(s, r, &what);
	if (!w)
		return;
	waiting_job(w);
	waiting_unref(w);
}

static void file_open(struct req *r, struct node *n, int flags)
{
	struct invoke_file *f = n->data;
	_cleanup_chain_ struct chain *chain = chain_of(f->room, r);

	if (!chain)
		reply_err(r, ENOMEM);
	else if ((flags & O_ACCMODE) == O_RDONLY)
		after_held(r, n, chain, flags, finish_open);
	else
		open_writing(r, n, chain, flags);
}

/* --- the rest: changes that tools make to any file, without effect here */

static void file_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set,
			 void *h)
{
	const struct invoke_file *f = n->data;
	const struct mount *m = f->room->m;

	if ((set & SET_UID && st->st_uid != m->uid) || (set & SET_GID && st->st_gid != m->gid)) {
		reply_err(r, EPERM);
		return;
	}
	if (set & SET_SIZE && h)
		handle_cut(h, st->st_size);
	reply_stat(r, f, NULL);
}

static void reply_xattr(struct req *r, const char *value, size_t len, size_t size)
{
	if (size == 0)
		reply_xattr_size(r, len);
	else if (size < len)
		reply_err(r, ERANGE);
	else
		reply_data(r, value, len);
}

/* The failure that the caller's next read would show, or NULL. */
static struct answer *failure_for(const struct invoke_file *f, const struct req *r)
{
	_cleanup_answer_ struct answer *a = file_answer(f, r);

	return a && a->no && a->len > 0 ? steal(a) : NULL;
}

static void file_getxattr(struct req *r, struct node *n, const char *name, size_t size)
{
	if (!streq(name,
		   ERROR_XATTR)) /* the kernel asks for security.capability at every write */ {
		reply_err(r, ENODATA);
		return;
	}
	_cleanup_answer_ struct answer *a = failure_for(n->data, r);
	if (!a) {
		reply_err(r, ENODATA);
		return;
	}
	size_t len = a->data[a->len - 1] == '\n' ? a->len - 1 : a->len;
	reply_xattr(r, a->data, MIN(len, (size_t)65536), size);
}

static void file_listxattr(struct req *r, struct node *n, size_t size)
{
	_cleanup_answer_ struct answer *a = failure_for(n->data, r);

	reply_xattr(r, ERROR_XATTR, a ? sizeof ERROR_XATTR : 0, size);
}

static void file_setxattr(struct req *r, struct node *n, const char *name, const void *p,
			  size_t size, int flags)
{
	(void)n;
	(void)p;
	(void)size;
	(void)flags;
	reply_err(r, starts_with(name, "user.") ? 0 : EOPNOTSUPP);
}

static void file_removexattr(struct req *r, struct node *n, const char *name)
{
	(void)n;
	(void)name;
	reply_err(r, 0);
}

const struct node_ops invoke_file_ops = {
	.getattr = file_getattr,
	.setattr = file_setattr,
	.open = file_open,
	.read = invoke_read,
	.write = invoke_write,
	.flush = invoke_flush,
	.release = invoke_release,
	.setxattr = file_setxattr,
	.getxattr = file_getxattr,
	.listxattr = file_listxattr,
	.removexattr = file_removexattr,
	.free = file_free,
};

/* --- .error: the caller's relatives' last failure, else the room's */

static void error_getattr(struct req *r, struct node *n, void *h)
{
	_cleanup_answer_ struct answer *a = file_answer(n->data, r);

	(void)h;
	if (a)
		reply_stat(r, n->data, a);
	else
		reply_err(r, ENOMEM);
}

static void error_open(struct req *r, struct node *n, int flags)
{
	struct invoke_file *f = n->data;

	if ((flags & O_ACCMODE) != O_RDONLY) {
		reply_err(r, EACCES);
		return;
	}
	_cleanup_chain_ struct chain *chain = chain_of(f->room, r);
	_cleanup_answer_ struct answer *a = chain ? error_text(f->room, chain) : NULL;
	struct handle *h = a ? handle_new(f, chain, flags, a) : NULL;
	if (!h) {
		reply_err(r, ENOMEM);
		return;
	}
	if (reply_open(r, h, OPEN_DIRECT_IO) < 0)
		handle_unref(h);
}

const struct node_ops invoke_error_ops = {
	.getattr = error_getattr,
	.open = error_open,
	.read = invoke_read,
	.release = invoke_release,
	.free = file_free,
};
