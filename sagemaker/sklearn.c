/* sklearn.c: pickles of scikit-learn's estimators, by pickle or joblib. The container has no model_fn of its own. */
#include "sagemaker/sklearn.h"

#include <errno.h>

#include "sagemaker/flat.h"
#include "sagemaker/requirements.h"

extern const char handler_sklearn[]; /* generated from handler_sklearn.py */

static bool names(const struct file_facts *f, const char *module)
{
	const char *at = strstr(f->modules, module);

	return at && (at == f->modules || at[-1] == ' ');
}

static bool is_sklearn(const struct file_facts *f)
{
	return f->kind == KIND_PICKLE && (f->no || names(f, "sklearn ")) &&
	       !starts_with(f->owner, "xgboost.") && !starts_with(f->owner, "lightgbm.");
}

/* Modules that are in every container, or that pickles name for Python's own needs. */
static const char *const common[] = {"sklearn",  "numpy",       "scipy",       "joblib",
				     "pandas",   "builtins",    "__builtin__", "copyreg",
				     "copy_reg", "collections", "functools",   "datetime",
				     "_codecs",  "operator",    "__main__"};

/* What the pickle was made of must be there to load it. */
static int check_modules(struct flat *l, struct err *e)
{
	const struct file_facts *f = l->first->facts;

	for (const char *at = f->modules; *at;) {
		size_t n = strcspn(at, " ");
		bool known = false;
		char one[128];

		snprintf(one, sizeof(one), "%.*s", (int)MIN(n, sizeof(one) - 1), at);
		at += n + 1;
		for (size_t i = 0; i < ARRAY_SIZE(common); i++)
			known = known || streq(one, common[i]);
		if (!known && requirements_module(l->plan, one, &known, e))
			return -1;
		_cleanup_free_ char *module = str_printf("code/%s.py", one);
		_cleanup_free_ char *package = str_printf("code/%s/__init__.py", one);
		if (!known && module && package && !plan_find(l->plan, module) &&
		    !plan_find(l->plan, package))
			plan_note(
				l->plan,
				"warning: %s needs the module '%s', which the scikit-learn container may "
				"lack: name its package in code/requirements.txt, or put it into code/",
				l->first->path, one);
	}
	return 0;
}

static void check_main_class(struct flat *l)
{
	if (names(l->first->facts, "__main__ "))
		plan_fail(
			l->plan, EINVAL,
			"'%s' needs a class or function of the script that saved it (__main__), which the "
			"container does not have: put it into a module in code/, import it from there "
			"when training, and save the model again",
			l->first->path);
}

static void check_plain(struct flat *l)
{
	if (l->first->facts->plain)
		plan_fail(l->plan, EINVAL,
			  "'%s' holds a %s, not one estimator that could be asked: save the "
			  "estimator (of several steps a Pipeline) alone, or add code/inference.py "
			  "with model_fn and predict_fn",
			  l->first->path, l->first->facts->plain);
}

static int own(struct flat *l, struct err *e)
{
	if (l->first) {
		flat_note_version(l, "scikit-learn");
		if (check_modules(l, e))
			return -1;
	}
	return flat_need_model_fn(l, e);
}

static int bare(struct flat *l, struct err *e)
{
	flat_note_version(l, "scikit-learn");
	check_main_class(l);
	check_plain(l);
	if (check_modules(l, e))
		return -1;
	return flat_generate(
		l, handler_sklearn, NULL,
		"loads the model and predicts rows of JSON, CSV and npy, as the container loads "
		"no model by itself",
		e);
}

static const struct flat_rule rule = {
	.file = "pickle of scikit-learn (*.joblib, *.pkl)",
	.container = "scikit-learn container",
	.is = is_sklearn,
	.submit = true,
	.own = own,
	.bare = bare,
};

int sklearn_detect(const struct source *s, struct buf *evidence)
{
	return flat_detect(&rule, s, evidence);
}

int sklearn_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	return flat_lay_out(&rule, s, plan, e);
}
