/* The files that AWS's tools share: every row is what botocore's session says of the same text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sagemaker/buf.h"
#include "sagemaker/profile.h"
#include "sagemaker/shlex.h"

static char directory[] = "/tmp/smfs-profile-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	_cleanup_fclose_ FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int set_up(void **state)
{
	(void)state;
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	if (!mkdtemp(directory))
		return -1;
	setenv("HOME", directory, 1);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	setenv("WHERE", directory, 1);
	return setenv("AWS_CONFIG_FILE", "${WHERE}/config", 1);
}

static int tear_down(void **state)
{
	static const char *const names[] = {"config", ".aws/credentials", ".aws", ""};
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		(void)remove(path);
	}
	return 0;
}

static void collect(void *arg, const char *key, const char *value)
{
	buf_printf(arg, "%s=%s;", key, value);
}

static void test_sections(void **state)
{
	static const struct {
		enum profile_section kind;
		const char *name, *text, *says; /* says NULL: not found */
	} rows[] = {
		{SECTION_PROFILE,     NULL,    "[default]\nRegion = a b \n",                          "region=a b;"                           },
		{SECTION_PROFILE,     "d",     "[profile d]\nregion: x\n[d]\nregion=y\n",             "region=x;"                             },
		{SECTION_PROFILE,     "d",     "[d]\nregion=y\n",                                     NULL                                    },
		{SECTION_PROFILE,     "a b",   "[profile \"a b\"]\nk=v\n",                            "k=v;"                                  },
		{SECTION_PROFILE,     "a b",   "[profile 'a b' c]\nk=v\n",                            NULL                                    },
		{SECTION_PROFILE,     "a",     "[profile a']\nk=v\n",                                 NULL                                    },
		{SECTION_PROFILE,     "a",     "[profile\t a] # x\nk=v\n",                            "k=v;"                                  },
		{SECTION_PROFILE,     NULL,    "[ default ]\nk=v\n",                                  NULL                                    },
		{SECTION_PROFILE,     NULL,    "[default]\nk=1\nj=1\n[profile default]\nk=2\n",       "k=2;"                                  },
		{SECTION_PROFILE,     NULL,    "[profile default]\nk=2\n[default]\nk=1\n",            "k=1;"                                  },
		{SECTION_PROFILE,     "a",     "[DEFAULT]\nk=1\nj=1\n[profile a]\nk=2\n",             "j=1;k=1;k=2;"                          },
		{SECTION_PROFILE,     NULL,    "[default]\nk = v # kept\n  # not\nj=;x\n",
		 "j=;x;k=v # kept;"													   },
		{SECTION_PROFILE,     NULL,    "[default]\r\nk=v\r\n\r\n  w\rj=1",                    "j=1;k=v\n\nw;"                         },
		{SECTION_PROFILE,     NULL,    "[default]\n  k=1\n  j=2\n   3\n",                     "j=2\n3;k=1;"                           },
		{SECTION_PROFILE,     NULL,    "[default]\nk=\n\n\n",                                 "k=;"                                   },
		{SECTION_PROFILE,     NULL,
		 "[default]\ns3 =\n  addressing_style = path\n  # no\n\n  A=b=c\nr=1\n",              "r=1;s3.addressing_style=path;s3.A=b=c;"},
		{SECTION_SSO_SESSION, "corp",
		 "[profile corp]\nk=1\n[sso-session corp]\nsso_region=x\n",                           "sso_region=x;"                         },
		{SECTION_SERVICES,    "local", "[services local]\nsts =\n endpoint_url = http://x\n",
		 "sts.endpoint_url=http://x;"												 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf got = BUF_INIT(0);
		struct err e = {0};
		bool found;

		write_file("config", rows[i].text);
		if (profile_section_read(PROFILE_CONFIG, rows[i].kind, rows[i].name, &found,
					 collect, &got, &e))
			fail_msg("row %zu: %s", i, e.text);
		assert_int_equal(found, rows[i].says != NULL);
		assert_string_equal(buf_cstr(&got), rows[i].says ? rows[i].says : "");
	}
}

static void test_refused_files(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"k=v\n",				"line 1: a setting before the first [section]"   },
		{"[a]\nk=1\n[b]\n[a]\nj=1\n",            "line 4: a section that the file already has"    },
		{"[a]\nk=1\nx=2\nK: 3\n",                "line 4: a setting that this section already has"},
		{"[a]\nnothing\n",                       "line 2: neither a section nor a setting"        },
		{"[a]\n= x\n",                           "line 2: a setting without a name"               },
		{"[a]\ns3 =\n  addressing_style path\n",
		 "line 2: an indented line below it is no setting"                                        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf got = BUF_INIT(0);
		struct err e = {0};

		write_file("config", rows[i].text);
		assert_int_equal(profile_read(PROFILE_CONFIG, NULL, NULL, collect, &got, &e), -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, rows[i].says))
			fail_msg("'%s' lacks '%s'", e.text, rows[i].says);
	}
}

static void test_both_files(void **state)
{
	_cleanup_buf_ struct buf got = BUF_INIT(0);
	char path[128];
	struct err e;
	bool found;

	(void)state;
	snprintf(path, sizeof path, "%s/.aws", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("config", "[profile d]\nregion=x\nk=1\n");
	write_file(".aws/credentials", "[d]\nregion=y\n[profile d]\nk=3\n");
	assert_int_equal(profile_read_both("d", &found, collect, &got, &e), 0);
	assert_true(found);
	assert_string_equal(buf_cstr(&got), "k=1;region=x;region=y;");
	assert_int_equal(profile_read_both("e", &found, collect, &got, &e), 0);
	assert_false(found);
	setenv("AWS_CONFIG_FILE", directory, 1); /* a directory has no profiles */
	assert_int_equal(profile_read(PROFILE_CONFIG, "d", &found, collect, &got, &e), 0);
	assert_false(found);
}

static void test_words(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
		{"a b\tc",                 "a|b|c|"        },
		{" 'a b'c \"d \\\" \\x\"", "a bc|d \" \\x|"},
		{"a\\ b ''",               "a b||"         },
		{"~/x $Y #z",              "~/x|$Y|#z|"    },
		{"",		       ""              },
		{"a 'b",                   NULL            },
		{"a\\",                    NULL            },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf got = BUF_INIT(0);
		size_t n;
		_cleanup_free_ char **words = shlex_split(rows[i].line, &n);

		assert_int_equal(words != NULL, rows[i].words != NULL);
		for (size_t w = 0; words && w < n; w++)
			buf_printf(&got, "%s|", words[w]);
		if (words)
			assert_string_equal(buf_cstr(&got), rows[i].words);
	}
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_sections),
		FRESH(test_refused_files),
		FRESH(test_both_files),
		FRESH(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
