#include "sagemaker/policy.h"

#include "sagemaker/buf.h"
#include "sagemaker/hosts.h"
#include "sagemaker/images.h"

#define MODELS    "arn:{partition}:sagemaker:{region}:{account}:model/"
#define CONFIGS   "arn:{partition}:sagemaker:{region}:{account}:endpoint-config/"
#define ENDPOINTS "arn:{partition}:sagemaker:{region}:{account}:endpoint/*"
#define BUCKET    "arn:{partition}:s3:::{bucket}"
#define OBJECTS   BUCKET "/{prefix}*"
#define LOGS      "arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/Endpoints/*"
#define REGISTRY  "{registry}"
#define IMAGES    "arn:{partition}:ecr:{region}:" REGISTRY ":repository/*"

#define OF_ANYBODY ENDPOINTS " " CONFIGS "* " MODELS "*"
#define OURS       ENDPOINTS " " CONFIGS "smfs-* " MODELS "smfs-*"

#define MAX_REGISTRIES 64

/* The statements of the policies, in the order they are printed. */
enum statement {
	LIST,
	DESCRIBE,
	FIND_MODELS,
	READ_MODELS,
	DECRYPT,
	INVOKE,
	DEPLOY,
	MAKE_BUCKET,
	WRITE_MODELS,
	ENCRYPT,
	FIND_ROLE,
	PASS_ROLE,
	HOST_FIND,
	HOST_READ,
	HOST_DECRYPT,
	HOST_IMAGES,
	HOST_LOGIN,
	HOST_LOGS,
	HOST_METRICS,
	NOWHERE, /* calls that need no permission, or that are made only where somebody else has given it */
};

/* When a statement is left out. */
enum only_with { ALWAYS, WITH_KEY, WITHOUT_ROLE };

/* StringEquals. */
static const struct condition {
	const char *key, *value;
} via_s3 = {"kms:ViaService", "s3.{region}.{suffix}"},
  passed = {"iam:PassedToService", POLICY_SERVICE};

/* The bucket's statements have no condition on s3:prefix: HeadBucket, and HeadObject that is to say 404 instead of 403, have no
 * prefix, and what admits a request without one admits a listing of the whole bucket. Names of endpoints are the user's own, so no pattern can tell whose
 * they are; models and configurations have our prefix. */
static const struct row {
	const char *sid;
	enum policy_level level;
	enum only_with only;
	const char *resources; /* separated by blanks */
	const struct condition *condition;
} statements[] = {
	[LIST] = {"List",          POLICY_READ,   ALWAYS,       "*",                           NULL   },
	[DESCRIBE] = {"Describe",      POLICY_READ,   ALWAYS,       OF_ANYBODY,                    NULL   },
	[FIND_MODELS] = {"FindModels",    POLICY_READ,   ALWAYS,       BUCKET,                        NULL   },
	[READ_MODELS] = {"ReadModels",    POLICY_READ,   ALWAYS,       OBJECTS,                       NULL   },
	[DECRYPT] = {"DecryptModels", POLICY_READ,   WITH_KEY,     "{key}",                       &via_s3},
	[INVOKE] = {"Invoke",        POLICY_INVOKE, ALWAYS,       ENDPOINTS,                     NULL   },
	[DEPLOY] = {"Deploy",        POLICY_DEPLOY, ALWAYS,       OURS,                          NULL   },
	[MAKE_BUCKET] = {"MakeBucket",    POLICY_DEPLOY, ALWAYS,       BUCKET,                        NULL   },
	[WRITE_MODELS] = {"WriteModels",   POLICY_DEPLOY, ALWAYS,       OBJECTS,                       NULL   },
	[ENCRYPT] = {"EncryptModels", POLICY_DEPLOY, WITH_KEY,     "{key}",                       &via_s3},
	[FIND_ROLE] = {"FindRole",      POLICY_DEPLOY, WITHOUT_ROLE, "{role}",                      NULL   },
	[PASS_ROLE] = {"PassRole",      POLICY_DEPLOY, ALWAYS,       "{role}",                      &passed},
	[HOST_FIND] = {"FindModel",     POLICY_ROLE,   ALWAYS,       BUCKET,                        NULL   },
	[HOST_READ] = {"ReadModel",     POLICY_ROLE,   ALWAYS,       OBJECTS,                       NULL   },
	[HOST_DECRYPT] = {"DecryptModel",  POLICY_ROLE,   WITH_KEY,     "{key}",                       &via_s3},
	[HOST_IMAGES] = {"PullImage",     POLICY_ROLE,   ALWAYS,       IMAGES,                        NULL   },
	[HOST_LOGIN] = {"FindRegistry",  POLICY_ROLE,   ALWAYS,       "*",                           NULL   },
	[HOST_LOGS] = {"WriteLogs",     POLICY_ROLE,   ALWAYS,       LOGS " " LOGS ":log-stream:*", NULL   },
	[HOST_METRICS] = {"WriteMetrics",  POLICY_ROLE,   ALWAYS,       "*",                           NULL   },
};

