/*
 * plan.h: how a framework's lay_out fills a plan; for the rooms of packing only.
 *
 * What is wrong with the user's model never fails a function: plan_fail() writes it into the plan. Functions fail for lack of
 * memory and unreadable files.
 */
#ifndef SAGEMAKER_PLAN_H
#define SAGEMAKER_PLAN_H

#include "sagemaker/framework.h"
#include "sagemaker/package.h"

#define CODE_MAIN "code/inference.py" /* what containers look for by themselves */

/* plan_add: the file goes into the archive at a path (formatted). */
int plan_add(struct package_plan *p, const struct source_file *f, struct err *e,
	     const char *archive, ...) _printf_(4, 5) _must_check_;
/* plan_generate: a file of ours, n bytes copied from content. */
int plan_generate(struct package_plan *p, const char *archive, const char *content, size_t n,
		  struct err *e) _must_check_;
/* plan_rename: the member stands elsewhere in the archive. */
int plan_rename(struct package_member *m, const char *archive, struct err *e) _must_check_;
/* plan_find: the member at a path of the archive, or NULL. */
struct package_member *plan_find(const struct package_plan *p, const char *archive);
/* plan_fail: the model is not whole, and why; the first reason stays. plan_note: one line for `check`. */
void plan_fail(struct package_plan *p, int no, const char *fmt, ...) _printf_(3, 4);
void plan_note(struct package_plan *p, const char *fmt, ...) _printf_(2, 3);
/* plan_refuse_mark: a text that begins with UTF-8's byte order mark, as editors of Windows write it; JSON's readers refuse it. */
void plan_refuse_mark(struct package_plan *p, const char *path, const char *text);
/* plan_env: a variable that the layout needs in the Environment. */
int plan_env(struct package_plan *p, const char *name, const char *value, struct err *e)
	_must_check_;

/* packaging_check: whether what "packaging" says can be; once the layout is done. */
void packaging_check(struct package_plan *p);

/* source_find: the file of that path, or NULL. */
const struct source_file *source_find(const struct source *s, const char *path);
/* source_walk: every regular file beneath dirfd; what is left out goes into the plan's notes, what must not be there (links,
 * unusable names) makes the plan not whole. known: as of struct package_how. Freed with source_release. */
int source_walk(int dirfd, struct package_plan *p, struct hash_cache *known, struct source *out,
		struct err *e) _must_check_;
void source_release(struct source *s);
/* source_open: a file of the model for reading, links followed only where they stay inside the model. -1 with errno: EXDEV one
 * that leaves it, ENOENT, ELOOP ... */
int source_open(int dirfd, const char *path);

/* source_base_name: what follows the last '/'. */
const char *source_base_name(const char *path);

/* How a container finds the user's code. */
struct code_rule {
	const char *container; /* for sentences */
	const char *const (*handlers)
		[2]; /* rows of functions that must all be there ("": no second); ends with NULL */
	const char *say; /* the same in words */
	bool only_main;  /* takes code/inference.py and no other name */
};

/* code_place: a file that is no part of the model itself, whose directory is the first n bytes of `model`: code/ at or above
 * it and scripts that stand alone there go to code/, the rest stays where it is and is noted. */
int code_place(struct package_plan *p, const struct source_file *f, const char *model, size_t n,
	       struct err *e) _must_check_;
/* code_place_below: the same where all files have `strip` bytes of directories in common, which the archive is without. */
int code_place_below(struct package_plan *p, const struct source_file *f, const char *model,
		     size_t n, size_t strip, struct err *e) _must_check_;
/* code_settle: once every script has its place at code/NAME.py: which one is the entry point and under what name, what is
 * unused. *has_main: whether the user brings an entry point. */
int code_settle(struct package_plan *p, const struct code_rule *rule, bool *has_main, struct err *e)
	_must_check_;
/* code_has: whether the entry point that code_settle found has the name anywhere. */
int code_has(const struct package_plan *p, const char *name, bool *has, struct err *e) _must_check_;
/* code_functions: model_fn, transform_fn, input_fn, predict_fn, output_fn: what the containers of the sagemaker-inference family
 * call; for struct code_rule. */
extern const char *const code_functions[][2];

#endif
