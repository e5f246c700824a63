/* S3's calls: which one a request is, by method, by what its URL names, by an argument or a header. */
#include <strings.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/routes.h"

#define XML_BODY    ((size_t)4 << 20)
#define OBJECT_BODY ((size_t)5 << 30)

enum flags { QUIET = 0, STREAMS = 1, LOGGED = 2, WHOLE_SUM = 4 };

#define CALL(name, handler, method, level, arg, max, flags)                             \
 {                                                                                      \
  name, PROTO_S3, RUN_WORKER, handler, method, level, arg, max, ((flags)&STREAMS) != 0, \
	  ((flags)&LOGGED) != 0, ((flags)&WHOLE_SUM) != 0, NULL                         \
 }
/* The same when there is an x-amz-copy-source header. */
#define COPY(name, handler, arg)                                                       \
 {                                                                                     \
  name, PROTO_S3, RUN_WORKER, handler, "PUT", LEVEL_OBJECT, arg, 0, false, true, true, \
	  "x-amz-copy-source"                                                          \
 }
/* A bucket's setting: read, written, taken away. */
#define SETTING(name, arg)                                                             \
 CALL("Get" name, s3_get_setting, "GET", LEVEL_BUCKET, arg, 0, QUIET),                 \
	 CALL("Put" name, s3_put_setting, "PUT", LEVEL_BUCKET, arg, XML_BODY, LOGGED), \
	 CALL("Delete" name, s3_delete_setting, "DELETE", LEVEL_BUCKET, arg, 0, LOGGED)

/* clang-format off */
static const struct route routes[] = {
	CALL("ListBuckets",             s3_list_buckets,       "GET",    LEVEL_SERVICE, NULL,         0,           QUIET),
	CALL("GetBucketLocation",       s3_get_location,       "GET",    LEVEL_BUCKET,  "location",   0,           QUIET),
	CALL("ListMultipartUploads",    s3_list_uploads,       "GET",    LEVEL_BUCKET,  "uploads",    0,           QUIET),
	CALL("ListObjectVersions",      s3_list_objects,       "GET",    LEVEL_BUCKET,  "versions",   0,           QUIET),
	CALL("ListObjects",             s3_list_objects,       "GET",    LEVEL_BUCKET,  NULL,         0,           QUIET),
	CALL("ListObjectsV2",           s3_list_objects,       "GET",    LEVEL_BUCKET,  "list-type",  0,           QUIET),
	CALL("HeadBucket",              s3_head_bucket,        "HEAD",   LEVEL_BUCKET,  NULL,         0,           QUIET),
	CALL("CreateBucket",            s3_create_bucket,      "PUT",    LEVEL_BUCKET,  NULL,         XML_BODY,    LOGGED),
	CALL("DeleteBucket",            s3_delete_bucket,      "DELETE", LEVEL_BUCKET,  NULL,         0,           LOGGED),
	CALL("DeleteObjects",           s3_delete_objects,     "POST",   LEVEL_BUCKET,  "delete",     XML_BODY,    LOGGED),
	CALL("PostObject",              s3_post_object,        "POST",   LEVEL_BUCKET,  NULL,         XML_BODY,    QUIET),
	CALL("GetBucketAcl",            s3_get_acl,            "GET",    LEVEL_BUCKET,  "acl",        0,           QUIET),
	CALL("PutBucketAcl",            s3_put_acl,            "PUT",    LEVEL_BUCKET,  "acl",        XML_BODY,    LOGGED),
	SETTING("BucketAccelerateConfiguration", "accelerate"),
	SETTING("BucketCors",              "cors"),
	SETTING("BucketEncryption",        "encryption"),
	SETTING("BucketLifecycle",         "lifecycle"),
	SETTING("BucketLogging",           "logging"),
	SETTING("BucketNotification",      "notification"),
	SETTING("BucketOwnershipControls", "ownershipControls"),
	SETTING("BucketPolicy",            "policy"),
	SETTING("BucketPolicyStatus",      "policyStatus"),
	SETTING("BucketReplication",       "replication"),
	SETTING("BucketRequestPayment",    "requestPayment"),
	SETTING("BucketTagging",           "tagging"),
	SETTING("BucketVersioning",        "versioning"),
	SETTING("BucketWebsite",           "website"),
	SETTING("ObjectLockConfiguration", "object-lock"),
	SETTING("PublicAccessBlock",       "publicAccessBlock"),
	COPY("UploadPartCopy", s3_copy_part,   "uploadId"),
	COPY("CopyObject",     s3_copy_object, NULL),
	CALL("UploadPart",              s3_upload_part,        "PUT",    LEVEL_OBJECT,  "uploadId",   OBJECT_BODY, STREAMS),
	CALL("PutObject",               s3_put_object,         "PUT",    LEVEL_OBJECT,  NULL,         OBJECT_BODY, STREAMS | LOGGED),
	CALL("ListParts",               s3_list_parts,         "GET",    LEVEL_OBJECT,  "uploadId",   0,           QUIET),
	CALL("GetObject",               s3_get_object,         "GET",    LEVEL_OBJECT,  NULL,         0,           QUIET),
	CALL("HeadObject",              s3_head_object,        "HEAD",   LEVEL_OBJECT,  NULL,         0,           QUIET),
	CALL("GetObjectAttributes",     s3_get_attributes,     "GET",    LEVEL_OBJECT,  "attributes", 0,           QUIET),
	CALL("GetObjectTagging",        s3_get_tags,           "GET",    LEVEL_OBJECT,  "tagging",    0,           QUIET),
	CALL("PutObjectTagging",        s3_put_tags,           "PUT",    LEVEL_OBJECT,  "tagging",    XML_BODY,    LOGGED),
	CALL("DeleteObjectTagging",     s3_delete_tags,        "DELETE", LEVEL_OBJECT,  "tagging",    0,           LOGGED),
	CALL("GetObjectAcl",            s3_get_acl,            "GET",    LEVEL_OBJECT,  "acl",        0,           QUIET),
	CALL("PutObjectAcl",            s3_put_acl,            "PUT",    LEVEL_OBJECT,  "acl",        XML_BODY,    LOGGED),
	CALL("AbortMultipartUpload",    s3_abort_multipart,    "DELETE", LEVEL_OBJECT,  "uploadId",   0,           LOGGED),
	CALL("DeleteObject",            s3_delete_object,      "DELETE", LEVEL_OBJECT,  NULL,         0,           LOGGED),
	CALL("CreateMultipartUpload",   s3_create_multipart,   "POST",   LEVEL_OBJECT,  "uploads",    XML_BODY,    LOGGED),
	CALL("CompleteMultipartUpload", s3_complete_multipart, "POST",   LEVEL_OBJECT,  "uploadId",   XML_BODY,    LOGGED | WHOLE_SUM),
};
/* clang-format on */