/* The first row of an operation is the action that it is refused for. HOSTING are the calls that SageMaker makes as the
 * execution role ("CreateModel API: Execution Role Permissions" in SageMaker's guide, without s3:PutObject). */
#define HOSTING "hosting"

static const struct call {
	const char *service, *operation, *action;
	enum statement in;
} calls[] = {
	{"sagemaker",         "ListEndpoints",             "sagemaker:ListEndpoints",            LIST        },
	{"sagemaker",         "ListEndpointConfigs",       "sagemaker:ListEndpointConfigs",      LIST        },
	{"sagemaker",         "ListModels",                "sagemaker:ListModels",               LIST        },
	{"sagemaker",         "DescribeEndpoint",          "sagemaker:DescribeEndpoint",         DESCRIBE    },
	{"sagemaker",         "DescribeEndpointConfig",    "sagemaker:DescribeEndpointConfig",   DESCRIBE    },
	{"sagemaker",         "DescribeModel",             "sagemaker:DescribeModel",            DESCRIBE    },
	{"sagemaker",         "ListTags",                  "sagemaker:ListTags",                 DESCRIBE    },
	{"sagemaker-runtime", "InvokeEndpoint",            "sagemaker:InvokeEndpoint",           INVOKE      },
	{"sagemaker",         "CreateModel",               "sagemaker:CreateModel",              DEPLOY      },
	{"sagemaker",         "CreateModel",               "sagemaker:AddTags",                  DEPLOY      },
	{"sagemaker",         "CreateModel",               "iam:PassRole",                       PASS_ROLE   },
	{"sagemaker",         "CreateEndpointConfig",      "sagemaker:CreateEndpointConfig",     DEPLOY      },
	{"sagemaker",         "CreateEndpointConfig",      "sagemaker:AddTags",                  DEPLOY      },
	{"sagemaker",         "CreateEndpoint",            "sagemaker:CreateEndpoint",           DEPLOY      },
	{"sagemaker",         "CreateEndpoint",            "sagemaker:AddTags",                  DEPLOY      },
	{"sagemaker",         "AddTags",                   "sagemaker:AddTags",                  DEPLOY      },
	{"sagemaker",         "DeleteEndpoint",            "sagemaker:DeleteEndpoint",           DEPLOY      },
	{"sagemaker",         "DeleteEndpointConfig",      "sagemaker:DeleteEndpointConfig",     DEPLOY      },
	{"sagemaker",         "DeleteModel",               "sagemaker:DeleteModel",              DEPLOY      },
	{"s3",		"HeadBucket",                "s3:ListBucket",                      FIND_MODELS },
	{"s3",		"ListObjectsV2",             "s3:ListBucket",                      FIND_MODELS },
	{"s3",		"GetObject",                 "s3:GetObject",                       READ_MODELS },
	{"s3",		"GetObject",                 "kms:Decrypt",                        DECRYPT     },
	{"s3",		"HeadObject",                "s3:GetObject",                       READ_MODELS },
	{"s3",		"CreateBucket",              "s3:CreateBucket",                    MAKE_BUCKET },
	{"s3",		"PutPublicAccessBlock",      "s3:PutBucketPublicAccessBlock",      MAKE_BUCKET },
	{"s3",		"GetBucketVersioning",       "s3:GetBucketVersioning",             MAKE_BUCKET },
	{"s3",		"ListMultipartUploads",      "s3:ListBucketMultipartUploads",      MAKE_BUCKET },
	{"s3",		"PutObject",                 "s3:PutObject",                       WRITE_MODELS},
	{"s3",		"PutObject",                 "kms:GenerateDataKey",                ENCRYPT     },
	{"s3",		"CreateMultipartUpload",     "s3:PutObject",                       WRITE_MODELS},
	{"s3",		"CreateMultipartUpload",     "kms:GenerateDataKey",                ENCRYPT     },
	{"s3",		"UploadPart",                "s3:PutObject",                       WRITE_MODELS},
	{"s3",		"UploadPart",                "kms:Decrypt",                        DECRYPT     },
	{"s3",		"CompleteMultipartUpload",   "s3:PutObject",                       WRITE_MODELS},
	{"s3",		"CompleteMultipartUpload",   "kms:Decrypt",                        DECRYPT     },
	{"s3",		"ListParts",                 "s3:ListMultipartUploadParts",        WRITE_MODELS},
	{"s3",		"AbortMultipartUpload",      "s3:AbortMultipartUpload",            WRITE_MODELS},
	{"s3",		"DeleteObject",              "s3:DeleteObject",                    WRITE_MODELS},
	{"s3",		"DeleteObjects",             "s3:DeleteObject",                    WRITE_MODELS},
	{"iam",               "GetRole",                   "iam:GetRole",                        FIND_ROLE   },
	{"iam",               "ListRoles",                 "iam:ListRoles",                      NOWHERE     },
	{"sagemaker",         "DescribeNotebookInstance",  "sagemaker:DescribeNotebookInstance", NOWHERE     },
	{"sagemaker",         "DescribeUserProfile",       "sagemaker:DescribeUserProfile",      NOWHERE     },
	{"sagemaker",         "DescribeDomain",            "sagemaker:DescribeDomain",           NOWHERE     },
	{"sts",               "AssumeRole",                "sts:AssumeRole",                     NOWHERE     },
	{"sts",               "AssumeRoleWithWebIdentity", NULL,                                 NOWHERE     },
	{"sts",               "GetCallerIdentity",         NULL,                                 NOWHERE     },
	{HOSTING,             "find the archive",          "s3:ListBucket",                      HOST_FIND   },
	{HOSTING,             "read the archive",          "s3:GetObject",                       HOST_READ   },
	{HOSTING,             "decrypt the archive",       "kms:Decrypt",                        HOST_DECRYPT},
	{HOSTING,             "pull the image",            "ecr:BatchCheckLayerAvailability",    HOST_IMAGES },
	{HOSTING,             "pull the image",            "ecr:BatchGetImage",                  HOST_IMAGES },
	{HOSTING,             "pull the image",            "ecr:GetDownloadUrlForLayer",         HOST_IMAGES },
	{HOSTING,             "find the registry",         "ecr:GetAuthorizationToken",          HOST_LOGIN  },
	{HOSTING,             "write logs",                "logs:CreateLogGroup",                HOST_LOGS   },
	{HOSTING,             "write logs",                "logs:CreateLogStream",               HOST_LOGS   },
	{HOSTING,             "write logs",                "logs:DescribeLogStreams",            HOST_LOGS   },
	{HOSTING,             "write logs",                "logs:PutLogEvents",                  HOST_LOGS   },
	{HOSTING,             "write metrics",             "cloudwatch:PutMetricData",           HOST_METRICS},
};

