#include "sagemaker/local/routes.h"

#include "sagemaker/local/calls.h"

#define CONTROL_BODY ((size_t)1 << 20)
#define XML_BODY     ((size_t)4 << 20)
#define OBJECT_BODY  ((size_t)5 << 30)
#define RUNTIME_BODY 0 /* backend.max_invoke */

#define CONTROL(name, handler)                                                              \
 {                                                                                          \
  name, PROTO_JSON, RUN_WORKER, handler, "POST", LEVEL_ANY, NULL, CONTROL_BODY, false, true \
 }
#define LOOK(name, handler) /* the same, not worth a line in the log */                      \
 {                                                                                           \
  name, PROTO_JSON, RUN_WORKER, handler, "POST", LEVEL_ANY, NULL, CONTROL_BODY, false, false \
 }

/* S3 rows that need an argument stand before the row of the same method without one. */
static const struct route routes[] = {
	{"ListBuckets",             PROTO_S3,      RUN_WORKER, s3_list_buckets,       "GET",    LEVEL_SERVICE, NULL,       0,           false,
	 false																      },
	{"GetBucketLocation",       PROTO_S3,      RUN_WORKER, s3_get_location,       "GET",    LEVEL_BUCKET,
	 "location",												       0,           false, false},
	{"ListMultipartUploads",    PROTO_S3,      RUN_WORKER, s3_list_uploads,       "GET",    LEVEL_BUCKET,
	 "uploads",													0,           false, false},
	{"ListObjectsV2",           PROTO_S3,      RUN_WORKER, s3_list_objects,       "GET",    LEVEL_BUCKET,  NULL,       0,
	 false,																false},
	{"HeadBucket",              PROTO_S3,      RUN_WORKER, s3_head_bucket,        "HEAD",   LEVEL_BUCKET,  NULL,       0,           false,
	 false																      },
	{"CreateBucket",            PROTO_S3,      RUN_WORKER, s3_create_bucket,      "PUT",    LEVEL_BUCKET,  NULL,
	 XML_BODY,														      false, true },
	{"DeleteBucket",            PROTO_S3,      RUN_WORKER, s3_delete_bucket,      "DELETE", LEVEL_BUCKET,  NULL,       0,
	 false,																true },
	{"UploadPart",              PROTO_S3,      RUN_WORKER, s3_upload_part,        "PUT",    LEVEL_OBJECT,  "uploadId",
	 OBJECT_BODY,														   true,  false},
	{"PutObject",               PROTO_S3,      RUN_WORKER, s3_put_object,         "PUT",    LEVEL_OBJECT,  NULL,       OBJECT_BODY,
	 true,																 true },
	{"ListParts",               PROTO_S3,      RUN_WORKER, s3_list_parts,         "GET",    LEVEL_OBJECT,  "uploadId", 0,
	 false,																false},
	{"GetObject",               PROTO_S3,      RUN_WORKER, s3_get_object,         "GET",    LEVEL_OBJECT,  NULL,       0,           false,
	 false																      },
	{"HeadObject",              PROTO_S3,      RUN_WORKER, s3_head_object,        "HEAD",   LEVEL_OBJECT,  NULL,       0,           false,
	 false																      },
	{"AbortMultipartUpload",    PROTO_S3,      RUN_WORKER, s3_abort_multipart,    "DELETE", LEVEL_OBJECT,
	 "uploadId",												       0,           false, true },
	{"DeleteObject",            PROTO_S3,      RUN_WORKER, s3_delete_object,      "DELETE", LEVEL_OBJECT,  NULL,       0,
	 false,																true },
	{"CreateMultipartUpload",   PROTO_S3,      RUN_WORKER, s3_create_multipart,   "POST",   LEVEL_OBJECT,
	 "uploads",													XML_BODY,    false, true },
	{"CompleteMultipartUpload", PROTO_S3,      RUN_WORKER, s3_complete_multipart, "POST",
	 LEVEL_OBJECT,											 "uploadId", XML_BODY,    false, true },

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
	CONTROL("AddTags", sm_add_tags),
	LOOK("ListTags", sm_list_tags),
	CONTROL("DeleteTags", sm_delete_tags),

	{"InvokeEndpoint",          PROTO_RUNTIME, RUN_ASYNC,  rt_invoke,             "POST",   LEVEL_ANY,     NULL,
	 RUNTIME_BODY,														  false, false},
	{"GetCallerIdentity",       PROTO_QUERY,   RUN_HERE,   query_call,            "POST",   LEVEL_ANY,     NULL,       65536,
	 false,																false},
};

