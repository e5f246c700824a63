/* models_publish.c: what endpoints/ and `sagemakerfs status` ask of models/. */
#include <errno.h>

#include "fs/endpoints.h"
#include "fs/models_room.h"
#include "sagemaker/framework.h"
#include "sagemaker/images.h"

#define RESOLVE_FRESH_MS 5000

static bool known_locked(const struct model *md)
{
	return !md->deleting && (md->staged || md->known == KNOWN_PUBLISHED);
}

/* 1: model has the name; 0: none; -1: several (e says which). */
static int resolve_locked(struct models *s, const char *endpoint, char model[64], struct err *e)
{
	char name[64];
	const struct model *exact = model_find_locked(s, endpoint);

	model[0] = 0;
	if (exact && known_locked(exact)) {
		memcpy(model, exact->name, 64);
		return 1;
	}
	for (const struct model *md = s->list; md; md = md->next) {
		models_canonical(md->name, name);
		if (!known_locked(md) || !streq(name, endpoint))
			continue;
		if (model[0])
			return err_set(
				e, EINVAL,
				"endpoint '%s' could mean model '%s' or '%s'; rename one, or name the endpoint after neither",
				endpoint, model, md->name);
		memcpy(model, md->name, 64);
	}
	return model[0] != 0;
}

static int nothing(struct err *e, const char *endpoint)
{
	return err_set(e, ENOENT,
		       "no model '%s' to deploy; copy one there first (cp -rT DIR models/%s)",
		       endpoint, endpoint);
}

int models_resolve_quick(struct models *s, const char *endpoint, char model[64], struct err *e)
{
	SCOPED_LOCK(&s->mu);
	bool fresh = s->listed && now_ms() - s->listed <= RESOLVE_FRESH_MS;
	int r = resolve_locked(s, endpoint, model, e);

	if (r == 1 && (fresh || streq(model, endpoint)))
		return 1;
	if (!fresh)
		return -2;
	if (r == 0)
		nothing(e, endpoint);
	return 0;
}

int models_resolve(struct models *s, const char *endpoint, char model[64], struct cancel *c,
		   struct err *e)
{
	if (catalog_list_all(s, c, e) < 0)
		return -1;
	SCOPED_LOCK(&s->mu);
	int r = resolve_locked(s, endpoint, model, e);

	return r == 1 ? 0 : r == 0 ? nothing(e, endpoint) : -1;
}

void model_version_release(struct model_version *v)
{
	cJSON_Delete(v->environment);
	v->environment = NULL;
}

char *models_uri(struct models *s, const cJSON *record)
{
	const char *uri = manifest_text(record, "uri");
	char bucket[64];

	if (*uri)
		return strdup(uri);
	if (!mount_bucket_name(s->m, bucket))
		return NULL;
	return str_printf("s3://%s/%s", bucket, manifest_text(record, "key"));
}

static void text(char *out, size_t size, const cJSON *record, const char *key)
{
	snprintf(out, size, "%s", manifest_text(record, key));
}

static void version_of(const char *model, const char *bucket, const struct manifest *man,
		       struct model_version *v)
{
	const cJSON *r = man->current, *env = cJSON_GetObjectItemCaseSensitive(r, "environment");

	*v = (struct model_version){0};
	snprintf(v->model, sizeof v->model, "%s", model);
	snprintf(v->version, sizeof v->version, "%s", man->version);
	if (*manifest_text(r, "uri"))
		text(v->uri, sizeof v->uri, r, "uri");
	else
		snprintf(v->uri, sizeof v->uri, "s3://%s/%s", bucket, manifest_text(r, "key"));
	text(v->digest, sizeof v->digest, r, "digest");
	snprintf(v->framework, sizeof v->framework, "%s",
		 framework_images(manifest_text(r, "framework")));
	text(v->framework_version, sizeof v->framework_version, r, "framework_version");
	text(v->py_version, sizeof v->py_version, r, "py_version");
	text(v->image, sizeof v->image, r, "image");
	text(v->role, sizeof v->role, r, "role");
	text(v->instance_type, sizeof v->instance_type, r, "instance_type");
	text(v->content_type, sizeof v->content_type, r, "content_type");
	text(v->made_with, sizeof v->made_with, r, "made_with");
	v->environment = cJSON_IsObject(env) ? cJSON_Duplicate(env, true) : NULL;
}

