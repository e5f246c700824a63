/* control.c: models and endpoint configurations. Both are their checked requests, kept. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/resources.h"
#include "sagemaker/local/validate.h"

#define NOT_HERE  "the local backend does not have this; leave it out or deploy to AWS"
#define ENV_BYTES 32768

static const struct member container_members[] = {
	{"ContainerHostname",          K_STRING, false, 0, 63,   &PATTERN_NAME,   NULL, NULL    },
	{"Image",		      K_STRING, true,  0, 255,  &PATTERN_IMAGE,  NULL, NULL    },
	{"Mode",		       K_STRING, false, 0, 32,   NULL,            NULL, NULL    },
	{"ModelDataUrl",               K_STRING, false, 0, 1024, &PATTERN_S3_URL, NULL, NULL    },
	{"Environment",                K_MAP,    false, 0, 100,  NULL,            NULL, NULL    },
	{"ModelDataSource",            K_STRUCT, false, 0, 0,    NULL,            NULL, NOT_HERE},
	{"AdditionalModelDataSources", K_LIST,   false, 0, 0,    NULL,            NULL, NOT_HERE},
	{"ModelPackageName",           K_STRING, false, 0, 0,    NULL,            NULL, NOT_HERE},
	{"MultiModelConfig",           K_STRUCT, false, 0, 0,    NULL,            NULL, NOT_HERE},
	MEMBERS_END,
};

static const struct member create_model_members[] = {
	{"ModelName",                K_STRING, true,  0,  63,   &PATTERN_NAME, NULL,              NULL    },
	{"PrimaryContainer",         K_STRUCT, true,  0,  0,    NULL,          container_members, NULL    },
	{"ExecutionRoleArn",         K_STRING, true,  20, 2048, &PATTERN_ROLE, NULL,              NULL    },
	{"Tags",		     K_LIST,   false, 0,  50,   NULL,          TAG_MEMBERS,       NULL    },
	{"EnableNetworkIsolation",   K_BOOL,   false, 0,  0,    NULL,          NULL,              NULL    },
	{"VpcConfig",                K_STRUCT, false, 0,  0,    NULL,          NULL,              NOT_HERE},
	{"Containers",               K_LIST,   false, 0,  0,    NULL,          NULL,              NOT_HERE},
	{"InferenceExecutionConfig", K_STRUCT, false, 0,  0,    NULL,          NULL,              NOT_HERE},
	MEMBERS_END,
};

static const struct member model_name_members[] = {
	{"ModelName", K_STRING, true, 0, 63, &PATTERN_NAME, NULL, NULL},
	MEMBERS_END,
};

static const struct member variant_members[] = {
	{"VariantName",				 K_STRING, true,  0,  63,   &PATTERN_NAME,     NULL, NULL    },
	{"ModelName",				   K_STRING, true,  0,  63,   &PATTERN_NAME,     NULL, NULL    },
	{"InitialInstanceCount",                        K_INT,    true,  1,  100,  NULL,              NULL, NULL    },
	{"InstanceType",				K_STRING, true,  0,  64,   &PATTERN_INSTANCE, NULL, NULL    },
	{"InitialVariantWeight",                        K_NUMBER, false, 0,  0,    NULL,              NULL, NULL    },
	{"VolumeSizeInGB",			      K_INT,    false, 1,  512,  NULL,              NULL, NULL    },
	{"ModelDataDownloadTimeoutInSeconds",           K_INT,    false, 60, 3600, NULL,              NULL, NULL    },
	{"ContainerStartupHealthCheckTimeoutInSeconds", K_INT,    false, 60, 3600, NULL,              NULL, NULL    },
	{"ServerlessConfig",                            K_STRUCT, false, 0,  0,    NULL,              NULL, NOT_HERE},
	{"InstancePools",			       K_LIST,   false, 0,  0,    NULL,              NULL, NOT_HERE},
	{"CoreDumpConfig",			      K_STRUCT, false, 0,  0,    NULL,              NULL, NOT_HERE},
	{"ManagedInstanceScaling",                      K_STRUCT, false, 0,  0,    NULL,              NULL, NOT_HERE},
	MEMBERS_END,
};

static const struct member create_config_members[] = {
	{"EndpointConfigName",       K_STRING, true,  0, 63,   &PATTERN_NAME, NULL,            NULL    },
	{"ProductionVariants",       K_LIST,   true,  1, 10,   NULL,          variant_members, NULL    },
	{"Tags",		     K_LIST,   false, 0, 50,   NULL,          TAG_MEMBERS,     NULL    },
	{"KmsKeyId",                 K_STRING, false, 0, 2048, NULL,          NULL,            NULL    },
	{"DataCaptureConfig",        K_STRUCT, false, 0, 0,    NULL,          NULL,            NOT_HERE},
	{"AsyncInferenceConfig",     K_STRUCT, false, 0, 0,    NULL,          NULL,            NOT_HERE},
	{"ExplainerConfig",          K_STRUCT, false, 0, 0,    NULL,          NULL,            NOT_HERE},
	{"ShadowProductionVariants", K_LIST,   false, 0, 0,    NULL,          NULL,            NOT_HERE},
	{"VpcConfig",                K_STRUCT, false, 0, 0,    NULL,          NULL,            NOT_HERE},
	MEMBERS_END,
};

static const struct member config_name_members[] = {
	{"EndpointConfigName", K_STRING, true, 0, 63, &PATTERN_NAME, NULL, NULL},
	MEMBERS_END,
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
		resource_arn(r->be, k, name, arn);
		cJSON_AddStringToObject(out, k->arn_member, arn);
		reply_json(r, out);
	}
}

static void describe(struct request *r, const struct resource_kind *k, const struct member *rows)
{
	_cleanup_json_ cJSON *in = validate(r, rows), *json = NULL;
	struct err e;
	double created;
	char arn[256];

	if (!in)
		return;
	const char *name = member_string(in, k->name_member);
	int found = resource_get(r->be, k, name, &json, &created, &e);
	if (found < 0) {
		reply_failure(r, &e);
	} else if (!found) {
		reply_missing(r, k, name);
	} else {
		resource_arn(r->be, k, name, arn);
		cJSON_AddStringToObject(json, k->arn_member, arn);
		cJSON_AddNumberToObject(json, "CreationTime", created);
		reply_json(r, steal(json));
	}
}

static void delete (struct request *r, const struct resource_kind *k, const struct member *rows)
{
	_cleanup_json_ cJSON *in = validate(r, rows);
	struct err e;

	if (!in)
		return;
	const char *name = member_string(in, k->name_member);
	int gone = resource_delete(r->be, k, name, &e);
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
	free(l.rows);
}

static bool check_environment(struct request *r, const cJSON *environment)
{
	const char *wrong = NULL;
	const cJSON *v;
	size_t bytes = 0;

	cJSON_ArrayForEach(v, environment) {
		if (!PATTERN_ENV_KEY.matches(v->string) || strlen(v->string) > 1024)
			wrong = "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]";
		else if (!cJSON_IsString(v) || strlen(v->valuestring) > 1024)
			wrong = "Map values must satisfy constraint: [Member must have length less than or equal to 1024]";
		else
			bytes += strlen(v->string) + strlen(v->valuestring);
	}
	if (bytes > ENV_BYTES)
		wrong = "Member must have length less than or equal to 32768 in all";
	if (wrong)
		reply_error(
			r, 400, "ValidationException",
			"1 validation error detected: Value at 'primaryContainer.environment' failed to satisfy constraint: %s",
			wrong);
	return !wrong;
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

static bool check_data(struct request *r, const char *url)
{
	char bucket[64];
	const char *key;
	struct err e;

	if (!*url)
		return true;
	if (!starts_with(url, "s3://")) {
		reply_error(r, 400, "ValidationException",
			    "Could not find model data at %s. The local backend takes s3:// URLs.",
			    url);
		return false;
	}
	int found = s3_url_split(url, bucket, &key)
			    ? object_exists(r->be, bucket, key, strlen(key), &e)
			    : 0;
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 400, "ValidationException", "Could not find model data at %s.", url);
	return found > 0;
}

void sm_create_model(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, create_model_members);

	if (!in)
		return;
	const cJSON *container = cJSON_GetObjectItemCaseSensitive(in, "PrimaryContainer");
	if (streq(member_string(container, "Mode"), "MultiModel")) {
		reply_error(r, 400, "ValidationException", "Mode: " NOT_HERE);
		return;
	}
	if (check_environment(r, cJSON_GetObjectItemCaseSensitive(container, "Environment")) &&
	    check_role(r, member_string(in, "ExecutionRoleArn")) &&
	    check_data(r, member_string(container, "ModelDataUrl")))
		create(r, &KIND_MODEL, in);
}

void sm_create_config(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, create_config_members);
	double created;
	struct err e;
	cJSON *v;

	if (!in)
		return;
	cJSON *variants = cJSON_GetObjectItemCaseSensitive(in, "ProductionVariants");
	if (cJSON_GetArraySize(variants) != 1) {
		reply_error(
			r, 400, "ValidationException",
			"ProductionVariants: the local backend serves one variant per endpoint");
		return;
	}
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
	describe(r, &KIND_MODEL, model_name_members);
}

void sm_list_models(struct request *r)
{
	list(r, &KIND_MODEL);
}

void sm_delete_model(struct request *r)
{
	delete (r, &KIND_MODEL, model_name_members);
}

void sm_describe_config(struct request *r)
{
	describe(r, &KIND_CONFIG, config_name_members);
}

void sm_list_configs(struct request *r)
{
	list(r, &KIND_CONFIG);
}

void sm_delete_config(struct request *r)
{
	delete (r, &KIND_CONFIG, config_name_members);
}
