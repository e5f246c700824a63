#include "sagemaker/local/multipart.h"

#include <errno.h>

#include "sagemaker/local/calls.h"

#define REFUSE(r, ...) (reply_error((r), 400, "InvalidRequest", __VA_ARGS__), false)

/* The checksum that the whole is to have. false: replied. */
static bool read_algorithm(struct request *r, enum sum *sum, bool *full)
{
	const char *name = request_header(r, "x-amz-checksum-algorithm"),
		   *type = request_header(r, "x-amz-checksum-type");

	*sum = name ? sum_by_name(name) : SUM_NONE;
	*full = true;
	if (!name)
		return !type ||
		       REFUSE(r, "The x-amz-checksum-type header can only be used with the "
				 "x-amz-checksum-algorithm header.");
	if (*sum == SUM_NONE)
		return REFUSE(
			r,
			"Checksum algorithm provided is unsupported. Please try again with any of "
			"the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
	const struct sum_row *row = &sum_rows[*sum];
	*full = type ? streq(type, "FULL_OBJECT") : !row->composite;
	if (type && !*full && !streq(type, "COMPOSITE"))
		return REFUSE(r, "Value for x-amz-checksum-type header is invalid.");
	return (*full ? row->full : row->composite) ||
	       REFUSE(r, "The %s checksum type cannot be used with the %s checksum algorithm.",
		      *full ? "FULL_OBJECT" : "COMPOSITE", row->lower);
}

void s3_create_multipart(struct request *r)
{
	static const char sql[] =
		"INSERT INTO upload(id, bucket, key, created, type, algorithm, full, meta, tags)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
	_cleanup_buf_ struct buf b = BUF_INIT(65536);
	char id[65], meta[META_MAX], tags[TAGS_MAX];
	enum sum sum;
	struct err e;
	bool full;

	if (!read_algorithm(r, &sum, &full) || !meta_json(r, meta) || !tags_header(r, tags))
		return;
	const char *algorithm = sum == SUM_NONE ? "" : sum_rows[sum].name;
	random_text(id, sizeof id);
	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!bucket_check_locked(r))
			return;
		if (db_run(r->be->db, &e, sql, "ssbdssiss", id, r->bucket, r->key.data, r->key.len,
			   time_now(),
			   text_or(request_header(r, "Content-Type"), "binary/octet-stream"),
			   algorithm, (int64_t)full, meta, tags) < 0) {
			reply_failure(r, &e);
			return;
		}
	}
	buf_printf(&b, XML "<InitiateMultipartUploadResult " XMLNS "><Bucket>%s</Bucket><Key>",
		   r->bucket);
	xml_text(&b, r->key.data, r->key.len);
	buf_printf(&b, "</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id);
	reply_xml(r, &b);
	if (*algorithm) {
		reply_header(r, "x-amz-checksum-algorithm", "%s", algorithm);
		reply_header(r, "x-amz-checksum-type", "%s", full ? "FULL_OBJECT" : "COMPOSITE");
	}
}

bool multipart_find_locked(struct request *r, struct multipart *m)
{
	static const char sql[] =
		"SELECT type, algorithm, full, meta, tags FROM upload WHERE id=? AND bucket=? AND key=?";
	const char *id = text_or(request_arg(r, "uploadId"), "");
	struct err e;

	if (!bucket_check_locked(r))
		return false;
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, sql, "ssb", id, r->bucket, r->key.data, r->key.len);
	int found = s ? db_step(s, &e) : -1;
	if (found < 0) {
		reply_failure(r, &e);
		return false;
	}
	if (!found) {
		reply_error(
			r, 404, "NoSuchUpload",
			"The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
			"aborted or completed.");
		return false;
	}
	snprintf(m->id, sizeof m->id, "%s", id);
	snprintf(m->type, sizeof m->type, "%s", db_text(s, 0));
	snprintf(m->algorithm, sizeof m->algorithm, "%s", db_text(s, 1));
	m->full = sqlite3_column_int(s, 2) != 0;
	snprintf(m->meta, sizeof m->meta, "%s", db_text(s, 3));
	snprintf(m->tags, sizeof m->tags, "%s", db_text(s, 4));
	return true;
}

int multipart_parts_locked(struct backend *be, const char *upload, struct part **out, size_t *n,
			   struct err *e)
{
	static const char sql[] =
		"SELECT number, file, size, md5, crc32c, modified, sums FROM part WHERE upload=? ORDER BY number";
	size_t cap = 0;
	int r;

	*out = NULL;
	*n = 0;
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(be->db, e, sql, "s", upload);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0) {
		if (*n == cap) {
			cap = cap ? cap * 2 : 16;
			struct part *more = realloc(*out, cap * sizeof *more);
			if (!more) {
				r = err_set(e, ENOMEM, "out of memory");
				break;
			}
			*out = more;
		}
		struct part *p = &(*out)[(*n)++];
		p->number = sqlite3_column_int(s, 0);
		snprintf(p->segment.file, sizeof p->segment.file, "%s", db_text(s, 1));
		p->segment.size = (uint64_t)sqlite3_column_int64(s, 2);
		snprintf(p->md5, sizeof p->md5, "%s", db_text(s, 3));
		p->segment.crc32c = (uint32_t)sqlite3_column_int64(s, 4);
		p->modified = sqlite3_column_double(s, 5);
		p->segment.number = p->number;
		p->segment.sum[0] = '\0';
		sums_read(db_text(s, 6), &p->sums);
	}
	if (r < 0)
		free(steal(*out));
	return r;
}

