/* catalog_files.c: records of versions whose files are objects, and what any version keeps in S3. Pure. */
#include "fs/catalog.h"
#include "sagemaker/files.h"

int record_as_files(cJSON *record)
{
	return cJSON_AddStringToObject(record, "packaging", "none") ? 0 : -1;
}

static int member_stored(cJSON *m, const struct files_object *o)
{
	cJSON *crcs = cJSON_AddArrayToObject(m, "crcs");

	for (size_t i = 0; crcs && i < o->n_crcs; i++)
		cJSON_AddItemToArray(crcs, cJSON_CreateNumber(o->crcs[i]));
	if (!crcs || (size_t)cJSON_GetArraySize(crcs) != o->n_crcs)
		return -1;
	return !o->crc32c[0] || cJSON_AddStringToObject(m, "crc32c", o->crc32c) ? 0 : -1;
}

int record_files_stored(cJSON *record, const char *key, const struct files_object *objects)
{
	cJSON *m;
	double size = 0;
	size_t i = 0;

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		const cJSON *own = cJSON_GetObjectItemCaseSensitive(m, "size");

		size += cJSON_IsNumber(own) ? own->valuedouble : 0;
		if (member_stored(m, &objects[i++]) < 0)
			return -1;
	}
	return record_stored(record, key, (uint64_t)size, "");
}

cJSON *record_data(const cJSON *record)
{
	const char *key = manifest_text(record, "key");
	const cJSON *m;

	if (!record_is_files(record))
		return cJSON_CreateString(key);
	cJSON *data = cJSON_CreateObject();
	cJSON *files = cJSON_AddArrayToObject(data, "files");
	bool whole = files && cJSON_AddStringToObject(data, "key", key);

	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		whole = whole && cJSON_AddItemToArray(
					 files, cJSON_CreateString(manifest_text(m, "archive")));
	}
	if (whole)
		return data;
	cJSON_Delete(data);
	return NULL;
}

const char *data_key(const cJSON *data)
{
	return cJSON_IsString(data) ? data->valuestring : manifest_text(data, "key");
}

int data_each(const cJSON *data, int (*fn)(void *arg, const char *key), void *arg)
{
	const cJSON *f;

	if (cJSON_IsString(data))
		return fn(arg, data->valuestring);
	cJSON_ArrayForEach(f, cJSON_GetObjectItemCaseSensitive(data, "files")) {
		const cJSON *path = cJSON_IsArray(f) ? f->child : f;

		if (!cJSON_IsString(path) || !manifest_path_ok(path->valuestring))
			continue;
		_cleanup_free_ char *key = str_printf("%s%s", data_key(data), path->valuestring);
		int r = key ? fn(arg, key) : -1;
		if (r)
			return r;
	}
	return 0;
}
