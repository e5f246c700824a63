/* DeleteObject and DeleteObjects. */
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"
#include "sagemaker/xml.h"

#define MOST_KEYS 1000

void s3_delete_object(struct request *r)
{
	if (object_remove(r))
		reply_status(r, 204);
}

/* One <Object> of the list, and what became of it. */
struct victim {
	char *key, *version, *etag;
	const char *code, *text; /* NULL: it is gone */
	int64_t id;              /* 0: there was none */
	struct segment *files;
	size_t n_files;
};

struct batch {
	struct request *r;
	struct victim *rows;
	size_t n;
	bool quiet, open; /* open: within an <Object> */
	bool failed;
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->rows[i].key);
		free(b->rows[i].version);
		free(b->rows[i].etag);
		free(b->rows[i].files);
	}
	free(b->rows);
}

static struct victim *current(struct batch *b)
{
	if (b->open)
		return &b->rows[b->n - 1];
	if (b->n == MOST_KEYS) {
		b->failed = true;
		return NULL;
	}
	b->open = true;
	b->rows[b->n] = (struct victim){.key = NULL};
	return &b->rows[b->n++];
}

static void end_object(struct batch *b, const struct victim *v)
{
	b->open = false;
	b->failed |= !v->key || !*v->key;
}

static int take_element(void *arg, const char *path, const char *text)
{
	static const struct {
		const char *path;
		size_t offset; /* of the member */
	} members[] = {
		{"Delete/Object/Key",       offsetof(struct victim, key)    },
		{"Delete/Object/VersionId", offsetof(struct victim, version)},
		{"Delete/Object/ETag",      offsetof(struct victim, etag)   },
	};
	struct batch *b = arg;
	struct victim *v = starts_with(path, "Delete/Object") ? current(b) : NULL;

	for (size_t i = 0; v && i < ARRAY_SIZE(members); i++) {
		if (!streq(path, members[i].path))
			continue;
		char **to = (char **)(void *)((char *)v + members[i].offset);
		free(*to);
		*to = strdup(text);
		return 0;
	}
	if (streq(path, "Delete/Quiet"))
		b->quiet = streq(text, "true");
	else if (v && streq(path, "Delete/Object"))
		end_object(b, v);
	else if (!streq(path, "Delete"))
		b->failed = true;
	return b->failed;
}

static void condemn(struct victim *v, const char *code, const char *text)
{
	v->code = code;
	v->text = text;
}

/* In the transaction: the rows of one object go. -1: the database failed. */
static int delete_one_locked(struct request *r, struct victim *v, struct err *e)
{
	struct object o;

	if (v->version && *v->version && !streq(v->version, "null")) {
		condemn(v, "NoSuchVersion", "The specified version does not exist.");
		return 0;
	}
	if (strlen(v->key) > 1024) {
		condemn(v, "KeyTooLongError", "Your key is too long");
		return 0;
	}
	int found = object_find_locked(r->be, r->bucket, v->key, strlen(v->key), &o, e);
	if (found > 0 && v->etag && !etag_is(v->etag, o.etag)) {
		condemn(v, "PreconditionFailed",
			"At least one of the pre-conditions you specified did not hold");
		return 0;
	}
	if (found <= 0)
		return found;
	if (object_segments_locked(r->be, o.id, &v->files, &v->n_files, e) < 0)
		return -1;
	v->id = o.id;
	return object_delete_locked(r->be, o.id, e);
}

static int delete_all(struct batch *b, struct err *e)
{
	_cleanup_change_ struct db_change change = {NULL};

	SCOPED_LOCK(db_lock(b->r->be->db));
	int rc = db_begin(b->r->be->db, &change, e);
	for (size_t i = 0; rc == 0 && i < b->n; i++)
		rc = delete_one_locked(b->r, &b->rows[i], e);
	if (rc == 0)
		rc = db_commit(&change, e);
	db_rollback(&change); /* while the lock is held */
	return rc;
}

static void put_victim(struct buf *b, const struct victim *v, bool quiet)
{
	if (!v->code && quiet)
		return;
	buf_str(b, v->code ? "<Error><Key>" : "<Deleted><Key>");
	xml_text(b, v->key, strlen(v->key));
	buf_str(b, "</Key>");
	if (v->version && *v->version) {
		buf_str(b, "<VersionId>");
		xml_text(b, v->version, strlen(v->version));
		buf_str(b, "</VersionId>");
	}
	if (v->code)
		buf_printf(b, "<Code>%s</Code><Message>%s</Message></Error>", v->code, v->text);
	else
		buf_str(b, "</Deleted>");
}

static bool has_digest(struct request *r)
{
	if (request_header(r, "Content-MD5") || request_header(r, "x-amz-sdk-checksum-algorithm"))
		return true;
	for (enum sum s = 0; s < N_SUMS; s++) {
		if (request_header(r, sum_rows[s].header))
			return true;
	}
	reply_error(r, 400, "InvalidRequest",
		    "Missing required header for this request: Content-MD5");
	return false;
}

static bool read_batch(struct batch *b)
{
	struct request *r = b->r;
	struct err e;

	b->rows = calloc(MOST_KEYS, sizeof *b->rows);
	if (!b->rows) {
		reply_error(r, 500, "InternalError", "out of memory");
		return false;
	}
	if (xml_scan(buf_cstr(&r->body), r->body.len, take_element, b, &e) == 0 && !b->failed &&
	    b->n && !b->open)
		return true;
	reply_error(
		r, 400, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema");
	return false;
}

void s3_delete_objects(struct request *r)
{
	_cleanup_buf_ struct buf out = BUF_INIT((size_t)8 << 20);
	struct batch b = {.r = r};
	struct err e;

	if (!bucket_check(r) || !has_digest(r) || !read_batch(&b)) {
		batch_free(&b);
		return;
	}
	if (delete_all(&b, &e) < 0) {
		reply_failure(r, &e);
		batch_free(&b);
		return;
	}
	buf_str(&out, XML "<DeleteResult " XMLNS ">");
	for (size_t i = 0; i < b.n; i++) {
		struct victim *v = &b.rows[i];
		put_victim(&out, v, b.quiet);
		if (v->id)
			object_files_doomed(r->be->objects, v->id, steal(v->files), v->n_files);
	}
	buf_str(&out, "</DeleteResult>");
	reply_xml(r, &out);
	batch_free(&b);
}
