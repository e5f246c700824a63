#include "sagemaker/local/calls.h"
#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/validate.h"

static const struct unsupported create_unsupported[] = {
	{"DeploymentConfig", "the local backend does not have this; leave it out or deploy to AWS"},
	{NULL,	       NULL								 },
};

/* The resource or NULL, replied. */
static cJSON *need(struct request *r, const struct resource_kind *k, const char *name)
{
	cJSON *json = NULL;
	struct err e;
	double created;
	int found = resource_get(r->be, k, name, &json, &created, &e);

	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_missing(r, k, name);
	return found > 0 ? json : NULL;
}

/* All that the endpoint needs for its whole life: its config and model may be deleted while it serves. */
static cJSON *make_plan(struct request *r, const cJSON *in)
{
	_cleanup_json_ cJSON *config =
				     need(r, &KIND_CONFIG, member_string(in, "EndpointConfigName")),
			     *model = NULL;
	cJSON *plan = NULL;

	if (!config)
		return NULL;
	cJSON *variant =
		cJSON_DetachItemFromArray(cJSON_GetObjectItem(config, "ProductionVariants"), 0);
	model = need(r, &KIND_MODEL, member_string(variant, "ModelName"));
	if (model) {
		plan = cJSON_CreateObject();
		cJSON_AddStringToObject(plan, "EndpointName", member_string(in, "EndpointName"));
		cJSON_AddStringToObject(plan, "EndpointConfigName",
					member_string(config, "EndpointConfigName"));
		cJSON_AddItemToObject(plan, "Model",
				      cJSON_DetachItemFromObject(model, "PrimaryContainer"));
		cJSON_AddItemToObject(plan, "Variant", variant);
	} else {
		cJSON_Delete(variant);
	}
	return plan;
}

void sm_create_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, create_unsupported);
	cJSON *plan = in ? make_plan(r, in) : NULL;
	struct err e;
	char arn[256];

	if (!plan)
		return;
	const char *name = member_string(in, "EndpointName");
	int made = fleet_create(r->be->endpoints, plan, cJSON_GetObjectItem(in, "Tags"), &e);
	if (made < 0) {
		reply_failure(r, &e);
	} else if (!made) {
		reply_exists(r, &KIND_ENDPOINT, name);
	} else {
		cJSON *out = cJSON_CreateObject();
		resource_arn(r->be, &KIND_ENDPOINT, name, arn);
		cJSON_AddStringToObject(out, "EndpointArn", arn);
		reply_json(r, out);
	}
}

void sm_describe_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);

	if (!in)
		return;
	cJSON *out = fleet_describe(r->be->endpoints, member_string(in, "EndpointName"));
	if (out)
		reply_json(r, out);
	else
		reply_missing(r, &KIND_ENDPOINT, member_string(in, "EndpointName"));
}

void sm_list_endpoints(struct request *r)
{
	size_t n;
	struct listed *rows = fleet_list(r->be->endpoints, &n);

	reply_list(r, &KIND_ENDPOINT, rows, n);
	free(rows);
}

void sm_delete_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	struct err e;
	char arn[256];

	if (!in)
		return;
	const char *name = member_string(in, "EndpointName");
	switch (fleet_delete(r->be->endpoints, name, &e)) {
	case DELETE_BEGUN:
		reply_status(r, 200);
		return;
	case DELETE_MISSING:
		reply_missing(r, &KIND_ENDPOINT, name);
		return;
	case DELETE_IN_PROGRESS:
		resource_arn(r->be, &KIND_ENDPOINT, name, arn);
		reply_error(r, 400, "ValidationException",
			    "Cannot update in-progress endpoint \"%s\".", arn);
		return;
	case DELETE_FAILED:
		reply_failure(r, &e);
		return;
	}
}
