/*
 * xgboost.c: boosters as JSON, UBJ, the older binary form or a pickle. Without code the container takes every file at the top
 * for a booster, so nothing else may stand there.
 */
#include "sagemaker/xgboost.h"

#include <errno.h>

#include "sagemaker/flat.h"
#include "sagemaker/images.h"

static bool is_xgboost(const struct file_facts *f)
{
	return f->kind == KIND_XGBOOST ||
	       (f->kind == KIND_PICKLE && starts_with(f->owner, "xgboost."));
}

static int own(struct flat *l, struct err *e)
{
	if (l->first)
		flat_note_version(l, "XGBoost");
	return flat_need_model_fn(l, e);
}

static void check_pickle(struct flat *l, const struct source_file *f)
{
	if (f->facts->kind == KIND_PICKLE && !starts_with(f->facts->owner, "xgboost.core."))
		plan_fail(
			l->plan, EINVAL,
			"'%s' is a pickle of %s, and the XGBoost container by itself takes only a Booster: "
			"save model.get_booster().save_model('model.json'), or add code/inference.py with "
			"model_fn",
			f->path, f->facts->owner);
	if (streq(f->facts->form, "compressed joblib"))
		plan_fail(
			l->plan, EINVAL,
			"'%s' is compressed by joblib, which the XGBoost container does not read by itself: "
			"save it with save_model('model.json')",
			f->path);
	if (streq(f->facts->form, "the older binary form") && !*l->plan->settings.framework_version)
		plan_note(
			l->plan,
			"warning: %s is in the form that XGBoost 3.1 and later no longer load: say "
			"\"framework_version\": \"1.7-1\" in sagemaker.json, or save it again as JSON",
			f->path);
}

/* Boosters to the top, what else stands there out of the container's way. */
static int clear_top(struct flat *l, struct err *e)
{
	for (size_t i = 0; i < l->plan->n_members; i++) {
		struct package_member *m = &l->plan->members[i];
		bool top = !strchr(m->archive, '/');

		if (flat_is_model(l, m)) {
			check_pickle(l, source_find(l->s, m->path));
			if (!top && plan_rename(m, source_base_name(m->path), e))
				return -1;
		} else if (top && m->archive[0] != '.') {
			_cleanup_free_ char *path = str_printf("extra/%s", m->archive);

			plan_note(
				l->plan,
				"%s is packed as extra/%s: the container takes every file at the top for a "
				"model",
				m->path, m->archive);
			if (!path || plan_rename(m, path, e))
				return path ? -1 : err_set(e, ENOMEM, "out of memory");
		}
	}
	return 0;
}

static int bare(struct flat *l, struct err *e)
{
	flat_note_version(l, "XGBoost");
	if (l->n > 1)
		plan_note(
			l->plan,
			"warning: the container answers with the mean of the %zu boosters (their votes "
			"for classes); SAGEMAKER_INFERENCE_ENSEMBLE=false in \"env\" takes the first",
			l->n);
	plan_note(l->plan, "no code: the container's own handler takes CSV and libsvm");
	return clear_top(l, e);
}

static const struct flat_rule rule = {
	.file = "XGBoost model (*.json, *.ubj, xgboost-model)",
	.container = "XGBoost container",
	.is = is_xgboost,
	.submit = true,
	.own = own,
	.bare = bare,
};

int xgboost_detect(const struct source *s, struct buf *evidence)
{
	return flat_detect(&rule, s, evidence);
}

int xgboost_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	return flat_lay_out(&rule, s, plan, e);
}
