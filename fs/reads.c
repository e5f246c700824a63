/* reads.c: reads of published files, answered when their bytes are there. */
#include <errno.h>

#include "fs/reads_internal.h"

#define NEAR     ((uint64_t)1 << 20) /* the kernel's readahead comes out of order by less */
#define READS_ON ((uint64_t)2 << 20) /* a handle that came so far without jumping reads on */

static bool claim(struct wait *w)
{
	return !__atomic_exchange_n(&w->answered, true, __ATOMIC_ACQ_REL);
}

static void interrupted(void *arg)
{
	struct wait *w = arg;
	struct req *r = w->r;

	if (claim(w))
		reply_err(r, EINTR);
}

static void wait_free(struct wait *w)
{
	archive_unref(w->a);
	manifest_unref(w->man);
	free(w->bytes);
	free(w);
}

void wait_fail(struct wait *w, const struct err *e)
{
	struct err own = *e;

	if (claim(w)) {
		err_prefix(&own, "cannot read '%s' of the published model '%s'", w->member->path,
			   w->md->name);
		if (own.no != ECANCELED)
			model_fail(w->md, &own);
		reply_err(w->r, own.no && own.no != ECANCELED ? own.no : EIO);
	}
	wait_free(w);
}

static void answer(struct wait *w)
{
	if (claim(w))
		reply_data(w->r, w->bytes, w->n);
	wait_free(w);
}

/* Room for all that is asked for. */
static bool gather(struct wait *w)
{
	if (!w->bytes)
		w->bytes = malloc((size_t)(w->end - w->pos) + 1);
	return w->bytes;
}

static bool read_block(struct wait *w, const struct block *k, uint64_t at, size_t n)
{
	while (n) {
		ssize_t got = pread(k->fd, w->bytes + w->n, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		w->n += (size_t)got;
		w->pos += (uint64_t)got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

/* What this block has of what is missing. false: w was answered. */
static bool take(struct wait *w, const struct block *k, uint64_t begins)
{
	uint64_t at = w->pos - begins;
	struct err e = {0};

	if (w->at_once && at < k->n && w->end - begins <= k->n && !w->bytes) {
		if (claim(w))
			reply_fd(w->r, k->fd, (off_t)at, (size_t)(w->end - w->pos));
		wait_free(w);
		return false;
	}
	if (at >= k->n)
		err_set(&e, EBADMSG, "its archive in S3 ends too early");
	else if (!gather(w))
		err_set(&e, ENOMEM, "out of memory");
	else if (!read_block(w, k, at, (size_t)MIN(w->end - w->pos, k->n - at)))
		err_set(&e, EIO, "the cache cannot be read");
	if (e.no)
		wait_fail(w, &e);
	return !e.no;
}

/* As far as the blocks that are there go. w is answered, or waits. */
void wait_go_on(struct reads *q, struct wait *w)
{
	struct err e = {0};

	while (w->pos < w->end) {
		size_t i = gz_chunk_of(&w->a->index, w->pos);
		_cleanup_(block_putp)
		struct block *k = blocks_find(q->blocks, w->a->id, i);
		enum queued later = k ? NOW : reads_enqueue(q, w, i);

		if (later == LATER)
			return;
		if (later == NEVER) {
			err_set(&e, ENOMEM, "out of memory");
			wait_fail(w, &e);
			return;
		}
		if (k && !take(w, k, w->a->index.chunks[i].in))
			return;
	}
	answer(w);
}

/* Whether this handle reads from front to back. */
static bool reads_on(struct reads *q, struct published *p, uint64_t off, size_t size)
{
	SCOPED_LOCK(&q->mu);
	bool near = off + NEAR >= p->next && off <= p->next + NEAR;

	p->next = near ? MAX(p->next, off + size) : off + size;
	return near && off >= READS_ON;
}

struct published *published_new(struct manifest *man, const struct manifest_member *member)
{
	struct published *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->man = manifest_ref(man);
	p->member = member;
	return p;
}

void published_free(struct published *p)
{
	if (!p)
		return;
	manifest_unref(p->man);
	archive_unref(p->archive);
	free(p);
}

/* A read that has to wait for its archive to be read once, before anything of it can be. */
struct learning {
	struct wait *w;
	uint64_t off;
	size_t size;
	bool on; /* the handle reads from front to back */
};

/* The archive is known: where the bytes are. */
static void locate(struct learning *l)
{
	struct wait *w = l->w;
	struct reads *q = w->md->s->reads;
	const struct extent *x = archive_find(w->a, w->member);
	struct err e = {0};

	if (!x) {
		err_set(&e, EBADMSG, "its archive in S3 does not hold it, or in another size");
		wait_fail(w, &e);
		return;
	}
	w->pos = x->from + l->off;
	w->end = w->pos + l->size;
	reads_ahead(q, w->md, w->a, gz_chunk_of(&w->a->index, w->end - 1), l->on);
	wait_go_on(q, w);
}

static void learn_job(void *arg, struct cancel *cancel)
{
	_cleanup_free_ struct learning *l = arg;
	struct err e = {0};

	l->w->a = archive_learn(l->w->md, l->w->man, l->w->member, cancel, &e);
	if (l->w->a)
		locate(l);
	else
		wait_fail(l->w, &e);
}

static void learn(const struct learning *q)
{
	struct learning *l = malloc(sizeof *l);
	struct err e = {0};

	if (l) {
		*l = *q;
		if (jobs_run(q->w->md->s->m->jobs, learn_job, l) == 0)
			return;
	}
	free(l);
	err_set(&e, ENOMEM, "out of memory");
	wait_fail(q->w, &e);
}

static struct archive *archive_at_hand(struct model *md, struct published *p, struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		if (p->archive)
			return archive_ref(p->archive);
	}
	struct archive *a = archive_known(md, p->man, p->member, e);
	SCOPED_LOCK(&md->s->mu);
	if (a && !p->archive)
		p->archive = archive_ref(a);
	return a;
}

void published_read(struct req *r, struct model *md, struct published *p, size_t size, off_t off)
{
	uint64_t from = (uint64_t)off, all = p->member->size;
	struct err e = {0};

	if (from >= all || !size) {
		reply_data(r, "", 0);
		return;
	}
	if (p->member->content) {
		reply_data(r, p->member->content + from, (size_t)MIN((uint64_t)size, all - from));
		return;
	}
	struct wait *w = calloc(1, sizeof *w);
	if (!w) {
		reply_err(r, ENOMEM);
		return;
	}
	*w = (struct wait){.r = r, .md = md, .man = manifest_ref(p->man), .member = p->member};
	size = (size_t)MIN((uint64_t)size, all - from);
	struct learning l = {w, from, size, reads_on(md->s->reads, p, from, size)};
	w->a = archive_at_hand(md, p, &e);
	/* from here on the caller may be gone, and p with it */
	req_on_interrupt(r, interrupted, w);
	w->at_once = w->a != NULL;
	if (w->a)
		locate(&l);
	else if (e.no == ENODATA)
		learn(&l);
	else
		wait_fail(w, &e);
}
