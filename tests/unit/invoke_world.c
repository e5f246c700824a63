#include "invoke_world.h"

/* --- a request */

static struct mount mount;
struct options options;
struct caller me;
static pthread_mutex_t replies = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t replied = PTHREAD_COND_INITIALIZER;

struct mount *req_mount(const struct req *r)
{
	(void)r;
	return &mount;
}

struct caller req_caller(const struct req *r)
{
	return r->who;
}

void req_on_interrupt(struct req *r, void (*fn)(void *arg), void *arg)
{
	SCOPED_LOCK(&replies);
	assert_false(r->answered);
	r->interrupt = fn;
	r->interrupt_arg = arg;
}

static void answered(struct req *r, int no, const void *p, size_t n)
{
	SCOPED_LOCK(&replies);
	assert_false(r->answered);
	r->answered = true;
	r->no = no;
	r->len = n;
	r->data = n ? malloc(n) : NULL;
	if (n)
		memcpy(r->data, p, n);
	pthread_cond_broadcast(&replied);
}

void reply_err(struct req *r, int no)
{
	answered(r, no, NULL, 0);
}

void reply_data(struct req *r, const void *p, size_t n)
{
	answered(r, 0, p, n);
}

void reply_write(struct req *r, size_t n)
{
	(void)n;
	answered(r, 0, NULL, 0);
}

void reply_xattr_size(struct req *r, size_t n)
{
	(void)n;
	answered(r, 0, NULL, 0);
}

void reply_attr(struct req *r, const struct stat *st, double timeout)
{
	assert_true(timeout == 0);
	r->st = *st;
	answered(r, 0, NULL, 0);
}

int reply_open(struct req *r, void *h, unsigned flags)
{
	assert_int_equal(flags, OPEN_DIRECT_IO);
	r->handle = h;
	answered(r, 0, NULL, 0);
	return 0;
}

void reply_entry(struct req *r, struct node *n, const struct stat *st, double timeout)
{
	(void)n;
	reply_attr(r, st, timeout);
}

void reply_dir(struct req *r, struct dirfill *f)
{
	(void)f;
	answered(r, 0, NULL, 0);
}

int dirfill_add(struct dirfill *f, const char *name, ino_t ino, mode_t type)
{
	(void)ino;
	(void)type;
	buf_printf((struct buf *)f, "%s ", name);
	return 0;
}

/* --- the mount */

struct node *node_make(struct tree *t, struct node *dir, const char *name,
		       const struct node_make *how, bool *made)
{
	static struct node n;

	(void)t;
	(void)dir;
	(void)name;
	*made = false;
	n.ops = how->ops;
	return &n;
}

void node_unref(struct tree *t, struct node *n)
{
	(void)t;
	(void)n;
}

void vdir_getattr(struct req *r, struct node *n, void *h)
{
	(void)n;
	(void)h;
	reply_err(r, 0);
}

void vdir_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set, void *h)
{
	(void)st;
	(void)set;
	vdir_getattr(r, n, h);
}

struct err room_error;
char endpoint_error[2048];

void mount_fail(struct mount *m, enum room where, const struct err *e)
{
	(void)m;
	assert_int_equal(where, ROOM_INVOKE);
	room_error = *e;
}

int mount_show_error(struct mount *m, enum room where, struct buf *out)
{
	(void)m;
	(void)where;
	err_show(&room_error, out);
	return 0;
}

/* --- endpoints/ */

_Atomic int phase;
_Atomic bool stale;
_Atomic int asked;

static void info_now(struct endpoint_info *out)
{
	*out = (struct endpoint_info){.phase = (enum endpoint_phase)phase,
				      .content_type = "application/json"};
}

bool endpoints_info(struct endpoints *s, const char *name, long max_age_ms,
		    struct endpoint_info *out)
{
	(void)s;
	(void)name;
	info_now(out);
	return !stale || max_age_ms == LONG_MAX;
}

int endpoints_refresh(struct endpoints *s, const char *name, struct endpoint_info *out,
		      struct cancel *c, struct err *e)
{
	(void)s;
	(void)name;
	(void)c;
	(void)e;
	asked++;
	info_now(out);
	return 0;
}

bool endpoints_glance(struct endpoints *s, const char *name, struct endpoint_info *out)
{
	return endpoints_info(s, name, 0, out);
}

void endpoints_stream(struct endpoints *s, struct req *r, struct dirfill *f,
		      const struct stream_kind *kind)
{
	(void)s;
	for (const struct stream_extra *x = kind->extras; x->name; x++)
		assert_int_equal(dirfill_add(f, x->name, 0, x->type), 0);
	assert_int_equal(dirfill_add(f, "digits", 0, kind->type), 0);
	assert_int_equal(dirfill_add(f, "iris", 0, kind->type), 0);
	reply_dir(r, f);
}

static void (*listener)(void *arg, const char *name);
static void *listener_arg;

void endpoints_listen(struct endpoints *s, void (*fn)(void *arg, const char *name), void *arg)
{
	(void)s;
	listener = fn;
	listener_arg = arg;
}

void endpoints_failed(struct endpoints *s, const char *name, const char *text)
{
	(void)s;
	assert_string_equal(name, "iris");
	snprintf(endpoint_error, sizeof endpoint_error, "%s", text);
}

void tell(const char *name)
{
	listener(listener_arg, name);
}

/* --- the service */

struct sent sent[64];
size_t n_sent;