/* A part's checksum must be of the upload's kind; a composite one needs it of every part. false: replied. */
static bool same_kind(struct request *r, const struct multipart *m)
{
	enum sum given = r->upload->claim.sum, sum = sum_by_name(m->algorithm);

	if (sum == SUM_NONE || given == sum || (given == SUM_NONE && m->full))
		return true;
	return REFUSE(
		r,
		"Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
		sum_rows[sum].lower, given == SUM_NONE ? "null" : sum_rows[given].lower);
}

/* Under the lock: the part's row, replacing an earlier one, whose file is named in old. false: replied. */
static bool store_part(struct request *r, int number, const char *md5, struct segment *old)
{
	static const char sql[] =
		"INSERT OR REPLACE INTO part(upload, number, file, size, md5, crc32c, crc32, modified, sums)"
		" VALUES(?, ?, ?, ?, ?, ?, 0, ?, ?)";
	const struct upload *u = r->upload;
	_cleanup_buf_ struct buf sums = BUF_INIT(1024);
	struct multipart m;
	struct err e;

	sums_show(&u->values, &sums);
	SCOPED_LOCK(db_lock(r->be->db));
	if (!multipart_find_locked(r, &m) || !same_kind(r, &m))
		return false;
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, "SELECT file FROM part WHERE upload=? AND number=?", "si",
			   m.id, (int64_t)number);
	int found = s ? db_step(s, &e) : -1;
	if (found > 0)
		snprintf(old->file, sizeof old->file, "%s", db_text(s, 0));
	sqlite3_finalize(steal(s));
	if (found < 0 ||
	    db_run(r->be->db, &e, sql, "sisisids", m.id, (int64_t)number, u->file, (int64_t)u->size,
		   md5, (int64_t)upload_crc32c(u), time_now(), buf_cstr(&sums)) < 0) {
		reply_failure(r, &e);
		return false;
	}
	return true;
}

bool multipart_number(struct request *r, int *number)
{
	const char *text = text_or(request_arg(r, "partNumber"), "");
	char *end;
	long n = strtol(text, &end, 10);

	*number = (int)n;
	if (!*end && end != text && n >= 1 && n <= PARTS_MAX)
		return true;
	reply_error(r, 400, "InvalidArgument",
		    "Part number must be an integer between 1 and 10000, inclusive");
	return false;
}

bool multipart_store(struct request *r, int number, char etag[80])
{
	struct segment old = {.file = ""};
	char md5[33];

	hex(r->upload->md5sum, sizeof r->upload->md5sum, md5);
	if (!store_part(r, number, md5, &old))
		return false;
	r->upload->kept = true;
	if (old.file[0])
		files_remove(r->be->objects, &old, 1);
	snprintf(etag, 80, "\"%s\"", md5);
	return true;
}

void s3_upload_part(struct request *r)
{
	char etag[80], value[SUM_TEXT];
	enum sum sum = r->upload->claim.sum;
	int number;

	if (!multipart_number(r, &number) || !upload_end(r) || !multipart_store(r, number, etag))
		return;
	reply_status(r, 200);
	reply_header(r, "ETag", "%s", etag);
	if (sum == SUM_NONE)
		return;
	sum_text(sum, r->upload->values.value[sum], value);
	reply_header(r, sum_rows[sum].header, "%s", value);
}

/* Under the lock: the upload's rows go; its files are the caller's to remove. */
static bool abort_rows(struct request *r, struct part **parts, size_t *n)
{
	_cleanup_change_ struct db_change change = {NULL};
	struct db *db = r->be->db;
	struct multipart m;
	struct err e;

	SCOPED_LOCK(db_lock(db));
	if (!multipart_find_locked(r, &m))
		return false;
	if (multipart_parts_locked(r->be, m.id, parts, n, &e) < 0 ||
	    db_begin(db, &change, &e) < 0 ||
	    db_run(db, &e, "DELETE FROM part WHERE upload=?", "s", m.id) < 0 ||
	    db_run(db, &e, "DELETE FROM upload WHERE id=?", "s", m.id) < 0 ||
	    db_commit(&change, &e) < 0) {
		db_rollback(&change); /* while the lock is held */
		reply_failure(r, &e);
		return false;
	}
	return true;
}

void s3_abort_multipart(struct request *r)
{
	_cleanup_free_ struct part *parts = NULL;
	size_t n = 0;

	if (!abort_rows(r, &parts, &n))
		return;
	for (size_t i = 0; i < n; i++)
		files_remove(r->be->objects, &parts[i].segment, 1);
	reply_status(r, 204);
}
