/*
 * code.c: which Python file is the entry point. Layouts have put every script at code/NAME.py: those of the user's own code/
 * directory, and those that stood alone beside the model.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "sagemaker/plan.h"

#define SCRIPT_MAX ((size_t)4 << 20)

/* Whether the directory of n bytes at path is `model` (m bytes) or above it. */
static bool leads_to(const char *path, size_t n, const char *model, size_t m)
{
	return n == 0 || (n <= m && memcmp(path, model, n) == 0 && (n == m || model[n] == '/'));
}

/* The path from "code/" on, when that code/ stands at or above the model; else NULL. */
static const char *in_code(const char *path, const char *model, size_t m)
{
	const char *at = starts_with(path, "code/") ? path : strstr(path, "/code/");

	if (!at || !leads_to(path, (size_t)(at - path), model, m))
		return NULL;
	return at + (*at == '/');
}

int code_place_below(struct package_plan *p, const struct source_file *f, const char *model,
		     size_t n, size_t strip, struct err *e)
{
	const char *base = source_base_name(f->path);
	const char *code = in_code(f->path, model, n);
	size_t dir = (size_t)(base - f->path);

	if (code)
		return plan_add(p, f, e, "%s", code);
	if ((ends_with(base, ".py") || streq(base, "requirements.txt")) &&
	    leads_to(f->path, dir ? dir - 1 : 0, model, n))
		return plan_add(p, f, e, "code/%s", base);
	plan_note(p, "%s is no part of the model; it is packed as it is", f->path);
	return plan_add(p, f, e, "%s", f->path + strip);
}

int code_place(struct package_plan *p, const struct source_file *f, const char *model, size_t n,
	       struct err *e)
{
	return code_place_below(p, f, model, n, 0, e);
}

/* A script directly in code/: no module of a package. */
static bool is_script(const struct package_member *m)
{
	return m->path && starts_with(m->archive, "code/") && !strchr(m->archive + 5, '/') &&
	       ends_with(m->archive, ".py");
}

/* It stood alone: the user did not put it into a code/ directory. */
static bool is_lone(const struct package_member *m)
{
	return is_script(m) && !starts_with(m->path, "code/") && !strstr(m->path, "/code/");
}

static const char *script_name(const struct package_member *m)
{
	return m->archive + strlen("code/");
}

/* "def NAME(" at the start of a line. */
static bool defines(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (starts_with(line, "async "))
			line += 6;
		if (!starts_with(line, "def "))
			continue;
		const char *at = line + 4 + strspn(line + 4, " \t");
		if (strncmp(at, name, n) == 0 && at[n + strspn(at + n, " \t")] == '(')
			return true;
	}
	return false;
}

/* The name anywhere: an import, an assignment, a definition. */
static bool mentions(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at += n)
		if ((at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_')) &&
		    !(isalnum((unsigned char)at[n]) || at[n] == '_'))
			return true;
	return strstr(text, "import *") != NULL;
}

/* Whether the text has, by `test`, all functions of one of the rule's rows. */
static bool has_handlers(const char *text, const struct code_rule *rule,
			 bool (*test)(const char *, const char *))
{
	for (const char *const(*row)[2] = rule->handlers; (*row)[0]; row++)
		if (test(text, (*row)[0]) && (!*(*row)[1] || test(text, (*row)[1])))
			return true;
	return false;
}

static int read_script(const struct package_plan *p, const struct package_member *m,
		       struct buf *text, struct err *e)
{
	text->max = SCRIPT_MAX;
	if (buf_read_file(text, p->dirfd, m->path))
		return err_errno(e, "read '%s'", m->path);
	return 0;
}

/* How many members pass; *last is the last of them. */
static size_t count(struct package_plan *p, bool (*test)(const struct package_member *),
		    struct package_member **last)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_members; i++)
		if (test(&p->members[i])) {
			*last = &p->members[i];
			n++;
		}
	return n;
}

static bool is_own(const struct package_member *m)
{
	return is_script(m) && !is_lone(m);
}

/* The script that "entry_point" names, by its base name. */
static struct package_member *stated(struct package_plan *p)
{
	const char *base = source_base_name(p->settings.entry_point);

