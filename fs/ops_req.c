#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "fs/ops_private.h"

/*
 * What a worker did before its reply is done before any request that the kernel sends because of it (a RELEASE after the last
 * READ). That order goes through the kernel, where TSan sees nothing: it is told.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#else
static inline void __tsan_acquire(void *addr)
{
	(void)addr;
}

static inline void __tsan_release(void *addr)
{
	(void)addr;
}
#endif

/* The request whose interrupt function runs in this thread: its reply must not wait for that function. */
static __thread struct req *interrupting;

struct req *req_begin(fuse_req_t fuse, fuse_ino_t ino)
{
	struct session *s = fuse_req_userdata(fuse);
	struct req *r = calloc(1, sizeof *r);

	if (!r) {
		fuse_reply_err(fuse, ENOMEM);
		return NULL;
	}
	__tsan_acquire(s);
	r->fuse = fuse;
	r->s = s;
	atomic_fetch_add(&s->pending, 1);
	if (ino && req_and(r, ino) < 0)
		return NULL;
	return r;
}

int req_and(struct req *r, fuse_ino_t ino)
{
	struct node *n = node_by_id(r->s->m->tree, ino);

	if (!n) {
		reply_err(r, ESTALE);
		return -1;
	}
	if (r->node)
		r->other = n;
	else
		r->node = n;
	return 0;
}

struct mount *req_mount(const struct req *r)
{
	return r->s->m;
}

struct caller req_caller(const struct req *r)
{
	if (!r->fuse)
		return (struct caller){r->s->m->uid, r->s->m->gid, 0};
	const struct fuse_ctx *c = fuse_req_ctx(r->fuse);
	return (struct caller){c->uid, c->gid, c->pid};
}

static void interrupt(fuse_req_t fuse, void *data)
{
	struct req *r = data, *outer = interrupting;

	(void)fuse;
	interrupting = r;
	r->on_interrupt(r->interrupt_arg); /* may answer r, which is gone then */
	interrupting = outer;
}

void req_on_interrupt(struct req *r, void (*fn)(void *arg), void *arg)
{
	if (!r->fuse)
		return;
	r->on_interrupt = fn;
	r->interrupt_arg = arg;
	fuse_req_interrupt_func(r->fuse, interrupt, r);
}

/* libfuse holds the request's lock while interrupt() runs and takes it here: after it interrupt() neither runs nor will. */
void req_disarm(struct req *r)
{
	if (r->fuse && r->on_interrupt && interrupting != r)
		fuse_req_interrupt_func(r->fuse, NULL, NULL);
}

void req_end(struct req *r)
{
	struct session *s = r->s;

	node_unref(s->m->tree, r->node);
	node_unref(s->m->tree, r->other);
	dirfill_free(r->fill);
	free(r);
	atomic_fetch_sub(&s->pending, 1);
}

static bool begin_reply(struct req *r)
{
	req_disarm(r);
	__tsan_release(r->s);
	return r->fuse != NULL;
}

void reply_err(struct req *r, int no)
{
	/* The kernel refuses a reply above 511 and the caller hangs; ENOSYS ends the operation for the whole mount. */
	assert(no >= 0 && no <= 511 && no != ENOSYS);
	if (begin_reply(r))
		fuse_reply_err(r->fuse, no);
	req_end(r);
}

static struct fuse_entry_param entry_of(const struct node *n, const struct stat *st, double timeout)
{
	struct fuse_entry_param p = {.ino = n->id,
				     .generation = 1,
				     .attr = *st,
				     .attr_timeout = timeout,
				     .entry_timeout = timeout};

	if (!p.attr.st_ino)
		p.attr.st_ino = n->ino;
	return p;
}

/* Counted before the reply, since a forget may come before it returns; taken back if the kernel did not get it. */
static int send_entry(struct req *r, struct node *n, const struct stat *st, double timeout)
{
	struct fuse_entry_param p = entry_of(n, st, timeout);
	struct tree *t = r->s->m->tree;

	node_remember(t, n);
	int rc = r->fuse ? fuse_reply_entry(r->fuse, &p) : -ENOENT;
	if (rc)
		node_forget(t, p.ino, 1);
	return rc;
}

void reply_entry(struct req *r, struct node *n, const struct stat *st, double timeout)
{
	begin_reply(r);
	send_entry(r, n, st, timeout);
	req_end(r);
}

/* Whether the caller may do what mask says by the mode of st. */
static bool may(const struct caller *who, const struct stat *st, int mask)
{
	unsigned all = st->st_mode | st->st_mode >> 3 | st->st_mode >> 6, have = st->st_mode;

	if (who->uid == 0)
		return !(mask & X_OK) || S_ISDIR(st->st_mode) || (all & X_OK);
	if (who->uid == st->st_uid)
		have >>= 6;
	else if (who->gid == st->st_gid)
		have >>= 3;
	return !((unsigned)mask & ~have & (R_OK | W_OK | X_OK));
}

