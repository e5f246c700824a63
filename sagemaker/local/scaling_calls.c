/* scaling_calls.c: the calls of application auto scaling: what they check and keep. */
#include <errno.h>

#include "sagemaker/config.h"
#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/scaling.h"
#include "sagemaker/local/validate.h"

#define PAGE      50
#define METRIC    "SageMakerVariantInvocationsPerInstance"
#define NO_ALARMS "the local backend has no alarms: it takes TargetTrackingScaling"

const struct resource_kind KIND_SCALABLE_TARGET = {
	"scalable-target", "scalable target", "ResourceId", "ScalableTargetARN", "ScalableTargets"};
const struct resource_kind KIND_SCALING_POLICY = {"scaling-policy", "scaling policy", "PolicyName",
						  "PolicyARN", "ScalingPolicies"};

bool scaling_parse(const char *resource, char endpoint[64], char variant[64])
{
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	static const char first[] = "endpoint/", second[] = "/variant/";
	const char *p = resource + strlen(first);

	if (!starts_with(resource, first))
		return false;
	size_t n = strspn(p, name);
	if (!n || !starts_with(p + n, second) || !copy_text(endpoint, 64, p, n))
		return false;
	p += n + strlen(second);
	n = strspn(p, name);
	return n && !p[n] && copy_text(variant, 64, p, n);
}

/* Whether the request is about a variant's instances; false: replied. */
static bool check_scope(struct request *r, const cJSON *in)
{
	char endpoint[64], variant[64];
	const char *resource = member_string(in, "ResourceId"),
		   *dimension = member_string(in, "ScalableDimension");

	if (streq(member_string(in, "ServiceNamespace"), "sagemaker") &&
	    (!*dimension || streq(dimension, SCALING_DIMENSION)) &&
	    (!*resource || scaling_parse(resource, endpoint, variant)))
		return true;
	reply_error(
		r, 400, "ValidationException",
		"Unsupported service namespace, resource type or scalable dimension: the local backend scales "
		"endpoint/NAME/variant/VARIANT of sagemaker by " SCALING_DIMENSION);
	return false;
}

static void reply_no_target(struct request *r, const char *resource)
{
	reply_error(
		r, 400, "ObjectNotFoundException",
		"No scalable target found for service namespace: sagemaker, resource ID: %s, scalable dimension: " SCALING_DIMENSION,
		resource);
}

/* ---- targets ---- */

/* The variant is there and has instances; false: replied. */
static bool check_variant(struct request *r, const char *resource)
{
	char endpoint[64], variant[64];
	struct variant_state v;

	if (scaling_parse(resource, endpoint, variant) &&
	    fleet_variant(r->be->endpoints, endpoint, variant, &v) && !v.serverless)
		return true;
	reply_error(
		r, 400, "ValidationException",
		"Could not find a production variant with instances for the resource ID: %s. Deploy the endpoint first",
		resource);
	return false;
}

/* What is given of a member, from `in` into the row. */
static void take(cJSON *row, cJSON *in, const char *name)
{
	cJSON *given = cJSON_DetachItemFromObjectCaseSensitive(in, name);

	if (!given)
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(row, name);
	cJSON_AddItemToObject(row, name, given);
}

static bool check_bounds(struct request *r, const cJSON *row)
{
	double low = member_number(row, "MinCapacity", -1),
	       high = member_number(row, "MaxCapacity", -1);

	if (low < 0 || high < 0) {
		reply_error(
			r, 400, "ValidationException",
			"MinCapacity and MaxCapacity must be given when a scalable target is registered first");
		return false;
	}
	if (low < 1) {
		reply_error(r, 400, "ValidationException",
			    "MinCapacity: a variant with instances has at least 1");
		return false;
	}
	if (low <= high)
		return true;
	reply_error(r, 400, "ValidationException",
		    "Maximum capacity cannot be less than minimum capacity");
	return false;
}

static void new_target(struct backend *be, cJSON *row)
{
	cJSON *suspended = cJSON_AddObjectToObject(row, "SuspendedState");
	char id[33], arn[256];

	random_text(id, sizeof id);
	snprintf(arn, sizeof arn,
		 "arn:%s:application-autoscaling:%s:" LOCAL_ACCOUNT ":scalable-target/%s",
		 config_partition(be->region), be->region, id);
	cJSON_AddStringToObject(row, "ScalableTargetARN", arn);
	snprintf(arn, sizeof arn,
		 "arn:aws:iam::" LOCAL_ACCOUNT
		 ":role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
		 "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint");
	cJSON_AddStringToObject(row, "RoleARN", arn);
	cJSON_AddBoolToObject(suspended, "DynamicScalingInSuspended", false);
	cJSON_AddBoolToObject(suspended, "DynamicScalingOutSuspended", false);
	cJSON_AddBoolToObject(suspended, "ScheduledScalingSuspended", false);
}