/* The rule of versions: the lowest image not older than what the model was made with, else the newest. */
static void newest_for_newer(const struct models *s, struct model_version *v)
{
	char type[32], version[IMAGE_VERSION_MAX];
	struct err e;

	endpoints_default_type(s->m->endpoints, type);
	if (v->instance_type[0])
		memcpy(type, v->instance_type, sizeof type);
	if (images_default_version(v->framework, v->made_with, s->m->config.region, type, version,
				   &e) < 0)
		v->made_with[0] = 0;
}

/* What was chosen here for an archive that nobody here may publish anew. */
static void elsewhere_overrides(struct model *md, struct model_version *v)
{
	SCOPED_LOCK(&md->s->mu);

	if (!md->man || !md->man->elsewhere)
		return;
	if (md->framework[0]) {
		memcpy(v->framework, md->framework, sizeof v->framework);
		snprintf(v->content_type, sizeof v->content_type, "%s",
			 framework_content_type(v->framework));
	}
	if (md->framework_version[0])
		memcpy(v->framework_version, md->framework_version, sizeof v->framework_version);
}

int models_publish(struct models *s, const char *model, struct model_version *out, struct cancel *c,
		   struct err *e)
{
	struct model *md = model_get(s, model, e);
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	struct s3_bucket bucket;

	if (!md || model_commit(md, COMMIT_ASKED, c, e) < 0 ||
	    mount_bucket(s->m, &bucket, c, e) < 0 || catalog_refresh(md, c, e) < 0 ||
	    elsewhere_read(md, c, e) < 0)
		return -1;
	{
		SCOPED_LOCK(&s->mu);
		man = md->deleting ? NULL : manifest_ref(md->man);
	}
	if (!man)
		return nothing(e, model);
	version_of(model, bucket.name, man, out);
	elsewhere_overrides(md, out);
	newest_for_newer(s, out);
	return 0;
}

bool models_published(struct models *s, const char *model)
{
	SCOPED_LOCK(&s->mu);
	const struct model *md = model_find_locked(s, model);

	return md && !md->dirty && !md->gone.n && !md->committing && !md->deleting && md->man &&
	       !md->man->unread;
}

static bool our_bucket(struct models *s, const char *name, size_t n)
{
	char ours[64];

	return !mount_bucket_name(s->m, ours) || (strlen(ours) == n && strncmp(ours, name, n) == 0);
}

/* The key of a URI in our bucket, below our prefix: "NAME/VERSION/model.tar.gz"; NULL for any other. */
static const char *our_key(struct models *s, const char *uri)
{
	_cleanup_free_ char *prefix =
		str_printf("/%s/", s->m->config.prefix ? s->m->config.prefix : "model");
	const char *bucket = starts_with(uri, "s3://") ? uri + strlen("s3://") : "";
	const char *key = strchr(bucket, '/');

	if (!key || !prefix || !starts_with(key, prefix))
		return NULL;
	return our_bucket(s, bucket, (size_t)(key - bucket)) ? key + strlen(prefix) : NULL;
}

/* The model that is a link to it. */
static bool linked_as(struct models *s, const char *uri, char model[64])
{
	SCOPED_LOCK(&s->mu);

	for (const struct model *md = s->list; md; md = md->next) {
		if (model_linked_locked(md) && streq(manifest_text(md->man->current, "uri"), uri)) {
			memcpy(model, md->name, 64);
			return true;
		}
	}
	return false;
}

void models_of_uri(struct models *s, const char *uri, char model[64])
{
	const char *key = our_key(s, uri), *slash = key ? strchr(key, '/') : NULL;
	const char *last = slash ? strchr(slash + 1, '/') : NULL;

	if (linked_as(s, uri, model) || (key && elsewhere_key(key, model)))
		return;
	model[0] = 0;
	if (!last || (!streq(last, "/model.tar.gz") && !streq(last, "/")) || slash - key >= 64)
		return;
	memcpy(model, key, (size_t)(slash - key));
	model[slash - key] = 0;
	if (!model_name_ok(model))
		model[0] = 0;
}
