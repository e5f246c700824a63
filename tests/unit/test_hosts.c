/* Where services are, and which region signs; tests/peers/endpoints.sh compares all of it with botocore. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/config.h"

static void check(const struct config *c, enum service s, const char *region, const char *url,
		  const char *signs)
{
	struct host h;
	struct err e;

	if (host_find(c, s, region, &h, &e))
		fail_msg("%s: %s", url, e.text);
	assert_string_equal(h.url, url);
	assert_string_equal(h.region, signs);
}

static void test_own_hosts(void **state)
{
	char region[] = "eu-west-1";
	const struct config plain = {.region = region};
	const struct config fips = {.region = region, .fips = true};
	const struct config both = {.region = region, .fips = true, .dualstack = true};

	(void)state;
	check(&plain, SERVICE_SAGEMAKER, NULL, "https://api.sagemaker.eu-west-1.amazonaws.com",
	      region);
	check(&plain, SERVICE_IAM, NULL, "https://iam.amazonaws.com", "us-east-1");
	check(&plain, SERVICE_IAM, "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn",
	      "cn-north-1");
	check(&plain, SERVICE_S3, "us-east-1", "https://s3.amazonaws.com", "us-east-1");
	check(&plain, SERVICE_SSO, "us-gov-west-1",
	      "https://portal.sso.us-gov-west-1.amazonaws.com", "us-gov-west-1");
	check(&plain, SERVICE_SIGNIN, "cn-north-1", "https://cn-north-1.signin.amazonaws.cn",
	      "cn-north-1");
	check(&fips, SERVICE_RUNTIME, NULL,
	      "https://runtime-fips.sagemaker.eu-west-1.amazonaws.com", region);
	check(&both, SERVICE_S3, "us-east-1", "https://s3-fips.dualstack.us-east-1.amazonaws.com",
	      "us-east-1");
	check(&both, SERVICE_STS, NULL, "https://sts-fips.eu-west-1.api.aws", region);
}

static void test_older_hosts(void **state)
{
	const struct config c = {
		.region = (char[]){"eu-west-1"}, .sts_legacy = true, .s3_regional = true};

	(void)state;
	check(&c, SERVICE_STS, NULL, "https://sts.amazonaws.com", "us-east-1");
	check(&c, SERVICE_STS, "eu-south-1", "https://sts.eu-south-1.amazonaws.com", "eu-south-1");
	check(&c, SERVICE_S3, "us-east-1", "https://s3.us-east-1.amazonaws.com", "us-east-1");
}

static void test_refusals(void **state)
{
	struct config c = {.region = (char[]){"cn-north-1"},
			   .fips = true,
			   .fips_from = "AWS_USE_FIPS_ENDPOINT"};
	struct host h;
	struct err e;

	(void)state;
	assert_int_equal(host_find(&c, SERVICE_S3, NULL, &h, &e), -1);
	assert_int_equal(e.no, EINVAL);
	assert_non_null(strstr(e.text, "s3 has no FIPS endpoint in region 'cn-north-1'"));
	c.service_url[SERVICE_STS] = (char[]){"https://sts.example"};
	c.url_from[SERVICE_STS] = "AWS_ENDPOINT_URL_STS";
	assert_int_equal(host_find(&c, SERVICE_STS, NULL, &h, &e), -1);
	assert_non_null(strstr(
		e.text, "AWS_USE_FIPS_ENDPOINT and AWS_ENDPOINT_URL_STS exclude each other"));
	assert_int_equal(host_find(&c, SERVICE_SAGEMAKER, NULL, &h, &e), 0);
	c.endpoint_url = (char[]){"http://127.0.0.1:1"}; /* a caller's own: no setting counts */
	check(&c, SERVICE_STS, NULL, "http://127.0.0.1:1", "cn-north-1");
}

static void test_buckets(void **state)
{
	static const struct {
		const char *url;
		enum addressing style;
		const char *bucket, *expected; /* NULL: in the path */
	} cases[] = {
		{NULL,                      ADDRESSING_AUTO,    "my-bucket",
		 "https://my-bucket.s3.eu-west-1.amazonaws.com"                  },
		{NULL,                      ADDRESSING_AUTO,    "my.bucket", NULL},
		{NULL,                      ADDRESSING_PATH,    "my-bucket", NULL},
		{"https://store.example/b", ADDRESSING_AUTO,    "my-bucket", NULL},
		{"https://store.example/b", ADDRESSING_VIRTUAL, "my-bucket",
		 "https://my-bucket.store.example/b"                             },
		{"https://10.0.0.1:9",      ADDRESSING_VIRTUAL, "my-bucket", NULL},
		{"https://[2001:db8::1]:9", ADDRESSING_VIRTUAL, "my-bucket", NULL},
		{"https://store.example",   ADDRESSING_VIRTUAL, "my.bucket", NULL},
		{"http://store.example",    ADDRESSING_VIRTUAL, "my.bucket",
		 "http://my.bucket.store.example"                                },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *url = cases[i].url ? strdup(cases[i].url) : NULL;
		const struct config c = {.region = (char[]){"eu-west-1"},
					 .addressing = cases[i].style,
					 .service_url = {[SERVICE_S3] = url}};
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct host h;
		struct err e;

		assert_int_equal(host_find(&c, SERVICE_S3, NULL, &h, &e), 0);
		assert_int_equal(host_path_style(&h, cases[i].bucket), cases[i].expected == NULL);
		assert_int_equal(host_put(&h, cases[i].expected ? cases[i].bucket : NULL, &out), 0);
		assert_string_equal(buf_cstr(&out), cases[i].expected ? cases[i].expected : h.url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_hosts),
		cmocka_unit_test(test_older_hosts),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
