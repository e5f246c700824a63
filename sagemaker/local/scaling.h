/*
 * scaling.h: application auto scaling of a variant's instances: targets (bounds) and target tracking policies.
 *
 * Kept as rows of `resource`. What they ask for is done on a worker, once a minute and after each RegisterScalableTarget.
 */
#ifndef SAGEMAKER_LOCAL_SCALING_H
#define SAGEMAKER_LOCAL_SCALING_H

#include "sagemaker/local/resources.h"

#define SCALING_DIMENSION "sagemaker:variant:DesiredInstanceCount"

/* A target's row is named by its ResourceId, a policy's "RESOURCE_ID/POLICY". */
extern const struct resource_kind KIND_SCALABLE_TARGET, KIND_SCALING_POLICY;

struct scaling;
struct scaling *scaling_new(struct backend *be, struct err *e) _must_check_;
void scaling_free(struct scaling *s);
/* scaling_tick: once a second, from the main loop. scaling_ask: do it at the next tick. */
void scaling_tick(struct scaling *s);
void scaling_ask(struct scaling *s);
/* scaling_forget: the endpoint is being deleted: its targets and policies go. */
void scaling_forget(struct backend *be, const char *endpoint);
/* scaling_parse: "endpoint/NAME/variant/VARIANT"; false: it is something else. */
bool scaling_parse(const char *resource, char endpoint[64], char variant[64]);
/* scaling_remove_policies: of that resource. */
int scaling_remove_policies(struct backend *be, const char *resource, struct err *e) _must_check_;

#define SCALING_MINUTES 15

/* What target tracking looks at: the last whole minute first; negative: no invocation in that minute, so no value. */
struct tracking {
	double value;                    /* the policy's TargetValue */
	double minutes[SCALING_MINUTES]; /* InvocationsPerInstance, sums */
	int count, low, high;            /* instances now, and the bounds */
	bool may_out, may_in;            /* not suspended, not disabled, not cooling down */
};

/* scaling_decide: the instances that there should be, as AWS's alarms would have it: more when three minutes in a row were above the
 * value, fewer when fifteen were below 90 % of it; always within the bounds. */
int scaling_decide(const struct tracking *t);

#endif
