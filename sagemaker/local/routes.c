#include "sagemaker/local/routes.h"

#include "sagemaker/local/calls.h"

#define CONTROL_BODY ((size_t)1 << 20)
#define CLOUDWATCH   "GraniteServiceVersion20100801"
#define RUNTIME_BODY 0 /* backend.max_invoke */

#define JSON(target, name, handler, logged)                                                      \
 {                                                                                               \
  name, PROTO_JSON, RUN_WORKER, handler, "POST", LEVEL_ANY, target, CONTROL_BODY, false, logged, \
	  false, NULL                                                                            \
 }
#define CONTROL(name, handler) JSON("SageMaker", name, handler, true)
#define LOOK(name, handler) \
 JSON("SageMaker", name, handler, false) /* the same, not worth a line in the log */
#define LOGS(name, handler)    JSON("Logs_20140328", name, handler, false)
#define SCALING(name, handler) JSON("AnyScaleFrontendService", name, handler, true)
#define METRICS(name, handler) JSON(CLOUDWATCH, name, handler, false) /* by CBOR, too */

static const struct route routes[] = {
	CONTROL("CreateModel", sm_create_model),
	LOOK("DescribeModel", sm_describe_model),
	LOOK("ListModels", sm_list_models),
	CONTROL("DeleteModel", sm_delete_model),
	CONTROL("CreateEndpointConfig", sm_create_config),
	LOOK("DescribeEndpointConfig", sm_describe_config),
	LOOK("ListEndpointConfigs", sm_list_configs),
	CONTROL("DeleteEndpointConfig", sm_delete_config),
	CONTROL("CreateEndpoint", sm_create_endpoint),
	LOOK("DescribeEndpoint", sm_describe_endpoint),
	LOOK("ListEndpoints", sm_list_endpoints),
	CONTROL("DeleteEndpoint", sm_delete_endpoint),
	CONTROL("UpdateEndpoint", sm_update_endpoint),
	CONTROL("UpdateEndpointWeightsAndCapacities", sm_update_weights),
	CONTROL("AddTags", sm_add_tags),
	LOOK("ListTags", sm_list_tags),
	CONTROL("DeleteTags", sm_delete_tags),
	LOGS("DescribeLogGroups", logs_describe_groups),
	LOGS("DescribeLogStreams", logs_describe_streams),
	LOGS("GetLogEvents", logs_get_events),
	LOGS("FilterLogEvents", logs_filter_events),
	METRICS("GetMetricData", metrics_get_data),
	METRICS("GetMetricStatistics", metrics_get_statistics),
	METRICS("ListMetrics", metrics_list),
	SCALING("RegisterScalableTarget", scaling_register),
	SCALING("DeregisterScalableTarget", scaling_deregister),
	SCALING("DescribeScalableTargets", scaling_describe_targets),
	SCALING("PutScalingPolicy", scaling_put_policy),
	SCALING("DeleteScalingPolicy", scaling_delete_policy),
	SCALING("DescribeScalingPolicies", scaling_describe_policies),

 /* clang-format off */
	{"InvokeEndpoint",    PROTO_RUNTIME, RUN_ASYNC, rt_invoke,  "POST", LEVEL_ANY, "/invocations", RUNTIME_BODY, false, false, false, NULL},
	{"InvokeEndpointWithResponseStream", PROTO_RUNTIME, RUN_ASYNC, rt_invoke_stream,  "POST", LEVEL_ANY, "/invocations-response-stream", RUNTIME_BODY, false, false, false, NULL},
	{"InvokeEndpointAsync", PROTO_RUNTIME, RUN_WORKER, rt_invoke_async, "POST", LEVEL_ANY, "/async-invocations", RUNTIME_BODY, false, false, false, NULL},
	{"GetCallerIdentity", PROTO_QUERY,   RUN_HERE,  query_call, "POST", LEVEL_ANY, NULL, 65536,        false, false, false, NULL},
	{"CloudWatch",        PROTO_QUERY,   RUN_WORKER, metrics_query, "POST", LEVEL_ANY, "monitoring", CONTROL_BODY, false, false, false, NULL},
  /* clang-format on */
};

static bool runtime_path(const char *path)
{
	return starts_with(path, "/endpoints/") && strstr(path, "invocations");
}

