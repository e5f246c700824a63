/* flat.c: frameworks whose model is a file. */
#include "sagemaker/flat.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/handler.h"
#include "sagemaker/requirements.h"

#define SURE 90

static bool is_model(const struct flat_rule *rule, const struct source_file *f)
{
	return f->facts && rule->is(f->facts);
}

int flat_detect(const struct flat_rule *rule, const struct source *s, struct buf *evidence)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct source_file *f = &s->files[i];

		if (!is_model(rule, f) || n++)
			continue;
		buf_str(evidence, f->path);
		if (*f->facts->form)
			buf_printf(evidence, " (%s)", f->facts->form);
	}
	if (n > 1)
		buf_printf(evidence, " and %zu more", n - 1);
	return n ? SURE : 0;
}

/* The directories that all files stand in, as after `cp -r export models/iris`. */
static size_t common_directory(const struct source *s)
{
	const char *first = s->files[0].path;
	size_t n = 0;

	for (const char *slash; (slash = strchr(first + n, '/'));) {
		size_t end = (size_t)(slash - first) + 1;

		if (end == strlen("code/") && starts_with(first, "code/"))
			return n;
		for (size_t i = 1; i < s->n; i++)
			if (strncmp(s->files[i].path, first, end) != 0)
				return n;
		n = end;
	}
	return n;
}

/* The same tree copied into itself: a second model whose path ends in the first's. */
static void check_twice(struct flat *l)
{
	const char *a = l->first->path;

	for (size_t i = 0; i < l->s->n; i++) {
		const struct source_file *f = &l->s->files[i];
		size_t n = strlen(a), m = strlen(f->path);

		if (f == l->first || !is_model(l->rule, f))
			continue;
		const char *shorter = n < m ? a : f->path, *longer = n < m ? f->path : a;
		if (n != m && f->size == l->first->size && ends_with(longer, shorter) &&
		    longer[strlen(longer) - strlen(shorter) - 1] == '/')
			plan_fail(
				l->plan, EINVAL,
				"the model is in it twice, as '%s' and as '%s': a repeated cp -r nests; "
				"use cp -rT, or rsync -a --delete, and remove one",
				shorter, longer);
	}
}

static void check_facts(struct flat *l, const struct source_file *f)
{
	if (f->facts->no)
		plan_fail(l->plan, f->facts->no, "%s'%s' cannot be used: %s",
			  f->facts->no == ENODATA ? "incomplete: " : "", f->path, f->facts->why);
}

static void find_models(struct flat *l)
{
	for (size_t i = 0; i < l->s->n; i++) {
		const struct source_file *f = &l->s->files[i];

		if (!is_model(l->rule, f))
			continue;
		if (!l->first)
			l->first = f;
		l->n++;
		check_facts(l, f);
	}
	if (l->first)
		check_twice(l);
}

static size_t dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static int place_all(struct flat *l, struct err *e)
{
	const char *at = l->first ? l->first->path : l->s->files[0].path;
	size_t dir = l->first ? dir_len(at) : l->strip ? l->strip - 1 : 0;

	for (size_t i = 0; i < l->s->n; i++) {
		const struct source_file *f = &l->s->files[i];

		if (is_model(l->rule, f) ? plan_add(l->plan, f, e, "%s", f->path + l->strip)
					 : code_place_below(l->plan, f, at, dir, l->strip, e))
			return -1;
	}
	return 0;
}

/* The framework was named, and nothing of its kind is there: the user's code must know. */
static int without_model(struct flat *l, bool entry, struct err *e)
{
	if (entry)
		return l->rule->own && l->plan->settings.image[0] == '\0' ? l->rule->own(l, e) : 0;
	plan_fail(l->plan, EINVAL,
		  "there is no %s in it, and no code/inference.py that could load anything else",
		  l->rule->file);
	return 0;
}

static int settle(struct flat *l, struct err *e)
{
	const struct code_rule code = {
		l->rule->container, code_functions,
		"a script that defines model_fn, transform_fn, input_fn, predict_fn or output_fn, or "
		"that entry_point in sagemaker.json names",
		false};
	bool entry = false;

	if (code_settle(l->plan, &code, &entry, e))
		return -1;
	int rc = !l->first ? without_model(l, entry, e)
		 : entry   ? (l->rule->own ? l->rule->own(l, e) : 0)
			   : l->rule->bare(l, e);
	if (rc == 0 && l->rule->submit && l->plan->program[0])
		rc = plan_env(l->plan, "SAGEMAKER_SUBMIT_DIRECTORY", "/opt/ml/model/code", e);
	return rc;
}

