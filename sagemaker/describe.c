/* describe.c: what a plan means: the text of `check`, the image, the environment. */
#include <errno.h>

#include "sagemaker/framework.h"
#include "sagemaker/images.h"
#include "sagemaker/package.h"

/* Where the image in the text would run when nothing else is said. */
#define USUAL_REGION   "us-east-1"
#define USUAL_INSTANCE "ml.m5.large"

static int choose_version(const struct package_plan *p, const char *region,
			  const char *instance_type, char out[IMAGE_VERSION_MAX], struct err *e)
{
	const char *name = p->framework->images;

	if (p->settings.framework_version[0]) {
		snprintf(out, IMAGE_VERSION_MAX, "%s", p->settings.framework_version);
		return 0;
	}
	if (images_default_version(name, p->made_with, region, instance_type, out, e) == 0)
		return 0;
	/* made with something newer than any image: the newest is the best there is */
	if (!p->made_with[0] || images_default_version(name, "", region, instance_type, out, e))
		return -1;
	err_clear(e);
	return 0;
}

int package_image(const struct package_plan *p, const char *region, const char *instance_type,
		  struct image *out, struct err *e)
{
	char version[IMAGE_VERSION_MAX];
	struct err why = {0};

	memset(out, 0, sizeof(*out));
	if (p->settings.image[0]) {
		if (!images_parse(p->settings.image, out)) {
			snprintf(out->uri, sizeof(out->uri), "%s", p->settings.image);
			package_framework(p, out->framework);
		}
		return 0;
	}
	if (!p->framework)
		return err_set(e, p->why.no ? p->why.no : EINVAL, "%s", p->why.text);
	if (choose_version(p, region, instance_type, version, &why) ||
	    images_uri(p->framework->images, version, p->settings.py_version, region, instance_type,
		       out, &why)) {
		if (e)
			*e = why;
		return -1;
	}
	return 0;
}

void package_framework(const struct package_plan *p, char out[32])
{
	struct image image;
	const char *name = p->framework ? p->framework->name : "";

	if (!*name)
		name = images_parse(p->settings.image, &image) ? image.framework
							       : p->settings.framework;
	snprintf(out, 32, "%s", name);
}

cJSON *package_environment(const struct package_plan *p)
{
	cJSON *env =
		p->settings.env ? cJSON_Duplicate(p->settings.env, true) : cJSON_CreateObject();

	const cJSON *item;

	if (env && p->program[0] && !cJSON_HasObjectItem(env, "SAGEMAKER_PROGRAM") &&
	    !cJSON_AddStringToObject(env, "SAGEMAKER_PROGRAM", p->program)) {
		cJSON_Delete(env);
		return NULL;
	}
	cJSON_ArrayForEach(item, p->env) {
		if (env && !cJSON_HasObjectItem(env, item->string))
			cJSON_AddStringToObject(env, item->string, item->valuestring);
	}
	return env;
}

static void put_size(uint64_t n, struct buf *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)n;
	size_t u = 0;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	buf_printf(out, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void put_image(const struct package_plan *p, struct buf *out)
{
	const char *instance =
		p->settings.instance_type[0] ? p->settings.instance_type : USUAL_INSTANCE;
	struct err e = {0};
	struct image im;

	if (package_image(p, USUAL_REGION, instance, &im, &e)) {
		buf_printf(out, "image: none: %s\n", e.text);
		return;
	}
	if (p->settings.image[0])
		buf_printf(out, "image: %s, as sagemaker.json says\n", im.uri);
	else
		buf_printf(out, "image: %s %s for %s%s%s%s\n", im.framework, im.version, instance,
			   p->made_with[0] ? "; the model was made with " : "", p->made_with,
			   p->made_with[0] && version_compare(im.version, p->made_with) < 0
				   ? ", which is newer"
				   : "");
}

static void put_member(const struct package_member *m, int width, struct buf *out)
{
	buf_printf(out, "  %12llu  %-*s", (unsigned long long)m->size, width, m->archive);
	if (!m->path)
		buf_str(out, "  (generated)");
	else if (!streq(m->path, m->archive))
		buf_printf(out, "  from %s", m->path);
	while (out->len && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
	buf_char(out, '\n');
}

static void put_members(const struct package_plan *p, struct buf *out)
{
	size_t width = 0;

	for (size_t i = 0; i < p->n_members; i++)
		width = MAX(width, strlen(p->members[i].archive));
	bool loose = package_as_files(p, 0);

	buf_printf(out, "%s: %zu file%s, ", loose ? "below the prefix" : "model.tar.gz",
		   p->n_members, p->n_members == 1 ? "" : "s");
	put_size(p->bytes, out);
	buf_str(out, loose ? "\n" : " before compression\n");
	for (size_t i = 0; i < p->n_members; i++)
		put_member(&p->members[i], (int)MIN(width, (size_t)60), out);
}

/* What the layout adds to the Environment of CreateModel. */
static void put_environment(const struct package_plan *p, struct buf *out)
{
	_cleanup_json_ cJSON *env = package_environment(p);
	const cJSON *item;

	cJSON_ArrayForEach(item, env) {
		if (!cJSON_HasObjectItem(p->settings.env, item->string))
			buf_printf(out, "environment: %s=%s\n", item->string, item->valuestring);
	}
}

void package_describe(const struct package_plan *p, struct buf *out)
{
	if (p->whole)
		buf_str(out, "complete: yes\n");
	else
		buf_printf(out, "complete: no: %s\n", p->why.text);
	buf_add(out, buf_cstr(&p->notes), p->notes.len);
	put_environment(p, out);
	if (p->framework)
		put_image(p, out);
	if (p->n_members)
		put_members(p, out);
	if (p->digest[0])
		buf_printf(out, "digest: %s\n", p->digest);
}