/* The row and its name, added or replaced. */
static int put_row(struct backend *be, const struct resource_kind *k, const char *name,
		   const cJSON *row, struct err *e)
{
	int added = resource_add(be, k, name, row, NULL, e);

	return added ? MIN(added, 0) : resource_update(be, k, name, row, e);
}

static const struct unsupported target_unsupported[] = {
	{"Tags", "the local backend keeps no tags of scalable targets; leave them out"},
	{NULL,   NULL								 },
};

void scaling_register(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, target_unsupported), *row = NULL;
	const char *resource = member_string(in, "ResourceId");
	double created;
	struct err e;

	if (!in || !check_scope(r, in) || !check_variant(r, resource))
		return;
	int found = resource_get(r->be, &KIND_SCALABLE_TARGET, resource, &row, &created, &e);
	if (!found) {
		row = cJSON_CreateObject();
		new_target(r->be, row);
	}
	take(row, in, "MinCapacity");
	take(row, in, "MaxCapacity");
	take(row, in, "SuspendedState");
	if (found >= 0 && !check_bounds(r, row))
		return;
	if (found < 0 || put_row(r->be, &KIND_SCALABLE_TARGET, resource, row, &e) < 0) {
		reply_failure(r, &e);
		return;
	}
	scaling_ask(r->be->scaling);
	cJSON *out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "ScalableTargetARN", member_string(row, "ScalableTargetARN"));
	reply_json(r, out);
}

void scaling_deregister(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *resource = member_string(in, "ResourceId");
	struct err e;

	if (!in || !check_scope(r, in))
		return;
	int gone = resource_delete(r->be, &KIND_SCALABLE_TARGET, resource, &e);
	if (gone < 0 || scaling_remove_policies(r->be, resource, &e) < 0)
		reply_failure(r, &e);
	else if (!gone)
		reply_no_target(r, resource);
	else
		reply_json(r, cJSON_CreateObject());
}

/* ---- policies ---- */

static const struct unsupported policy_unsupported[] = {
	{"StepScalingPolicyConfiguration",                                         NO_ALARMS},
	{"PredictiveScalingPolicyConfiguration",                                   NO_ALARMS},
	{"TargetTrackingScalingPolicyConfiguration.CustomizedMetricSpecification",
	 "the local backend tracks the predefined metric " METRIC                           },
	{NULL,								     NULL     },
};

static bool check_policy(struct request *r, const cJSON *in)
{
	const cJSON *c = cJSON_GetObjectItem(in, "TargetTrackingScalingPolicyConfiguration");
	const cJSON *metric = cJSON_GetObjectItem(c, "PredefinedMetricSpecification");

	if (!streq(member_string(in, "PolicyType"), "TargetTrackingScaling") || !c) {
		reply_error(r, 400, "ValidationException", "PolicyType: " NO_ALARMS);
		return false;
	}
	if (!streq(member_string(metric, "PredefinedMetricType"), METRIC)) {
		reply_error(r, 400, "ValidationException",
			    "PredefinedMetricType: the local backend tracks " METRIC);
		return false;
	}
	if (member_number(c, "TargetValue", 0) > 0)
		return true;
	reply_error(r, 400, "ValidationException", "TargetValue must be greater than 0");
	return false;
}

static void policy_arn(const struct backend *be, const char *resource, const char *name,
		       char out[2048])
{
	char id[33];

	random_text(id, sizeof id);
	snprintf(
		out, 2048,
		"arn:%s:autoscaling:%s:" LOCAL_ACCOUNT
		":scalingPolicy:%.8s-%.4s-%.4s-%.4s-%.12s:resource/sagemaker/%.200s:policyName/%.1000s",
		config_partition(be->region), be->region, id, id + 8, id + 12, id + 16, id + 20,
		resource, name);
}

/* The row of what its name is now, else a new one; NULL: replied. */
static cJSON *policy_row(struct request *r, const char *resource, const char *policy,
			 const char *key)
{
	_cleanup_json_ cJSON *target = NULL;
	cJSON *row = NULL;
	char arn[2048];
	double created;
	struct err e;
	int found = resource_get(r->be, &KIND_SCALABLE_TARGET, resource, &target, &created, &e);

	if (!found) {
		reply_no_target(r, resource);
		return NULL;
	}
	if (found > 0)
		found = resource_get(r->be, &KIND_SCALING_POLICY, key, &row, &created, &e);
	if (found < 0) {
		reply_failure(r, &e);
		return NULL;
	}
	if (row)
		return row;
	row = cJSON_CreateObject();
	policy_arn(r->be, resource, policy, arn);
	cJSON_AddStringToObject(row, "PolicyARN", arn);
	return row;
}

void scaling_put_policy(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, policy_unsupported), *row = NULL;
	const char *resource = member_string(in, "ResourceId"),
		   *policy = member_string(in, "PolicyName");
	struct err e;

	if (!in || !check_scope(r, in) || !check_policy(r, in))
		return;
	_cleanup_free_ char *key = str_printf("%s/%s", resource, policy);
	row = key ? policy_row(r, resource, policy, key) : NULL;
	if (!row)
		return;
	take(row, in, "TargetTrackingScalingPolicyConfiguration");
	if (put_row(r->be, &KIND_SCALING_POLICY, key, row, &e) < 0) {
		reply_failure(r, &e);
		return;
	}
	cJSON *out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "PolicyARN", member_string(row, "PolicyARN"));
	cJSON_AddArrayToObject(out, "Alarms");
	reply_json(r, out);
}

