#include <errno.h>

#include "fs/mount.h"

/* Two hold it: the timer and the work. Whoever comes first answers; the work, which always comes, frees. */
struct promise {
	pthread_mutex_t mu; /* guards answered */
	bool answered;
	struct timer timer;
	struct watch *watch;
	struct req *req;
	promise_answer *answer;
	void *arg;
};

static bool claim(struct promise *p)
{
	SCOPED_LOCK(&p->mu);
	bool mine = !p->answered;

	p->answered = true;
	return mine;
}

static void limit(struct timer *t)
{
	struct promise *p = t->arg;

	if (claim(p))
		p->answer(p->req, p->arg, 0);
}

struct promise *promise_new(struct req *r, long limit_ms, promise_answer *answer, void *arg)
{
	struct promise *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	*p = (struct promise){.watch = req_mount(r)->watch, .req = r, .answer = answer, .arg = arg};
	p->timer = (struct timer){.fn = limit, .arg = p};
	pthread_mutex_init(&p->mu, NULL);
	timer_arm(p->watch, &p->timer, limit_ms);
	return p;
}

bool promise_settle(struct promise *p, int no)
{
	bool mine = claim(p);

	timer_disarm(p->watch,
		     &p->timer); /* the limit's answer, if it is being given, is over now */
	if (mine)
		p->answer(p->req, p->arg, no);
	pthread_mutex_destroy(&p->mu);
	free(p);
	return mine;
}
