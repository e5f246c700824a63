/* old_code.c: what older containers of AWS's need of an archive and of a model's environment. */
#include "sagemaker/old_code.h"

#include <errno.h>

#include "sagemaker/images.h"
#include "sagemaker/plan.h"

#define FILE_MAX ((size_t)4 << 20)

/* What serves where nothing else is said: the rule of versions, on a machine that has images of every version. */
static bool rule_version(const struct package_plan *p, const char *framework,
			 char out[IMAGE_VERSION_MAX])
{
	return p->made_with[0] && images_default_version(framework, p->made_with, "us-east-1",
							 "ml.m5.large", out, NULL) == 0;
}

bool old_code_wanted(const struct package_plan *p, const char *framework)
{
	char version[IMAGE_VERSION_MAX];
	struct image image;

	if (p->settings.image[0])
		return images_parse(p->settings.image, &image) &&
		       streq(image.framework, framework) &&
		       images_wants_sourcedir(framework, image.version);
	if (p->settings.framework_version[0])
		return images_wants_sourcedir(framework, p->settings.framework_version);
	return rule_version(p, framework, version) && images_wants_sourcedir(framework, version);
}

static bool is_code(const struct package_member *m)
{
	return starts_with(m->archive, "code/");
}

/* The member's bytes at the top of the archive. The plan may move its members while it grows. */
static int copy_up(struct package_plan *p, size_t i, struct err *e)
{
	const struct package_member *m = &p->members[i];
	_cleanup_buf_ struct buf text = BUF_INIT(FILE_MAX);
	_cleanup_free_ char *name = strdup(m->archive + strlen("code/"));

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	if (m->size >= FILE_MAX) {
		plan_note(p,
			  "warning: %s is not where this version's container looks for code: it is "
			  "too large (4 MiB)",
			  m->archive);
		return 0;
	}
	if (m->content)
		return plan_generate(p, name, m->content, m->size, e);
	if (buf_read_file(&text, p->dirfd, m->path))
		return err_errno(e, "read '%s'", m->path);
	return plan_generate(p, name, buf_cstr(&text), text.len, e);
}

/* What the plan generated for another container's sake (TensorFlow's handler) stays where it is. */
static bool is_for_it(const struct package_plan *p, const struct package_member *m)
{
	return is_code(m) && (m->path || p->program[0]);
}

/* Without a program MXNet's container does not start, and the layout has added an empty one under the usual name. */
static void name_program(struct package_plan *p, const char *framework)
{
	if (!p->program[0] && streq(framework, "mxnet") && plan_find(p, CODE_MAIN))
		snprintf(p->program, sizeof(p->program), "%s", source_base_name(CODE_MAIN));
}

int old_code_add(struct package_plan *p, struct err *e)
{
	const size_t n = p->n_members;
	char framework[32];

	package_framework(p, framework);
	if (!old_code_wanted(p, framework))
		return 0;
	name_program(p, framework);
	if (!p->program[0])
		return 0;
	for (size_t i = 0; i < n; i++)
		if (is_for_it(p, &p->members[i]) && copy_up(p, i, e))
			return -1;
	plan_note(p, "the files of code/ are at the archive's top, too: this version's container "
		     "takes code from a tar.gz in S3, which is the archive itself");
	return 0;
}

cJSON *old_code_environment(const cJSON *environment, const char *image_uri, const char *region,
			    const char *data_url)
{
	cJSON *env = environment ? cJSON_Duplicate(environment, true) : cJSON_CreateObject();

	const struct {
		const char *name, *value;
	} rows[] = {
		{"SAGEMAKER_SUBMIT_DIRECTORY",    data_url},
		{"SAGEMAKER_CONTAINER_LOG_LEVEL", "20"    },
		{"SAGEMAKER_REGION",              region  },
	};
	struct image image;

	if (!env || !images_parse(image_uri, &image) ||
	    !images_wants_sourcedir(image.framework, image.version))
		return env;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool wanted = i > 0 || cJSON_HasObjectItem(env, "SAGEMAKER_PROGRAM");

		if (wanted && !cJSON_HasObjectItem(env, rows[i].name) &&
		    !cJSON_AddStringToObject(env, rows[i].name, rows[i].value)) {
			cJSON_Delete(env);
			return NULL;
		}
	}
	return env;
}
