#include <assert.h>
#include <errno.h>
#include <poll.h>

#include "fs/vfile_private.h"

/* A read(2) of a settled or followed row that has no answer yet. */
struct parked {
	struct parked *next;
	struct req *req;
	struct vhandle *h; /* referenced */
	size_t size;
	off_t off;
	bool listed;      /* in vfiles.parked: whoever takes it out answers or parks it again */
	bool interrupted; /* while being asked: answer EINTR instead of parking again */
	struct mount *m;
};

struct vfiles {
	pthread_mutex_t
		mu; /* guards what follows and the handles' last members; never held while a row or a reply runs */
	uint64_t
		generation; /* vfile_wake() calls: one between asking and parking must not be lost */
	struct parked *parked;
	struct vhandle *pollers;
	struct vhandle *open; /* all of them */
	bool stopped;
};

struct vfiles *vfiles_new(void)
{
	struct vfiles *v = calloc(1, sizeof *v);

	if (v)
		pthread_mutex_init(&v->mu, NULL);
	return v;
}

void vfiles_free(struct vfiles *v)
{
	if (!v)
		return;
	pthread_mutex_destroy(&v->mu);
	free(v);
}

void vhandle_link(struct mount *m, struct vhandle *h)
{
	SCOPED_LOCK(&m->vfiles->mu);
	h->open_next = m->vfiles->open;
	h->open_at = &m->vfiles->open;
	if (h->open_next)
		h->open_next->open_at = &h->open_next;
	m->vfiles->open = h;
}

/* A lazy unmount, or one right behind a close, lets the kernel drop releases that it had queued. */
void vfiles_close(struct mount *m)
{
	for (;;) {
		pthread_mutex_lock(&m->vfiles->mu);
		struct vhandle *h = m->vfiles->open;
		pthread_mutex_unlock(&m->vfiles->mu);
		if (!h)
			return;
		assert(h->refs == 1);
		vhandle_close(m, h);
	}
}

void vhandle_unref(struct mount *m, struct vhandle *h)
{
	pthread_mutex_lock(&m->vfiles->mu);
	bool last = --h->refs == 0;
	if (last) {
		*h->open_at = h->open_next;
		if (h->open_next)
			h->open_next->open_at = h->open_at;
	}
	pthread_mutex_unlock(&m->vfiles->mu);
	if (!last)
		return;
	node_unref(m->tree, h->node);
	node_unref(m->tree, h->dir);
	buf_release(&h->text);
	free(h);
}

static void tell(const struct vhandle *h, bool on)
{
	if (h->row->waiting)
		h->row->waiting(h->dir, on);
}

/* Asks a row that is followed for its next line, unless one is there that nobody has read. */
static bool ask_follow(struct mount *m, struct vhandle *h)
{
	_cleanup_buf_ struct buf line = {0};

	pthread_mutex_lock(&m->vfiles->mu);
	bool there = h->over || h->text.len;
	uint64_t before = h->seen, seen = before;
	pthread_mutex_unlock(&m->vfiles->mu);
	if (there)
		return true;
	bool over = h->row->follow(h->dir, &seen, &line) > 0;
	SCOPED_LOCK(&m->vfiles->mu);
	if (h->seen == before && (line.len || over)) { /* else another read asked for it, too */
		struct buf old = h->text;

		h->text = line;
		line = old;
		h->seen = seen;
		h->over = over && !h->text.len;
	}
	return h->over || h->text.len;
}

/* Asks the row. True: the handle is ready, now or since before. */
static bool ask(struct mount *m, struct vhandle *h)
{
	if (h->row->follow)
		return ask_follow(m, h);

	_cleanup_buf_ struct buf text = {0};
	struct err e = {0};

	pthread_mutex_lock(&m->vfiles->mu);
	bool ready = h->ready;
	pthread_mutex_unlock(&m->vfiles->mu);
	if (ready || h->row->settled(h->dir, &text, &e) == 0)
		return ready;
	pthread_mutex_lock(&m->vfiles->mu);
	bool first = !h->ready;
	if (first) { /* two reads of one handle may both have asked: the first answer stays */
		h->text = text;
		text = (struct buf){0};
		h->no = e.no;
		h->ready = true;
	}
	pthread_mutex_unlock(&m->vfiles->mu);
	if (first && e.no)
		mount_fail(m, node_room(h->dir), &e);
	return true;
}

