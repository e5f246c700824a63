/* catalog_prune.c: which versions a manifest needs no more. Pure. */
#include "fs/catalog.h"

static const cJSON *versions(const struct manifest *m)
{
	return cJSON_GetObjectItemCaseSensitive(m->json, "versions");
}

int prune_list(const struct manifest *m, double now, double after, struct prune **out, size_t *n)
{
	const cJSON *v;
	size_t i = (size_t)cJSON_GetArraySize(versions(m));

	*n = 0;
	*out = calloc(i + 1, sizeof **out);
	if (!*out)
		return -1;
	/* The manifest has them in the order of their publication. */
	cJSON_ArrayForEach(v, versions(m)) {
		double since = record_when(manifest_text(v, "superseded"));

		if (v != m->current)
			(*out)[*n] = (struct prune){.record = v,
						    .old = since > 0 && since + after <= now};
		*n += v != m->current;
	}
	for (i = 0; i < *n / 2; i++) {
		struct prune row = (*out)[i];

		(*out)[i] = (*out)[*n - 1 - i];
		(*out)[*n - 1 - i] = row;
	}
	return 0;
}

size_t prune_choose(struct prune *rows, size_t n)
{
	size_t unused = 0, going = 0;

	for (size_t i = 0; i < n; i++) {
		rows[i].goes = !rows[i].used && rows[i].old && unused >= PRUNE_KEEP;
		unused += !rows[i].used;
		going += rows[i].goes;
	}
	return going;
}

struct rows {
	struct prune *rows;
	size_t n;
};

static bool goes(void *arg, const cJSON *record)
{
	const struct rows *r = arg;

	for (size_t i = 0; i < r->n; i++)
		if (r->rows[i].record == record)
			return r->rows[i].goes;
	return false;
}

char *prune_text(const struct manifest *m, struct prune *rows, size_t n)
{
	struct rows r = {rows, n};

	return manifest_dropped(m, goes, &r);
}

static bool still_named(const struct manifest *m, const struct prune *rows, size_t n,
			const char *key)
{
	bool named = streq(manifest_text(m->current, "key"), key);

	for (size_t i = 0; i < n && !named; i++)
		named = !rows[i].goes && streq(manifest_text(rows[i].record, "key"), key);
	return named;
}

static bool has(const cJSON *keys, const char *key)
{
	const cJSON *k;

	cJSON_ArrayForEach(k, keys) {
		if (streq(data_key(k), key))
			return true;
	}
	return false;
}

cJSON *prune_keys(const struct manifest *m, const struct prune *rows, size_t n)
{
	cJSON *keys = cJSON_CreateArray();

	for (size_t i = 0; keys && i < n; i++) {
		const char *key = manifest_text(rows[i].record, "key");

		if (!rows[i].goes || still_named(m, rows, n, key) || has(keys, key))
			continue;
		if (!cJSON_AddItemToArray(keys, record_data(rows[i].record))) {
			cJSON_Delete(keys);
			return NULL;
		}
	}
	return keys;
}
