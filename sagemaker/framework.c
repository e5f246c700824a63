/* framework.c: the table. A new framework is one row here and one file beside tensorflow.c. */
#include "sagemaker/framework.h"

#include <errno.h>

#include "sagemaker/huggingface.h"
#include "sagemaker/lightgbm.h"
#include "sagemaker/mxnet.h"
#include "sagemaker/onnx.h"
#include "sagemaker/plan.h"
#include "sagemaker/pytorch.h"
#include "sagemaker/sklearn.h"
#include "sagemaker/tensorflow.h"
#include "sagemaker/xgboost.h"

#define JSON "application/json"
#define CSV  "text/csv" /* what XGBoost's container takes by itself */

/* name, whose images, content type, detect, lay out */
const struct framework framework_all[] = {
	{"tensorflow",  "tensorflow",  JSON, tensorflow_detect,  tensorflow_lay_out },
	{"mxnet",       "mxnet",       JSON, mxnet_detect,       mxnet_lay_out      },
	{"pytorch",     "pytorch",     JSON, pytorch_detect,     pytorch_lay_out    },
	{"sklearn",     "sklearn",     JSON, sklearn_detect,     sklearn_lay_out    },
	{"xgboost",     "xgboost",     CSV,  xgboost_detect,     xgboost_lay_out    },
	{"lightgbm",    "sklearn",     JSON, lightgbm_detect,    lightgbm_lay_out   },
	{"onnx",        "pytorch",     JSON, onnx_detect,        onnx_lay_out       },
	{"huggingface", "huggingface", JSON, huggingface_detect, huggingface_lay_out},
	{NULL,          NULL,          NULL, NULL,               NULL               },
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

const struct framework framework_own = {"", "", JSON, NULL, own_lay_out};

const char *framework_content_type(const char *name)
{
	const struct framework *f = framework_find(name);

	return f ? f->content_type : JSON;
}

const char *framework_images(const char *name)
{
	const struct framework *f = framework_find(name);

	return f ? f->images : name;
}

const struct framework *framework_find(const char *name)
{
	for (const struct framework *f = framework_all; f->name; f++)
		if (streq(f->name, name))
			return f;
	return NULL;
}
