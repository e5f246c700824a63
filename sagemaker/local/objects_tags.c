/* An object's tags. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

/* r's object, or a refusal. */
static bool find(struct request *r, struct object *o)
{
	struct err e;

	SCOPED_LOCK(db_lock(r->be->db));
	if (!bucket_check_locked(r))
		return false;
	int found = object_find_locked(r->be, r->bucket, r->key.data, r->key.len, o, &e);
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
	return found > 0;
}

void s3_get_tags(struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)64 << 10);
	struct object o;

	if (!find(r, &o))
		return;
	buf_str(&b, XML "<Tagging " XMLNS ">");
	put_tags(&b, o.tags);
	buf_str(&b, "</Tagging>");
	reply_xml(r, &b);
}

static void set_tags(struct request *r, const char *tags, unsigned status)
{
	struct object o;
	struct err e;

	if (!find(r, &o))
		return;
	SCOPED_LOCK(db_lock(r->be->db));
	if (db_run(r->be->db, &e, "UPDATE object SET tags=? WHERE bucket=? AND key=?", "ssb", tags,
		   r->bucket, r->key.data, r->key.len) < 0)
		reply_failure(r, &e);
	else
		reply_status(r, status);
}

void s3_put_tags(struct request *r)
{
	char tags[TAGS_MAX];

	if (tags_xml(r, 10, tags))
		set_tags(r, tags, 200);
}

void s3_delete_tags(struct request *r)
{
	set_tags(r, "", 204);
}