int flat_lay_out(const struct flat_rule *rule, const struct source *s, struct package_plan *plan,
		 struct err *e)
{
	struct flat l = {.s = s, .plan = plan, .rule = rule, .strip = common_directory(s)};

	find_models(&l);
	if (place_all(&l, e))
		return -1;
	return settle(&l, e);
}

bool flat_is_model(const struct flat *l, const struct package_member *m)
{
	const struct source_file *f = m->path ? source_find(l->s, m->path) : NULL;

	return f && is_model(l->rule, f);
}

struct package_member *flat_member(const struct flat *l)
{
	for (size_t i = 0; i < l->plan->n_members; i++)
		if (l->plan->members[i].path && streq(l->plan->members[i].path, l->first->path))
			return &l->plan->members[i];
	return NULL;
}

bool flat_only(const struct flat *l)
{
	if (l->n == 1)
		return true;
	for (size_t i = 0; i < l->s->n; i++) {
		const struct source_file *f = &l->s->files[i];

		if (f != l->first && is_model(l->rule, f))
			plan_fail(
				l->plan, EINVAL,
				"there are two models, '%s' and '%s': keep one, or add code/inference.py "
				"whose model_fn loads what it needs",
				l->first->path, f->path);
	}
	return false;
}

int flat_to_top(struct flat *l, struct err *e)
{
	struct package_member *m = flat_member(l);

	return m && strchr(m->archive, '/') ? plan_rename(m, source_base_name(l->first->path), e)
					    : 0;
}

int flat_need_model_fn(struct flat *l, struct err *e)
{
	bool has = false;

	if (code_has(l->plan, "model_fn", &has, e))
		return -1;
	if (!has)
		plan_fail(l->plan, EINVAL,
			  "'code/%s' has no model_fn(model_dir), and the %s loads no %s by itself",
			  l->plan->program, l->rule->container, l->rule->file);
	return 0;
}

/* The user's own requirements.txt must name it; without one there is ours. */
static int require(struct flat *l, const char *requirement, struct err *e)
{
	struct package_member *own = plan_find(l->plan, "code/requirements.txt");
	_cleanup_free_ char *line = str_printf("%s\n", requirement);
	bool named = false;

	if (!line)
		return err_set(e, ENOMEM, "lay out the model: out of memory");
	plan_note(
		l->plan,
		"the container installs %s from code/requirements.txt when it starts, for which it "
		"needs the network (PyPI, or PIP_INDEX_URL in \"env\")",
		requirement);
	if (!own)
		return plan_generate(l->plan, "code/requirements.txt", line, strlen(line), e);
	if (requirements_name(l->plan, requirement, &named, e))
		return -1;
	if (!named)
		plan_fail(l->plan, EINVAL,
			  "'%s' does not name %s, which the model needs: add a line '%s'",
			  own->path, requirement, requirement);
	return 0;
}

int flat_generate(struct flat *l, const char *template, const char *requirement, const char *what,
		  struct err *e)
{
	const struct package_member *m = flat_member(l);
	_cleanup_buf_ struct buf text = BUF_INIT(0);

	if (!m || !flat_only(l))
		return 0;
	if (!l->plan->settings.generated_code) {
		plan_fail(l->plan, EINVAL,
			  "the %s cannot load '%s' by itself, and generated_code is false in "
			  "sagemaker.json: add code/inference.py with model_fn",
			  l->rule->container, l->first->path);
		return 0;
	}
	if (handler_named(template, "MODEL", m->archive, &text))
		return err_set(e, ENOMEM, "generate '" CODE_MAIN "': out of memory");
	plan_note(l->plan, "generated: " CODE_MAIN ", which %s", what);
	snprintf(l->plan->program, sizeof(l->plan->program), "inference.py");
	if (plan_generate(l->plan, CODE_MAIN, buf_cstr(&text), text.len, e))
		return -1;
	return requirement ? require(l, requirement, e) : 0;
}

void flat_note_version(struct flat *l, const char *framework)
{
	const char *v = l->first->facts->version;
	size_t n = strcspn(v, ".");

	if (!*v)
		return;
	plan_note(l->plan, "%s was made with %s %s", l->first->path, framework, v);
	if (v[n])
		n += 1 + strspn(v + n + 1, "0123456789");
	snprintf(l->plan->made_with, sizeof(l->plan->made_with), "%.*s", (int)n, v);
}
