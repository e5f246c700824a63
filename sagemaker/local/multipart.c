#include "sagemaker/local/multipart.h"

#include <errno.h>

#include "sagemaker/local/calls.h"

#define XML   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static const char *text_or(const char *s, const char *otherwise)
{
	return s ? s : otherwise;
}

/* The checksum that the whole is to have. false: replied. */
static bool read_algorithm(struct request *r, const char **algorithm, bool *full)
{
	const char *name = text_or(request_header(r, "x-amz-checksum-algorithm"), "");
	const char *type = text_or(request_header(r, "x-amz-checksum-type"), "COMPOSITE");

	*algorithm = name;
	*full = streq(type, "FULL_OBJECT");
	if (streq(name, "") || streq(name, "CRC32C") || streq(name, "CRC32"))
		return true;
	reply_error(r, 501, "NotImplemented",
		    "the local backend does not make the checksum '%s' of a multipart upload",
		    name);
	return false;
}

void s3_create_multipart(struct request *r)
{
	static const char sql[] =
		"INSERT INTO upload(id, bucket, key, created, type, algorithm, full, meta) VALUES(?, ?, ?, ?, ?, ?, ?, ?)";
	_cleanup_buf_ struct buf b = BUF_INIT(65536);
	const char *algorithm;
	char id[65], meta[4096];
	struct err e;
	bool full;

	if (!read_algorithm(r, &algorithm, &full) || !meta_json(r, meta))
		return;
	random_text(id, sizeof id);
	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!bucket_check_locked(r))
			return;
		if (db_run(r->be->db, &e, sql, "ssbdssis", id, r->bucket, r->key.data, r->key.len,
			   time_now(),
			   text_or(request_header(r, "Content-Type"), "binary/octet-stream"),
			   algorithm, (int64_t)full, meta) < 0) {
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
		"SELECT type, algorithm, full, meta FROM upload WHERE id=? AND bucket=? AND key=?";
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
	return true;
}

int multipart_parts_locked(struct backend *be, const char *upload, struct part **out, size_t *n,
			   struct err *e)
{
	static const char sql[] =
		"SELECT number, file, size, md5, crc32c, crc32, modified FROM part WHERE upload=? ORDER BY number";
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
		p->crc32 = (uint32_t)sqlite3_column_int64(s, 5);
		p->modified = sqlite3_column_double(s, 6);
	}
	if (r < 0)
		free(steal(*out));
	return r;
}

/* Under the lock: the part's row, replacing an earlier one, whose file is named in old. false: replied. */
static bool store_part(struct request *r, int number, const char *md5, struct segment *old)
{
	static const char sql[] =
		"INSERT OR REPLACE INTO part(upload, number, file, size, md5, crc32c, crc32, modified)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?)";
	const struct upload *u = r->upload;
	struct multipart m;
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!multipart_find_locked(r, &m))
		return false;
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(r->be->db, &e, "SELECT file FROM part WHERE upload=? AND number=?", "si",
			   m.id, (int64_t)number);
	int found = s ? db_step(s, &e) : -1;
	if (found > 0)
		snprintf(old->file, sizeof old->file, "%s", db_text(s, 0));
	sqlite3_finalize(steal(s));
	if (found < 0 ||
	    db_run(r->be->db, &e, sql, "sisisiid", m.id, (int64_t)number, u->file, (int64_t)u->size,
		   md5, (int64_t)u->crc32c, (int64_t)u->crc32, time_now()) < 0) {
		reply_failure(r, &e);
		return false;
	}
	return true;
}

void s3_upload_part(struct request *r)
{
	const char *text = text_or(request_arg(r, "partNumber"), "");
	struct segment old = {.file = ""};
	char checksum[128], md5[33], *end;
	long number = strtol(text, &end, 10);

	if (*end || end == text || number < 1 || number > PARTS_MAX) {
		reply_error(r, 400, "InvalidArgument",
			    "Part number must be an integer between 1 and 10000, inclusive");
		return;
	}
	if (!upload_end(r, checksum))
		return;
	hex(r->upload->md5sum, sizeof r->upload->md5sum, md5);
	if (!store_part(r, (int)number, md5, &old))
		return;
	r->upload->kept = true;
	if (old.file[0])
		files_remove(r->be->objects, &old, 1);
	reply_status(r, 200);
	reply_header(r, "ETag", "\"%s\"", md5);
	reply_checksum(r, checksum);
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

void s3_list_parts(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)8 << 20);
	_cleanup_free_ struct part *parts = NULL;
	struct multipart m;
	struct err e;
	char when[32];
	size_t n = 0;

	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!multipart_find_locked(r, &m))
			return;
		if (multipart_parts_locked(r->be, m.id, &parts, &n, &e) < 0) {
			reply_failure(r, &e);
			return;
		}
	}
	buf_printf(&b, XML "<ListPartsResult " XMLNS "><Bucket>%s</Bucket><Key>", r->bucket);
	xml_text(&b, r->key.data, r->key.len);
	buf_printf(
		&b,
		"</Key><UploadId>%s</UploadId><MaxParts>%d</MaxParts><IsTruncated>false</IsTruncated>",
		m.id, PARTS_MAX);
	for (size_t i = 0; i < n; i++) {
		iso_time(parts[i].modified, when);
		buf_printf(
			&b,
			"<Part><PartNumber>%d</PartNumber><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%llu</Size></Part>",
			parts[i].number, when, parts[i].md5,
			(unsigned long long)parts[i].segment.size);
	}
	buf_str(&b, "</ListPartsResult>");
	reply_xml(r, &b);
}

static void put_upload(struct buf *b, sqlite3_stmt *s)
{
	char when[32];

	iso_time(sqlite3_column_double(s, 2), when);
	buf_str(b, "<Upload><Key>");
	xml_text(b, sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1));
	buf_printf(b, "</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>",
		   db_text(s, 0), when);
}

void s3_list_uploads(struct request *r)
{
	static const char sql[] =
		"SELECT id, key, created FROM upload WHERE bucket=?1 AND substr(key, 1, length(?2))=?2"
		" ORDER BY key, created LIMIT 1000";
	const char *prefix = text_or(request_arg(r, "prefix"), "");
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)8 << 20);
	struct err e;
	int more = -1;

	buf_printf(&b,
		   XML "<ListMultipartUploadsResult " XMLNS
		       "><Bucket>%s</Bucket><IsTruncated>false</IsTruncated>",
		   r->bucket);
	{
		SCOPED_LOCK(db_lock(r->be->db));
		if (!bucket_check_locked(r))
			return;
		_cleanup_stmt_ sqlite3_stmt *s =
			db_prepare(r->be->db, &e, sql, "sb", r->bucket, prefix, strlen(prefix));
		while (s && (more = db_step(s, &e)) > 0)
			put_upload(&b, s);
	}
	buf_str(&b, "</ListMultipartUploadsResult>");
	if (more < 0)
		reply_failure(r, &e);
	else
		reply_xml(r, &b);
}