/* Arguments that make another call of a request: one that no row names is a call that this backend does not have. */
static const char *const subresources[] = {
	"abac",
	"accelerate",
	"acl",
	"analytics",
	"annotation",
	"append",
	"attributes",
	"cors",
	"delete",
	"encryption",
	"intelligent-tiering",
	"inventory",
	"legal-hold",
	"lifecycle",
	"list-type",
	"location",
	"logging",
	"metadataConfiguration",
	"metadataTable",
	"metrics",
	"notification",
	"object-lock",
	"ownershipControls",
	"policy",
	"policyStatus",
	"publicAccessBlock",
	"renameObject",
	"replication",
	"requestPayment",
	"restore",
	"retention",
	"select",
	"session",
	"tagging",
	"torrent",
	"uploadId",
	"uploads",
	"versioning",
	"versions",
	"website",
};

/* Headers that ask for what this backend cannot do: to ignore one would be a false success. */
static const char *const foreign_headers[] = {
	"x-amz-object-lock-mode",
	"x-amz-object-lock-retain-until-date",
	"x-amz-server-side-encryption-customer-algorithm",
	"x-amz-server-side-encryption-customer-key",
	"x-amz-copy-source-server-side-encryption-customer-algorithm",
	"x-amz-write-offset-bytes",
	"x-amz-if-match-size",
	"x-amz-if-match-last-modified-time",
	"x-amz-rename-source",
};

static bool foreign(struct request *r, const char *what)
{
	reply_error(
		r, 501, "NotImplemented",
		"A header or argument you provided implies functionality that the local backend "
		"does not have: %s",
		what);
	return false;
}

static bool refuse_uri(struct request *r, const char *code, const char *text)
{
	reply_error(r, 400, code, "%s", text);
	return false;
}