/* S3 calls that this backend does not have: told apart from plain ones by an argument. */
static const char *const foreign_args[] = {
	"accelerate",
	"acl",
	"analytics",
	"attributes",
	"cors",
	"delete",
	"encryption",
	"intelligent-tiering",
	"inventory",
	"legal-hold",
	"lifecycle",
	"logging",
	"metrics",
	"notification",
	"object-lock",
	"ownershipControls",
	"policy",
	"policyStatus",
	"publicAccessBlock",
	"replication",
	"requestPayment",
	"restore",
	"retention",
	"select",
	"tagging",
	"torrent",
	"versionId",
	"versioning",
	"versions",
	"website",
	"append",
	"renameObject",
};

static bool runtime_path(const char *path)
{
	return starts_with(path, "/endpoints/") && strstr(path, "/invocations");
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
		{"monitoring",              PROTO_JSON },
                {"application-autoscaling", PROTO_JSON },
	};

	const char *type = request_header(r, "Content-Type");

	if (streq(r->auth.service, "sagemaker"))
		return starts_with(r->path, "/endpoints/") ? PROTO_RUNTIME : PROTO_JSON;
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

static const struct route *find_json(struct request *r)
{
	static const char prefix[] = "SageMaker.";
	const char *target = request_header(r, "X-Amz-Target");

	for (size_t i = 0; target && starts_with(target, prefix) && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_JSON &&
		    streq(routes[i].name, target + strlen(prefix)))
			return &routes[i];
	}
	reply_error(r, 400, "UnknownOperationException",
		    "the local backend does not have the call '%s'",
		    target ? target : "(no X-Amz-Target)");
	return NULL;
}

static const struct route *find_runtime(struct request *r)
{
	if (ends_with(r->path, "/invocations") && streq(r->method, "POST")) {
		for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
			if (routes[i].protocol == PROTO_RUNTIME)
				return &routes[i];
		}
	}
	reply_error(r, 404, "UnknownOperationException",
		    "the local backend does not have the call '%s %s'", r->method, r->path);
	return NULL;
}

static const struct route *find_query(struct request *r)
{
	for (size_t i = 0; streq(r->path, "/") && i < ARRAY_SIZE(routes); i++) {
		if (routes[i].protocol == PROTO_QUERY)
			return &routes[i];
	}
	reply_error(r, 404, "InvalidAction", "no such path");
	return NULL;
}

/* "/bucket/key" into r->bucket and r->key. -1: malformed, replied. */
static int read_names(struct request *r, enum level *level)
{
	_cleanup_buf_ struct buf bucket = BUF_INIT(256);
	const char *p = r->path + 1, *slash = strchrnul(p, '/');

	if (url_decode(p, (size_t)(slash - p), false, &bucket) < 0 ||
	    bucket.len >= sizeof r->bucket) {
		reply_error(r, 400, "InvalidBucketName", "The specified bucket is not valid.");
		return -1;
	}
	memcpy(r->bucket, buf_cstr(&bucket), bucket.len + 1);
	if (*slash && slash[1] && url_decode(slash + 1, strlen(slash + 1), false, &r->key) < 0) {
		bool is_long = r->key.failed;
		reply_error(r, 400, is_long ? "KeyTooLongError" : "InvalidURI", "%s",
			    is_long ? "Your key is too long" : "Couldn't parse the specified URI.");
		return -1;
	}
	*level = !bucket.len ? LEVEL_SERVICE : r->key.len ? LEVEL_OBJECT : LEVEL_BUCKET;
	return 0;
}

static bool is_foreign(const struct request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign_args); i++) {
		if (request_arg(r, foreign_args[i]))
			return true;
	}
	return request_header(r, "x-amz-copy-source") != NULL;
}

static const struct route *find_s3(struct request *r)
{
	enum level level;

	if (read_names(r, &level) < 0)
		return NULL;
	if (is_foreign(r)) {
		reply_error(
			r, 501, "NotImplemented",
			"A header or argument you provided implies functionality that the local backend does not have.");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *t = &routes[i];
		if (t->protocol == PROTO_S3 && t->level == level && streq(t->method, r->method) &&
		    (!t->arg || request_arg(r, t->arg)))
			return t;
	}
	reply_error(r, 405, "MethodNotAllowed",
		    "The specified method is not allowed against this resource.");
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
	case PROTO_S3:
		return find_s3(r);
	}
	return NULL;
}
