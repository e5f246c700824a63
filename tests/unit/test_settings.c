/* sagemaker.json: what is taken, what is refused and in which words. */
#include "scratch.h"

#include "sagemaker/settings.h"

static int parse(const char *text, struct package_settings *s, struct err *e)
{
	return settings_parse(text, strlen(text), s, e);
}

static void everything(void **state)
{
	static const char text[] =
		"{\"framework\": \"tensorflow\", \"framework_version\": \"2.16\", \"py_version\": \"py310\",\n"
		" \"image\": \"a/b:c\", \"role\": \"arn:aws:iam::1:role/r\", \"entry_point\": \"x.py\",\n"
		" \"instance_type\": \"ml.c5.large\", \"env\": {\"A\": \"1\"}, \"generated_code\": false}\n";
	struct package_settings s;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse(text, &s, &e), 0);
	assert_string_equal(s.framework, "tensorflow");
	assert_string_equal(s.framework_version, "2.16");
	assert_string_equal(s.py_version, "py310");
	assert_string_equal(s.image, "a/b:c");
	assert_string_equal(s.role, "arn:aws:iam::1:role/r");
	assert_string_equal(s.entry_point, "x.py");
	assert_string_equal(s.instance_type, "ml.c5.large");
	assert_string_equal(cJSON_GetObjectItem(s.env, "A")->valuestring, "1");
	assert_false(s.generated_code);
	assert_string_equal(s.text, text);
	settings_release(&s);
	assert_int_equal(parse("{}", &s, &e), 0);
	assert_true(s.generated_code);
	assert_null(s.env);
	settings_release(&s);
}

static void refusals(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"",								"not JSON"                              },
		{"{\"framework\": \"mxnet\"\n\n,,}",                                "line 3"                                },
		{"{} x",							    "not JSON"                              },
		{"[]",							      "not an object"                         },
		{"{\"framwork\": \"mxnet\"}",
		 "unknown key 'framwork'; known are framework framework_version"                                            },
		{"{\"framework_version\": 2.1}",                                    "'framework_version' must be a string"  },
		{"{\"framework_version\": \"2.19.00000000000000000000000000000\"}",
		 "longer than 31"											   },
		{"{\"image\": \"a/b: 1\"}",                                         "'image' holds a blank"                 },
		{"{\"image\": \"a/b:1\\n\"}",                                       "control character"                     },
		{"{\"role\": \"a\\nb\"}",					   "control character"                     },
		{"{\"generated_code\": \"no\"}",                                    "'generated_code' must be true or false"},
		{"{\"env\": []}",						   "'env' must be an object of strings"    },
		{"{\"env\": {\"A\": 1}}",					   "'env.A' must be a string"              },
		{"{\"env\": {\"\": \"1\"}}",                                        "'', which is no name of a variable"    },
		{"{\"env\": {\"1A\": \"x\"}}",                                      "'1A', which is no name of a variable"  },
		{"{\"instance_type\": \"m5.large\"}",
		 "'instance_type': 'm5.large' is no instance type"                                                          },
		{"{\"instance_type\": \"ml.m5\"}",                                  "has the form ml.FAMILY.SIZE"           },
		{"{\"instance_type\": \"ml.m5.\"}",                                 "has the form ml.FAMILY.SIZE"           },
		{"{\"instance_type\": \"ml.m5.large.x\"}",                          "has the form ml.FAMILY.SIZE"           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct package_settings s;
		struct err e = {0};

		assert_int_equal(parse(rows[i].text, &s, &e), -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, rows[i].says))
			fail_msg("'%s' does not say '%s'", e.text, rows[i].says);
		settings_release(&s);
	}
}

static void overrides(void **state)
{
	struct package_settings s, over;
	struct err e = {0};

	(void)state;
	assert_int_equal(
		parse("{\"framework_version\": \"1\", \"role\": \"r\", \"env\": {\"A\": \"1\", \"B\": \"2\"}}",
		      &s, &e),
		0);
	assert_int_equal(
		parse("{\"framework_version\": \"2\", \"env\": {\"B\": \"3\"}}", &over, &e), 0);
	assert_int_equal(settings_override(&s, &over, &e), 0);
	assert_string_equal(s.framework_version, "2");
	assert_string_equal(s.role, "r");
	assert_string_equal(cJSON_GetObjectItem(s.env, "A")->valuestring, "1");
	assert_string_equal(cJSON_GetObjectItem(s.env, "B")->valuestring, "3");
	settings_release(&s);
	settings_release(&over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everything), cmocka_unit_test(refusals),
					   cmocka_unit_test(overrides)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
