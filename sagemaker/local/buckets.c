#include <arpa/inet.h>
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"
#include "sagemaker/xml.h"

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

/* "Bucket naming rules" of the S3 User Guide: 3 to 63 of [a-z0-9.-], beginning and ending with a letter or digit, no "..", not like
 * an IP address, without the prefixes and suffixes that S3 keeps for itself. */
static bool is_bucket_name(const char *s)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char *const prefixes[] = {"xn--", "sthree-", "amzn-s3-demo-"},
				 *const suffixes[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3",
						      "--table-s3"};
	struct in_addr address;
	size_t n = strlen(s);
	bool ok = n >= 3 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n &&
		  strchr(alnum, s[0]) && strchr(alnum, s[n - 1]) && !strstr(s, "..") &&
		  inet_pton(AF_INET, s, &address) != 1;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		ok = ok && !starts_with(s, prefixes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		ok = ok && !ends_with(s, suffixes[i]);
	return ok;
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

static int take_constraint(void *arg, const char *path, const char *text)
{
	struct buf *b = arg;

	if (streq(path, "CreateBucketConfiguration/LocationConstraint"))
		buf_str(b, text);
	return 0;
}

/* The body names the region that we serve; in us-east-1 it names none. false: replied. */
static bool check_location(struct request *r)
{
	_cleanup_buf_ struct buf there = BUF_INIT(64);
	const char *own = streq(r->be->region, "us-east-1") ? "" : r->be->region;
	struct err e;

	if (r->body.len && xml_scan(r->body.data, r->body.len, take_constraint, &there, &e) < 0) {
		reply_error(
			r, 400, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our published schema");
		return false;
	}
	if (streq(buf_cstr(&there), own))
		return true;
	if (!*own || !there.len)
		reply_error(r, 400,
			    there.len ? "InvalidLocationConstraint"
				      : "IllegalLocationConstraintException",
			    there.len
				    ? "The specified location-constraint is not valid"
				    : "The unspecified location constraint is incompatible for the "
				      "region specific endpoint this request was sent to.");
	else
		reply_error(r, 400, "IllegalLocationConstraintException",
			    "The %s location constraint is incompatible for the region specific "
			    "endpoint this request was sent to.",
			    buf_cstr(&there));
	return false;
}

void s3_create_bucket(struct request *r)
{
	struct err e;

	if (!is_bucket_name(r->bucket)) {
		reply_error(r, 400, "InvalidBucketName", "The specified bucket is not valid.");
		return;
	}
	if (streq(text_or(request_header(r, "x-amz-bucket-object-lock-enabled"), ""), "true")) {
		reply_error(r, 501, "NotImplemented", "the local backend locks no objects");
		return;
	}
	if (!check_location(r))
		return;
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
	sqlite3_finalize(steal(s));
	if (found < 0 ||
	    db_run(r->be->db, &e, "DELETE FROM setting WHERE bucket=?", "s", r->bucket) < 0 ||
	    db_run(r->be->db, &e, "DELETE FROM bucket WHERE name=?", "s", r->bucket) < 0)
		reply_failure(r, &e);
	else
		reply_status(r, 204);
}

struct page {
	const char *prefix, *from;
	int most, shown;
	char next[64]; /* the bucket that the next page begins after; "": this one is the last */
};

/* One row; false: the page is full. */
static bool put_bucket(struct page *p, struct buf *b, sqlite3_stmt *s, const char *region)
{
	char when[32];

	if (p->shown == p->most)
		return false;
	p->shown++;
	iso_time(sqlite3_column_double(s, 1), when);
	buf_printf(
		b,
		"<Bucket><Name>%s</Name><CreationDate>%s</CreationDate><BucketRegion>%s</BucketRegion></Bucket>",
		db_text(s, 0), when, region);
	return true;
}

static int list_locked(struct request *r, struct page *p, struct buf *b, struct err *e)
{
	static const char sql[] =
		"SELECT name, created FROM bucket WHERE name>?1 AND substr(name, 1, length(?2))=?2 ORDER BY name";
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(r->be->db, e, sql, "ss", p->from, p->prefix);
	char last[64] = "";
	int more = s ? 1 : -1;

	while (more > 0 && (more = db_step(s, e)) > 0) {
		if (!put_bucket(p, b, s, r->be->region)) {
			memcpy(p->next, last, sizeof last);
			break;
		}
		snprintf(last, sizeof last, "%s", db_text(s, 0));
	}
	return more < 0 ? -1 : 0;
}

static bool read_page(struct request *r, struct page *p, struct buf *token)
{
	const char *most = request_arg(r, "max-buckets"), *t = request_arg(r, "continuation-token");
	char *end = NULL;

	*p = (struct page){.prefix = text_or(request_arg(r, "prefix"), ""), .from = ""};
	p->most = most ? (int)strtol(most, &end, 10) : 10000;
	if ((end && *end) || p->most < 1 || p->most > 10000) {
		reply_error(r, 400, "InvalidArgument",
			    "Argument max-buckets must be an integer between 1 and 10000.");
		return false;
	}
	if (t && unbase64(t, strlen(t), token) < 0) {
		reply_error(r, 400, "InvalidArgument",
			    "The continuation token provided is incorrect");
		return false;
	}
	p->from = buf_cstr(token);
	return true;
}

void s3_list_buckets(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT(XML_MAX), token = BUF_INIT(256);
	struct page p;
	struct err e;
	int rc;

	if (!read_page(r, &p, &token))
		return;
	buf_str(&b, XML "<ListAllMyBucketsResult " XMLNS "><Owner><ID>" LOCAL_ACCOUNT
			"</ID></Owner><Buckets>");
	{
		SCOPED_LOCK(db_lock(r->be->db));
		rc = list_locked(r, &p, &b, &e);
	}
	buf_str(&b, "</Buckets>");
	if (*p.prefix) {
		buf_str(&b, "<Prefix>");
		xml_text(&b, p.prefix, strlen(p.prefix));
		buf_str(&b, "</Prefix>");
	}
	if (*p.next) {
		buf_str(&b, "<ContinuationToken>");
		base64(p.next, strlen(p.next), &b);
		buf_str(&b, "</ContinuationToken>");
	}
	buf_str(&b, "</ListAllMyBucketsResult>");
	if (rc < 0)
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
