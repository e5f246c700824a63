/* models_ask.c: what S3 is asked before a request about a model is answered, and not for longer than the kernel's lock allows. */
#include <errno.h>

#include "fs/models_room.h"

#define SLOW_FOR_MS   5000
#define SLOW_LIMIT_MS 200
#define BUSY_LIMIT_MS 25

static void ask_unref(struct ask *a)
{
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(a);
}

bool models_uploading_locked(const struct models *s)
{
	for (const struct model *md = s->list; md; md = md->next) {
		if (progress_now(&md->work) == PROGRESS_UPLOADING)
			return true;
	}
	return false;
}

long models_limit_locked(const struct models *s, bool known)
{
	if (known && models_uploading_locked(s))
		return BUSY_LIMIT_MS;
	return now_ms() < s->slow_until ? SLOW_LIMIT_MS : PROMISE_LIMIT_MS;
}

static void slow(struct models *s)
{
	SCOPED_LOCK(&s->mu);

	s->slow_until = now_ms() + SLOW_FOR_MS;
}

static void answer_ask(struct req *r, void *arg, int no)
{
	struct ask *a = arg;

	(void)no; /* an unreachable service: what is known decides */
	if (!__atomic_load_n(&a->settled, __ATOMIC_ACQUIRE) && !a->hurried)
		slow(a->md->s);
	a->then(r, a);
	ask_unref(a);
}

int model_asked(const struct ask *a)
{
	return __atomic_load_n(&a->settled, __ATOMIC_ACQUIRE) ? a->no : ETIMEDOUT;
}

static void asking_ends(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	md->asking--;
}

static void ask_job(void *arg, struct cancel *cancel)
{
	struct ask *a = arg;

	struct err e = {0};

	{
		struct models *s = a->md->s;
		SCOPED_LOCK(&s->mu);
		while (a->md->deleting && !cancel_is_set(cancel))
			models_wait_locked(s, 100);
	}

	if (catalog_refresh(a->md, cancel, &e) < 0) {
		a->no = e.no;
		mount_fail(a->md->s->m, ROOM_MODELS, &e);
	}
	asking_ends(a->md);
	__atomic_store_n(&a->settled, true, __ATOMIC_RELEASE);
	promise_settle(a->promise, 0);
	ask_unref(a);
}

/* Whether what is known of the model will do; else a job has to ask, and a->md->asking counts it. */
static bool enough(struct ask *a, long *limit)
{
	struct model *md = a->md;
	SCOPED_LOCK(&md->s->mu);
	bool known = md->known == KNOWN_PUBLISHED && md->man && !md->deleting;

	if (!md->deleting && (a->published ? model_known_locked(md) : model_fresh_locked(md)))
		return true;
	*limit = models_limit_locked(md->s, known);
	a->hurried = *limit == BUSY_LIMIT_MS;
	if (a->hurried && md->asking)
		return true;
	md->asking++;
	return false;
}

void model_ask(struct req *r, const struct ask *q)
{
	struct ask *a = malloc(sizeof *a);
	long limit = 0;

	if (!a) {
		reply_err(r, ENOMEM);
		return;
	}
	*a = *q;
	a->refs = 2;
	bool fresh = enough(a, &limit);
	a->promise = fresh ? NULL : promise_new(r, limit, answer_ask, a);
	if (!fresh && !a->promise)
		asking_ends(a->md);
	if (!a->promise) { /* fresh, or no memory: as known */
		a->settled = true;
		a->then(r, a);
		free(a);
	} else if (jobs_run(a->md->s->m->jobs, ask_job, a) < 0) {
		asking_ends(a->md);
		promise_settle(a->promise, 0);
		ask_unref(a);
	}
}
