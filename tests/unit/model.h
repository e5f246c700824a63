/* model.h: models for the tests of packing: copies of tests/data, plans of them. */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H

#include "scratch.h"

#include "sagemaker/framework.h"
#include "sagemaker/package.h"

#ifndef TEST_DATA
# define TEST_DATA "tests/data"
#endif

/* The file of tests/data as path in s. */
static inline void model_copy(const struct scratch *s, const char *from, const char *path)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	char full[1024];

	snprintf(full, sizeof(full), "%s/%s", TEST_DATA, from);
	if (buf_read_file(&b, AT_FDCWD, full))
		fail_msg("cannot read %s", full);
	scratch_file(s, path, buf_cstr(&b), b.len);
}

/* The three files of tests/data/tensorflow-keras as a SavedModel in dir ("" or "x/"). */
static inline void model_keras(const struct scratch *s, const char *dir)
{
	static const char *const parts[] = {"saved_model.pb", "variables/variables.index",
					    "variables/variables.data-00000-of-00001"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char from[256], to[256];

		snprintf(from, sizeof(from), "tensorflow-keras/iris/1/%s", parts[i]);
		snprintf(to, sizeof(to), "%s%s", dir, parts[i]);
		model_copy(s, from, to);
	}
}

static inline void model_mxnet(const struct scratch *s, const char *dir)
{
	static const char *const parts[] = {"symbol.json", "0007.params", "shapes.json"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char from[256], to[256];

		snprintf(from, sizeof(from), "mxnet-iris/model/iris-%s", parts[i]);
		snprintf(to, sizeof(to), "%siris-%s", dir, parts[i]);
		model_copy(s, from, to);
	}
}

static inline struct package_plan *model_plan(const struct scratch *s)
{
	struct package_plan *p = NULL;
	struct err e = {0};

	if (package_plan(s->fd, "iris", NULL, &p, &e))
		fail_msg("package_plan: %s", e.text);
	return p;
}

#define _cleanup_plan_ _cleanup_(package_plan_freep)

/* The archive's paths, a space after each. */
static inline void model_paths(const struct package_plan *p, struct buf *out)
{
	for (size_t i = 0; i < p->n_members; i++)
		buf_printf(out, "%s ", p->members[i].archive);
}

static inline void expect_paths(const struct package_plan *p, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);

	model_paths(p, &b);
	if (!p->whole)
		fail_msg("not whole: %s", p->why.text);
	assert_string_equal(buf_cstr(&b), want);
}

static inline void expect_refused(const struct package_plan *p, int no, const char *says)
{
	assert_false(p->whole);
	if (p->why.no != no || !strstr(p->why.text, says))
		fail_msg("%d '%s' is not %d '%s'", p->why.no, p->why.text, no, says);
}

static inline void expect_note(const struct package_plan *p, const char *says)
{
	if (!strstr(buf_cstr(&p->notes), says))
		fail_msg("notes do not say '%s': %s", says, buf_cstr(&p->notes));
}

#endif