static void take_out_locked(struct vfiles *v, struct parked *p)
{
	struct parked **at = &v->parked;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->listed = false;
}

/* Takes what is there out of a followed row's handle, once for all its readers. */
static bool take_line(struct mount *m, struct vhandle *h, size_t size, struct buf *out)
{
	SCOPED_LOCK(&m->vfiles->mu);
	size_t n = MIN(size, h->text.len);

	if (n && buf_add(out, h->text.data, n) < 0)
		return false;
	buf_remove(&h->text, n);
	return n || h->over;
}

/* Answers with what ask() found. False: another read of the handle was quicker. */
static bool deliver(struct req *r, struct vhandle *h, size_t size, off_t off)
{
	_cleanup_buf_ struct buf piece = {0};

	if (!h->row->follow) {
		vhandle_slice(r, h, size, off);
		return true;
	}
	if (!take_line(req_mount(r), h, size, &piece))
		return false;
	reply_data(r, buf_cstr(&piece), piece.len);
	return true;
}

static void let_go(struct parked *p)
{
	vhandle_unref(p->m, p->h);
	free(p); /* the reply disarmed interrupted() */
}

static void refuse(struct parked *p, int no)
{
	tell(p->h, false);
	reply_err(p->req, no);
	let_go(p);
}

static bool finish(struct parked *p)
{
	tell(p->h, false);
	if (!deliver(p->req, p->h, p->size, p->off)) {
		tell(p->h, true);
		return false;
	}
	let_go(p);
	return true;
}

static void interrupted(void *arg)
{
	struct parked *p = arg;
	struct vfiles *v = p->m->vfiles;

	pthread_mutex_lock(&v->mu);
	bool mine = p->listed;
	if (mine)
		take_out_locked(v, p);
	p->interrupted = true;
	pthread_mutex_unlock(&v->mu);
	if (mine)
		refuse(p, EINTR);
}

/* Asks until there is an answer or nothing changed since asking; then the reader waits in the list. */
static void ask_or_park(struct parked *p)
{
	struct vfiles *v = p->m->vfiles;

	for (;;) {
		pthread_mutex_lock(&v->mu);
		uint64_t generation = v->generation;
		pthread_mutex_unlock(&v->mu);
		if (ask(p->m, p->h) && finish(p))
			return;
		pthread_mutex_lock(&v->mu);
		int no = p->interrupted ? EINTR : v->stopped ? ESHUTDOWN : 0;
		if (!no && v->generation == generation) {
			p->next = v->parked;
			v->parked = p;
			p->listed = true;
			pthread_mutex_unlock(&v->mu);
			return;
		}
		pthread_mutex_unlock(&v->mu);
		if (no) {
			refuse(p, no);
			return;
		}
	}
}

void vhandle_await(struct req *r, struct vhandle *h, size_t size, off_t off)
{
	struct mount *m = req_mount(r);

	if (ask(m, h) && deliver(r, h, size, off))
		return;
	struct parked *p = calloc(1, sizeof *p);
	if (!p) {
		reply_err(r, ENOMEM);
		return;
	}
	*p = (struct parked){.req = r, .h = h, .size = size, .off = off, .m = m};
	pthread_mutex_lock(&m->vfiles->mu);
	h->refs++;
	pthread_mutex_unlock(&m->vfiles->mu);
	tell(h, true);
	req_on_interrupt(r, interrupted, p); /* p is not listed: it can only take a note */
	ask_or_park(p);
}

static void unlist_poller_locked(struct vfiles *v, struct vhandle *h)
{
	struct vhandle **at = &v->pollers;

	while (*at && *at != h)
		at = &(*at)->next;
	if (*at)
		*at = h->next;
	h->listed = false;
}

void vhandle_close(struct mount *m, struct vhandle *h)
{
	pthread_mutex_lock(&m->vfiles->mu);
	if (h->listed)
		unlist_poller_locked(m->vfiles, h);
	struct pollwake *w = steal(h->poll);
	bool was_on = h->poll_on;
	h->poll_on = false;
	pthread_mutex_unlock(&m->vfiles->mu);
	if (was_on)
		tell(h, false);
	poll_drop(w);
	vhandle_unref(m, h);
}