const char *policy_action(const char *service, const char *operation)
{
	for (size_t i = 0; operation && i < ARRAY_SIZE(calls); i++) {
		if (streq(calls[i].operation, operation) && streq(calls[i].service, service))
			return calls[i].action;
	}
	return NULL;
}

/* S3 -------------------------------------------------------------------------------------- */

/* The first row that fits; parameter: one that the query has, NULL: any query. */
static const struct {
	const char *method;
	bool key;
	const char *parameter, *operation;
} s3_calls[] = {
	{"HEAD",   false, NULL,                "HeadBucket"             },
	{"PUT",    false, "publicAccessBlock", "PutPublicAccessBlock"   },
	{"PUT",    false, NULL,                "CreateBucket"           },
	{"GET",    false, "versioning",        "GetBucketVersioning"    },
	{"GET",    false, "uploads",           "ListMultipartUploads"   },
	{"GET",    false, "list-type",         "ListObjectsV2"          },
	{"HEAD",   true,  NULL,                "HeadObject"             },
	{"GET",    true,  "uploadId",          "ListParts"              },
	{"GET",    true,  NULL,                "GetObject"              },
	{"PUT",    true,  "partNumber",        "UploadPart"             },
	{"PUT",    true,  NULL,                "PutObject"              },
	{"POST",   false, "delete",            "DeleteObjects"          },
	{"POST",   true,  "uploads",           "CreateMultipartUpload"  },
	{"POST",   true,  "uploadId",          "CompleteMultipartUpload"},
	{"DELETE", true,  "uploadId",          "AbortMultipartUpload"   },
	{"DELETE", true,  NULL,                "DeleteObject"           },
};

static bool has_parameter(const char *query, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = query; at && *at; at += strcspn(at, "&"), at += *at == '&') {
		if (strcspn(at, "=&") == n && strncmp(at, name, n) == 0)
			return true;
	}
	return false;
}

