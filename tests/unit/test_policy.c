/* The table of permissions and the policies made of it: who gets what, where, under which condition. */
#include <errno.h>

#include "scratch.h"

#include "sagemaker/aws_denied.h"
#include "sagemaker/json.h"
#include "sagemaker/policy.h"

#define ROLE "arn:aws:iam::123456789012:role/team/models"

static const struct policy_place HERE = {
	.region = "eu-west-1",
	.account = "123456789012",
	.role = ROLE,
};

static const cJSON *statement(const cJSON *document, const char *sid)
{
	const cJSON *s;

	cJSON_ArrayForEach(s, cJSON_GetObjectItem(document, "Statement")) {
		if (streq(json_text(s, "Sid"), sid))
			return s;
	}
	return NULL;
}

/* A member of a statement as one line: "a b c". */
static const char *list(const cJSON *document, const char *sid, const char *member)
{
	static char line[2048];
	const cJSON *item;
	size_t n = 0;

	line[0] = '\0';
	cJSON_ArrayForEach(item, cJSON_GetObjectItem(statement(document, sid), member))
		n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "",
				      item->valuestring);
	return line;
}

static const char *condition(const cJSON *document, const char *sid, const char *operator,
			     const char * key)
{
	return json_text(
		cJSON_GetObjectItem(
			cJSON_GetObjectItem(statement(document, sid), "Condition"), operator),
		key);
}

/* The names of the statements as one line. */
static const char *sids(const cJSON *document)
{
	static char line[1024];
	const cJSON *s;
	size_t n = 0;

	line[0] = '\0';
	cJSON_ArrayForEach(s, cJSON_GetObjectItem(document, "Statement"))
		n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "",
				      json_text(s, "Sid"));
	return line;
}

static void levels(void **state)
{
	_cleanup_json_ cJSON *read = policy_document(&HERE, POLICY_READ);
	_cleanup_json_ cJSON *invoke = policy_document(&HERE, POLICY_INVOKE);
	_cleanup_json_ cJSON *deploy = policy_document(&HERE, POLICY_DEPLOY);
	_cleanup_json_ cJSON *role = policy_document(&HERE, POLICY_ROLE);

	(void)state;
	assert_string_equal(json_text(read, "Version"), "2012-10-17");
	assert_string_equal(sids(read), "List Describe FindModels ReadModels");
	assert_string_equal(sids(invoke), "Invoke");
	assert_string_equal(
		sids(deploy),
		"List Describe FindModels ReadModels Invoke Deploy MakeBucket WriteModels PassRole");
	assert_string_equal(sids(role),
			    "FindModel ReadModel PullImage FindRegistry WriteLogs WriteMetrics");
	assert_string_equal(list(invoke, "Invoke", "Action"), "sagemaker:InvokeEndpoint");
	assert_string_equal(list(invoke, "Invoke", "Resource"),
			    "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/*");
	/* Nothing is there twice, and only models and configurations of ours may be made. */
	assert_string_equal(list(deploy, "WriteModels", "Action"),
			    "s3:PutObject s3:ListMultipartUploadParts s3:AbortMultipartUpload "
			    "s3:DeleteObject");
	assert_string_equal(list(deploy, "Deploy", "Resource"),
			    "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/* "
			    "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/smfs-* "
			    "arn:aws:sagemaker:eu-west-1:123456789012:model/smfs-*");
}

static void pass_role(void **state)
{
	static const struct policy_place unknown = {.region = "eu-west-1"};
	static const struct policy_place name = {.account = "123456789012", .role = "/team/models"};
	_cleanup_json_ cJSON *a = policy_document(&HERE, POLICY_DEPLOY);
	_cleanup_json_ cJSON *b = policy_document(&unknown, POLICY_DEPLOY);
	_cleanup_json_ cJSON *c = policy_document(&name, POLICY_DEPLOY);

	(void)state;
	assert_string_equal(list(a, "PassRole", "Action"), "iam:PassRole");
	assert_string_equal(list(a, "PassRole", "Resource"), ROLE);
	assert_string_equal(condition(a, "PassRole", "StringEquals", "iam:PassedToService"),
			    "sagemaker.amazonaws.com");
	assert_null(statement(a, "FindRole"));
	/* Without one it is looked up. */
	assert_string_equal(list(b, "PassRole", "Resource"), "arn:aws:iam::ACCOUNT:role/ROLE");
	assert_string_equal(list(b, "FindRole", "Action"), "iam:GetRole");
	assert_string_equal(list(c, "PassRole", "Resource"), ROLE);
}

