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
					    "AWS_ENDPOINT_URL_S3",
					    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
					    "AWS_USE_FIPS_ENDPOINT",
					    "AWS_USE_DUALSTACK_ENDPOINT",
					    "AWS_STS_REGIONAL_ENDPOINTS",
					    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
					    "REQUESTS_CA_BUNDLE",
					    "http_proxy",
					    "https_proxy",
					    "no_proxy",
					    "HTTP_PROXY",
					    "HTTPS_PROXY",
					    "NO_PROXY",
					    "REQUEST_METHOD",
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
	for (int i = 0; i < SERVICES; i++)
		assert_string_equal(b.service_url[i], "http://localhost:99");
	assert_string_equal(b.url_from[SERVICE_S3], "endpoint_url");
	assert_string_equal(b.region_from, "region");
	assert_string_equal(b.profile_from, "AWS_PROFILE");
	assert_false(b.profile_named);
	assert_string_equal(b.prefix, "a/b");

	setenv("AWS_REGION", "us-gov-west-1", 1);
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	c.role = strdup("mine");
	setenv("SAGEMAKER_ROLE_ARN", "theirs", 1);
	assert_int_equal(config_load(&c, &e), 0);
	assert_string_equal(c.region, "us-gov-west-1");
	assert_string_equal(c.role, "mine");
	assert_null(c.service_url[SERVICE_S3]);
	assert_string_equal(c.region_from, "AWS_REGION");
}

/* For the service before for all, the environment before the profile: four places an URL can come from. */
static void test_order_of_endpoints(void **state)
{
	struct config a _cleanup_config_ = {0}, b _cleanup_config_ = {0}, c _cleanup_config_ = {0};
	struct err e;

	(void)state;
	write_file(
		".aws/config",
		"[default]\nregion = eu-west-1\nendpoint_url = https://all.profile\nservices = mine\n"
		"[services mine]\ns3 =\n  endpoint_url = https://s3.profile\n"
		"sagemaker_runtime =\n  endpoint_url = https://runtime.profile/\n");
	assert_int_equal(config_load(&a, &e), 0);
	assert_string_equal(a.service_url[SERVICE_S3], "https://s3.profile");
	assert_string_equal(a.service_url[SERVICE_RUNTIME], "https://runtime.profile");
	assert_string_equal(a.service_url[SERVICE_SAGEMAKER], "https://all.profile");

	setenv("AWS_ENDPOINT_URL", "https://all.env", 1);
	setenv("AWS_ENDPOINT_URL_S3", "https://s3.env", 1);
	assert_int_equal(config_load(&b, &e), 0);
	assert_string_equal(b.service_url[SERVICE_S3], "https://s3.env");
	assert_string_equal(b.service_url[SERVICE_RUNTIME], "https://all.env");
	assert_string_equal(b.url_from[SERVICE_RUNTIME], "AWS_ENDPOINT_URL");

	setenv("AWS_PROFILE", "default", 1);
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1);
	assert_int_equal(config_load(&c, &e), 0);
	for (int i = 0; i < SERVICES; i++)
		assert_null(c.service_url[i]);
}

