/* dispatch.c: which process an invocation goes to. */
#include <sys/random.h>

#include "sagemaker/local/endpoints_internal.h"

static double dice(void)
{
	uint32_t n = 0;

	return getrandom(&n, sizeof n, 0) == sizeof n ? n / 4294967296.0 : 0;
}

/* By weight / sum of weights. All of them 0: the first. */
static struct variant *choose(struct deployment *dep)
{
	double sum = 0;

	for (size_t k = 0; k < dep->n; k++)
		sum += dep->variants[k].weight;
	double at = dep->n > 1 ? dice() * sum : 0;
	for (size_t k = 0; k + 1 < dep->n; k++) {
		if (at < dep->variants[k].weight)
			return &dep->variants[k];
		at -= dep->variants[k].weight;
	}
	return sum > 0 ? &dep->variants[dep->n - 1] : &dep->variants[0];
}

static struct instance *least_loaded(const struct variant *v)
{
	struct instance *best = NULL;

	for (struct instance *i = v->first; i; i = i->next) {
		if (i->ready && (!best || i->in_flight < best->in_flight))
			best = i;
	}
	return best;
}

static bool serves(const struct endpoint *ep)
{
	return ep && ep->live &&
	       (ep->status == IN_SERVICE || ep->status == UPDATING || ep->status == ROLLING_BACK);
}

/* Counted once, as long as it waits and is answered. */
static enum invokable count_locked(struct variant *v, struct invoke_target *out)
{
	out->serverless = v->serverless;
	if (!v->serverless || out->counted)
		return INVOKE_READY;
	if (v->serving >= v->max_concurrency)
		return INVOKE_BUSY;
	v->serving++;
	v->used = time_mono();
	out->counted = true;
	return INVOKE_READY;
}

/* No process answers: a serverless variant gets one. */
static enum invokable wake_locked(struct variant *v)
{
	if (!v->serverless || v->dep->ep->all->stopping)
		return INVOKE_RESTARTING;
	v->count = 1;
	instances_start_locked(v);
	return INVOKE_COLD;
}

enum invokable fleet_target(struct fleet *all, const char *name, size_t len, const char *variant,
			    struct invoke_target *out)
{
	SCOPED_LOCK(&all->mu);
	struct endpoint *ep = endpoint_find_locked(all, name, len);

	if (!serves(ep))
		return INVOKE_UNKNOWN;
	memcpy(out->name, ep->name, sizeof out->name);
	struct variant *v = variant ? variant_find(ep->live, variant) : choose(ep->live);
	if (!v)
		return INVOKE_NO_VARIANT;
	memcpy(out->variant, v->name, sizeof out->variant);
	if (count_locked(v, out) == INVOKE_BUSY)
		return INVOKE_BUSY;
	struct instance *i = least_loaded(v);
	if (!i)
		return wake_locked(v);
	i->in_flight++;
	out->process = i->process;
	out->instances = (unsigned)v->count;
	snprintf(out->url, sizeof out->url, "http://127.0.0.1:%u/invocations", i->port);
	return INVOKE_READY;
}

/* The variant that counted it; one that was replaced meanwhile is gone with its count. */
static void uncount_locked(struct endpoint *ep, const struct instance *i,
			   const struct invoke_target *t)
{
	struct variant *v = i ? i->variant : ep->live ? variant_find(ep->live, t->variant) : NULL;

	if (!t->counted || !v)
		return;
	v->serving = MAX(v->serving - 1, 0);
	v->used = time_mono();
}

void fleet_release(struct fleet *all, const struct invoke_target *t)
{
	SCOPED_LOCK(&all->mu);
	struct endpoint *ep = endpoint_find_locked(all, t->name, strlen(t->name));
	struct instance *i = ep && t->process ? instance_find(ep, t->process) : NULL;

	if (ep)
		uncount_locked(ep, i, t);
	if (i && i->in_flight)
		instance_released_locked(i);
}
