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
	struct instance *i = least_loaded(v);
	if (!i)
		return INVOKE_RESTARTING;
	i->in_flight++;
	out->process = i->process;
	snprintf(out->url, sizeof out->url, "http://127.0.0.1:%u/invocations", i->port);
	return INVOKE_READY;
}

void fleet_release(struct fleet *all, const struct invoke_target *t)
{
	SCOPED_LOCK(&all->mu);
	struct endpoint *ep = endpoint_find_locked(all, t->name, strlen(t->name));
	struct instance *i = ep ? instance_find(ep, t->process) : NULL;

	if (i && i->in_flight)
		instance_released_locked(i);
}
