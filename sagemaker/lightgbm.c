/* lightgbm.c: AWS has no image of LightGBM's: the scikit-learn container with lightgbm installed serves it. */
#include "sagemaker/lightgbm.h"

#include "sagemaker/flat.h"

extern const char handler_sklearn[]; /* generated from handler_sklearn.py, which loads both */

static bool is_lightgbm(const struct file_facts *f)
{
	return f->kind == KIND_LIGHTGBM ||
	       (f->kind == KIND_PICKLE && starts_with(f->owner, "lightgbm."));
}

static int bare(struct flat *l, struct err *e)
{
	return flat_generate(
		l, handler_sklearn, l->first->facts->version[0] >= '4' ? "lightgbm>=4" : "lightgbm",
		"loads the model and predicts rows of JSON, CSV and npy in the scikit-learn "
		"container, as AWS has none for LightGBM",
		e);
}

static const struct flat_rule rule = {
	.file = "LightGBM model (save_model's text)",
	.container = "scikit-learn container",
	.is = is_lightgbm,
	.submit = true,
	.own = flat_need_model_fn,
	.bare = bare,
};

int lightgbm_detect(const struct source *s, struct buf *evidence)
{
	return flat_detect(&rule, s, evidence);
}

int lightgbm_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	return flat_lay_out(&rule, s, plan, e);
}