const char *policy_s3_operation(const char *method, bool key, const char *query)
{
	for (size_t i = 0; i < ARRAY_SIZE(s3_calls); i++) {
		const char *parameter = s3_calls[i].parameter;

		if (streq(s3_calls[i].method, method) && s3_calls[i].key == key &&
		    (!parameter || has_parameter(query, parameter)))
			return s3_calls[i].operation;
	}
	return NULL;
}

/* Documents ------------------------------------------------------------------------------- */

static int put_bucket(const struct policy_place *p, struct buf *out)
{
	if (p->bucket)
		return buf_str(out, p->bucket);
	return buf_printf(out, "sagemaker-%s-%s", p->region ? p->region : "REGION",
			  p->account ? p->account : "ACCOUNT");
}

static int put_prefix(const struct policy_place *p, struct buf *out)
{
	const char *prefix = p->prefix ? p->prefix : "model";

	return *prefix ? buf_printf(out, "%s/", prefix) : 0;
}

static int put_partition(const struct policy_place *p, struct buf *out)
{
	return buf_str(out, partition_of(p->region ? p->region : "")->name);
}

static int put_suffix(const struct policy_place *p, struct buf *out)
{
	return buf_str(out, partition_of(p->region ? p->region : "")->suffix);
}

static int put_region(const struct policy_place *p, struct buf *out)
{
	return buf_str(out, p->region ? p->region : "REGION");
}

static int put_account(const struct policy_place *p, struct buf *out)
{
	return buf_str(out, p->account ? p->account : "ACCOUNT");
}

static int put_role(const struct policy_place *p, struct buf *out)
{
	const char *role = p->role ? p->role : "ROLE";

	if (starts_with(role, "arn:"))
		return buf_str(out, role);
	return buf_str(out, "arn:") || put_partition(p, out) || buf_str(out, ":iam::") ||
			       put_account(p, out) ||
			       buf_printf(out, ":role/%s", role + (*role == '/'))
		       ? -1
		       : 0;
}

static bool is_alias(const char *key)
{
	return starts_with(key, "alias/") || strstr(key, ":alias/");
}

/* An alias is no resource: the keys of the account stand for it, and a condition names it. */
static int put_key(const struct policy_place *p, struct buf *out)
{
	if (starts_with(p->kms_key, "arn:") && !is_alias(p->kms_key))
		return buf_str(out, p->kms_key);
	return buf_str(out, "arn:") || put_partition(p, out) || buf_str(out, ":kms:") ||
			       put_region(p, out) || buf_char(out, ':') || put_account(p, out) ||
			       buf_printf(out, ":key/%s", is_alias(p->kms_key) ? "*" : p->kms_key)
		       ? -1
		       : 0;
}

static const struct {
	const char *name;
	int (*put)(const struct policy_place *p, struct buf *out);
} holes[] = {
	{"{partition}", put_partition},
	{"{region}",    put_region   },
	{"{account}",   put_account  },
	{"{bucket}",    put_bucket   },
	{"{prefix}",    put_prefix   },
	{"{role}",      put_role     },
	{"{key}",       put_key      },
	{"{suffix}",    put_suffix   },
};

/* n characters of a pattern with its holes filled; registry: for {registry}. */
static int fill(const struct policy_place *p, const char *pattern, size_t n, const char *registry,
		struct buf *out)
{
	const char *end = pattern + n;

	buf_reset(out);
	while (pattern < end) {
		size_t plain = MIN(strcspn(pattern, "{"), (size_t)(end - pattern));

		buf_add(out, pattern, plain);
		pattern += plain;
		if (pattern == end)
			break;
		if (starts_with(pattern, REGISTRY))
			buf_str(out, registry);
		for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
			if (starts_with(pattern, holes[i].name))
				holes[i].put(p, out);
		}
		pattern += strcspn(pattern, "}") + 1;
	}
	return out->failed ? -1 : 0;
}

static int add_text(cJSON *array, const char *text)
{
	return cJSON_AddItemToArray(array, cJSON_CreateString(text)) ? 0 : -1;
}

/* One pattern may stand for several resources: the registries that publish images in the region. */
static int add_resource(const struct policy_place *p, const char *pattern, size_t len, cJSON *array)
{
	const char *registries[MAX_REGISTRIES] = {"REGISTRY"};
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	size_t n = 1;

	if (streq(pattern, IMAGES) && p->region)
		n = MAX(images_registries(p->region, registries, MAX_REGISTRIES), 1);
	for (size_t i = 0; i < n; i++) {
		if (fill(p, pattern, len, registries[i], &text) || add_text(array, buf_cstr(&text)))
			return -1;
	}
	return 0;
}

