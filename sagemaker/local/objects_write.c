#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

#define PRECONDITION "At least one of the pre-conditions you specified did not hold"

/* The conditions of a write. false: replied. */
static bool may_replace(struct request *r, const struct object *old)
{
	const char *none = request_header(r, "If-None-Match"),
		   *match = request_header(r, "If-Match");

	if (none && !streq(none, "*")) {
		reply_error(r, 501, "NotImplemented", "If-None-Match takes only * on a write");
		return false;
	}
	if (none && old) {
		reply_error(r, 412, "PreconditionFailed", PRECONDITION);
		return false;
	}
	if (match && !old) {
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
		return false;
	}
	if (match && !etag_is(match, old->etag)) {
		reply_error(r, 412, "PreconditionFailed", PRECONDITION);
		return false;
	}
	return true;
}

/* A part becomes a segment; it must still be what was checked. */
static int take_part_locked(struct db *db, const struct new_object *n, const struct segment *g,
			    struct err *e)
{
	if (!n->upload)
		return 0;
	if (db_run(db, e, "DELETE FROM part WHERE upload=? AND file=?", "ss", n->upload, g->file) <
	    0)
		return -1;
	return db_changes(db) == 1
		       ? 0
		       : err_set(e, ESTALE, "a part was replaced while the upload was completed");
}

static int insert_locked(struct request *r, const struct new_object *n, struct err *e)
{
	static const char sql[] =
		"INSERT INTO object(bucket, key, size, etag, modified, type, checksum, meta, tags)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
	struct db *db = r->be->db;

	if (db_run(db, e, sql, "sbisdssss", r->bucket, r->key.data, r->key.len, (int64_t)n->size,
		   n->etag, time_now(), n->type, n->checksum, n->meta, n->tags) < 0)
		return -1;
	int64_t id = db_last_id(db);
	for (size_t i = 0; i < n->n; i++) {
		const struct segment *g = &n->segments[i];
		if (take_part_locked(db, n, g, e) < 0 ||
		    db_run(db, e,
			   "INSERT INTO segment(object, seq, file, size, crc32c, number, sum) VALUES(?, ?, ?, ?, ?, ?, ?)",
			   "iisiiis", id, (int64_t)i, g->file, (int64_t)g->size, (int64_t)g->crc32c,
			   (int64_t)g->number, g->sum) < 0)
			return -1;
	}
	if (!n->upload)
		return 0;
	if (db_run(db, e, "DELETE FROM part WHERE upload=?", "s", n->upload) < 0)
		return -1;
	return db_run(db, e, "DELETE FROM upload WHERE id=?", "s", n->upload);
}

int object_delete_locked(struct backend *be, int64_t id, struct err *e)
{
	if (db_run(be->db, e, "DELETE FROM segment WHERE object=?", "i", id) < 0)
		return -1;
	return db_run(be->db, e, "DELETE FROM object WHERE id=?", "i", id);
}

/* Its row is there once: who takes it away is the one that answers. */
static int end_async_locked(struct db *db, const struct new_object *n, struct err *e)
{
	if (!n->async)
		return 0;
	if (db_run(db, e, "DELETE FROM async WHERE id=?", "s", n->async))
		return -1;
	return db_changes(db) == 1 ? 0 : err_set(e, ESTALE, "it is answered already");
}

/* In one transaction: the old object's rows go, the new one's (NULL: none) come. */
static int swap_locked(struct request *r, const struct object *old, const struct new_object *n,
		       struct err *e)
{
	_cleanup_change_ struct db_change change = {NULL};

	if (db_begin(r->be->db, &change, e) < 0 ||
	    (old && object_delete_locked(r->be, old->id, e) < 0) ||
	    (n && (insert_locked(r, n, e) < 0 || end_async_locked(r->be->db, n, e) < 0)))
		return -1;
	return db_commit(&change, e);
}

struct replaced {
	int64_t id;
	struct segment *files;
	size_t n;
};

