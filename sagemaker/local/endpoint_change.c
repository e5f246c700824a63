/* endpoint_change.c: DeleteEndpoint, UpdateEndpoint, UpdateEndpointWeightsAndCapacities: what they may do and what they begin. */
#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/validate.h"

static bool in_progress(const struct endpoint *ep)
{
	return ep->status != IN_SERVICE && ep->status != FAILED;
}

enum change fleet_delete(struct fleet *all, const char *name, struct err *e)
{
	SCOPED_LOCK(&all->mu);
	struct endpoint *ep = endpoint_find_locked(all, name, strlen(name));

	if (!ep)
		return CHANGE_MISSING;
	if (in_progress(ep))
		return CHANGE_IN_PROGRESS;
	if (endpoint_save_locked(ep, DELETING, e) < 0)
		return CHANGE_FAILED; /* what is not kept is not promised */
	endpoint_note_locked(ep);
	endpoint_delay_locked(ep, all->be->options->delete_delay);
	ep->status = DELETING;
	ep->modified = time_now();
	logger_line(all->be->log, "endpoint %s: Deleting", ep->name);
	endpoint_end_locked(ep);
	return CHANGE_BEGUN;
}

/* The endpoint if it can be changed now. */
static enum change changeable_locked(struct fleet *all, const char *name, struct endpoint **out,
				     struct err *e)
{
	*out = endpoint_find_locked(all, name, strlen(name));
	if (!*out)
		return CHANGE_MISSING;
	if ((*out)->status == FAILED) {
		err_set(e, EINVAL,
			"Cannot update endpoint \"%s\" in status Failed; only DeleteEndpoint is allowed.",
			name);
		return CHANGE_REFUSED;
	}
	return in_progress(*out) ? CHANGE_IN_PROGRESS : CHANGE_BEGUN;
}

static bool is_excluded(const cJSON *in, const char *property)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, cJSON_GetObjectItem(in, "ExcludeRetainedVariantProperties")) {
		if (streq(member_string(row, "VariantPropertyType"), property))
			return true;
	}
	return false;
}

/* RetainAllVariantProperties: weights and counts of variants that go on under their names. */
static void retain(struct deployment *dep, struct deployment *live, const cJSON *in)
{
	if (!cJSON_IsTrue(cJSON_GetObjectItem(in, "RetainAllVariantProperties")))
		return;
	for (size_t k = 0; k < dep->n; k++) {
		const struct variant *v = variant_find(live, dep->variants[k].name);

		if (v && !is_excluded(in, "DesiredWeight"))
			dep->variants[k].weight = v->weight;
		if (v && !v->serverless && !dep->variants[k].serverless &&
		    !is_excluded(in, "DesiredInstanceCount"))
			dep->variants[k].count = v->count;
	}
}

int deployment_count(const struct deployment *dep)
{
	int n = 0;

	for (size_t k = 0; dep && k < dep->n; k++)
		n += dep->variants[k].serverless ? 0 : dep->variants[k].count;
	return n;
}

static int wanted_locked(const struct fleet *all)
{
	int n = 0;

	for (const struct endpoint *ep = all->first; ep; ep = ep->next)
		n += ep->status == FAILED
			     ? 0
			     : deployment_count(ep->live) + deployment_count(ep->next_up);
	return n;
}

/* On AWS each instance type has a quota of its own; here all are processes of one machine. */
int endpoint_room_locked(const struct fleet *all, const struct deployment *dep, int more,
			 struct err *e)
{
	int most = (int)all->be->options->max_instances, used = wanted_locked(all);

	if (more <= 0 || more <= most - used)
		return 0;
	return err_set(
		e, EDQUOT,
		"The account-level service limit '%s for endpoint usage' is %d Instances, with "
		"current utilization of %d Instances and a request delta of %d Instances.",
		member_string(cJSON_GetArrayItem(dep->json, 0), "InstanceType"), most, used, more);
}

enum change fleet_update(struct fleet *all, const cJSON *in, cJSON *variants, struct err *e)
{
	struct endpoint *ep;
	char id[17];

	random_text(id, sizeof id);
	SCOPED_LOCK(&all->mu);
	enum change may = changeable_locked(all, member_string(in, "EndpointName"), &ep, e);
	if (may != CHANGE_BEGUN) {
		cJSON_Delete(variants);
		return may;
	}
	ep->next_up = deployment_new(ep, member_string(in, "EndpointConfigName"), id, variants);
	if (!ep->next_up) {
		err_set(e, ENOMEM, "out of memory");
		return CHANGE_FAILED;
	}
	retain(ep->next_up, ep->live, in);
	struct deployment *made = steal(ep->next_up);
	if (endpoint_room_locked(all, made, deployment_count(made), e) < 0) {
		deployment_unref_locked(made);
		return CHANGE_REFUSED;
	}
	ep->next_up = made;
	if (endpoint_save_locked(ep, UPDATING, e) < 0) {
		deployment_unref_locked(ep->next_up);
		ep->next_up = NULL;
		return CHANGE_FAILED;
	}
	endpoint_set_locked(ep, UPDATING, NULL);
	endpoint_delay_locked(ep, all->be->options->update_delay);
	endpoint_begin_locked(ep);
	return CHANGE_BEGUN;
}