enum protocol route_protocol(const struct request *r)
{
	static const struct {
		const char *service;
		enum protocol protocol;
	} rows[] = {
		{"s3",                      PROTO_S3   },
		{"sts",                     PROTO_QUERY},
		{"iam",                     PROTO_QUERY},
		{"logs",                    PROTO_JSON },
		{"application-autoscaling", PROTO_JSON },
	};

	const char *type = request_header(r, "Content-Type");

	if (streq(r->auth.service, "sagemaker"))
		return starts_with(r->path, "/endpoints/") ? PROTO_RUNTIME : PROTO_JSON;
	if (streq(r->auth.service, "monitoring"))
		return starts_with(r->path, "/service/")   ? PROTO_CBOR
		       : request_header(r, "X-Amz-Target") ? PROTO_JSON
							   : PROTO_QUERY;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (streq(r->auth.service, rows[i].service))
			return rows[i].protocol;
	}
	if (request_header(r, "X-Amz-Target"))
		return PROTO_JSON;
	if (runtime_path(r->path))
		return PROTO_RUNTIME;
	return type && starts_with(type, "application/x-www-form-urlencoded") ? PROTO_QUERY
									      : PROTO_S3;
}

/* "SageMaker.CreateModel" */
static bool is_target(const struct route *row, const char *target)
{
	size_t n = strlen(row->arg);

	return strncmp(target, row->arg, n) == 0 && target[n] == '.' &&
	       streq(target + n + 1, row->name);
}

static const struct route *find_json(struct request *r)
{
	const char *target = request_header(r, "X-Amz-Target");

	for (size_t i = 0; target && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_JSON && is_target(&routes[i], target))
			return &routes[i];
	}
	reply_error(r, 400, "UnknownOperationException",
		    "the local backend does not have the call '%s'",
		    target ? target : "(no X-Amz-Target)");
	return NULL;
}

/* "/service/GraniteServiceVersion20100801/operation/GetMetricData" */
static const struct route *find_cbor(struct request *r)
{
	static const char prefix[] = "/service/" CLOUDWATCH "/operation/";

	for (size_t i = 0; starts_with(r->path, prefix) && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_JSON && streq(routes[i].arg, CLOUDWATCH) &&
		    streq(routes[i].name, r->path + strlen(prefix)))
			return &routes[i];
	}
	reply_error(r, 404, "UnknownOperationException",
		    "the local backend does not have the call '%s'", r->path);
	return NULL;
}

static const struct route *find_runtime(struct request *r)
{
	const char *name = r->path + strlen("/endpoints/");
	const char *verb = starts_with(r->path, "/endpoints/") ? strchr(name, '/') : NULL;

	for (size_t i = 0; verb && streq(r->method, "POST") && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_RUNTIME && streq(routes[i].arg, verb))
			return &routes[i];
	}
	reply_error(r, 404, "UnknownOperationException",
		    "the local backend does not have the call '%s %s'", r->method, r->path);
	return NULL;
}

static const struct route *find_query(struct request *r)
{
	for (size_t i = 0; streq(r->path, "/") && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_QUERY &&
		    (routes[i].arg != NULL) == streq(r->auth.service, "monitoring"))
			return &routes[i];
	}
	reply_error(r, 404, "InvalidAction", "no such path");
	return NULL;
}

const struct route *route_find(struct request *r)
{
	switch (r->protocol) {
	case PROTO_JSON:
		return find_json(r);
	case PROTO_RUNTIME:
		return find_runtime(r);
	case PROTO_QUERY:
		return find_query(r);
	case PROTO_CBOR:
		return find_cbor(r);
	case PROTO_S3:
		return route_find_s3(r);
	}
	return NULL;
}

bool route_named(const char *name)
{
	static const char *const queries[] = {"AssumeRole", "GetRole"}; /* identity.c */

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (streq(routes[i].name, name))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		if (streq(queries[i], name))
			return true;
	}
	return route_named_s3(name);
}

void route_call(const struct request *r, char out[64])
{
	const char *at = r->protocol == PROTO_QUERY && r->body.len ? buf_cstr(&r->body) : NULL;

	for (; at; at = strchr(at, '&')) {
		at += *at == '&';
		if (starts_with(at, "Action=") && copy_text(out, 64, at + 7, strcspn(at + 7, "&")))
			return;
	}
	snprintf(out, 64, "%s", r->route ? r->route->name : "refused");
}