/* What a local mount gives is all there is: nothing that is set for AWS's tools disturbs it. */
static void test_isolated(void **state)
{
	static const char *const junk[] = {"AWS_PROFILE",
					   "AWS_ENDPOINT_URL",
					   "AWS_ENDPOINT_URL_S3",
					   "AWS_CA_BUNDLE",
					   "AWS_MAX_ATTEMPTS",
					   "AWS_USE_FIPS_ENDPOINT",
					   "HTTP_PROXY",
					   "https_proxy",
					   "AWS_REGION",
					   "AWS_RETRY_MODE",
					   "AWS_STS_REGIONAL_ENDPOINTS",
					   "REQUESTS_CA_BUNDLE",
					   "AWS_CONFIG_FILE"};
	struct config c _cleanup_config_ = {.isolated = true};
	struct host h;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		setenv(junk[i], " no such thing ", 1);
	c.endpoint_url = strdup("http://127.0.0.1:99/");
	c.region = strdup("eu-west-1");
	assert_int_equal(config_load(&c, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		unsetenv(junk[i]);
	assert_null(c.profile);
	assert_null(c.ca_bundle);
	assert_null(c.proxy_http);
	for (int i = 0; i < SERVICES; i++) {
		assert_int_equal(host_find(&c, (enum service)i, NULL, &h, &e), 0);
		assert_string_equal(h.url, "http://127.0.0.1:99");
		assert_string_equal(h.region, "eu-west-1");
	}
}

static int ask_machine(const struct config *c, char region[64], struct err *e)
{
	if (c->profile)
		return err_set(e, EHOSTUNREACH, "nobody answers");
	snprintf(region, 64, "ap-south-2");
	return 0;
}

static void test_region_of_the_machine(void **state)
{
	struct config a _cleanup_config_ = {.find_region = ask_machine},
			b _cleanup_config_ = {.find_region = ask_machine};
	struct err e;

	(void)state;
	assert_int_equal(config_load(&a, &e), 0);
	assert_string_equal(a.region, "ap-south-2");
	assert_string_equal(a.region_from, "the instance metadata service");

	write_file(".aws/config", "[profile dev]\n");
	b.profile = strdup("dev");
	assert_int_equal(config_load(&b, &e), -1);
	assert_non_null(strstr(e.text, "no region is set"));
	assert_non_null(strstr(e.text, "nobody answers"));
}

static void test_proxies(void **state)
{
	static const struct {
		const char *url;
		bool proxy;
	} cases[] = {
		{"https://s3.eu-west-1.amazonaws.com/", true },
		{"https://s3.internal.example/x",       false},
		{"https://internal.example",            false},
		{"https://notinternal.example",         true },
		{"https://api.other.org:8443/",         false},
		{"https://api.other.org/",              true },
		{"https://10.1.2.3/",                   false},
		{"https://localhost:1",                 false},
		{"https://[::1]:1/",                    false},
		{"http://example.com/",                 false}, /* switched off by the empty http_proxy */
	};
	struct config c _cleanup_config_ = {0}, d _cleanup_config_ = {0};
	struct err e;

	(void)state;
	setenv("AWS_REGION", "eu-west-1", 1);
	setenv("HTTP_PROXY", "http://plain:1", 1);
	setenv("http_proxy", "", 1);
	setenv("HTTPS_PROXY", "http://no:1", 1);
	setenv("https_proxy", "user:secret@proxy:3128", 1);
	setenv("NO_PROXY", " .internal.example, 10.1.2.3,Other.Org:8443,", 1);
	assert_int_equal(config_load(&c, &e), 0);
	assert_string_equal(c.proxy_https, "http://user:secret@proxy:3128");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!config_proxy(&c, cases[i].url) == cases[i].proxy)
			fail_msg("%s", cases[i].url);
	}
	unsetenv("http_proxy");
	setenv("NO_PROXY", "*", 1);
	assert_int_equal(config_load(&d, &e), 0);
	assert_string_equal(d.proxy_http, "http://plain:1");
	assert_null(config_proxy(&d, "https://s3.eu-west-1.amazonaws.com/"));

	struct config cgi _cleanup_config_ = {0}, bad _cleanup_config_ = {0},
			  worse _cleanup_config_ = {0};
	setenv("REQUEST_METHOD", "GET", 1);
	assert_int_equal(config_load(&cgi, &e), 0);
	assert_null(cgi.proxy_http);
	setenv("https_proxy", "http://user:secret@pro xy", 1);
	assert_int_equal(config_load(&bad, &e), -1);
	assert_non_null(strstr(e.text, "https_proxy is no proxy's URL"));
	assert_null(strstr(e.text, "secret"));
	setenv("https_proxy", "http://user:secret@proxy:31x8", 1);
	assert_int_equal(config_load(&worse, &e), -1);
	assert_non_null(strstr(e.text, "it takes the form"));
	assert_null(strstr(e.text, "secret"));
}

static void test_refusals(void **state)
{
	static const struct {
		const char *env, *value, *says;
	} cases[] = {
		{"AWS_REGION",                 "EU West",                      "'EU West' is no region"                      },
		{"AWS_REGION",                 "a.evil.com/",                  "is no region"                                },
		{"AWS_MAX_ATTEMPTS",           "0",                            "'0' is no value for AWS_MAX_ATTEMPTS"        },
		{"AWS_RETRY_MODE",             "fast",                         "'fast' is no value for AWS_RETRY_MODE"       },
		{"AWS_MAX_ATTEMPTS",           "3x",                           "'3x' is no value"                            },
		{"AWS_ENDPOINT_URL",           "http://example.com",           "plain http is only for this machine"         },
		{"AWS_ENDPOINT_URL",           "http://127.0.0.1.example.com",
		 "plain http is only for this machine"								       },
		{"AWS_ENDPOINT_URL",           "http://localhost@example.com", "is no endpoint URL"                          },
		{"AWS_ENDPOINT_URL",           "ftp://127.0.0.1",              "is no endpoint URL"                          },
		{"AWS_ENDPOINT_URL",           "https://",                     "is no endpoint URL"                          },
		{"AWS_ENDPOINT_URL",           "https://a b",                  "blank or a control character"                },
		{"AWS_ENDPOINT_URL_S3",        "http://10.0.0.1",
		 "AWS_ENDPOINT_URL_S3 is 'http://10.0.0.1'"								  },
		{"AWS_ENDPOINT_URL",           "https://a/?x=1",               "it has a query"                              },
		{"AWS_USE_FIPS_ENDPOINT",      "1",                            "'1' is no value for AWS_USE_FIPS_ENDPOINT"   },
		{"AWS_STS_REGIONAL_ENDPOINTS", "global",                       "it takes legacy or regional"                 },
		{"AWS_CA_BUNDLE",              "/no/such/file",                "(AWS_CA_BUNDLE): No such file"               },
		{"AWS_PROFILE",                "nobody",                       "profile 'nobody' (AWS_PROFILE) is neither in"},
		{"AWS_REGION",                 "EU West",                      "(AWS_REGION)"                                },
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

#define FRESH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_order_of_sources), FRESH(test_order_of_endpoints),
		FRESH(test_isolated),         FRESH(test_region_of_the_machine),
		FRESH(test_proxies),          FRESH(test_refusals),
		FRESH(test_loopback),         FRESH(test_partitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