/* Keeps w, the newest, and says whether the row must be told that somebody waits. */
static bool keep_poller_locked(struct vfiles *v, struct vhandle *h, struct pollwake **w)
{
	struct pollwake *old = h->poll;
	bool first = !h->poll_on && (h->row->follow || (h->row->settled && !h->ready));

	h->poll = *w;
	*w = old;
	if (!h->listed) {
		h->next = v->pollers;
		v->pollers = h;
		h->listed = true;
	}
	h->poll_on |= first;
	return first;
}

/* A settled row is readable when settled; others always, and "changed" (POLLPRI, as the kernel's sysfs does it) once
 * something changed since the open. */
void vhandle_poll(struct req *r, struct vhandle *h, struct pollwake *w)
{
	struct mount *m = req_mount(r);
	struct vfiles *v = m->vfiles;
	bool tell_row = false;

	/* Registered first, asked then: a change in between wakes for nothing rather than not at all. */
	if (w) {
		pthread_mutex_lock(&v->mu);
		tell_row = keep_poller_locked(v, h, &w);
		pthread_mutex_unlock(&v->mu);
		poll_drop(w);
	}
	if (tell_row)
		tell(h, true);
	bool readable = !(h->row->settled || h->row->follow) || ask(m, h);
	pthread_mutex_lock(&v->mu);
	bool changed = h->changed;
	pthread_mutex_unlock(&v->mu);
	unsigned events = readable ? POLLIN | POLLRDNORM : 0;
	events |= h->row->store || h->row->apply ? POLLOUT | POLLWRNORM : 0;
	events |= changed && !h->row->settled && !h->row->follow ? POLLPRI : 0;
	reply_poll(r, events);
}

/* ------------------------------------------------------------------ waking */

/* Which directories a wake is about: dir and all below, or those called name in dir (also when detached since). */
struct about {
	struct tree *t;
	const struct node *dir;
	const char *name;
};

static bool concerns(const struct about *a, struct node *n)
{
	if (!a->name)
		return node_within(a->t, n, a->dir);
	struct node *parent = NULL;
	node_ref(a->t, n);
	for (; n->id != 1 && !node_is(a->t, n, a->dir, a->name); n = parent) {
		parent = node_parent(a->t, n);
		node_unref(a->t, n);
	}
	bool yes = n->id != 1;
	node_unref(a->t, n);
	return yes;
}

/* Lists of what to wake, built under the lock, woken without it. */
static struct parked *collect_parked_locked(struct vfiles *v, const struct about *a)
{
	struct parked *out = NULL, **at = &v->parked;

	while (*at) {
		struct parked *p = *at;

		if (!concerns(a, p->h->dir)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		p->listed = false;
		p->next = out;
		out = p;
	}
	return out;
}

static void wake_pollers(struct vfiles *v, const struct about *a)
{
	struct pollwake *batch[64];
	size_t n;

	do {
		n = 0;
		pthread_mutex_lock(&v->mu);
		for (struct vhandle *h = v->pollers; h && n < ARRAY_SIZE(batch); h = h->next) {
			if (!concerns(a, h->dir))
				continue;
			h->changed = true;
			if (h->poll)
				batch[n++] = steal(h->poll);
		}
		pthread_mutex_unlock(&v->mu);
		for (size_t i = 0; i < n; i++)
			poll_wake(batch[i]);
	} while (n == ARRAY_SIZE(batch));
}

static void wake(struct mount *m, const struct about *a)
{
	struct vfiles *v = m->vfiles;

	pthread_mutex_lock(&v->mu);
	v->generation++;
	struct parked *p = collect_parked_locked(v, a);
	pthread_mutex_unlock(&v->mu);
	while (p) {
		struct parked *next = p->next; /* p may be gone after it */

		ask_or_park(p);
		p = next;
	}
	wake_pollers(v, a);
}

void vfile_wake(struct mount *m, struct node *dir)
{
	wake(m, &(struct about){m->tree, dir, NULL});
}

void vfile_wake_named(struct mount *m, struct node *dir, const char *name)
{
	wake(m, &(struct about){m->tree, dir, name});
}

void vfiles_stop(struct mount *m)
{
	pthread_mutex_lock(&m->vfiles->mu);
	m->vfiles->stopped = true;
	pthread_mutex_unlock(&m->vfiles->mu);
	vfile_wake(m, tree_root(m->tree));
}