/* NULL: good; else what the variant cannot be asked. */
static const char *wish_mistake(const struct variant *v, const cJSON *w)
{
	const cJSON *s = cJSON_GetObjectItem(w, "ServerlessUpdateConfig");

	if (s && !v->serverless)
		return "it is not serverless";
	if (v->serverless && cJSON_HasObjectItem(w, "DesiredInstanceCount"))
		return "it is serverless and has no DesiredInstanceCount";
	if (member_number(w, "DesiredInstanceCount", 1) < 1)
		return "DesiredInstanceCount must be at least 1";
	if (s && member_number(s, "ProvisionedConcurrency", v->provisioned) >
			 member_number(s, "MaxConcurrency", v->max_concurrency))
		return "ProvisionedConcurrency must not exceed MaxConcurrency";
	return NULL;
}

static int check_wishes(struct deployment *dep, const cJSON *wishes, struct err *e)
{
	const cJSON *w;
	int more = 0;

	cJSON_ArrayForEach(w, wishes) {
		const char *name = member_string(w, "VariantName");

		const struct variant *v = variant_find(dep, name);

		if (!v)
			return err_set(e, EINVAL,
				       "Could not find variant \"%s\" of endpoint \"%s\".", name,
				       dep->ep->name);
		if (wish_mistake(v, w))
			return err_set(e, EINVAL, "Variant \"%s\": %s.", name, wish_mistake(v, w));
		if (!v->serverless)
			more += (int)member_number(w, "DesiredInstanceCount", v->count) - v->count;
	}
	return endpoint_room_locked(dep->ep->all, dep, more, e);
}

/* Kept before it is begun; what cannot be kept is not promised. */
static int apply_locked(struct endpoint *ep, const cJSON *wishes, struct err *e)
{
	struct deployment *dep = ep->live;
	_cleanup_free_ struct variant *before = calloc(dep->n, sizeof *before);
	const cJSON *w;

	if (!before)
		return err_set(e, ENOMEM, "out of memory");
	memcpy(before, dep->variants, dep->n * sizeof *before);
	cJSON_ArrayForEach(w, wishes) {
		struct variant *v = variant_find(dep, member_string(w, "VariantName"));

		v->weight = member_number(w, "DesiredWeight", v->weight);
		v->count = (int)member_number(w, "DesiredInstanceCount", v->count);
		const cJSON *s = cJSON_GetObjectItem(w, "ServerlessUpdateConfig");
		v->max_concurrency = (int)member_number(s, "MaxConcurrency", v->max_concurrency);
		v->provisioned = (int)member_number(s, "ProvisionedConcurrency", v->provisioned);
		if (v->provisioned)
			v->count = 1;
	}
	int rc = endpoint_save_locked(ep, UPDATING, e);
	for (size_t k = 0; rc < 0 && k < dep->n; k++) {
		dep->variants[k].weight = before[k].weight;
		dep->variants[k].count = before[k].count;
		dep->variants[k].max_concurrency = before[k].max_concurrency;
		dep->variants[k].provisioned = before[k].provisioned;
	}
	return rc;
}

/* Instances above what is wanted, the youngest first, end when their invocations have. */
static void shed_locked(struct variant *v)
{
	int n = 0;

	for (const struct instance *i = v->first; i; i = i->next)
		n += !i->leaving;
	for (struct instance *i = v->first; i && n > v->count; i = i->next) {
		if (i->leaving)
			continue;
		instance_end_locked(i, false);
		n--;
	}
}

enum change fleet_scale(struct fleet *all, const char *name, const cJSON *wishes, struct err *e)
{
	struct endpoint *ep;

	SCOPED_LOCK(&all->mu);
	enum change may = changeable_locked(all, name, &ep, e);
	if (may != CHANGE_BEGUN)
		return may;
	if (check_wishes(ep->live, wishes, e))
		return CHANGE_REFUSED;
	endpoint_note_locked(ep);
	if (apply_locked(ep, wishes, e))
		return CHANGE_FAILED;
	endpoint_set_locked(ep, UPDATING, NULL);
	endpoint_delay_locked(ep, all->be->options->update_delay);
	for (size_t k = 0; k < ep->live->n; k++) {
		instances_start_locked(&ep->live->variants[k]);
		shed_locked(&ep->live->variants[k]);
	}
	endpoint_check_locked(ep);
	return CHANGE_BEGUN;
}
