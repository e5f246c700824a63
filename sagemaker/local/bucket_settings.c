/*
 * What a bucket may be set to besides holding objects. What this backend does not act upon is shown as AWS shows a new bucket's, and
 * setting it is refused; what cannot matter on one machine with one owner is kept and given back.
 */
#include <strings.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"
#include "sagemaker/local/routes.h"

enum put { REFUSED, KEPT, KEPT_TAGS, OWNER_ENFORCED };

struct setting {
	const char *arg;
	const char *absent; /* the document of a bucket that was not told; NULL: an error */
	const char *code, *text;
	enum put put;
	bool forgets; /* deleting it leaves nothing: the error, not the document */
};

/* clang-format off */
static const struct setting settings[] = {
	{"accelerate", "<AccelerateConfiguration " XMLNS "/>", NULL, NULL, REFUSED, false},
	{"cors", NULL, "NoSuchCORSConfiguration", "The CORS configuration does not exist", REFUSED, false},
	{"encryption", "<ServerSideEncryptionConfiguration " XMLNS "><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
	 "</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>"
	 "</ServerSideEncryptionConfiguration>", NULL, NULL, KEPT, false},
	{"lifecycle", NULL, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", REFUSED, false},
	{"logging", "<BucketLoggingStatus " XMLNS "/>", NULL, NULL, REFUSED, false},
	{"notification", "<NotificationConfiguration " XMLNS "/>", NULL, NULL, REFUSED, false},
	{"object-lock", NULL, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket",
	 REFUSED, false},
	{"ownershipControls", "<OwnershipControls " XMLNS "><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
	 "</OwnershipControls>", "OwnershipControlsNotFoundError", "The bucket ownership controls were not found", OWNER_ENFORCED, true},
	{"policy", NULL, "NoSuchBucketPolicy", "The bucket policy does not exist", REFUSED, false},
	{"policyStatus", NULL, "NoSuchBucketPolicy", "The bucket policy does not exist", REFUSED, false},
	{"publicAccessBlock", "<PublicAccessBlockConfiguration " XMLNS "><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true"
	 "</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>"
	 "</PublicAccessBlockConfiguration>", "NoSuchPublicAccessBlockConfiguration",
	 "The public access block configuration was not found", KEPT, true},
	{"replication", NULL, "ReplicationConfigurationNotFoundError", "The replication configuration was not found", REFUSED, false},
	{"requestPayment", "<RequestPaymentConfiguration " XMLNS "><Payer>BucketOwner</Payer></RequestPaymentConfiguration>", NULL, NULL,
	 REFUSED, false},
	{"tagging", NULL, "NoSuchTagSet", "The TagSet does not exist", KEPT_TAGS, false},
	{"versioning", "<VersioningConfiguration " XMLNS "/>", NULL, NULL, REFUSED, false},
	{"website", NULL, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", REFUSED, false},
};

/* clang-format on */

static const struct setting *row_of(const struct request *r)
{
	const struct setting *row = settings;

	while (!streq(row->arg, r->route->arg))
		row++;
	return row;
}

/* What is kept, into b: 1, 0 nothing is, -1. */
static int read_locked(struct request *r, const char *name, struct buf *b, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, e, "SELECT body FROM setting WHERE bucket=? AND name=?", "ss",
			   r->bucket, name);
	int found = s ? db_step(s, e) : -1;

	if (found > 0)
		buf_str(b, db_text(s, 0));
	return found;
}

static void keep(struct request *r, const char *name, const char *body, unsigned status)
{
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!bucket_check_locked(r))
		return;
	if (db_run(r->be->db, &e,
		   "INSERT OR REPLACE INTO setting(bucket, name, body) VALUES(?, ?, ?)", "sss",
		   r->bucket, name, body) < 0)
		reply_failure(r, &e);
	else
		reply_status(r, status);
}

void s3_get_setting(struct request *r)
{
	const struct setting *row = row_of(r);
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)4 << 20), kept = BUF_INIT((size_t)4 << 20);
	struct err e;
	int found;

	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!bucket_check_locked(r))
			return;
		found = read_locked(r, row->arg, &kept, &e);
	}
	if (found < 0) {
		reply_failure(r, &e);
		return;
	}
	const char *text = found ? buf_cstr(&kept) : text_or(row->absent, "");
	if (!*text) {
		reply_error(r, 404, row->code, "%s", row->text);
		return;
	}
	if (row->put == KEPT_TAGS) {
		buf_str(&b, XML "<Tagging " XMLNS ">");
		put_tags(&b, text);
		buf_str(&b, "</Tagging>");
	} else {
		buf_str(&b, starts_with(text, "<?xml") ? "" : XML);
		buf_str(&b, text);
	}
	reply_xml(r, &b);
}

static void refuse(struct request *r)
{
	reply_error(
		r, 501, "NotImplemented",
		"A header or argument you provided implies functionality that the local backend "
		"does not have: %s",
		r->route->arg);
}

void s3_put_setting(struct request *r)
{
	const struct setting *row = row_of(r);
	char tags[TAGS_MAX];

	if (!bucket_check(r))
		return;
	switch (row->put) {
	case REFUSED:
		refuse(r);
		break;
	case KEPT_TAGS:
		if (tags_xml(r, 50, tags))
			keep(r, row->arg, tags, 204);
		break;
	case OWNER_ENFORCED:
		if (!strstr(buf_cstr(&r->body), ">BucketOwnerEnforced<")) {
			refuse(r);
			break;
		}
		keep(r, row->arg, buf_cstr(&r->body), 200);
		break;
	case KEPT:
		if (r->body.len)
			keep(r, row->arg, buf_cstr(&r->body), 200);
		else
			reply_error(r, 400, "MissingRequestBodyError", "Request Body is empty");
		break;
	}
}

void s3_delete_setting(struct request *r)
{
	const struct setting *row = row_of(r);
	struct err e;

	if (row->forgets) {
		keep(r, row->arg, "", 204);
		return;
	}
	SCOPED_LOCK(db_lock(r->be->db));
	if (!bucket_check_locked(r))
		return;
	if (db_run(r->be->db, &e, "DELETE FROM setting WHERE bucket=? AND name=?", "ss", r->bucket,
		   row->arg) < 0)
		reply_failure(r, &e);
	else
		reply_status(r, 204);
}

/* The bucket, and where the request names one its object, are there. false: replied. */
static bool target_exists(struct request *r)
{
	struct object o;
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!bucket_check_locked(r))
		return false;
	int found = r->key.len
			    ? object_find_locked(r->be, r->bucket, r->key.data, r->key.len, &o, &e)
			    : 1;
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
	return found > 0;
}

/* Everything belongs to the one account, fully. */
void s3_get_acl(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	if (!target_exists(r))
		return;
	buf_str(&b, XML
		"<AccessControlPolicy " XMLNS "><Owner><ID>" LOCAL_ACCOUNT
		"</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		"xsi:type=\"CanonicalUser\"><ID>" LOCAL_ACCOUNT
		"</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>");
	reply_xml(r, &b);
}

/* BucketOwnerEnforced, as every bucket since April 2023: only what changes nothing is taken. */
void s3_put_acl(struct request *r)
{
	const char *acl = request_header(r, "x-amz-acl");
	bool same = acl ? streq(acl, "private") || streq(acl, "bucket-owner-full-control") : false;

	if (!target_exists(r))
		return;
	if (same)
		reply_status(r, 200);
	else
		reply_error(r, 400, "AccessControlListNotSupported",
			    "The bucket does not allow ACLs");
}
