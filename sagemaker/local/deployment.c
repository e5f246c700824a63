/* deployment.c: the variants of an endpoint's configuration and their instances, as memory. */
#include "sagemaker/hash.h"
#include "sagemaker/local/endpoints_internal.h"
#include "sagemaker/local/validate.h"

static void instance_free(struct instance *i)
{
	if (i->listen_fd >= 0)
		close(i->listen_fd);
	free(i);
}

static void deployment_free(struct deployment *dep)
{
	for (struct variant *v = dep->variants; v && v < dep->variants + dep->n; v++) {
		for (struct instance *i = v->first, *next; i; i = next) {
			next = i->next;
			instance_free(i);
		}
		free(v->base);
	}
	free(dep->variants);
	cJSON_Delete(dep->json);
	free(dep);
}

static int fill_variant(struct deployment *dep, struct variant *v, const cJSON *json, size_t index)
{
	*v = (struct variant){.dep = dep,
			      .json = json,
			      .weight = member_number(json, "InitialVariantWeight", 1),
			      .count = (int)member_number(json, "InitialInstanceCount", 1)};
	const cJSON *s = cJSON_GetObjectItemCaseSensitive(json, "ServerlessConfig");
	v->serverless = s != NULL;
	v->max_concurrency = (int)member_number(s, "MaxConcurrency", 0);
	v->provisioned = (int)member_number(s, "ProvisionedConcurrency", 0);
	snprintf(v->name, sizeof v->name, "%s", member_string(json, "VariantName"));
	v->base = str_printf("%s/endpoints/%s/%zu", dep->ep->all->be->dir, dep->id, index);
	return v->base && v->name[0] ? 0 : -1;
}

struct deployment *deployment_new(struct endpoint *ep, const char *config, const char *id,
				  cJSON *variants)
{
	struct deployment *dep = calloc(1, sizeof *dep);
	size_t n = (size_t)MAX(cJSON_GetArraySize(variants), 0);
	bool good = dep && n && *id;
	const cJSON *json;

	if (!dep) {
		cJSON_Delete(variants);
		return NULL;
	}
	*dep = (struct deployment){.ep = ep, .refs = 1, .json = variants, .began = time_now()};
	snprintf(dep->config, sizeof dep->config, "%s", config);
	snprintf(dep->id, sizeof dep->id, "%s", id);
	dep->variants = good ? calloc(n, sizeof *dep->variants) : NULL;
	good = dep->variants != NULL;
	cJSON_ArrayForEach(json, variants) {
		if (good)
			good = fill_variant(dep, &dep->variants[dep->n], json, dep->n) == 0;
		dep->n += good;
	}
	if (good)
		return dep;
	deployment_free(dep);
	return NULL;
}

struct deployment *deployment_ref_locked(struct deployment *dep)
{
	dep->refs++;
	return dep;
}

void deployment_unref_locked(struct deployment *dep)
{
	if (dep && --dep->refs == 0)
		deployment_free(dep);
}

static cJSON *serverless_config(const struct variant *v)
{
	const cJSON *was = cJSON_GetObjectItemCaseSensitive(v->json, "ServerlessConfig");
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "MemorySizeInMB", member_number(was, "MemorySizeInMB", 0));
	cJSON_AddNumberToObject(j, "MaxConcurrency", v->max_concurrency);
	if (v->provisioned)
		cJSON_AddNumberToObject(j, "ProvisionedConcurrency", v->provisioned);
	return j;
}