static void reply_access(struct req *r, const struct stat *st)
{
	struct caller who = req_caller(r);

	reply_err(r, may(&who, st, r->mask) ? 0 : EACCES);
}

void reply_attr(struct req *r, const struct stat *st, double timeout)
{
	struct stat copy = *st;

	if (r->kind == REQ_ACCESS) {
		reply_access(r, st);
		return;
	}

	if (!copy.st_ino && r->node)
		copy.st_ino = r->node->ino;
	if (begin_reply(r))
		fuse_reply_attr(r->fuse, &copy, timeout);
	req_end(r);
}

/* The calls of libfuse that read a reply's bytes stand in functions of their own so that TSan, which knows the callers of what it
 * compiled, has reply_*() on the stack (tests/mount/tsan.supp). */
static __attribute__((noinline)) void send_data(struct req *r, const void *p, size_t n)
{
	fuse_reply_buf(r->fuse, p, n);
}

static __attribute__((noinline)) void send_fd(struct req *r, struct fuse_bufvec *v)
{
	fuse_reply_data(r->fuse, v, FUSE_BUF_SPLICE_MOVE);
}

void reply_data(struct req *r, const void *p, size_t n)
{
	if (begin_reply(r))
		send_data(r, p, n);
	req_end(r);
}

void reply_fd(struct req *r, int fd, off_t off, size_t n)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(n);

	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = fd;
	v.buf[0].pos = off;
	if (begin_reply(r))
		send_fd(r, &v);
	req_end(r);
}

static void set_open_flags(struct fuse_file_info *fi, void *h, unsigned flags)
{
	fi->fh = (uint64_t)(uintptr_t)h;
	fi->direct_io = !!(flags & OPEN_DIRECT_IO);
	fi->keep_cache = !!(flags & OPEN_KEEP_CACHE);
	fi->nonseekable = !!(flags & OPEN_NONSEEKABLE);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 11)
	fi->noflush = !!(flags & OPEN_NOFLUSH);
#endif
}

int reply_open(struct req *r, void *h, unsigned flags)
{
	set_open_flags(&r->fi, h, flags);
	int rc = begin_reply(r) ? fuse_reply_open(r->fuse, &r->fi) : -ENOENT;
	req_end(r);
	return rc ? -1 : 0;
}

static void release_quietly(struct session *s, struct node *n, void *h)
{
	struct req *r = n->ops->release ? calloc(1, sizeof *r) : NULL;

	if (!r) /* without memory the handle leaks: nothing else can be done with it */
		return;
	r->s = s;
	r->node = node_ref(s->m->tree, n);
	atomic_fetch_add(&s->pending, 1);
	n->ops->release(r, n, h);
}

int reply_create(struct req *r, struct node *n, const struct stat *st, double timeout, void *h,
		 unsigned flags)
{
	struct fuse_entry_param p = entry_of(n, st, timeout);
	struct session *s = r->s;
	int rc;

	begin_reply(r);
	if (r->kind == REQ_MKNOD) {
		node_ref(s->m->tree, n);
		send_entry(r, n, st, timeout);
		release_quietly(s, n, h);
		node_unref(s->m->tree, n);
		rc = 0;
	} else {
		set_open_flags(&r->fi, h, flags);
		node_remember(s->m->tree, n);
		rc = fuse_reply_create(r->fuse, &p, &r->fi);
		if (rc)
			node_forget(s->m->tree, p.ino, 1);
	}
	req_end(r);
	return rc ? -1 : 0;
}

void reply_write(struct req *r, size_t n)
{
	if (begin_reply(r))
		fuse_reply_write(r->fuse, n);
	req_end(r);
}

void reply_readlink(struct req *r, const char *target)
{
	if (begin_reply(r))
		fuse_reply_readlink(r->fuse, target);
	req_end(r);
}

void reply_statfs(struct req *r, const struct statvfs *st)
{
	if (begin_reply(r))
		fuse_reply_statfs(r->fuse, st);
	req_end(r);
}

void reply_xattr_size(struct req *r, size_t n)
{
	if (begin_reply(r))
		fuse_reply_xattr(r->fuse, n);
	req_end(r);
}

void reply_poll(struct req *r, unsigned revents)
{
	if (begin_reply(r))
		fuse_reply_poll(r->fuse, revents);
	req_end(r);
}

void reply_lseek(struct req *r, off_t off)
{
	if (begin_reply(r))
		fuse_reply_lseek(r->fuse, off);
	req_end(r);
}
