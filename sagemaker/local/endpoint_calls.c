#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/history.h"
#include "sagemaker/local/scaling.h"
#include "sagemaker/local/validate.h"

#define NOT_HERE "the local backend does not have this; leave it out or deploy to AWS"

static const struct unsupported deployment_unsupported[] = {
	{"DeploymentConfig.RollingUpdatePolicy", NOT_HERE},
	{NULL,				   NULL    },
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

/* All that the endpoint needs for its whole life: its configuration and models may be deleted while it serves. The variants,
 * each with its model's container; NULL: replied. */
static cJSON *make_variants(struct request *r, const char *config_name)
{
	_cleanup_json_ cJSON *config = need(r, &KIND_CONFIG, config_name);
	cJSON *variants = cJSON_DetachItemFromObject(config, "ProductionVariants"), *v;

	cJSON_ArrayForEach(v, variants) {
		_cleanup_json_ cJSON *model = need(r, &KIND_MODEL, member_string(v, "ModelName"));

		if (!model) {
			cJSON_Delete(variants);
			return NULL;
		}
		const cJSON *async = cJSON_GetObjectItem(config, "AsyncInferenceConfig");
		if (async)
			cJSON_AddItemToObject(v, "Async", cJSON_Duplicate(async, true));
		cJSON_AddItemToObject(v, "Model", cJSON_Duplicate(model_container(model), true));
	}
	return variants;
}

static void reply_arn(struct request *r, const char *name)
{
	cJSON *out = cJSON_CreateObject();
	char arn[256];

	resource_arn(r->be, &KIND_ENDPOINT, name, arn);
	cJSON_AddStringToObject(out, "EndpointArn", arn);
	reply_json(r, out);
}

static void reply_refused(struct request *r, const struct err *e)
{
	reply_error(r, 400, e->no == EDQUOT ? "ResourceLimitExceeded" : "ValidationException", "%s",
		    e->text);
}

void sm_create_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, deployment_unsupported);
	const char *name = member_string(in, "EndpointName"),
		   *config = member_string(in, "EndpointConfigName");
	cJSON *variants = in ? make_variants(r, config) : NULL;
	struct err e;

	if (!variants)
		return;
	int made = fleet_create(r->be->endpoints, name, config, variants,
				cJSON_GetObjectItem(in, "Tags"), &e);
	if (made < 0 && e.no == EDQUOT)
		reply_refused(r, &e);
	else if (made < 0)
		reply_failure(r, &e);
	else if (!made)
		reply_exists(r, &KIND_ENDPOINT, name);
	else
		reply_arn(r, name);
}

void sm_describe_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *name = member_string(in, "EndpointName");
	cJSON *out;

	if (!in)
		return;
	if (!history_describe(r->be->history, &KIND_ENDPOINT, name, &out))
		out = fleet_describe(r->be->endpoints, name);
	if (out)
		reply_json(r, out);
	else
		reply_missing(r, &KIND_ENDPOINT, name);
}

void sm_list_endpoints(struct request *r)
{
	size_t n;
	struct listed *rows = fleet_list(r->be->endpoints, &n);

	reply_list(r, &KIND_ENDPOINT, rows, n);
}

/* What a change came to. */
static void reply_change(struct request *r, const char *name, enum change result,
			 const struct err *e)
{
	char arn[256];

	switch (result) {
	case CHANGE_BEGUN:
		reply_arn(r, name);
		return;
	case CHANGE_MISSING:
		reply_missing(r, &KIND_ENDPOINT, name);
		return;
	case CHANGE_IN_PROGRESS:
		resource_arn(r->be, &KIND_ENDPOINT, name, arn);
		reply_error(r, 400, "ValidationException",
			    "Cannot update in-progress endpoint \"%s\".", arn);
		return;
	case CHANGE_REFUSED:
		reply_refused(r, e);
		return;
	case CHANGE_FAILED:
		reply_failure(r, e);
		return;
	}
}

void sm_delete_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *name = member_string(in, "EndpointName");
	struct err e;

	if (!in)
		return;
	enum change result = fleet_delete(r->be->endpoints, name, &e);
	if (result == CHANGE_BEGUN) {
		scaling_forget(r->be, name);
		reply_status(r, 200);
	} else {
		reply_change(r, name, result, &e);
	}
}

void sm_update_endpoint(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, deployment_unsupported);
	const char *name = member_string(in, "EndpointName");
	cJSON *variants = in ? make_variants(r, member_string(in, "EndpointConfigName")) : NULL;
	struct err e;

	if (variants)
		reply_change(r, name, fleet_update(r->be->endpoints, in, variants, &e), &e);
}

void sm_update_weights(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *name = member_string(in, "EndpointName");
	struct err e;

	if (in)
		reply_change(r, name,
			     fleet_scale(r->be->endpoints, name,
					 cJSON_GetObjectItem(in, "DesiredWeightsAndCapacities"),
					 &e),
			     &e);
}
