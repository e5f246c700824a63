/* models_archives.c: archives that no manifest names any more go, unless somebody has just begun to use one. */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"
#include "sagemaker/users.h"

#define NEW_MODELS_S \
 86400 /* models made since then are looked at: generous, for clocks that disagree */

/* The data of a JSON array that man does not name, as URIs; items: what each of them is, n and a NULL. */
static struct archive_use *unnamed(const char *bucket, const cJSON *keys,
				   const struct manifest *man, const cJSON **items, size_t *n)
{
	struct archive_use *all = calloc((size_t)cJSON_GetArraySize(keys) + 1, sizeof *all);
	const cJSON *item;

	*n = 0;
	if (!all)
		return NULL;
	cJSON_ArrayForEach(item, keys) {
		const char *key = data_key(item);

		if (!*key || (man && manifest_names_key(man, key)))
			continue;
		items[*n] = item;
		all[*n].uri = str_printf("s3://%s/%s", bucket, key);
		if (!all[(*n)++].uri)
			break;
	}
	return all;
}

static void uses_free(struct archive_use *all, size_t n)
{
	for (size_t i = 0; all && i < n; i++)
		free(all[i].uri);
	free(all);
}

struct keys {
	char **v;
	size_t n, cap;
};

static void keys_release(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i]);
	free(k->v);
}

static int keys_add(void *arg, const char *key)
{
	struct keys *k = arg;

	if (k->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 64;
		char **more = reallocarray(k->v, cap, sizeof *more);

		if (!more)
			return -1;
		k->v = more;
		k->cap = cap;
	}
	k->v[k->n] = strdup(key);
	return k->v[k->n] && ++k->n ? 0 : -1;
}

int data_delete(struct models *s, const struct s3_bucket *bucket, const cJSON *data,
		struct cancel *c, struct err *e)
{
	_cleanup_(keys_release)
	struct keys k = {NULL, 0, 0};

	if (cJSON_IsString(data))
		return s3_delete(s->m->aws, bucket, data->valuestring, c, e) < 0 && e->http != 404
			       ? -1
			       : 0;
	if (data_each(data, keys_add, &k) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return s3_delete_all(s->m->aws, bucket, (const char *const *)k.v, k.n, c, e);
}

static int forget(void *arg, const char *key)
{
	reads_forget(arg, key);
	return 0;
}

static int delete_unused(struct models *s, const struct s3_bucket *bucket,
			 const struct archive_use *all, const cJSON *const *items, size_t n,
			 struct cancel *c, struct err *e)
{
	int left = 0;

	for (size_t i = 0; i < n; i++) {
		if (all[i].used)
			left = 1;
		else if (data_delete(s, bucket, items[i], c, e) < 0)
			return -1;
		else
			(void)data_each(items[i], forget, s->reads);
	}
	return left;
}

/* Deleting is not the end of the bill everywhere. */
static void say_what_stays(struct models *s, const struct s3_bucket *bucket, size_t n,
			   struct cancel *c)
{
	if (n && mount_bucket_versioned(s->m, c))
		log_line(
			s->m->log, LOG_LEVEL_INFO, "models",
			"deleted %zu archives, but bucket '%s' keeps versions: they stay as noncurrent versions, "
			"which are billed until a lifecycle rule or somebody deletes them",
			n, bucket->name);
}

int archives_delete(struct models *s, const cJSON *keys, const struct manifest *man,
		    struct cancel *c, struct err *e)
{
	struct s3_bucket bucket;
	size_t n;

	if (mount_bucket(s->m, &bucket, c, e) < 0)
		return -1;
	_cleanup_free_ const cJSON **items =
		calloc((size_t)cJSON_GetArraySize(keys) + 1, sizeof(void *));
	if (!items)
		return err_set(e, ENOMEM, "out of memory");
	struct archive_use *all = unnamed(bucket.name, keys, man, items, &n);
	int r = 0;
	if (!all || (n && !all[n - 1].uri)) {
		uses_free(all, n);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (n)
		r = users_of_archives(s->m->aws, all, n, (double)(time(NULL) - NEW_MODELS_S), c, e);
	if (r < 0 && e->no == EACCES) /* nobody can tell: what the user asked for counts */
		r = 0;
	if (r == 0)
		r = delete_unused(s, &bucket, all, items, n, c, e);
	if (r >= 0)
		say_what_stays(s, &bucket, n, c);
	uses_free(all, n);
	return r;
}

int models_confirm(struct models *s, const struct model_version *v, struct cancel *c, struct err *e)
{
	struct model *md = model_get(s, v->model, e);
	const char *key = starts_with(v->uri, "s3://") ? strchr(v->uri + 5, '/') : NULL;

	if (!md || catalog_refresh(md, c, e) < 0)
		return -1;
	SCOPED_LOCK(&s->mu);
	if (key && md->man &&
	    (manifest_names_key(md->man, key + 1) ||
	     streq(manifest_text(md->man->current, "uri"), v->uri)))
		return 0;
	return err_set(
		e, ENOENT,
		"model '%s', or its version %s, was removed while it was being deployed; try again",
		v->model, v->version);
}
