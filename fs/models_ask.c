/* models_ask.c: what S3 is asked before a request about a model is answered, and not for longer than the kernel's lock allows. */
#include <errno.h>

#include "fs/models_room.h"

#define SLOW_FOR_MS   5000
#define SLOW_LIMIT_MS 200

static void ask_unref(struct ask *a)
{
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(a);
}

long models_limit_locked(const struct models *s)
{
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
	if (!__atomic_load_n(&a->settled, __ATOMIC_ACQUIRE))
		slow(a->md->s);
	a->then(r, a);
	ask_unref(a);
}

int model_asked(const struct ask *a)
{
	return __atomic_load_n(&a->settled, __ATOMIC_ACQUIRE) ? a->no : ETIMEDOUT;
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
	__atomic_store_n(&a->settled, true, __ATOMIC_RELEASE);
	promise_settle(a->promise, 0);
	ask_unref(a);
}

void model_ask(struct req *r, const struct ask *q)
{
	struct ask *a = malloc(sizeof *a);
	long limit;
	bool fresh;

	if (!a) {
		reply_err(r, ENOMEM);
		return;
	}
	*a = *q;
	a->refs = 2;
	{
		SCOPED_LOCK(&a->md->s->mu);
		fresh = !a->md->deleting &&
			(a->published ? model_known_locked(a->md) : model_fresh_locked(a->md));
		limit = models_limit_locked(a->md->s);
	}
	a->promise = fresh ? NULL : promise_new(r, limit, answer_ask, a);
	if (!a->promise) { /* fresh, or no memory: as known */
		a->settled = true;
		a->then(r, a);
		free(a);
	} else if (jobs_run(a->md->s->m->jobs, ask_job, a) < 0) {
		promise_settle(a->promise, 0);
		ask_unref(a);
	}
}
