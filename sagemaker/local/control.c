/* control.c: models and endpoint configurations. Both are their checked requests, kept. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/history.h"
#include "sagemaker/local/model_data.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/resources.h"
#include "sagemaker/local/validate.h"

#define NOT_HERE  "the local backend does not have this; leave it out or deploy to AWS"
#define ENV_BYTES 32768

static const struct unsupported model_unsupported[] = {
	{"InferenceExecutionConfig",				      NOT_HERE},
	{"PrimaryContainer.ModelDataSource.S3DataSource.HubAccessConfig", NOT_HERE},
	{"PrimaryContainer.ModelDataSource.S3DataSource.ManifestS3Uri",   NOT_HERE},
	{"PrimaryContainer.AdditionalModelDataSources",                   NOT_HERE},
	{"PrimaryContainer.ModelPackageName",                             NOT_HERE},
	{"PrimaryContainer.MultiModelConfig",                             NOT_HERE},
	{"Containers.ModelDataSource.S3DataSource.HubAccessConfig",       NOT_HERE},
	{"Containers.ModelDataSource.S3DataSource.ManifestS3Uri",         NOT_HERE},
	{"Containers.AdditionalModelDataSources",                         NOT_HERE},
	{"Containers.ModelPackageName",                                   NOT_HERE},
	{"Containers.MultiModelConfig",                                   NOT_HERE},
	{NULL,							    NULL    },
};

static const struct unsupported config_unsupported[] = {
	{"DataCaptureConfig",				    NOT_HERE},
	{"AsyncInferenceConfig.OutputConfig.NotificationConfig", NOT_HERE},
	{"AsyncInferenceConfig.OutputConfig.KmsKeyId",           NOT_HERE},
	{"ExplainerConfig",				      NOT_HERE},
	{"ShadowProductionVariants",                             NOT_HERE},
	{"CrossRegionTrafficConfig",                             NOT_HERE},
	{"ProductionVariants.InstancePools",                     NOT_HERE},
	{"ProductionVariants.AcceleratorType",                   NOT_HERE},
	{"ProductionVariants.CoreDumpConfig",                    NOT_HERE},
	{"ProductionVariants.ManagedInstanceScaling",            NOT_HERE},
	{NULL,						   NULL    },
};

/* The kinds that are nothing but their stored request. */
static void create(struct request *r, const struct resource_kind *k, cJSON *in)
{
	_cleanup_json_ cJSON *tags = cJSON_DetachItemFromObjectCaseSensitive(in, "Tags");
	const char *name = member_string(in, k->name_member);
	struct err e;
	char arn[256];
	int added = resource_add(r->be, k, name, in, tags, &e);

	if (added < 0) {
		reply_failure(r, &e);
	} else if (!added) {
		reply_exists(r, k, name);
	} else {
		cJSON *out = cJSON_CreateObject();
		history_note(r->be->history, k, name, NULL);
		resource_arn(r->be, k, name, arn);
		cJSON_AddStringToObject(out, k->arn_member, arn);
		reply_json(r, out);
	}
}

/* What Describe answers: 1, 0 there is none, -1. */
static int description(struct backend *be, const struct resource_kind *k, const char *name,
		       cJSON **out, struct err *e)
{
	double created;
	char arn[256];
	int found = resource_get(be, k, name, out, &created, e);

	if (found <= 0)
		return found;
	resource_arn(be, k, name, arn);
	cJSON_AddStringToObject(*out, k->arn_member, arn);
	cJSON_AddNumberToObject(*out, "CreationTime", created);
	return 1;
}

static void describe(struct request *r, const struct resource_kind *k)
{
	_cleanup_json_ cJSON *in = validate(r, NULL), *json = NULL;
	const char *name = member_string(in, k->name_member);
	struct err e;

	if (!in)
		return;
	if (!history_describe(r->be->history, k, name, &json) &&
	    description(r->be, k, name, &json, &e) < 0)
		reply_failure(r, &e);
	else if (json)
		reply_json(r, steal(json));
	else
		reply_missing(r, k, name);
}

