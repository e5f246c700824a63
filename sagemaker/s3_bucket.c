#include "sagemaker/s3_bucket.h"

#include <errno.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define S3_XMLNS "http://s3.amazonaws.com/doc/2006-03-01/"

/* Looking ---------------------------------------------------------------------------------- */

static int head(struct aws *a, const struct s3_bucket *b, struct http_resp *r,
		struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;

	if (s3_call_init(&c, a, "HEAD", b, NULL, e))
		return -1;
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "look at", r, e);
}

/* A HEAD has no body that says why it was refused, and needs s3:ListBucket without a condition; a list of our prefix does not. */
static int list_one(struct aws *a, const struct s3_bucket *b, const char *prefix,
		    struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(0);

	buf_str(&query, "list-type=2&max-keys=1&prefix=");
	if (uri_encode(prefix, strlen(prefix), false, &query) || buf_str(&query, "%2F"))
		return err_set(e, ENOMEM, "could not begin a call to s3: out of memory");
	if (s3_call_init(&c, a, "GET", b, NULL, e))
		return -1;
	c.q.query = buf_cstr(&query);
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "look at", &r, e);
}

/* Whether the bucket opens when its owner is not asked for. */
static bool is_anothers(struct aws *a, const struct s3_bucket *b, struct cancel *cancel)
{
	struct http_resp r _cleanup_http_resp_ = {0};
	struct s3_bucket anybodys = *b;

	if (!b->owner[0])
		return false;
	anybodys.owner[0] = '\0';
	return head(a, &anybodys, &r, cancel, NULL) == 0;
}

static int missing(const struct aws *a, const struct s3_bucket *b, enum s3_bucket_state *state,
		   struct err *e)
{
	*state = S3_BUCKET_MISSING;
	return err_set(
		e, ENOENT,
		"bucket '%s' does not exist: make it ('aws s3 mb s3://%s --region %s'), or name another",
		b->name, b->name, aws_config(a)->region);
}

static int closed(struct aws *a, const struct s3_bucket *b, enum s3_bucket_state *state,
		  struct cancel *cancel, struct err *e)
{
	if (is_anothers(a, b, cancel))
		return err_set(
			e, EACCES,
			"bucket '%s' belongs to another account than '%s': name one of your own (-o bucket=NAME), or its "
			"owner (-o bucket_owner=ACCOUNT)",
			b->name, b->owner);
	*state = S3_BUCKET_CLOSED;
	return err_append(e, "or bucket '%s' belongs to another account%s%s", b->name,
			  b->owner[0] ? " than " : "", b->owner);
}

/* By HEAD; where its answer leaves open why it was refused, by a list. */
static int ask(struct aws *a, const struct s3_bucket *b, const char *prefix, struct cancel *cancel,
	       struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};
	char region[S3_REGION_SIZE];
	int rc = head(a, b, &r, cancel, e);

	if (s3_other_region(a, &r, region))
		return s3_region_error(a, b->name, region, e);
	if (rc && (e->http == 301 || e->http == 400 || e->http == 403))
		return list_one(a, b, prefix, cancel, e);
	return rc;
}

/* Keys that are none are refused by the same status and another code. */
static bool is_denied(const struct err *e)
{
	return e->http == 403 && e->no == EACCES &&
	       (!e->code[0] || starts_with(e->code, "AccessDenied"));
}

int s3_bucket_look(struct aws *a, const struct s3_bucket *b, const char *prefix,
		   enum s3_bucket_state *state, struct cancel *cancel, struct err *e)
{
	struct err own = {0};
	int rc = ask(a, b, prefix, cancel, &own);

	*state = rc ? S3_BUCKET_UNKNOWN : S3_BUCKET_THERE;
	if (rc && own.http == 404)
		missing(a, b, state, &own);
	else if (rc && is_denied(&own))
		closed(a, b, state, cancel, &own);
	if (rc && e)
		*e = own;
	return rc;
}

