#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

#define XML     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define XML_MAX ((size_t)8 << 20)

void reply_xml(struct request *r, struct buf *b)
{
	if (b->failed)
		reply_error(r, 500, "InternalError", "out of memory");
	else
		reply_body(r, 200, "application/xml", b);
}

bool s3_url_split(const char *url, char bucket[64], const char **key)
{
	const char *slash = starts_with(url, "s3://") ? strchr(url + 5, '/') : NULL;

	*key = slash ? slash + 1 : NULL;
	return slash && copy_text(bucket, 64, url + 5, (size_t)(slash - url - 5));
}

/* 3 to 63 of [a-z0-9.-], beginning and ending with a letter or digit, no "..". */
static bool is_bucket_name(const char *s)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = strlen(s);

	return n >= 3 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n &&
	       strchr(alnum, s[0]) && strchr(alnum, s[n - 1]) && !strstr(s, "..");
}

bool bucket_check_locked(struct request *r)
{
	const char *owner = request_header(r, "x-amz-expected-bucket-owner");
	struct err e;
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, "SELECT 1 FROM bucket WHERE name=?", "s", r->bucket);
	int found = s ? db_step(s, &e) : -1;

	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchBucket", "The specified bucket does not exist");
	else if (owner && !streq(owner, LOCAL_ACCOUNT))
		reply_error(r, 403, "AccessDenied", "Access Denied");
	else
		return true;
	return false;
}

bool bucket_check(struct request *r)
{
	SCOPED_LOCK(db_lock(r->be->db));
	return bucket_check_locked(r);
}

void s3_head_bucket(struct request *r)
{
	if (!bucket_check(r))
		return;
	reply_status(r, 200);
	reply_header(r, "x-amz-bucket-region", "%s", r->be->region);
}

void s3_create_bucket(struct request *r)
{
	struct err e;

	if (!is_bucket_name(r->bucket)) {
		reply_error(r, 400, "InvalidBucketName", "The specified bucket is not valid.");
		return;
	}
	SCOPED_LOCK(db_lock(r->be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, "SELECT 1 FROM bucket WHERE name=?", "s", r->bucket);
	int found = s ? db_step(s, &e) : -1;
	if (found > 0 &&
	    !streq(r->be->region, "us-east-1")) { /* us-east-1 answers 200, as it always did */
		reply_error(
			r, 409, "BucketAlreadyOwnedByYou",
			"Your previous request to create the named bucket succeeded and you already own it.");
		return;
	}
	if (found < 0 ||
	    (!found && db_run(r->be->db, &e, "INSERT INTO bucket(name, created) VALUES(?, ?)", "sd",
			      r->bucket, time_now()) < 0)) {
		reply_failure(r, &e);
		return;
	}
	reply_status(r, 200);
	reply_header(r, "Location", "/%s", r->bucket);
}

void s3_delete_bucket(struct request *r)
{
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!bucket_check_locked(r))
		return;
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
		r->be->db, &e,
		"SELECT 1 FROM object WHERE bucket=?1 UNION SELECT 1 FROM upload WHERE bucket=?1",
		"s", r->bucket);
	int found = s ? db_step(s, &e) : -1;
	if (found > 0) {
		reply_error(r, 409, "BucketNotEmpty",
			    "The bucket you tried to delete is not empty");
		return;
	}
	if (found < 0 ||
	    db_run(r->be->db, &e, "DELETE FROM bucket WHERE name=?", "s", r->bucket) < 0)
		reply_failure(r, &e);
	else
		reply_status(r, 204);
}

void s3_list_buckets(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(XML_MAX);
	struct err e;
	char when[32];
	int more = -1;

	buf_str(&b, XML "<ListAllMyBucketsResult " XMLNS "><Owner><ID>" LOCAL_ACCOUNT
			"</ID></Owner><Buckets>");
	{
		SCOPED_LOCK(db_lock(r->be->db));
		_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
			r->be->db, &e, "SELECT name, created FROM bucket ORDER BY name", "");
		while (s && (more = db_step(s, &e)) > 0) {
			iso_time(sqlite3_column_double(s, 1), when);
			buf_printf(
				&b,
				"<Bucket><Name>%s</Name><CreationDate>%s</CreationDate></Bucket>",
				db_text(s, 0), when);
		}
	}
	buf_str(&b, "</Buckets></ListAllMyBucketsResult>");
	if (more < 0)
		reply_failure(r, &e);
	else
		reply_xml(r, &b);
}

void s3_get_location(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	const char *region = streq(r->be->region, "us-east-1") ? "" : r->be->region;

	if (!bucket_check(r))
		return;
	buf_printf(&b, XML "<LocationConstraint " XMLNS ">%s</LocationConstraint>", region);
	reply_xml(r, &b);
}
