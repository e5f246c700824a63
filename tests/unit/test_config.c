/* Settings and keys: order of their sources, the shared files' habits, refusals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sagemaker/creds.h"

static char directory[] = "/tmp/smfs-config-XXXXXX";

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
	static const char *const names[] = {"AWS_REGION",
					    "AWS_DEFAULT_REGION",
					    "AWS_PROFILE",
					    "AWS_DEFAULT_PROFILE",
					    "AWS_ENDPOINT_URL",
					    "AWS_MAX_ATTEMPTS",
					    "AWS_RETRY_MODE",
					    "AWS_NEW_RETRIES_2026",
					    "AWS_CA_BUNDLE",
					    "SAGEMAKER_ROLE_ARN",
					    "AWS_ACCESS_KEY_ID",
					    "AWS_SECRET_ACCESS_KEY",
					    "AWS_SESSION_TOKEN",
					    "AWS_CONFIG_FILE",
					    "AWS_SHARED_CREDENTIALS_FILE",
					    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	if (!mkdtemp(directory))
		return -1;
	setenv("HOME", directory, 1);
	snprintf(path, sizeof path, "%s/.aws", directory);
	return mkdir(path, 0700);
}

static int tear_down(void **state)
{
	static const char *const names[] = {".aws/config", ".aws/credentials", ".aws", ""};
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		(void)remove(path);
	}
	return 0;
}

#define _cleanup_config_ _cleanup_(config_release)

static void test_order_of_sources(void **state)
{
	struct config a _cleanup_config_ = {0}, b _cleanup_config_ = {0}, c _cleanup_config_ = {0};
	struct err e;

	(void)state;
	write_file(
		".aws/config",
		"# mine\n[default]\nregion = eu-north-1 \n# there\nmax_attempts=7\nretry_mode = adaptive\n"
		"[profile dev]\nregion=cn-north-1\nendpoint_url = http://localhost:99/\ns3 =\n  region = no\n");
	assert_int_equal(config_load(&a, &e), 0);
	assert_string_equal(a.region, "eu-north-1");
	assert_int_equal(a.max_attempts, 7);
	assert_string_equal(a.prefix, "model");
	assert_null(a.endpoint_url);

	setenv("AWS_PROFILE", "dev", 1);
	b.prefix = strdup("//a/b//");
	assert_int_equal(config_load(&b, &e), 0);
	assert_string_equal(b.region, "cn-north-1");
	assert_string_equal(b.endpoint_url, "http://localhost:99");
	assert_string_equal(b.prefix, "a/b");

	setenv("AWS_REGION", "us-gov-west-1", 1);
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	c.role = strdup("mine");
	setenv("SAGEMAKER_ROLE_ARN", "theirs", 1);
	assert_int_equal(config_load(&c, &e), 0);
	assert_string_equal(c.region, "us-gov-west-1");
	assert_string_equal(c.role, "mine");
	assert_null(c.endpoint_url);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *env, *value, *says;
	} cases[] = {
		{"AWS_REGION",       "EU West",                      "'EU West' is no region"               },
		{"AWS_REGION",       "a.evil.com/",                  "is no region"                         },
		{"AWS_MAX_ATTEMPTS", "0",                            "'0' is no value for AWS_MAX_ATTEMPTS" },
		{"AWS_RETRY_MODE",   "fast",                         "'fast' is no value for AWS_RETRY_MODE"},
		{"AWS_MAX_ATTEMPTS", "3x",                           "'3x' is no value"                     },
		{"AWS_ENDPOINT_URL", "http://example.com",           "plain http is only for this machine"  },
		{"AWS_ENDPOINT_URL", "http://127.0.0.1.example.com",
		 "plain http is only for this machine"						      },
		{"AWS_ENDPOINT_URL", "http://localhost@example.com", "is no endpoint URL"                   },
		{"AWS_ENDPOINT_URL", "ftp://127.0.0.1",              "is no endpoint URL"                   },
		{"AWS_ENDPOINT_URL", "https://",                     "is no endpoint URL"                   },
		{"AWS_ENDPOINT_URL", "https://a b",                  "blank or a control character"         },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config c _cleanup_config_ = {0};

		setenv("AWS_REGION", "eu-west-1", 1);
		setenv(cases[i].env, cases[i].value, 1);
		assert_int_equal(config_load(&c, &e), -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, cases[i].says))
			fail_msg("'%s' lacks '%s'", e.text, cases[i].says);
		unsetenv(cases[i].env);
	}
	struct config none _cleanup_config_ = {0};
	unsetenv("AWS_REGION");
	assert_int_equal(config_load(&none, &e), -1);
	assert_non_null(strstr(e.text, "no region is set"));
}

static void test_loopback(void **state)
{
	static const char *const yes[] = {"http://127.0.0.1:1", "http://localhost",
					  "https://[::1]:9/x", "http://127.9.9.9/"};
	static const char *const no[] = {"http://128.0.0.1",
					 "http://localhost.evil",
					 "http://[::2]",
					 "http://0.0.0.0",
					 "x",
					 "http://localhost@evil"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(config_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(config_is_loopback(no[i]));
}

static void test_partitions(void **state)
{
	(void)state;
	assert_string_equal(config_partition("eu-west-1"), "aws");
	assert_string_equal(config_partition("us-gov-east-1"), "aws-us-gov");
	assert_string_equal(config_partition("us-isob-east-1"), "aws-iso-b");
}

static void load(struct config *c)
{
	struct err e;

	setenv("AWS_REGION", "eu-west-1", 1);
	assert_int_equal(config_load(c, &e), 0);
}

static int get_keys(const struct config *c, struct keys *k, struct err *e)
{
	struct creds *cr = creds_new(c, e);

	assert_non_null(cr);
	int r = creds_get(cr, k, e);
	creds_free(cr);
	return r;
}

static void test_keys_and_their_order(void **state)
{
	struct config c _cleanup_config_ = {0}, named _cleanup_config_ = {0};
	struct keys k;
	struct err e;

	(void)state;
	write_file(".aws/credentials",
		   "[default]\naws_access_key_id = FILE\naws_secret_access_key = s3cret+/=\n"
		   "[dev]\naws_access_key_id=DEV\naws_secret_access_key=x\n");
	load(&c);
	assert_int_equal(get_keys(&c, &k, &e), 0);
	assert_string_equal(k.access, "FILE");
	assert_string_equal(k.secret, "s3cret+/=");
	assert_string_equal(k.token, "");

	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "y", 1);
	setenv("AWS_SESSION_TOKEN", "t", 1);
	assert_int_equal(get_keys(&c, &k, &e), 0);
	assert_string_equal(k.access, "ENV");
	assert_string_equal(k.token, "t");

	named.profile = strdup("dev"); /* by the caller: the environment's keys do not count */
	load(&named);
	assert_int_equal(get_keys(&named, &k, &e), 0);
	assert_string_equal(k.access, "DEV");

	c.access_key = strdup("GIVEN");
	c.secret_key = strdup("z");
	assert_int_equal(get_keys(&c, &k, &e), 0);
	assert_string_equal(k.access, "GIVEN");
	keys_wipe(&k);
	assert_string_equal(k.secret, "");
}

