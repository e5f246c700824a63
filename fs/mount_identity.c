#include <errno.h>

#include "fs/mount.h"

#define FIRST_MS 15000 /* for an answer from an AWS that has not failed yet */
#define AGAIN_MS \
 2000 /* for one from an AWS that has; so long it is also left alone after each failure */

bool mount_network_failed(const struct err *e)
{
	static const int nos[] = {ECANCELED,    ETIMEDOUT,   ECONNREFUSED,
				  EHOSTUNREACH, ENETUNREACH, ECONNRESET};

	for (size_t i = 0; i < ARRAY_SIZE(nos); i++) {
		if (e->no == nos[i])
			return true;
	}
	return false;
}

static void too_long(struct timer *t)
{
	cancel_set(t->arg);
}

static void pass_on(void *own)
{
	cancel_set(own);
}

/* The question, given up after limit_ms. */
static int ask(struct mount *m, long limit_ms, struct identity *out, struct cancel *c,
	       struct err *e)
{
	struct cancel *own _cleanup_(cancel_unrefp)
	= cancel_new();
	struct timer limit = {.fn = too_long, .arg = own};

	if (!own)
		return err_set(e, ENOMEM, "out of memory");
	cancel_on(c, pass_on, own);
	timer_arm(m->watch, &limit, limit_ms);
	int rc = sts_identity(m->aws, out, own, e);
	timer_disarm(m->watch, &limit);
	cancel_off(c, pass_on, own);
	if (rc < 0 && e->no == ECANCELED && !cancel_is_set(c))
		return err_set(
			e, ETIMEDOUT,
			"ask who these AWS keys belong to: no answer within %ld s; check the "
			"network, and the region '%s'",
			limit_ms / 1000, m->config.region);
	return rc;
}

/* How long to wait for an answer; 0: not at all, *e says why. Nobody waits again for what another has just waited for. */
static long patience_locked(const struct mount *m, struct err *e)
{
	if (!m->unreachable.no)
		return FIRST_MS;
	*e = m->unreachable;
	return now_ms() - m->unreachable_at < AGAIN_MS ? 0 : AGAIN_MS;
}

/* The first reason is the best one: later questions are given up sooner. */
static void note_failure_locked(struct mount *m, const struct err *e)
{
	m->unreachable_at = now_ms();
	if (!mount_network_failed(e))
		m->unreachable = (struct err){0};
	else if (!m->unreachable.no || e->no != ETIMEDOUT)
		m->unreachable = *e;
}

int mount_identity(struct mount *m, struct identity *out, struct cancel *c, struct err *e)
{
	pthread_mutex_lock(&m->mu);
	*out = m->identity;
	long limit = out->account[0] ? 0 : patience_locked(m, e);
	pthread_mutex_unlock(&m->mu);
	if (!limit)
		return out->account[0] ? 0 : -1;
	int rc = ask(m, limit, out, c, e);
	/* While the mount starts there is no state yet: whose it has to be is what this is asked for. */
	if (rc == 0 && m->state_fd >= 0 && account_learnt(m, out->account, e) < 0)
		return -1;
	SCOPED_LOCK(&m->mu);
	if (rc == 0)
		m->identity = *out;
	else if (e->no != ECANCELED)
		note_failure_locked(m, e);
	return rc;
}
