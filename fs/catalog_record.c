/* catalog_record.c: one version's record in a manifest, made from a plan. Pure. */
#include <time.h>

#include "fs/catalog.h"
#include "sagemaker/framework.h"

static void set(cJSON *j, const char *key, cJSON *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(j, key);
	if (!cJSON_AddItemToObject(j, key, value))
		cJSON_Delete(value);
}

static cJSON *member_json(const struct package_member *m)
{
	cJSON *j = cJSON_CreateObject();
	char digest[SHA256_HEX];

	if (m->path)
		cJSON_AddStringToObject(j, "path", m->path);
	else
		cJSON_AddTrueToObject(j, "generated");
	cJSON_AddStringToObject(j, "archive", m->archive);
	cJSON_AddNumberToObject(j, "size", (double)m->size);
	cJSON_AddNumberToObject(j, "mode", m->mode & 0777);
	cJSON_AddNumberToObject(j, "mtime", (double)m->mtime);
	if (m->hashed) {
		hex(m->sha256, sizeof m->sha256, digest);
		cJSON_AddStringToObject(j, "sha256", digest);
	}
	return j;
}

cJSON *record_new(const struct package_plan *p)
{
	const struct package_settings *s = &p->settings;
	char framework[32];

	package_framework(p, framework);

	const struct {
		const char *key, *value;
	} rows[] = {
		{"digest",            p->digest				      },
		{"framework",         framework                                      },
		{"framework_version", s->framework_version                           },
		{"made_with",         p->made_with                                   },
		{"py_version",        s->py_version                                  },
		{"image",             s->image				       },
		{"role",              s->role					},
		{"entry_point",       s->entry_point[0] ? s->entry_point : p->program},
		{"content_type",      framework_content_type(framework)              },
		{"instance_type",     s->instance_type                               },
	};

	cJSON *j = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cJSON_AddStringToObject(j, rows[i].key, rows[i].value);
	set(j, "environment", package_environment(p));
	set(j, "settings", s->text ? cJSON_CreateString(s->text) : cJSON_CreateNull());
	if (p->ready) /* the object is the one member itself */
		set(j, "ready", cJSON_CreateTrue());
	cJSON *members = cJSON_AddArrayToObject(j, "members");
	for (size_t i = 0; i < p->n_members; i++)
		cJSON_AddItemToArray(members, member_json(&p->members[i]));
	if ((size_t)cJSON_GetArraySize(members) == p->n_members)
		return j;
	cJSON_Delete(j);
	return NULL;
}

static void utc_now(struct tm *out)
{
	time_t now = time(NULL);

	gmtime_r(&now, out);
}

void record_time(char out[32])
{
	struct tm now;

	utc_now(&now);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &now);
}

int record_stored(cJSON *record, const char *key, uint64_t size, const char *crc32c)
{
	char stored[32];

	record_time(stored);
	set(record, "stored", cJSON_CreateString(stored));
	set(record, "key", cJSON_CreateString(key));
	set(record, "size", cJSON_CreateNumber((double)size));
	if (*crc32c)
		set(record, "crc32c", cJSON_CreateString(crc32c));
	return cJSON_HasObjectItem(record, "key") && cJSON_HasObjectItem(record, "size") ? 0 : -1;
}

int record_offsets(cJSON *record, const uint64_t *offsets, const struct gzip_point *points,
		   size_t n_points)
{
	cJSON *m, *list = cJSON_CreateArray();
	size_t i = 0;

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		if (offsets)
			set(m, "offset", cJSON_CreateNumber((double)offsets[i++]));
	}
	for (i = 0; i < n_points; i++) {
		const double point[] = {(double)points[i].in, (double)points[i].out,
					(double)points[i].crc};

		cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(point, 3));
	}
	set(record, "points", list);
	return cJSON_HasObjectItem(record, "points") ? 0 : -1;
}

/* Where a member's bytes are, as another record says it. */
static void set_from(cJSON *to, const cJSON *from)
{
	static const char *const keys[] = {"offset", "crc32c", "crcs"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, keys[i]);

		if (v)
			set(to, keys[i], cJSON_Duplicate(v, true));
	}
}

int record_stored_as(cJSON *record, const cJSON *other)
{
	static const char *const keys[] = {"key", "size", "crc32c", "points", "stored"};
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(other, "members");
	cJSON *to = cJSON_GetObjectItemCaseSensitive(record, "members");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(other, keys[i]);

		if (v)
			set(record, keys[i], cJSON_Duplicate(v, true));
	}
	/* Equal digests mean equal archives, so the members pair up: both lists are sorted by the archive's paths. */
	for (from = from ? from->child : NULL, to = to ? to->child : NULL; from && to;
	     from = from->next, to = to->next) {
		if (streq(manifest_text(from, "archive"), manifest_text(to, "archive")))
			set_from(to, from);
	}
	return cJSON_HasObjectItem(record, "key") ? 0 : -1;
}

int record_named(cJSON *record, const char *version)
{
	char created[32];

	record_time(created);
	set(record, "version", cJSON_CreateString(version));
	set(record, "created", cJSON_CreateString(created));
	return cJSON_HasObjectItem(record, "created") ? 0 : -1;
}

void version_name(char out[48])
{
	char time_text[32], random[9];
	struct tm now;

	utc_now(&now);
	strftime(time_text, sizeof time_text, "%Y%m%dT%H%M%SZ", &now);
	random_text(random, sizeof random);
	snprintf(out, 48, "%s-%s", time_text, random);
}