static void test_long_token_and_new_file(void **state)
{
	struct config c _cleanup_config_ = {0};
	char token[1501], text[2048];
	struct keys k;
	struct err e;

	(void)state;
	memset(token, 'T', sizeof token - 1);
	token[sizeof token - 1] = '\0';
	snprintf(
		text, sizeof text,
		"[default]\r\naws_access_key_id=A\r\naws_secret_access_key=B\r\naws_session_token=%s\r\n",
		token);
	write_file(".aws/credentials", text);
	load(&c);
	struct creds *cr = creds_new(&c, &e);
	assert_int_equal(creds_get(cr, &k, &e), 0);
	assert_string_equal(k.token, token);
	usleep(20000);
	write_file(".aws/credentials",
		   "[default]\naws_access_key_id=NEW\naws_secret_access_key=B\n");
	assert_int_equal(creds_get(cr, &k, &e), 0); /* today's keys, not yesterday's */
	assert_string_equal(k.access, "NEW");
	assert_string_equal(k.token, "");
	creds_free(cr);
}

static void test_keys_missing(void **state)
{
	static const struct {
		const char *profile, *file, *says;
	} cases[] = {
		{NULL,   "",					  "no AWS keys found: not in the environment"},
		{"gone", "",					  "profile 'gone' is neither in"             },
		{NULL,   "[default]\naws_access_key_id=SECRETLESS\n",
		 "the secret access key is missing"							      },
		{"sso",  "[profile sso]\nsso_session = corp\n",       "gets its keys by sso_session"             },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config c _cleanup_config_ = {0};
		struct keys k;
		struct err e;

		write_file(".aws/config", cases[i].file);
		if (cases[i].profile)
			c.profile = strdup(cases[i].profile);
		load(&c);
		assert_int_equal(get_keys(&c, &k, &e), -1);
		assert_int_equal(e.no, EACCES);
		if (!strstr(e.text, cases[i].says))
			fail_msg("'%s' lacks '%s'", e.text, cases[i].says);
	}
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_order_of_sources),
		FRESH(test_refusals),
		FRESH(test_loopback),
		FRESH(test_partitions),
		FRESH(test_keys_and_their_order),
		FRESH(test_long_token_and_new_file),
		FRESH(test_keys_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
