#include "sagemaker/local/calls.h"
#include "sagemaker/local/resources.h"
#include "sagemaker/local/validate.h"

#define TAGS_MAX 50

/* The resource that the ARN names must be one of ours. false: replied. */
static bool check_arn(struct request *r, const char *arn)
{
	static const struct resource_kind *const kinds[] = {&KIND_MODEL, &KIND_CONFIG,
							    &KIND_ENDPOINT};
	const char *name = strchr(arn, '/');
	struct err e;
	double created;
	char own[256];

	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++) {
		_cleanup_json_ cJSON *json = NULL;
		resource_arn(r->be, kinds[i], name + 1, own);
		if (strcasecmp(own, arn) != 0)
			continue;
		int found = resource_get(r->be, kinds[i], name + 1, &json, &created, &e);
		if (found < 0)
			reply_failure(r, &e);
		else if (!found)
			reply_missing(r, kinds[i], name + 1);
		return found > 0;
	}
	reply_error(r, 400, "ValidationException", "Could not find resource \"%s\".", arn);
	return false;
}

static cJSON *tags_locked(struct backend *be, const char *arn, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(be->db, e,
			   "SELECT key, value FROM tag WHERE lower(arn)=lower(?) ORDER BY key", "s",
			   arn);
	_cleanup_json_ cJSON *out = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(out, "Tags");
	int more = -1;

	while (s && (more = db_step(s, e)) > 0) {
		cJSON *t = cJSON_CreateObject();
		cJSON_AddStringToObject(t, "Key", db_text(s, 0));
		cJSON_AddStringToObject(t, "Value", db_text(s, 1));
		cJSON_AddItemToArray(list, t);
	}
	return more < 0 ? NULL : steal(out);
}

static void reply_tags_locked(struct request *r, const char *arn)
{
	struct err e;
	cJSON *out = tags_locked(r->be, arn, &e);

	if (out)
		reply_json(r, out);
	else
		reply_failure(r, &e);
}

/* A resource's ARN as the tags know it: the name in lower case. */
static void lower_arn(const char *arn, char out[257])
{
	size_t i = 0;

	for (; arn[i] && i < 256; i++)
		out[i] = (char)(arn[i] >= 'A' && arn[i] <= 'Z' ? arn[i] + 32 : arn[i]);
	out[i] = '\0';
}

/* false: replied. */
static bool add_tags_locked(struct request *r, const char *arn, const cJSON *tags)
{
	_cleanup_change_ struct db_change change = {NULL};
	_cleanup_json_ cJSON *now = NULL;
	struct err e;
	const cJSON *t;
	bool kept = db_begin(r->be->db, &change, &e) == 0;

	cJSON_ArrayForEach(t, tags)
		kept = kept &&
		       db_run(r->be->db, &e,
			      "INSERT OR REPLACE INTO tag(arn, key, value) VALUES(?, ?, ?)", "sss",
			      arn, member_string(t, "Key"), member_string(t, "Value")) == 0;
	now = kept ? tags_locked(r->be, arn, &e) : NULL;
	if (cJSON_GetArraySize(cJSON_GetObjectItem(now, "Tags")) > TAGS_MAX) {
		reply_error(r, 400, "ResourceLimitExceeded",
			    "The resource \"%s\" can have at most %d tags.", arn, TAGS_MAX);
		return false;
	}
	if (now && db_commit(&change, &e) == 0)
		return true;
	reply_failure(r, &e);
	return false;
}

void sm_add_tags(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	char arn[257];

	if (!in || !check_arn(r, member_string(in, "ResourceArn")))
		return;
	lower_arn(member_string(in, "ResourceArn"), arn);
	SCOPED_LOCK(db_lock(r->be->db));
	if (add_tags_locked(r, arn, cJSON_GetObjectItem(in, "Tags")))
		reply_tags_locked(r, arn);
}

void sm_list_tags(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);

	if (!in || !check_arn(r, member_string(in, "ResourceArn")))
		return;
	if (*member_string(in, "NextToken")) { /* a page holds all tags that there can be */
		reply_error(r, 400, "ValidationException",
			    "NextToken is not one that this call gave");
		return;
	}
	SCOPED_LOCK(db_lock(r->be->db));
	reply_tags_locked(r, member_string(in, "ResourceArn"));
}

void sm_delete_tags(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const cJSON *key;
	struct err e;
	char arn[257];

	if (!in || !check_arn(r, member_string(in, "ResourceArn")))
		return;
	lower_arn(member_string(in, "ResourceArn"), arn);
	SCOPED_LOCK(db_lock(r->be->db));
	cJSON_ArrayForEach(key, cJSON_GetObjectItem(in, "TagKeys")) {
		if (cJSON_IsString(key) &&
		    db_run(r->be->db, &e, "DELETE FROM tag WHERE arn=? AND key=?", "ss", arn,
			   key->valuestring) < 0) {
			reply_failure(r, &e);
			return;
		}
	}
	reply_json(r, cJSON_CreateObject());
}