	for (size_t i = 0; i < p->n_members; i++)
		if (is_script(&p->members[i]) && streq(script_name(&p->members[i]), base))
			return &p->members[i];
	plan_fail(p, EINVAL, "entry_point '%s' is not in the model: put it into code/",
		  p->settings.entry_point);
	return NULL;
}

static void note_unused(struct package_plan *p, const struct code_rule *rule,
			const struct package_member *entry)
{
	for (size_t i = 0; i < p->n_members; i++) {
		const struct package_member *m = &p->members[i];

		if (m != entry && is_lone(m))
			plan_note(p, "%s is packed as %s and not used: the %s takes %s", m->path,
				  m->archive, rule->container, rule->say);
	}
}

/* A script that stood alone, or that entry_point names: the entry point if it has the functions. */
static int try_script(struct package_plan *p, const struct code_rule *rule,
		      struct package_member *m, bool named, struct package_member **entry,
		      struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(SCRIPT_MAX);

	if (read_script(p, m, &text, e))
		return -1;
	bool able = has_handlers(buf_cstr(&text), rule, defines) ||
		    (named && has_handlers(buf_cstr(&text), rule, mentions));
	if (!able && (rule->only_main || !named))
		return 0;
	*entry = m;
	return 0;
}

/* The container would not start with code that lacks its functions: say so now. */
static int check_main(struct package_plan *p, const struct code_rule *rule,
		      const struct package_member *m, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(SCRIPT_MAX);

	if (read_script(p, m, &text, e))
		return -1;
	if (rule->only_main && !has_handlers(buf_cstr(&text), rule, mentions))
		plan_fail(p, EINVAL, "'%s' cannot be used: the %s takes %s", m->path,
			  rule->container, rule->say);
	return 0;
}

/* The entry point without regard to what the container calls it; NULL: none. */
static int find_main(struct package_plan *p, const struct code_rule *rule,
		     struct package_member **entry, struct err *e)
{
	struct package_member *own = NULL, *lone = NULL, *by_name = NULL;
	size_t n_own = count(p, is_own, &own), n_lone = count(p, is_lone, &lone);
	struct package_member *ready = plan_find(p, CODE_MAIN);

	if (p->settings.entry_point[0]) {
		by_name = stated(p);
		if (by_name && by_name != ready)
			return try_script(p, rule, by_name, true, entry, e);
	}
	if (ready) {
		*entry = ready;
		return check_main(p, rule, ready, e);
	}
	if (!rule->only_main && n_own > 1) {
		plan_fail(p, EINVAL,
			  "code/ has %zu scripts and none is inference.py: say \"entry_point\" in "
			  "sagemaker.json",
			  n_own);
		return 0;
	}
	if (!rule->only_main && n_own == 1) {
		*entry = own;
		return 0;
	}
	return n_lone == 1 ? try_script(p, rule, lone, false, entry, e) : 0;
}

int code_settle(struct package_plan *p, const struct code_rule *rule, bool *has_main, struct err *e)
{
	struct package_member *entry = NULL;

	*has_main = false;
	if (find_main(p, rule, &entry, e))
		return -1;
	note_unused(p, rule, entry);
	if (!entry)
		return 0;
	*has_main = true;
	if (!rule->only_main)
		snprintf(p->program, sizeof(p->program), "%s", script_name(entry));
	else if (!streq(entry->archive, CODE_MAIN) && plan_rename(entry, CODE_MAIN, e))
		return -1;
	plan_note(p, "entry point: %s%s%s", entry->path,
		  streq(entry->path, entry->archive) ? "" : ", packed as ",
		  streq(entry->path, entry->archive) ? "" : entry->archive);
	return 0;
}

const char *const code_functions[][2] = {
	{"model_fn",     ""  },
        {"transform_fn", ""  },
        {"input_fn",     ""  },
	{"predict_fn",   ""  },
        {"output_fn",    ""  },
        {NULL,           NULL},
};

int code_has(const struct package_plan *p, const char *name, bool *has, struct err *e)
{
	_cleanup_free_ char *path = str_printf("code/%s", p->program);
	const struct package_member *m = path ? plan_find(p, path) : NULL;
	_cleanup_buf_ struct buf text = BUF_INIT(SCRIPT_MAX);

	*has = false;
	if (!m || !m->path)
		return 0;
	if (read_script(p, m, &text, e))
		return -1;
	*has = mentions(buf_cstr(&text), name);
	return 0;
}