static void places(void **state)
{
	static const struct policy_place nothing = {0};
	static const struct policy_place china = {.region = "cn-north-1",
						  .account = "123456789012",
						  .bucket = "b-1",
						  .prefix = "a/b",
						  .role = "r"};
	static const struct policy_place whole = {.bucket = "b-1", .prefix = ""};
	_cleanup_json_ cJSON *a = policy_document(&nothing, POLICY_READ);
	_cleanup_json_ cJSON *b = policy_document(&china, POLICY_DEPLOY);
	_cleanup_json_ cJSON *c = policy_document(&china, POLICY_ROLE);
	_cleanup_json_ cJSON *d = policy_document(&whole, POLICY_READ);

	(void)state;
	assert_string_equal(list(a, "FindModels", "Resource"),
			    "arn:aws:s3:::sagemaker-REGION-ACCOUNT");
	assert_string_equal(list(a, "ReadModels", "Resource"),
			    "arn:aws:s3:::sagemaker-REGION-ACCOUNT/model/*");
	assert_string_equal(list(b, "ReadModels", "Resource"), "arn:aws-cn:s3:::b-1/a/b/*");
	assert_string_equal(list(b, "PassRole", "Resource"), "arn:aws-cn:iam::123456789012:role/r");
	assert_string_equal(list(c, "PullImage", "Resource"),
			    "arn:aws-cn:ecr:cn-north-1:727897471807:repository/* "
			    "arn:aws-cn:ecr:cn-north-1:422961961927:repository/* "
			    "arn:aws-cn:ecr:cn-north-1:450853457545:repository/* "
			    "arn:aws-cn:ecr:cn-north-1:390948362332:repository/*");
	assert_string_equal(list(d, "ReadModels", "Resource"), "arn:aws:s3:::b-1/*");
}