static void delete (struct request *r, const struct resource_kind *k)
{
	_cleanup_json_ cJSON *in = validate(r, NULL), *before = NULL;
	const char *name = member_string(in, k->name_member);
	struct err e;

	if (!in)
		return;
	int gone = r->be->history ? description(r->be, k, name, &before, &e) : 1;
	if (gone > 0)
		gone = resource_delete(r->be, k, name, &e);
	if (gone > 0)
		history_note(r->be->history, k, name, steal(before));
	if (gone < 0)
		reply_failure(r, &e);
	else if (!gone)
		reply_missing(r, k, name);
	else
		reply_status(r, 200);
}

struct rows {
	struct listed *rows;
	size_t n, cap;
};

static void add_listed(void *arg, const char *name, double created, cJSON *json)
{
	struct rows *l = arg;

	cJSON_Delete(json);
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct listed *more = realloc(l->rows, cap * sizeof *more);
		if (!more)
			return;
		l->rows = more;
		l->cap = cap;
	}
	l->rows[l->n] = (struct listed){.created = created};
	snprintf(l->rows[l->n].name, sizeof l->rows[l->n].name, "%s", name);
	l->n++;
}

static void list(struct request *r, const struct resource_kind *k)
{
	struct rows l = {0};
	struct err e;

	if (resource_each(r->be, k, add_listed, &l, &e) < 0)
		reply_failure(r, &e);
	else
		reply_list(r, k, l.rows, l.n);
}

/* The one limit that the model's shapes do not say. */
static bool check_environment(struct request *r, const cJSON *environment)
{
	const cJSON *v;
	size_t bytes = 0;

	cJSON_ArrayForEach(v, environment)
		bytes += strlen(v->string) + strlen(v->valuestring);
	if (bytes > ENV_BYTES)
		reply_error(
			r, 400, "ValidationException",
			"1 validation error detected: Value at 'primaryContainer.environment' failed to satisfy constraint: "
			"Member must have length less than or equal to %d in all",
			ENV_BYTES);
	return bytes <= ENV_BYTES;
}

static bool check_role(struct request *r, const char *role)
{
	const char *account = strstr(role, ":iam::");

	if (account && starts_with(account + 6, LOCAL_ACCOUNT ":"))
		return true;
	reply_error(
		r, 400, "ValidationException",
		"Could not assume role %s. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to "
		"assume the role.",
		role);
	return false;
}

static bool check_data(struct request *r, const cJSON *container)
{
	struct model_data data;
	struct err e;
	int found = model_data_read(container, &data, &e) ? 0 : model_data_exists(r->be, &data, &e);

	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 400, "ValidationException", "%s", e.text);
	return found > 0;
}

const cJSON *model_container(const cJSON *model)
{
	const cJSON *several = cJSON_GetObjectItemCaseSensitive(model, "Containers");
	const cJSON *primary = cJSON_GetObjectItemCaseSensitive(model, "PrimaryContainer");

	if (!cJSON_GetArraySize(several))
		return primary;
	return primary || several->child->next ? NULL : several->child;
}

void sm_create_model(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, model_unsupported);

	if (!in)
		return;
	const cJSON *container = model_container(in);
	if (!container || !*member_string(container, "Image") ||
	    !cJSON_HasObjectItem(in, "ExecutionRoleArn")) {
		reply_error(
			r, 400, "ValidationException",
			"ExecutionRoleArn and one container with an Image, as PrimaryContainer or as the only one of Containers: "
			"the local backend needs both");
		return;
	}
	if (streq(member_string(container, "Mode"), "MultiModel")) {
		reply_error(r, 400, "ValidationException", "Mode: " NOT_HERE);
		return;
	}
	if (check_environment(r, cJSON_GetObjectItemCaseSensitive(container, "Environment")) &&
	    check_role(r, member_string(in, "ExecutionRoleArn")) && check_data(r, container))
		create(r, &KIND_MODEL, in);
}

