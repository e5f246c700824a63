/* framework.c: the table. A new framework is one row here and one file beside tensorflow.c. */
#include "sagemaker/framework.h"

#include <errno.h>

#include "sagemaker/mxnet.h"
#include "sagemaker/plan.h"
#include "sagemaker/tensorflow.h"

const struct framework framework_all[] = {
	{"tensorflow", "application/json", tensorflow_detect, tensorflow_lay_out},
	{"mxnet",      "application/json", mxnet_detect,      mxnet_lay_out     },
	{NULL,         NULL,               NULL,              NULL              },
};

/* The entry point of an image of AWS's lies in code/; a container of the user's own may do as it likes. */
static int own_program(const struct source *s, struct package_plan *p)
{
	const char *named = p->settings.entry_point;
	const char *name = starts_with(named, "code/") ? named + 5 : named;
	_cleanup_free_ char *path = str_printf("code/%s", name);

	if (!*named)
		return 0;
	if (!path || !source_find(s, path)) {
		plan_fail(p, EINVAL, "entry_point '%s' is not in code/", named);
		return 0;
	}
	snprintf(p->program, sizeof(p->program), "%s", name);
	return 0;
}

static int own_lay_out(const struct source *s, struct package_plan *p, struct err *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (plan_add(p, &s->files[i], e, "%s", s->files[i].path))
			return -1;
	return own_program(s, p);
}

const struct framework framework_own = {"", "application/json", NULL, own_lay_out};

/* AWS's XGBoost container takes no JSON by itself. */
const char *framework_content_type(const char *name)
{
	const struct framework *f = framework_find(name);

	if (f)
		return f->content_type;
	return streq(name, "xgboost") ? "text/csv" : "application/json";
}

const struct framework *framework_find(const char *name)
{
	for (const struct framework *f = framework_all; f->name; f++)
		if (streq(f->name, name))
			return f;
	return NULL;
}