/* What was changed since it was made is in the members that it began with. */
cJSON *deployment_json(const struct deployment *dep)
{
	cJSON *j = cJSON_CreateObject(), *list = cJSON_Duplicate(dep->json, true), *row;
	size_t k = 0;

	cJSON_ArrayForEach(row, list) {
		const struct variant *v = &dep->variants[k++];

		cJSON_DeleteItemFromObjectCaseSensitive(row, "InitialVariantWeight");
		cJSON_AddNumberToObject(row, "InitialVariantWeight", v->weight);
		if (v->serverless) {
			cJSON_ReplaceItemInObjectCaseSensitive(row, "ServerlessConfig",
							       serverless_config(v));
			continue;
		}
		cJSON_DeleteItemFromObjectCaseSensitive(row, "InitialInstanceCount");
		cJSON_AddNumberToObject(row, "InitialInstanceCount", v->count);
	}
	cJSON_AddStringToObject(j, "EndpointConfigName", dep->config);
	cJSON_AddStringToObject(j, "Id", dep->id);
	cJSON_AddItemToObject(j, "Variants", list);
	return j;
}

struct deployment *deployment_of(struct endpoint *ep, const cJSON *json)
{
	return deployment_new(ep, member_string(json, "EndpointConfigName"),
			      member_string(json, "Id"),
			      cJSON_Duplicate(cJSON_GetObjectItem(json, "Variants"), true));
}

unsigned variant_ready(const struct variant *v)
{
	unsigned n = 0;

	for (const struct instance *i = v->first; i; i = i->next)
		n += i->ready && !i->leaving;
	return n;
}

bool deployment_healthy(const struct deployment *dep)
{
	for (size_t k = 0; k < dep->n; k++) {
		if ((int)variant_ready(&dep->variants[k]) < dep->variants[k].count)
			return false;
	}
	return true;
}

struct variant *variant_find(struct deployment *dep, const char *name)
{
	for (size_t k = 0; k < dep->n; k++) {
		if (streq(dep->variants[k].name, name))
			return &dep->variants[k];
	}
	return NULL;
}

cJSON *variant_describe(const struct variant *v)
{
	const char *image = member_string(cJSON_GetObjectItem(v->json, "Model"), "Image");
	cJSON *j = cJSON_CreateObject(), *images, *i = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "VariantName", v->name);
	images = cJSON_AddArrayToObject(j, "DeployedImages");
	cJSON_AddStringToObject(i, "SpecifiedImage", image);
	cJSON_AddStringToObject(i, "ResolvedImage", image);
	cJSON_AddNumberToObject(i, "ResolutionTime", v->dep->began);
	cJSON_AddItemToArray(images, i);
	cJSON_AddNumberToObject(j, "CurrentWeight", v->weight);
	cJSON_AddNumberToObject(j, "DesiredWeight", v->weight);
	if (v->serverless) {
		cJSON_AddItemToObject(j, "CurrentServerlessConfig", serverless_config(v));
		cJSON_AddItemToObject(j, "DesiredServerlessConfig", serverless_config(v));
		return j;
	}
	cJSON_AddNumberToObject(j, "CurrentInstanceCount", variant_ready(v));
	cJSON_AddNumberToObject(j, "DesiredInstanceCount", v->count);
	return j;
}

struct instance *instance_new(struct variant *v)
{
	struct instance *i = calloc(1, sizeof *i);
	char text[18];

	if (!i)
		return NULL;
	*i = (struct instance){.variant = v, .listen_fd = -1, .next = v->first};
	random_text(text, sizeof text);
	snprintf(i->id, sizeof i->id, "i-%s", text);
	v->first = i;
	return i;
}

void instance_drop_locked(struct instance *i)
{
	struct instance **at = &i->variant->first;

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	instance_free(i);
}

static struct instance *find_in(struct deployment *dep, uint64_t process)
{
	for (size_t k = 0; dep && k < dep->n; k++) {
		for (struct instance *i = dep->variants[k].first; i; i = i->next) {
			if (i->process == process)
				return i;
		}
	}
	return NULL;
}

struct instance *instance_find(struct endpoint *ep, uint64_t process)
{
	struct instance *i = find_in(ep->live, process);

	if (!i)
		i = find_in(ep->next_up, process);
	for (struct deployment *dep = ep->old; dep && !i; dep = dep->next_old)
		i = find_in(dep, process);
	return i;
}
