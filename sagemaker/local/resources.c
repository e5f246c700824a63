#include "sagemaker/local/resources.h"

#include <errno.h>

#include "sagemaker/config.h"
#include "sagemaker/local/validate.h"

const struct resource_kind KIND_MODEL = {"model", "model", "ModelName", "ModelArn", "Models"};
const struct resource_kind KIND_CONFIG = {"endpoint-config", "endpoint configuration",
					  "EndpointConfigName", "EndpointConfigArn",
					  "EndpointConfigs"};
const struct resource_kind KIND_ENDPOINT = {"endpoint", "endpoint", "EndpointName", "EndpointArn",
					    "Endpoints"};

void resource_arn(const struct backend *be, const struct resource_kind *k, const char *name,
		  char out[256])
{
	int n = snprintf(out, 256, "arn:%s:sagemaker:%s:" LOCAL_ACCOUNT ":%s/",
			 config_partition(be->region), be->region, k->kind);

	for (; *name && n < 255; name++)
		out[n++] = (char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
	out[n] = '\0';
}

int resource_get(struct backend *be, const struct resource_kind *k, const char *name, cJSON **json,
		 double *created, struct err *e)
{
	SCOPED_LOCK(db_lock(be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(be->db, e, "SELECT json, created FROM resource WHERE kind=? AND name=?",
			   "ss", k->kind, name);
	int r = s ? db_step(s, e) : -1;
	if (r <= 0)
		return r;
	*created = sqlite3_column_double(s, 1);
	*json = cJSON_Parse(db_text(s, 0));
	return *json ? 1 : err_set(e, EIO, "the store's row of %s '%s' is damaged", k->noun, name);
}

static int add_tags_locked(struct backend *be, const char *arn, const cJSON *tags, struct err *e)
{
	const cJSON *t;

	cJSON_ArrayForEach(t, tags) {
		if (db_run(be->db, e, "INSERT OR REPLACE INTO tag(arn, key, value) VALUES(?, ?, ?)",
			   "sss", arn, member_string(t, "Key"), member_string(t, "Value")) < 0)
			return -1;
	}
	return 0;
}

static int add_locked(struct backend *be, const struct resource_kind *k, const char *name,
		      const char *text, const cJSON *tags, struct err *e)
{
	_cleanup_change_ struct db_change change = {NULL};
	char arn[256];

	resource_arn(be, k, name, arn);
	if (db_begin(be->db, &change, e) < 0 ||
	    db_run(be->db, e,
		   "INSERT OR IGNORE INTO resource(kind, name, created, json) VALUES(?, ?, ?, ?)",
		   "ssds", k->kind, name, time_now(), text) < 0)
		return -1;
	if (!db_changes(be->db))
		return 0;
	if (add_tags_locked(be, arn, tags, e) < 0)
		return -1;
	return db_commit(&change, e) < 0 ? -1 : 1;
}

int resource_add(struct backend *be, const struct resource_kind *k, const char *name,
		 const cJSON *json, const cJSON *tags, struct err *e)
{
	char *text = cJSON_PrintUnformatted(json);
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	{
		SCOPED_LOCK(db_lock(be->db));
		r = add_locked(be, k, name, text, tags, e);
	}
	cJSON_free(text);
	return r;
}

int resource_update(struct backend *be, const struct resource_kind *k, const char *name,
		    const cJSON *json, struct err *e)
{
	char *text = cJSON_PrintUnformatted(json);
	int r;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	{
		SCOPED_LOCK(db_lock(be->db));
		r = db_run(be->db, e, "UPDATE resource SET json=? WHERE kind=? AND name=?", "sss",
			   text, k->kind, name);
	}
	cJSON_free(text);
	return r;
}

int resource_delete(struct backend *be, const struct resource_kind *k, const char *name,
		    struct err *e)
{
	char arn[256];

	resource_arn(be, k, name, arn);
	SCOPED_LOCK(db_lock(be->db));
	if (db_run(be->db, e, "DELETE FROM tag WHERE arn=?", "s", arn) < 0 ||
	    db_run(be->db, e, "DELETE FROM resource WHERE kind=? AND name=?", "ss", k->kind, name) <
		    0)
		return -1;
	return db_changes(be->db) > 0;
}

int resource_each(struct backend *be, const struct resource_kind *k,
		  void (*fn)(void *arg, const char *name, double created, cJSON *json), void *arg,
		  struct err *e)
{
	int r;

	SCOPED_LOCK(db_lock(be->db));
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
		be->db, e, "SELECT name, created, json FROM resource WHERE kind=?", "s", k->kind);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0)
		fn(arg, db_text(s, 0), sqlite3_column_double(s, 1), cJSON_Parse(db_text(s, 2)));
	return r;
}

void reply_missing(struct request *r, const struct resource_kind *k, const char *name)
{
	char arn[256];

	resource_arn(r->be, k, name, arn);
	reply_error(r, 400, "ValidationException", "Could not find %s \"%s\".", k->noun, arn);
}

void reply_exists(struct request *r, const struct resource_kind *k, const char *name)
{
	char arn[256];

	resource_arn(r->be, k, name, arn);
	reply_error(r, 400, "ValidationException", "Cannot create already existing %s \"%s\".",
		    k->noun, arn);
}