/* Making ----------------------------------------------------------------------------------- */

/* Not every "no" of CreateBucket means that there is none: somebody may just be making it for us. */
static int read_refusal(const struct s3_bucket *b, struct err *e)
{
	if (streq(e->code, "BucketAlreadyOwnedByYou") || streq(e->code, "OperationAborted")) {
		err_clear(e);
		return 0;
	}
	if (streq(e->code, "BucketAlreadyExists")) {
		e->no = EACCES;
		return err_append(
			e,
			"'%s' belongs to another account: name a bucket of your own (-o bucket=NAME)",
			b->name);
	}
	if (e->http == 403)
		return err_append(
			e, "allow s3:CreateBucket, or name a bucket that exists (-o bucket=NAME)");
	return -1;
}

static int create(struct aws *a, const struct s3_bucket *b, struct cancel *cancel, struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	struct s3_bucket unowned = *b; /* CreateBucket knows no expected owner */
	const char *region = aws_config(a)->region;
	char body[256];

	unowned.owner[0] = '\0';
	if (s3_call_init(&c, a, "PUT", &unowned, NULL, e))
		return -1;
	snprintf(body, sizeof body,
		 "<CreateBucketConfiguration xmlns=\"" S3_XMLNS
		 "\"><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
		 region);
	/* The one region that must not be named. */
	c.q.body = streq(region, "us-east-1") ? "" : body;
	c.q.body_len = strlen(c.q.body);
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "create", &r, e) ? read_refusal(b, e) : 0;
}

int s3_bucket_make(struct aws *a, const struct s3_bucket *b, const char *prefix, bool *made,
		   struct cancel *cancel, struct err *e)
{
	enum s3_bucket_state state;
	struct err own = {0};
	int rc = s3_bucket_look(a, b, prefix, &state, cancel, &own);

	*made = rc && state == S3_BUCKET_MISSING;
	if (*made)
		rc = create(a, b, cancel, &own);
	if (rc && e)
		*e = own;
	return rc;
}

int s3_bucket_block_public(struct aws *a, const struct s3_bucket *b, struct cancel *cancel,
			   struct err *e)
{
	static const char body[] =
		"<PublicAccessBlockConfiguration xmlns=\"" S3_XMLNS "\">"
		"<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>"
		"<BlockPublicPolicy>true</BlockPublicPolicy>"
		"<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};
	char crc[S3_CRC_TEXT];

	/* S3 wants a checksum of this one in any case. */
	s3_crc_text(crc32c(0, body, sizeof body - 1), crc);
	if (s3_call_init(&c, a, "PUT", b, NULL, e) ||
	    s3_call_header(&c, "x-amz-sdk-checksum-algorithm", "CRC32C", e) ||
	    s3_call_header(&c, "x-amz-checksum-crc32c", crc, e))
		return -1;
	c.q.query = "publicAccessBlock";
	c.q.body = body;
	c.q.body_len = sizeof body - 1;
	c.q.cancel = cancel;
	return s3_call_run(&c, a, "block public access to", &r, e);
}

static int find_status(void *arg, const char *path, const char *text)
{
	bool *on = arg;

	/* As AWS's own clients, without a look at the root's name: not everybody has it right. */
	const char *slash = strchr(path, '/');

	*on = *on || (slash && streq(slash, "/Status") && *text);
	return *on;
}

int s3_bucket_versioned(struct aws *a, const struct s3_bucket *b, bool *on, struct cancel *cancel,
			struct err *e)
{
	struct s3_call c _cleanup_s3_call_;
	struct http_resp r _cleanup_http_resp_ = {0};

	*on = false;
	if (s3_call_init(&c, a, "GET", b, NULL, e))
		return -1;
	c.q.query = "versioning";
	c.q.cancel = cancel;
	if (s3_call_run(&c, a, "ask for the versioning of", &r, e))
		return -1;
	return xml_scan(r.body.data, r.body.len, find_status, on, e);
}