static int add_resources(const struct policy_place *p, const char *patterns, cJSON *statement)
{
	cJSON *array = cJSON_AddArrayToObject(statement, "Resource");

	while (array && *patterns) {
		size_t n = strcspn(patterns, " ");

		if (add_resource(p, patterns, n, array))
			return -1;
		patterns += n + (patterns[n] == ' ');
	}
	return array ? 0 : -1;
}

static bool has_text(const cJSON *array, const char *text)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, array) {
		if (streq(item->valuestring, text))
			return true;
	}
	return false;
}

static int add_actions(enum statement which, cJSON *statement)
{
	cJSON *array = cJSON_AddArrayToObject(statement, "Action");

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].in == which && calls[i].action && !has_text(array, calls[i].action) &&
		    add_text(array, calls[i].action))
			return -1;
	}
	return array ? 0 : -1;
}

static int add_alias(const struct policy_place *p, cJSON *condition)
{
	const char *at = strstr(p->kms_key, "alias/");
	cJSON *any = cJSON_AddObjectToObject(condition, "ForAnyValue:StringEquals");

	return any && at && cJSON_AddStringToObject(any, "kms:ResourceAliases", at) ? 0 : -1;
}

static int add_condition(const struct policy_place *p, const struct row *row, cJSON *statement)
{
	_cleanup_buf_ struct buf value = BUF_INIT(0);
	const struct condition *c = row->condition;

	if (!c)
		return 0;
	cJSON *condition = cJSON_AddObjectToObject(statement, "Condition");
	cJSON *equals = cJSON_AddObjectToObject(condition, "StringEquals");
	if (fill(p, c->value, strlen(c->value), "", &value) ||
	    !cJSON_AddStringToObject(equals, c->key, buf_cstr(&value)))
		return -1;
	return row->only == WITH_KEY && is_alias(p->kms_key) ? add_alias(p, condition) : 0;
}

static bool wanted(const struct policy_place *p, const struct row *row, enum policy_level level)
{
	if (row->only == WITH_KEY && !p->kms_key)
		return false;
	if (row->only == WITHOUT_ROLE && p->role)
		return false;
	return row->level == level || (level == POLICY_DEPLOY && row->level < POLICY_DEPLOY);
}

static int add_statement(const struct policy_place *p, enum statement which, cJSON *list)
{
	const struct row *row = &statements[which];
	cJSON *statement = cJSON_CreateObject();

	if (!cJSON_AddItemToArray(list, statement)) {
		cJSON_Delete(statement);
		return -1;
	}
	return cJSON_AddStringToObject(statement, "Sid", row->sid) &&
			       cJSON_AddStringToObject(statement, "Effect", "Allow") &&
			       add_actions(which, statement) == 0 &&
			       add_resources(p, row->resources, statement) == 0 &&
			       add_condition(p, row, statement) == 0
		       ? 0
		       : -1;
}

static cJSON *begin_document(cJSON **list)
{
	cJSON *document = cJSON_CreateObject();

	if (cJSON_AddStringToObject(document, "Version", "2012-10-17"))
		*list = cJSON_AddArrayToObject(document, "Statement");
	return document;
}

cJSON *policy_document(const struct policy_place *p, enum policy_level level)
{
	cJSON *list = NULL;
	_cleanup_json_ cJSON *document = begin_document(&list);

	for (size_t i = 0; list && i < ARRAY_SIZE(statements); i++) {
		if (wanted(p, &statements[i], level) &&
		    add_statement(p, (enum statement)i, list) < 0)
			return NULL;
	}
	return list ? steal(document) : NULL;
}

cJSON *policy_trust(void)
{
	cJSON *list = NULL, *statement = cJSON_CreateObject();
	_cleanup_json_ cJSON *document = begin_document(&list);

	if (!cJSON_AddItemToArray(list, statement)) {
		cJSON_Delete(statement);
		return NULL;
	}
	cJSON *principal = cJSON_AddStringToObject(statement, "Effect", "Allow")
				   ? cJSON_AddObjectToObject(statement, "Principal")
				   : NULL;
	return cJSON_AddStringToObject(principal, "Service", POLICY_SERVICE) &&
			       cJSON_AddStringToObject(statement, "Action", "sts:AssumeRole")
		       ? steal(document)
		       : NULL;
}
