/* CopyObject and UploadPartCopy: an object's bytes, or a range of them, read back and written like an upload's. */
#include <errno.h>
#include <strings.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/multipart.h"

#define COPY_MOST ((uint64_t)5 << 30)
#define PIECE     ((size_t)1 << 20)

struct source {
	char bucket[64];
	struct buf key;
	struct object object;
	struct reader *reader;
};

static void source_release(struct source *s)
{
	buf_release(&s->key);
	reader_free(s->reader);
}

static bool refuse(struct request *r, const char *code, const char *text)
{
	reply_error(r, streq(code, "NotImplemented") ? 501 : 400, code, "%s", text);
	return false;
}

/* "/bucket/key?versionId=null", URL-encoded. false: replied. */
static bool parse_source(struct request *r, struct source *s)
{
	const char *p = request_header(r, "x-amz-copy-source");
	_cleanup_buf_ struct buf text = BUF_INIT(2048);
	const char *version = strstr(p, "?versionId="), *end = strchrnul(p, '?');

	if (version && !streq(version, "?versionId=null"))
		return refuse(r, "InvalidArgument", "Invalid version id specified");
	if (url_decode(p, (size_t)(end - p), true, &text) < 0)
		return refuse(r, "InvalidArgument", "Invalid copy source encoding");
	const char *from = buf_cstr(&text);
	from += *from == '/';
	const char *slash = strchr(from, '/');
	if (!slash || slash == from ||
	    !copy_text(s->bucket, sizeof s->bucket, from, (size_t)(slash - from)))
		return refuse(r, "InvalidArgument", "Invalid copy source bucket name");
	size_t n = text.len - (size_t)(slash + 1 - buf_cstr(&text));
	if (!n || buf_add(&s->key, slash + 1, n) < 0)
		return refuse(r, "InvalidArgument", "Invalid copy source object key");
	return true;
}

static bool bucket_exists(struct request *r, const char *name)
{
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, "SELECT 1 FROM bucket WHERE name=?", "s", name);
	int found = s ? db_step(s, &e) : -1;
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchBucket", "The specified bucket does not exist");
	return found > 0;
}

static bool owner_is_ours(struct request *r)
{
	const char *owner = request_header(r, "x-amz-source-expected-bucket-owner");

	if (!owner || streq(owner, LOCAL_ACCOUNT))
		return true;
	reply_error(r, 403, "AccessDenied", "Access Denied");
	return false;
}

/* The source, open, under the x-amz-copy-source-if-* conditions. false: replied. */
static bool open_source(struct request *r, struct source *s)
{
	struct err e;

	s->key.max = 1024;
	if (!bucket_check(r) || !parse_source(r, s) || !owner_is_ours(r) ||
	    !bucket_exists(r, s->bucket))
		return false;
	int found =
		object_open(r->be, s->bucket, s->key.data, s->key.len, &s->object, &s->reader, &e);
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
	return found > 0 && wanted(r, &s->object, "x-amz-copy-source-");
}

/* The reader's bytes into r->upload, with the sum that is wanted. false: replied. */
static bool copy_bytes(struct request *r, struct source *s, enum sum sum)
{
	uint64_t size = reader_size(s->reader), at = 0;
	_cleanup_free_ char *piece = malloc(PIECE);
	ssize_t n = 1;
	struct err e;

	r->upload = upload_new(r->be, SUM_BIT(sum), size, &e);
	if (!piece || !r->upload) {
		if (!piece)
			err_set(&e, ENOMEM, "out of memory");
		reply_failure(r, &e);
		return false;
	}
	r->upload->claim.sum = sum;
	int rc = 0;
	while (rc == 0 && at < size && (n = reader_read(s->reader, at, piece, PIECE)) > 0) {
		rc = upload_write(r->upload, piece, (size_t)n, &e);
		at += (uint64_t)n;
	}
	if (rc == 0 && at < size)
		rc = err_errno(&e, "cannot read a file of the store");
	if (rc == 0 && upload_finish(r->upload, &e) == 0)
		return true;
	reply_failure(r, &e);
	return false;
}

/* COPY (the default) or REPLACE. false: replied. */
static bool directive(struct request *r, const char *header, const char *what, bool *replace)
{
	const char *d = text_or(request_header(r, header), "COPY");

	*replace = streq(d, "REPLACE");
	return *replace || streq(d, "COPY") || refuse(r, "InvalidArgument", what);
}

static bool is_self(const struct request *r, const struct source *s)
{
	return streq(s->bucket, r->bucket) && s->key.len == r->key.len &&
	       memcmp(s->key.data, r->key.data, s->key.len) == 0;
}

struct copy {
	bool new_meta, new_tags;
	enum sum sum;
	char meta[META_MAX], tags[TAGS_MAX];
};

static bool changes_something(struct request *r, const struct copy *c)
{
	return c->new_meta || request_header(r, "x-amz-storage-class") ||
	       request_header(r, "x-amz-server-side-encryption") ||
	       request_header(r, "x-amz-website-redirect-location");
}