/* n bytes of the path. false: replied. */
static bool read_bucket(struct request *r, const char *p, size_t n)
{
	_cleanup_buf_ struct buf bucket = BUF_INIT(256);

	return (url_decode(p, n, false, &bucket) == 0 &&
		copy_text(r->bucket, sizeof r->bucket, buf_cstr(&bucket), bucket.len)) ||
	       refuse_uri(r, "InvalidBucketName", "The specified bucket is not valid.");
}

/* Up to 1024 bytes of UTF-8. A NUL would end it for all who take keys for strings. false: replied. */
static bool read_key(struct request *r, const char *p)
{
	int rc = url_decode(p, strlen(p), false, &r->key);

	if (r->key.failed)
		return refuse_uri(r, "KeyTooLongError", "Your key is too long");
	const char *key = buf_cstr(&r->key);
	return (rc == 0 && utf8_valid(key, r->key.len) && strlen(key) == r->key.len) ||
	       refuse_uri(r, "InvalidURI", "Couldn't parse the specified URI.");
}

/* "/bucket/key", or "/key" of a bucket in the Host header, into r->bucket and r->key. false: replied. */
static bool read_names(struct request *r, enum level *level)
{
	const char *p = r->path + (*r->path == '/'),
		   *slash = r->virtual_host ? p : strchrnul(p, '/');

	if (!r->virtual_host && !read_bucket(r, p, (size_t)(slash - p)))
		return false;
	if (!read_key(r, slash + (!r->virtual_host && *slash == '/')))
		return false;
	*level = !*r->bucket ? LEVEL_SERVICE : r->key.len ? LEVEL_OBJECT : LEVEL_BUCKET;
	return true;
}

/* There is no version but the null one. */
static bool version_known(struct request *r)
{
	const char *version = request_arg(r, "versionId");

	if (!version || streq(version, "null"))
		return true;
	reply_error(r, 400, "InvalidArgument", "Invalid version id specified");
	return false;
}

static bool admissible(struct request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign_headers); i++) {
		if (request_header(r, foreign_headers[i]))
			return foreign(r, foreign_headers[i]);
	}
	return version_known(r);
}

static const char *subresource_of(const struct request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(subresources); i++) {
		if (request_arg(r, subresources[i]))
			return subresources[i];
	}
	return NULL;
}

static const struct route *find_row(const struct request *r, enum level level, const char *sub)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *t = &routes[i];
		if (t->level == level && streq(t->method, r->method) &&
		    streq(text_or(t->arg, ""), text_or(sub, "")) &&
		    (!t->header || request_header(r, t->header)))
			return t;
	}
	return NULL;
}

const struct route *route_find_s3(struct request *r)
{
	enum level level;

	if (!read_names(r, &level) || !admissible(r))
		return NULL;
	const char *sub = level == LEVEL_SERVICE ? NULL : subresource_of(r);
	const struct route *row = find_row(r, level, sub);
	if (row)
		return row;
	if (sub)
		foreign(r, sub);
	else
		reply_error(r, 405, "MethodNotAllowed",
			    "The specified method is not allowed against this resource.");
	return NULL;
}

static bool is_suffix(const char *s, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n >= m && strncasecmp(s + n - m, suffix, m) == 0;
}

/* NAME of "NAME.localhost": "s3" and "s3.REGION" are the service; "BUCKET.s3", "BUCKET.s3.REGION" and "BUCKET" name a bucket. */
static bool read_virtual_host(struct request *r, const char *name, size_t n)
{
	char text[128], *dot;

	if (!copy_text(text, sizeof text, name, n))
		return false;
	for (char *p = text; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	if (r->protocol != PROTO_S3 || streq(text, "s3") || starts_with(text, "s3."))
		return true;
	dot = strstr(text, ".s3.");
	if (dot)
		*dot = '\0';
	else if (is_suffix(text, n, ".s3"))
		text[n - strlen(".s3")] = '\0';
	r->virtual_host = copy_text(r->bucket, sizeof r->bucket, text, strlen(text));
	return r->virtual_host;
}

bool host_read(struct request *r)
{
	static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
	const char *host = request_header(r, "Host");
	size_t n = !host ? 0 : *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	if (!host || (n <= strlen(host) && host[n] && host[n] != ':'))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
			return true;
	}
	/* Names below .localhost are this machine's (RFC 6761): no DNS can send another's page here under one. */
	return n > strlen(".localhost") && is_suffix(host, n, ".localhost") &&
	       read_virtual_host(r, host, n - strlen(".localhost"));
}

bool route_named_s3(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (streq(routes[i].name, name))
			return true;
	}
	return false;
}
