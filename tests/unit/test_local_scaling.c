/* What target tracking decides, and which resources it is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/local/scaling.h"

#define NONE (-1.0)

/* Each of the last minutes had that many invocations per instance, but for the first n, which had `late`. */
static struct tracking steady(double each, int n, double late)
{
	struct tracking t = {
		.value = 100, .count = 2, .low = 1, .high = 8, .may_out = true, .may_in = true};

	for (int i = 0; i < SCALING_MINUTES; i++)
		t.minutes[i] = i < n ? late : each;
	return t;
}

static void more_after_three_minutes(void **state)
{
	struct tracking t = steady(100, 3, 190);

	(void)state;
	assert_int_equal(scaling_decide(&t), 4); /* 2 x 1.9, up */
	t.high = 3;
	assert_int_equal(scaling_decide(&t), 3);
	t.may_out = false;
	assert_int_equal(scaling_decide(&t), 2);
	t = steady(100, 2, 1000);
	assert_int_equal(scaling_decide(&t), 2);
	t = steady(NONE, 3, 1e300);
	assert_int_equal(scaling_decide(&t), 8);
}

static void fewer_after_fifteen(void **state)
{
	struct tracking t = steady(40, 0, 0);

	(void)state;
	assert_int_equal(scaling_decide(&t), 1);
	t.count = 8;
	assert_int_equal(scaling_decide(&t), 4); /* 8 x 0.4, up */
	t.low = 5;
	assert_int_equal(scaling_decide(&t), 5);
	t.may_in = false;
	assert_int_equal(scaling_decide(&t), 8);
	t = steady(40, 1, 95);
	assert_int_equal(scaling_decide(&t), 2);
	t = steady(40, 1, NONE); /* no traffic, no value: nothing is done, as on AWS */
	assert_int_equal(scaling_decide(&t), 2);
}

static void bounds_hold_without_a_policy(void **state)
{
	struct tracking t = steady(NONE, 0, 0);

	(void)state;
	t.value = 0;
	t.low = 3;
	assert_int_equal(scaling_decide(&t), 3);
	t.low = t.high = 1;
	assert_int_equal(scaling_decide(&t), 1);
}

static void resources_are_read(void **state)
{
	static const char *const bad[] = {"endpoint/a",
					  "endpoint/a/variant/",
					  "endpoint//variant/b",
					  "endpoint/a/variant/b/c",
					  "endpoint/../variant/b",
					  "x/a/variant/b"};
	char endpoint[64], variant[64];

	(void)state;
	assert_true(scaling_parse("endpoint/a-1/variant/B", endpoint, variant));
	assert_string_equal(endpoint, "a-1");
	assert_string_equal(variant, "B");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(scaling_parse(bad[i], endpoint, variant));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_after_three_minutes),
		cmocka_unit_test(fewer_after_fifteen),
		cmocka_unit_test(bounds_hold_without_a_policy),
		cmocka_unit_test(resources_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