/* The checksum of the copy: the one asked for, else of the source's kind, else S3's default. */
static bool choose_sum(struct request *r, const struct object *from, enum sum *sum)
{
	const char *name = request_header(r, "x-amz-checksum-algorithm");
	char value[SUM_TEXT], type[16];

	if (name) {
		*sum = sum_by_name(name);
		return *sum != SUM_NONE ||
		       refuse(r, "InvalidRequest",
			      "Checksum algorithm provided is unsupported. Please try again with any of "
			      "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
	}
	if (!checksum_split(from->checksum, sum, value, type))
		*sum = SUM_CRC64NVME;
	return true;
}

static bool read_copy(struct request *r, const struct source *s, struct copy *c)
{
	if (!directive(r, "x-amz-metadata-directive", "Unknown metadata directive.",
		       &c->new_meta) ||
	    !directive(r, "x-amz-tagging-directive", "Unknown tagging directive.", &c->new_tags))
		return false;
	if (is_self(r, s) && !changes_something(r, c))
		return refuse(
			r, "InvalidRequest",
			"This copy request is illegal because it is trying to copy an object to "
			"itself without changing the object's metadata, storage class, website "
			"redirect location or encryption attributes.");
	if (s->object.size > COPY_MOST)
		return refuse(r, "InvalidRequest",
			      "The specified copy source is larger than the maximum allowable size "
			      "for a copy source: 5368709120");
	return choose_sum(r, &s->object, &c->sum) && meta_json(r, c->meta) &&
	       tags_header(r, c->tags);
}

static void reply_copied(struct request *r, const char *element, const char *etag,
			 const char *checksum, bool with_type)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	char when[32];

	iso_time(time_now(), when);
	buf_printf(&b, XML "<%s " XMLNS "><LastModified>%s</LastModified><ETag>", element, when);
	xml_text(&b, etag, strlen(etag));
	buf_str(&b, "</ETag>");
	put_checksum(&b, checksum, with_type);
	buf_printf(&b, "</%s>", element);
	reply_xml(r, &b);
}

static void copy_object(struct request *r, struct source *s, struct copy *c)
{
	char checksum[CHECKSUM_TEXT], etag[80];

	if (!copy_bytes(r, s, c->sum))
		return;
	upload_checksum(r->upload, checksum);
	struct new_object n = {
		.type = c->new_meta
				? text_or(request_header(r, "Content-Type"), "binary/octet-stream")
				: s->object.type,
		.checksum = checksum,
		.meta = c->new_meta ? c->meta : s->object.meta,
		.tags = c->new_tags ? c->tags : s->object.tags,
	};
	if (!commit_upload(r, &n, etag))
		return;
	reply_copied(r, "CopyObjectResult", etag, checksum, true);
	reply_encryption(r);
}

void s3_copy_object(struct request *r)
{
	struct source s = {.reader = NULL};
	_cleanup_free_ struct copy *c = calloc(1, sizeof *c);

	if (!c)
		reply_error(r, 500, "InternalError", "out of memory");
	else if (open_source(r, &s) && read_copy(r, &s, c))
		copy_object(r, &s, c);
	source_release(&s);
}

/* x-amz-copy-source-range: "bytes=A-B", both ends within the object. false: replied. */
static bool limit_source(struct request *r, struct source *s)
{
	const char *range = request_header(r, "x-amz-copy-source-range");
	uint64_t size = s->object.size, first = 0, n = size;
	const char *last = range ? strchr(range, '-') : NULL;

	if (range && (!starts_with(range, "bytes=") || !last || last == range + 6 || !last[1] ||
		      range_read(range, size, &first, &n) == 0))
		return refuse(
			r, "InvalidArgument",
			"The x-amz-copy-source-range value must be of the form bytes=first-last "
			"where first and last are the zero-based offsets of the first and last "
			"bytes to copy");
	if (range &&
	    (range_read(range, size, &first, &n) < 0 || strtoull(last + 1, NULL, 10) >= size)) {
		reply_error(r, 400, "InvalidArgument",
			    "Range specified is not valid for source object of size: %llu",
			    (unsigned long long)size);
		return false;
	}
	if (n > COPY_MOST)
		return refuse(r, "InvalidRequest",
			      "The specified copy source is larger than the maximum allowable size "
			      "for a copy source: 5368709120");
	reader_limit(s->reader, first, n);
	return true;
}

static void copy_part(struct request *r, struct source *s, int number)
{
	_cleanup_free_ struct multipart *m = calloc(1, sizeof *m);
	char checksum[CHECKSUM_TEXT], etag[80];
	enum sum sum;

	if (!m) {
		reply_error(r, 500, "InternalError", "out of memory");
		return;
	}
	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!multipart_find_locked(r, m))
			return;
	}
	sum = sum_by_name(m->algorithm);
	if (!copy_bytes(r, s, sum == SUM_NONE ? SUM_CRC64NVME : sum) ||
	    !multipart_store(r, number, etag))
		return;
	upload_checksum(r->upload, checksum);
	reply_copied(r, "CopyPartResult", etag, sum == SUM_NONE ? "" : checksum, false);
}

void s3_copy_part(struct request *r)
{
	struct source s = {.reader = NULL};
	int number;

	if (multipart_number(r, &number) && open_source(r, &s) && limit_source(r, &s))
		copy_part(r, &s, number);
	source_release(&s);
}