void scaling_delete_policy(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *resource = member_string(in, "ResourceId"),
		   *policy = member_string(in, "PolicyName");
	struct err e;

	if (!in || !check_scope(r, in))
		return;
	_cleanup_free_ char *key = str_printf("%s/%s", resource, policy);
	int gone = key ? resource_delete(r->be, &KIND_SCALING_POLICY, key, &e)
		       : err_set(&e, ENOMEM, "out of memory");
	if (gone < 0)
		reply_failure(r, &e);
	else if (!gone)
		reply_error(
			r, 400, "ObjectNotFoundException",
			"No scaling policy found for service namespace: sagemaker, resource ID: %s, scalable dimension: " SCALING_DIMENSION
			", policy name: %.300s",
			resource, policy);
	else
		reply_json(r, cJSON_CreateObject());
}

/* ---- lists ---- */

struct list {
	const cJSON *in;
	cJSON *rows; /* owned */
	bool policies;
};

static bool is_among(const cJSON *names, const char *name)
{
	const cJSON *n;

	if (!names)
		return true;
	cJSON_ArrayForEach(n, names) {
		if (streq(n->valuestring, name))
			return true;
	}
	return false;
}

/* The part of a key that is the resource: up to the fourth slash. */
static size_t resource_len(const char *key)
{
	int slashes = 0;
	size_t n = 0;

	while (key[n] && (key[n] != '/' || ++slashes < 4))
		n++;
	return n;
}

static void add_row(void *arg, const char *key, double created, cJSON *json)
{
	struct list *l = arg;
	_cleanup_json_ cJSON *row = json;
	size_t n = resource_len(key);
	char resource[256];
	const char *wanted = member_string(l->in, "ResourceId");

	if (!row || !copy_text(resource, sizeof resource, key, n))
		return;
	if (!is_among(cJSON_GetObjectItem(l->in, "ResourceIds"), resource) ||
	    (*wanted && !streq(wanted, resource)) ||
	    (l->policies && !is_among(cJSON_GetObjectItem(l->in, "PolicyNames"), key + n + 1)))
		return;
	cJSON_AddStringToObject(row, "ServiceNamespace", "sagemaker");
	cJSON_AddStringToObject(row, "ResourceId", resource);
	cJSON_AddStringToObject(row, "ScalableDimension", SCALING_DIMENSION);
	cJSON_AddNumberToObject(row, "CreationTime", created);
	cJSON_DeleteItemFromObjectCaseSensitive(row, "LastOut");
	cJSON_DeleteItemFromObjectCaseSensitive(row, "LastIn");
	if (l->policies) {
		cJSON_AddStringToObject(row, "PolicyName", key + n + 1);
		cJSON_AddStringToObject(row, "PolicyType", "TargetTrackingScaling");
		cJSON_AddArrayToObject(row, "Alarms");
	}
	cJSON_AddItemToArray(l->rows, steal(row));
}

/* Rows come by name. A token is how many there were before. */
static void reply_rows(struct request *r, struct list *l, const char *member)
{
	const char *token = member_string(l->in, "NextToken");
	int most = (int)member_number(l->in, "MaxResults", PAGE),
	    at = (int)MIN(strtoul(token, NULL, 10), 100000ul);
	cJSON *out = cJSON_CreateObject();
	char next[16];

	if (most < 1 || most > PAGE)
		most = PAGE;
	for (int i = 0; i < at && cJSON_GetArraySize(l->rows); i++)
		cJSON_DeleteItemFromArray(l->rows, 0);
	if (cJSON_GetArraySize(l->rows) > most) {
		snprintf(next, sizeof next, "%d", at + most);
		cJSON_AddStringToObject(out, "NextToken", next);
	}
	while (cJSON_GetArraySize(l->rows) > most)
		cJSON_DeleteItemFromArray(l->rows, most);
	cJSON_AddItemToObject(out, member, steal(l->rows));
	reply_json(r, out);
}

static void describe(struct request *r, const struct resource_kind *k)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	struct list l = {in, cJSON_CreateArray(), k == &KIND_SCALING_POLICY};
	struct err e;

	if (in && check_scope(r, in)) {
		if (resource_each(r->be, k, add_row, &l, &e) < 0)
			reply_failure(r, &e);
		else
			reply_rows(r, &l, k->list_member);
	}
	cJSON_Delete(l.rows);
}

void scaling_describe_targets(struct request *r)
{
	describe(r, &KIND_SCALABLE_TARGET);
}

void scaling_describe_policies(struct request *r)
{
	describe(r, &KIND_SCALING_POLICY);
}