/* Under the lock: find, check, swap. false: replied. */
static bool replace(struct request *r, const struct new_object *n, struct replaced *gone)
{
	struct backend *be = r->be;
	struct object old;
	struct err e;

	SCOPED_LOCK(db_lock(be->db));
	if (!bucket_check_locked(r))
		return false;
	int found = object_find_locked(be, r->bucket, r->key.data, r->key.len, &old, &e);
	if (found >= 0 && !may_replace(r, found ? &old : NULL))
		return false;
	if (found > 0) {
		gone->id = old.id;
		found = object_segments_locked(be, old.id, &gone->files, &gone->n, &e) < 0 ? -1 : 1;
	}
	if (found < 0 || ((found || n) && swap_locked(r, found ? &old : NULL, n, &e) < 0)) {
		free(steal(gone->files));
		reply_failure(r, &e);
		return false;
	}
	return true;
}

bool object_commit(struct request *r, const struct new_object *n)
{
	struct replaced gone = {0};

	if (!replace(r, n, &gone))
		return false;
	if (gone.files)
		object_files_doomed(r->be->objects, gone.id, gone.files, gone.n);
	return true;
}

static int put(struct request *r, const char *type, const struct buf *bytes, const char *async,
	       struct err *e)
{
	char checksum[CHECKSUM_TEXT], etag[80];

	r->upload = upload_new(r->be, SUM_BIT(SUM_CRC64NVME), bytes->len, e);
	if (!r->upload || upload_write(r->upload, buf_cstr(bytes), bytes->len, e) ||
	    upload_finish(r->upload, e))
		return -1;
	upload_checksum(r->upload, checksum);
	struct new_object n = {.type = *type ? type : "binary/octet-stream",
			       .checksum = checksum,
			       .meta = "{}",
			       .tags = "",
			       .async = async};
	if (commit_upload(r, &n, etag))
		return 0;
	return err_set(e, r->reply.status == 404 ? ENOENT : EIO, "s3://%s/%s: %s", r->bucket,
		       r->key.data, buf_cstr(&r->reply.body));
}

int object_put(struct backend *be, const char *bucket, const char *key, const char *type,
	       const struct buf *bytes, const char *async, struct err *e)
{
	struct request *r = request_new(be, "/");
	int rc;

	if (!r)
		return err_set(e, ENOMEM, "out of memory");
	snprintf(r->bucket, sizeof r->bucket, "%s", bucket);
	buf_str(&r->key, key);
	rc = put(r, type, bytes, async, e);
	request_free(r);
	return rc;
}

bool object_remove(struct request *r)
{
	return object_commit(r, NULL);
}

bool commit_upload(struct request *r, const struct new_object *how, char etag[80])
{
	struct upload *u = r->upload;
	struct segment g = {.size = u->size, .crc32c = upload_crc32c(u)};
	struct new_object n = *how;
	char md5[33];

	memcpy(g.file, u->file, sizeof g.file);
	n.segments = &g;
	n.n = 1;
	n.size = u->size;
	hex(u->md5sum, sizeof u->md5sum, md5);
	snprintf(n.etag, sizeof n.etag, "\"%s\"", md5);
	memcpy(etag, n.etag, sizeof n.etag);
	u->kept = object_commit(r, &n);
	return u->kept;
}

void s3_put_object(struct request *r)
{
	char checksum[CHECKSUM_TEXT], meta[META_MAX], tags[TAGS_MAX], etag[80];

	if (!meta_json(r, meta) || !tags_header(r, tags) || !upload_end(r))
		return;
	upload_checksum(r->upload, checksum);
	struct new_object n = {.type = text_or(request_header(r, "Content-Type"),
					       "binary/octet-stream"),
			       .checksum = checksum,
			       .meta = meta,
			       .tags = tags};
	if (!commit_upload(r, &n, etag))
		return;
	reply_status(r, 200);
	reply_header(r, "ETag", "%s", etag);
	reply_checksum(r, checksum);
	reply_encryption(r);
}

/* A browser's form upload: not here. */
void s3_post_object(struct request *r)
{
	const char *type = text_or(request_header(r, "Content-Type"), "");

	if (starts_with(type, "multipart/form-data"))
		reply_error(r, 501, "NotImplemented",
			    "the local backend takes no uploads by HTML forms (PostObject)");
	else
		reply_error(r, 412, "PreconditionFailed", PRECONDITION);
}