static void keys(void **state)
{
	struct policy_place p = HERE;

	static const struct {
		const char *key, *resource, *alias;
	} rows[] = {
		{"arn:aws:kms:eu-west-1:123456789012:key/k-1",
		 "arn:aws:kms:eu-west-1:123456789012:key/k-1",                                                    NULL          },
		{"k-1",					     "arn:aws:kms:eu-west-1:123456789012:key/k-1", NULL          },
		{"alias/models",				    "arn:aws:kms:eu-west-1:123456789012:key/*",   "alias/models"},
		{"arn:aws:kms:eu-west-1:123456789012:alias/models",
		 "arn:aws:kms:eu-west-1:123456789012:key/*",                                                      "alias/models"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		p.kms_key = rows[i].key;
		_cleanup_json_ cJSON *user = policy_document(&p, POLICY_DEPLOY);
		_cleanup_json_ cJSON *role = policy_document(&p, POLICY_ROLE);
		const char *alias = condition(user, "EncryptModels", "ForAnyValue:StringEquals",
					      "kms:ResourceAliases");

		assert_string_equal(list(user, "EncryptModels", "Action"), "kms:GenerateDataKey");
		assert_string_equal(list(user, "DecryptModels", "Action"), "kms:Decrypt");
		assert_string_equal(list(user, "DecryptModels", "Resource"), rows[i].resource);
		assert_string_equal(list(role, "DecryptModel", "Resource"), rows[i].resource);
		assert_string_equal(condition(user, "DecryptModels", "StringEquals",
					      "kms:ViaService"),
				    "s3.eu-west-1.amazonaws.com");
		assert_int_equal(!alias, !rows[i].alias);
		if (alias)
			assert_string_equal(alias, rows[i].alias);
	}
}

static void actions(void **state)
{
	(void)state;
	assert_string_equal(policy_action("s3", "HeadBucket"), "s3:ListBucket");
	assert_string_equal(policy_action("sagemaker-runtime", "InvokeEndpoint"),
			    "sagemaker:InvokeEndpoint");
	assert_string_equal(policy_action("sagemaker", "CreateModel"), "sagemaker:CreateModel");
	assert_null(policy_action("sts", "GetCallerIdentity"));
	assert_null(policy_action("sagemaker", "NoSuchCall"));
	assert_null(policy_action("sagemaker", NULL));
}

static void s3_operations(void **state)
{
	static const struct {
		const char *method;
		bool key;
		const char *query, *operation;
	} rows[] = {
		{"HEAD",   false, NULL,                         "HeadBucket"             },
		{"PUT",    false, "",                           "CreateBucket"           },
		{"GET",    false, "list-type=2&prefix=uploads", "ListObjectsV2"          },
		{"GET",    false, "prefix=a&uploads",           "ListMultipartUploads"   },
		{"PUT",    true,  "partNumber=1&uploadId=x",    "UploadPart"             },
		{"PUT",    true,  NULL,                         "PutObject"              },
		{"POST",   false, "delete",                     "DeleteObjects"          },
		{"POST",   true,  "uploads",                    "CreateMultipartUpload"  },
		{"POST",   true,  "uploadId=x",                 "CompleteMultipartUpload"},
		{"DELETE", true,  "uploadId=x",                 "AbortMultipartUpload"   },
		{"DELETE", true,  NULL,                         "DeleteObject"           },
		{"HEAD",   true,  NULL,                         "HeadObject"             },
		{"GET",    true,  NULL,                         "GetObject"              },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *name = policy_s3_operation(rows[i].method, rows[i].key, rows[i].query);

		assert_non_null(name);
		assert_string_equal(name, rows[i].operation);
		assert_non_null(policy_action("s3", name));
	}
	assert_null(policy_s3_operation("POST", false, "restore"));
}

static void trust(void **state)
{
	_cleanup_json_ cJSON *t = policy_trust();
	const cJSON *s = cJSON_GetArrayItem(cJSON_GetObjectItem(t, "Statement"), 0);

	(void)state;
	assert_string_equal(json_text(s, "Action"), "sts:AssumeRole");
	assert_string_equal(json_text(cJSON_GetObjectItem(s, "Principal"), "Service"),
			    "sagemaker.amazonaws.com");
}

/* What a refusal says in the end, and which action it names. */
static void denied(void **state)
{
	static const struct {
		const struct aws_service *service;
		const char *operation;
		long http;
		const char *code, *text, *action, *says;
	} rows[] = {
		{&AWS_SAGEMAKER, "ListEndpoints",     400, "AccessDeniedException",
		 "User: u is not authorized to perform: sagemaker:ListEndpoints because x",          "sagemaker:ListEndpoints", "; missing permission: sagemaker:ListEndpoints"},
 /* The service knows better: a create with tags. */
		{&AWS_SAGEMAKER, "CreateModel",       400, "AccessDeniedException",
		 "User: u is not authorized to perform: sagemaker:AddTags on resource: r",           "sagemaker:AddTags",       "; missing permission: sagemaker:AddTags"      },
		{&AWS_SAGEMAKER, "CreateModel",       400, "AccessDeniedException",
		 "is not authorized to perform: ",						   "sagemaker:CreateModel",
		 "; missing permission: sagemaker:CreateModel"														 },
		{&AWS_S3,        "PutObject",         403, "AccessDenied",          "Access Denied", "s3:PutObject",
		 "Access Denied; missing permission: s3:PutObject"													     },
		{&AWS_S3,        "HeadBucket",        403, "",                      "access denied", "s3:ListBucket",
		 "access denied; is s3:ListBucket allowed?"														    },
		{&AWS_STS,       "GetCallerIdentity", 403, "AccessDenied",          "no",            "",                        "no"                                           },
		{&AWS_S3,        "PutObject",         403, "SignatureDoesNotMatch", "bad keys",      "",                        "bad keys"                                     },
		{&AWS_S3,        "HeadObject",        404, "",                      "not found",     "",                        "not found"                                    },
		{&AWS_SAGEMAKER, NULL,                400, "AccessDeniedException", "no",            "",                        "no"                                           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {.no = EACCES, .http = rows[i].http};

		snprintf(e.code, sizeof e.code, "%s", rows[i].code);
		snprintf(e.text, sizeof e.text, "%s", rows[i].text);
		aws_denied(rows[i].service, rows[i].operation, &e);
		assert_string_equal(e.action, rows[i].action);
		assert_true(ends_with(e.text, rows[i].says));
	}
}

/* S3's requests have no name of their own: bucket in the path or before the host. */
static void names_of_requests(void **state)
{
	static const struct {
		struct aws_req q;
		const struct aws_service *service;
		const char *name;
	} rows[] = {
		{{.method = "PUT", .path = "/b"},                                              &AWS_S3,        "CreateBucket"},
		{{.method = "PUT", .path = "/b/k"},                                            &AWS_S3,        "PutObject"   },
		{{.method = "HEAD", .path = "/", .host_prefix = "b"},                          &AWS_S3,        "HeadBucket"  },
		{{.method = "PUT", .path = "/k", .host_prefix = "b", .query = "partNumber=1"},
		 &AWS_S3,
		 "UploadPart"												},
		{{.method = "POST", .path = "/", .operation = "ListModels"},
		 &AWS_SAGEMAKER,
		 "ListModels"												},
		{{.method = "POST", .path = "/"},                                              &AWS_SAGEMAKER, NULL          },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *name = aws_operation(rows[i].service, &rows[i].q);

		assert_int_equal(!name, !rows[i].name);
		if (name)
			assert_string_equal(name, rows[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(pass_role),
		cmocka_unit_test(places),
		cmocka_unit_test(keys),
		cmocka_unit_test(actions),
		cmocka_unit_test(s3_operations),
		cmocka_unit_test(trust),
		cmocka_unit_test(denied),
		cmocka_unit_test(names_of_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