int runtime_invoke(struct aws *a, const struct invoke_req *q, invoke_done_fn *done, void *arg,
		   struct err *e)
{
	struct sent *x = &sent[n_sent++];

	(void)a;
	(void)e;
	assert_string_equal(q->endpoint, "iris");
	*x = (struct sent){.body = malloc(q->body_len + 1),
			   .len = q->body_len,
			   .cancel = cancel_ref(q->cancel),
			   .done = done,
			   .arg = arg};
	memcpy(x->body, q->body, q->body_len);
	x->body[x->len] = '\0';
	snprintf(x->type, sizeof x->type, "%s", q->content_type);
	return 0;
}

static void finish_sent(struct sent *x, const char *text, const struct err *e, const char *said)
{
	_cleanup_buf_ struct buf container = {0};
	struct http_resp resp = {.status = e->no ? 500 : 200};

	assert_false(x->over);
	x->over = true;
	buf_str(&resp.body, text);
	buf_str(&container, said);
	x->done(x->arg, &resp, &container, e);
	buf_release(&resp.body);
	cancel_unref(x->cancel);
	free(x->body);
}

void answer(size_t i, const char *text)
{
	finish_sent(&sent[i], text, &(struct err){0}, "");
}

void fail_with(size_t i, int no, const char *said)
{
	struct err e = {0};

	err_set(&e, no, "the container failed");
	e.http = 424;
	finish_sent(&sent[i], "", &e, said);
}

/* --- the caller's side */

struct invoke *room;
struct node node;
static pid_t child;

struct req by(struct caller who)
{
	return (struct req){.who = who};
}

static void await(struct req *r)
{
	struct timespec until = {.tv_sec = time(NULL) + 10};

	SCOPED_LOCK(&replies);
	while (!r->answered)
		assert_int_equal(pthread_cond_timedwait(&replied, &replies, &until), 0);
}

int result(struct req *r)
{
	await(r);
	free(r->data);
	r->data = NULL;
	return r->no;
}

void *open_as(struct caller who, int flags)
{
	struct req r = by(who);

	node.ops->open(&r, &node, flags);
	assert_int_equal(result(&r), 0);
	return r.handle;
}

int try_open(int flags)
{
	struct req r = by(me);

	node.ops->open(&r, &node, flags);
	int no = result(&r);
	if (no == 0) {
		struct req close = by(me);
		node.ops->release(&close, &node, r.handle);
	}
	return no;
}

void put(void *h, const char *text, off_t off)
{
	struct req r = by(me);

	node.ops->write(&r, &node, h, text, strlen(text), off);
	assert_int_equal(result(&r), 0);
}

int flush(void *h)
{
	struct req r = by(me);

	node.ops->flush(&r, &node, h);
	assert_true(r.answered);
	return r.no;
}

void release(void *h)
{
	struct req r = by(me);

	node.ops->release(&r, &node, h);
	assert_int_equal(result(&r), 0);
}

void assert_read(void *h, off_t off, const char *text)
{
	struct req r = by(me);

	node.ops->read(&r, &node, h, 4096, off);
	assert_true(r.answered);
	assert_int_equal(r.no, 0);
	assert_int_equal(r.len, strlen(text));
	assert_memory_equal(r.data ? r.data : "", text, r.len);
	free(r.data);
}

int read_error(void *h)
{
	struct req r = by(me);

	node.ops->read(&r, &node, h, 4096, 0);
	assert_true(r.answered);
	return result(&r);
}

off_t size_for(struct caller who)
{
	struct req r = by(who);

	node.ops->getattr(&r, &node, NULL);
	assert_int_equal(result(&r), 0);
	assert_int_equal(r.st.st_blocks, (r.st.st_size + 511) / 512);
	return r.st.st_size;
}

/* A whole request: `echo body > file` whose answer is text. */
void ask(const char *body, const char *text)
{
	void *h = open_as(me, O_WRONLY | O_TRUNC);
	struct req r = by(me);

	assert_int_equal(flush(h), 0); /* bash's */
	put(h, body, 0);
	node.ops->flush(&r, &node, h);
	assert_false(r.answered);
	answer(n_sent - 1, text);
	assert_int_equal(result(&r), 0);
	release(h);
}

struct caller its_child(void)
{
	return (struct caller){me.uid, me.gid, child};
}

int world_setup(void **state)
{
	struct err e = {0};

	(void)state;
	me = (struct caller){getuid(), getgid(), getpid()};
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	options = (struct options){0};
	mount = (struct mount){.opt = &options, .uid = me.uid, .gid = me.gid};
	mount.watch = watch_new(&e);
	mount.jobs = jobs_new(4, &e);
	room = invoke_start(&mount, &e);
	assert_non_null(room);
	phase = EP_IN_SERVICE;
	stale = false;
	n_sent = 0;
	err_clear(&room_error);
	endpoint_error[0] = '\0';
	node = (struct node){.ops = &invoke_file_ops,
			     .data = file_new(room, "iris", "iris", NULL),
			     .type = S_IFREG};
	return 0;
}

int world_teardown(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (size_t i = 0; i < n_sent; i++)
		assert_true(sent[i].over);
	node.ops->free(&node);
	invoke_stop(room);
	jobs_stop(mount.jobs, 1000);
	jobs_free(mount.jobs);
	watch_stop(mount.watch);
	watch_free(mount.watch);
	assert_int_equal(room->n_waitings, 0);
	invoke_free(room);
	return 0;
}