/* NULL: good; else what is wrong with a variant, behind its name. */
static const char *variant_mistake(const cJSON *v, bool alone)
{
	const cJSON *serverless = cJSON_GetObjectItemCaseSensitive(v, "ServerlessConfig");
	double max = member_number(serverless, "MaxConcurrency", 0);
	bool sized =
		*member_string(v, "InstanceType") || cJSON_HasObjectItem(v, "InitialInstanceCount");

	if (!*member_string(v, "ModelName"))
		return "the local backend needs ModelName";
	if (!serverless)
		return *member_string(v, "InstanceType") &&
				       cJSON_HasObjectItem(v, "InitialInstanceCount")
			       ? NULL
			       : "the local backend needs InstanceType and InitialInstanceCount, or ServerlessConfig";
	if (sized)
		return "ServerlessConfig goes without InstanceType and InitialInstanceCount";
	if ((int)member_number(serverless, "MemorySizeInMB", 0) % 1024)
		return "MemorySizeInMB must be a multiple of 1024";
	if (member_number(serverless, "ProvisionedConcurrency", 0) > max)
		return "ProvisionedConcurrency must not exceed MaxConcurrency";
	return alone ? NULL : "a serverless variant must be the only one of its endpoint";
}

/* What the shapes of AWS's model leave open. */
static bool check_variants(struct request *r, const cJSON *variants)
{
	const cJSON *v, *w;

	cJSON_ArrayForEach(v, variants) {
		const char *name = member_string(v, "VariantName");
		const char *wrong = variant_mistake(v, cJSON_GetArraySize(variants) == 1);

		if (wrong) {
			reply_error(r, 400, "ValidationException", "Variant \"%s\": %s", name,
				    wrong);
			return false;
		}
		for (w = v->next; w; w = w->next) {
			if (!streq(name, member_string(w, "VariantName")))
				continue;
			reply_error(r, 400, "ValidationException",
				    "Variant names must be unique: \"%s\" is there twice", name);
			return false;
		}
	}
	return true;
}

static bool check_async(struct request *r, const cJSON *in)
{
	const cJSON *async = cJSON_GetObjectItemCaseSensitive(in, "AsyncInferenceConfig");
	const char *path = member_string(cJSON_GetObjectItemCaseSensitive(async, "OutputConfig"),
					 "S3OutputPath");
	const cJSON *first = cJSON_GetObjectItemCaseSensitive(in, "ProductionVariants")->child;
	char bucket[64];
	const char *key, *wrong = NULL;

	if (!async)
		return true;
	if (!starts_with(path, "s3://") || !s3_url_split(path, bucket, &key))
		wrong = "the local backend needs OutputConfig.S3OutputPath, s3://BUCKET/PREFIX";
	else if (cJSON_HasObjectItem(first, "ServerlessConfig") || first->next)
		wrong = "an asynchronous endpoint has one variant, which is not serverless";
	if (wrong)
		reply_error(r, 400, "ValidationException", "AsyncInferenceConfig: %s", wrong);
	return !wrong;
}

void sm_create_config(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, config_unsupported);
	double created;
	struct err e;
	cJSON *v;

	if (!in)
		return;
	cJSON *variants = cJSON_GetObjectItemCaseSensitive(in, "ProductionVariants");
	if (!check_variants(r, variants) || !check_async(r, in))
		return;
	cJSON_ArrayForEach(v, variants) {
		_cleanup_json_ cJSON *model = NULL;
		int found = resource_get(r->be, &KIND_MODEL, member_string(v, "ModelName"), &model,
					 &created, &e);
		if (found < 0)
			reply_failure(r, &e);
		else if (!found)
			reply_missing(r, &KIND_MODEL, member_string(v, "ModelName"));
		if (found <= 0)
			return;
		if (!cJSON_GetObjectItemCaseSensitive(v, "InitialVariantWeight"))
			cJSON_AddNumberToObject(v, "InitialVariantWeight", 1);
	}
	create(r, &KIND_CONFIG, in);
}

void sm_describe_model(struct request *r)
{
	describe(r, &KIND_MODEL);
}

void sm_list_models(struct request *r)
{
	list(r, &KIND_MODEL);
}

void sm_delete_model(struct request *r)
{
	delete (r, &KIND_MODEL);
}

void sm_describe_config(struct request *r)
{
	describe(r, &KIND_CONFIG);
}

void sm_list_configs(struct request *r)
{
	list(r, &KIND_CONFIG);
}

void sm_delete_config(struct request *r)
{
	delete (r, &KIND_CONFIG);
}
