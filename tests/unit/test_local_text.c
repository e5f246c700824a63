/* The local backend's small parts that read what strangers send: URLs, names, text for XML and JSON; runtimes. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <fcntl.h>
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sagemaker/local/api.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/runtimes.h"
#include "sagemaker/local/validate.h"

static void decodes(const char *in, bool plus, const char *out)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);

	assert_int_equal(url_decode(in, strlen(in), plus, &b), out ? 0 : -1);
	if (out)
		assert_string_equal(buf_cstr(&b), out);
}

static void urls_are_decoded(void **state)
{
	(void)state;
	decodes("a%20b%2Fc", false, "a b/c");
	decodes("a+b", false, "a+b");
	decodes("a+b", true, "a b");
	decodes("%41%4a%4A", false, "AJJ");
	decodes("%", false, NULL);
	decodes("%4", false, NULL);
	decodes("x%zz", false, NULL);
	decodes("%4%31", false, NULL);
	_cleanup_buf_ struct buf b = BUF_INIT(16);
	assert_int_equal(url_decode("a%00b", 5, false, &b), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 3);
	_cleanup_buf_ struct buf small = BUF_INIT(2);
	assert_int_equal(url_decode("abc", 3, false, &small), -1);
}

static void arguments_are_read(void **state)
{
	struct backend be = {.port = 1};
	struct request *r = request_new(&be, "/b/k?x=1&uploads&y=a%26b&&=z");

	(void)state;
	assert_non_null(r);
	assert_string_equal(r->path, "/b/k");
	assert_int_equal(request_parse_args(r, r->query, true), 0);
	assert_string_equal(request_arg(r, "x"), "1");
	assert_string_equal(request_arg(r, "uploads"), "");
	assert_string_equal(request_arg(r, "y"), "a&b");
	assert_null(request_arg(r, "z"));
	assert_int_equal(request_parse_args(r, "a=%2", true), -1);
	assert_null(request_arg(r, "a"));
	request_free(r);
}

static void too_many_arguments_are_refused(void **state)
{
	struct backend be = {.port = 1};
	struct request *r = request_new(&be, "/?");
	_cleanup_buf_ struct buf b = BUF_INIT(1024);

	(void)state;
	for (int i = 0; i < 60; i++)
		buf_printf(&b, "a%d=1&", i);
	assert_int_equal(request_parse_args(r, buf_cstr(&b), true), -1);
	request_free(r);
}

static void cleaned(const char *in, const char *out)
{
	char text[64];

	snprintf(text, sizeof text, "%s", in);
	utf8_clean(text, strlen(text));
	assert_string_equal(text, out);
}

static void text_becomes_utf8(void **state)
{
	(void)state;
	cleaned("plain\n\ttext", "plain\n\ttext");
	cleaned("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80");
	cleaned("a\x01z\x1b[0m\x7f", "a?z?[0m?");
	cleaned("\xff\xfe", "??");
	cleaned("\xc3", "?");      /* cut off */
	cleaned("\xc0\xaf", "??"); /* overlong */
	cleaned("\xe0\x80\xaf", "???");
	cleaned("\xed\xa0\x80", "???"); /* a surrogate */
	cleaned("\xf4\x90\x80\x80", "????");
}

static void xml_is_escaped(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);

	(void)state;
	xml_text(&b, "<a&\"b\">\x01", 8);
	assert_string_equal(buf_cstr(&b), "&lt;a&amp;&quot;b&quot;&gt;&#x1;");
}

static void times_are_shown(void **state)
{
	char iso[32], http[40];

	(void)state;
	iso_time(1795457192.25, iso);
	http_time(1795457192.25, http);
	assert_string_equal(iso, "2026-11-23T18:06:32.250Z");
	assert_string_equal(http, "Mon, 23 Nov 2026 18:06:32 GMT");
}

static unsigned violations(const char *target, const char *json, struct buf *out)
{
	_cleanup_json_ cJSON *j = cJSON_Parse(json);
	const struct api_call *c = api_calls;

	assert_non_null(j);
	while (c->target && !streq(c->target, target))
		c++;
	assert_non_null(c->target);
	return validate_value(c->input, j, out);
}

#define ROLE(arn)        "{\"ModelName\":\"m\",\"ExecutionRoleArn\":\"" arn "\"}"
#define MODEL(container) "{\"ModelName\":\"m\",\"PrimaryContainer\":{" container "}}"
#define VARIANT(members) \
 "{\"EndpointConfigName\":\"c\",\"ProductionVariants\":[{\"VariantName\":\"v\"," members "}]}"

static void models_decide(void **state)
{
	static const struct {
		const char *call, *json, *says; /* NULL: nothing is wrong */
	} rows[] = {
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"a--b\"}",                                                                    NULL                               },
		{"SageMaker.DescribeEndpoint",     "{}",
		 "Value null at 'endpointName' failed to satisfy constraint: Member must not be null"                                                                                   },
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"\"}",
		 "Value '' at 'endpointName' failed to satisfy constraint: Member must satisfy regular expression pattern: "
		 "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"																     },
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"-a\"}",                                                                      "regular expression"               },
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"a-\"}",                                                                      "regular expression"               },
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"a\\n\"}",                                                                    "regular expression"               },
		{"SageMaker.DescribeEndpoint",     "{\"EndpointName\":\"\\u00fc\"}",
		 "regular expression"																		   },
		{"SageMaker.CreateModel",          ROLE("arn:aws:iam::123456789012:role/service-role/x"),
		 NULL																				   },
		{"SageMaker.CreateModel",          ROLE("arn:aws-cn:iam::123456789012:role/x"),                                                      NULL                               },
		{"SageMaker.CreateModel",          ROLE("arn:aws:iam::12345678901:role/x"),
		 "executionRoleArn"																		     },
		{"SageMaker.CreateModel",          ROLE("arn:aws:iam::123456789012:user/x"),
		 "executionRoleArn"																		     },
		{"SageMaker.CreateModel",          ROLE("arn:aws:iam::1:role"),
		 "greater than or equal to 20"																	  },
		{"SageMaker.CreateModel",          MODEL("\"Image\":\"a b\""),								       "'primaryContainer.image'"         },
		{"SageMaker.CreateModel",          MODEL("\"ModelDataUrl\":\"s3:///k\""),                                                            "modelDataUrl"                     },
		{"SageMaker.CreateModel",          MODEL("\"ModelDataUrl\":\"s3://b/k\""),                                                           NULL                               },
		{"SageMaker.CreateModel",          MODEL("\"Mode\":\"Both\""),
		 "Member must satisfy enum value set: [SingleModel, MultiModel]"													},
		{"SageMaker.CreateModel",          MODEL("\"Environment\":{\"_A1\":\"x\"}"),                                                         NULL                               },
		{"SageMaker.CreateModel",          MODEL("\"Environment\":{\"1A\":\"x\"}"),
		 "primaryContainer.environment"																	 },
		{"SageMaker.CreateEndpointConfig",
		 VARIANT("\"InstanceType\":\"ml.m5.large\",\"InitialInstanceCount\":1"),                                                             NULL                               },
		{"SageMaker.CreateEndpointConfig", VARIANT("\"InstanceType\":\"m5.large\""),
		 "Value 'm5.large' at 'productionVariants.1.member.instanceType' failed"												},
		{"SageMaker.CreateEndpointConfig", VARIANT("\"InitialInstanceCount\":0"),
		 "Value '0' at 'productionVariants.1.member.initialInstanceCount' failed to satisfy constraint: Member must have "
		 "value greater than or equal to 1"																     },
		{"SageMaker.CreateEndpointConfig",
		 "{\"EndpointConfigName\":\"c\",\"ProductionVariants\":[]}",									 "length greater than or equal to 1"},
		{"SageMaker.AddTags",
		 "{\"ResourceArn\":\"arn:aws:sagemaker:us-east-1:123456789012:model/m\",\"Tags\":[{\"Key\":\"gr\\u00fcn\",\"Value\":\"a b+c@d\"}]}",
		 NULL																				   },
		{"SageMaker.AddTags",
		 "{\"ResourceArn\":\"arn:aws:sagemaker:us-east-1:123456789012:model/m\",\"Tags\":[{\"Key\":\"a*\",\"Value\":\"\"}]}",
		 "tags.1.member.key"																		    },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		unsigned n = violations(rows[i].call, rows[i].json, &out);

		if ((n != 0) != (rows[i].says != NULL) ||
		    (n && !strstr(buf_cstr(&out), rows[i].says)))
			fail_msg("%s: %u: %s", rows[i].json, n, buf_cstr(&out));
	}
}

static void compile_patterns(const struct api_shape *s, unsigned *n)
{
	PCRE2_SIZE at;
	int code;

	if (!s)
		return;
	if (s->pattern) {
		const char *text = s->regex ? s->regex : s->pattern;
		pcre2_code *re = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF,
					       &code, &at, NULL);

		if (!re)
			fail_msg("PCRE2 does not take '%s'", text);
		pcre2_code_free(re);
		++*n;
	}
	for (const struct api_member *m = s->members; m && m->name; m++)
		compile_patterns(m->shape, n);
	compile_patterns(s->key, n);
	compile_patterns(s->item, n);
}

static void every_pattern_compiles(void **state)
{
	unsigned n = 0;

	(void)state;
	for (const struct api_call *c = api_calls; c->target; c++)
		compile_patterns(c->input, &n);
	assert_true(n > 100);
}

/* AWS's patterns repeat within repeats: a text made for that must not take for ever. */
static void hostile_texts_end(void **state)
{
	_cleanup_buf_ struct buf json = BUF_INIT(0), out = BUF_INIT(0);

	(void)state;
	buf_str(&json, "{\"EndpointName\":\"a");
	for (int i = 0; i < 20000; i++)
		buf_str(&json, "--");
	buf_str(&json, "\"}");
	assert_int_equal(violations("SageMaker.DescribeEndpoint", buf_cstr(&json), &out), 2);
}

static void s3_urls_are_split(void **state)
{
	char bucket[64];
	const char *key;

	(void)state;
	assert_true(s3_url_split("s3://bucket/a/b", bucket, &key));
	assert_string_equal(bucket, "bucket");
	assert_string_equal(key, "a/b");
	assert_false(s3_url_split("s3://bucket", bucket, &key));
	assert_false(s3_url_split("https://bucket/a", bucket, &key));
	assert_false(s3_url_split(
		"s3://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/k",
		bucket, &key));
}

/* ---- runtimes ---- */

static void make_runtime(const char *root, const char *name, bool whole)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/%s/bin", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/%s/bin/python", root, name);
	assert_int_equal(symlink("/bin/sh", path), 0);
	if (!whole)
		return;
	snprintf(path, sizeof path, "%s/%s/runtime.json", root, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static void chooses_of(const char *framework, const char *wish, bool strict, const char *version)
{
	struct runtime rt;
	struct err e = {0};
	int r = runtime_choose(framework, wish, strict, &rt, &e);

	assert_int_equal(r, version ? 0 : -1);
	if (version)
		assert_string_equal(rt.version, version);
	else
		assert_non_null(strstr(e.text, "scripts/runtimes "));
}

static void chooses(const char *wish, bool strict, const char *version)
{
	chooses_of("tensorflow", wish, strict, version);
}

static void the_nearest_runtime_is_chosen(void **state)
{
	static const char *const names[] = {"tensorflow-2.15.1", "tensorflow-2.20.0",
					    "tensorflow-2.20.1", "tensorflow-1.15.5",
					    "mxnet-1.9.1",       "sklearn-1.2.2",
					    "sklearn-1.9.1",     "xgboost-1.7.6"};
	char root[] = "/tmp/smfs-runtimes-XXXXXX", command[64];
	struct runtime rt;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		make_runtime(root, names[i], true);
	make_runtime(root, "tensorflow-2.19.0", false); /* half built */
	setenv("SAGEMAKERFS_RUNTIMES", root, 1);
	setenv("XDG_DATA_HOME", root, 1);
	chooses("2.15.0", false, "2.15.1");
	chooses("2.20.0", false, "2.20.0");
	chooses("2.20.9", false, "2.20.1");
	chooses("2.19.0", false, "2.20.1");
	chooses("2.16.1", false, "2.15.1");
	chooses("1.12.0", false, "1.15.5");
	chooses("3.0.0", false, "2.20.1");
	chooses("2.15.0", true, "2.15.1");
	chooses("2.19.0", true, NULL);
	chooses_of("sklearn", "1.2-1", true, "1.2.2"); /* as the images are named */
	chooses_of("sklearn", "1.9-0", true, "1.9.1");
	chooses_of("sklearn", "0.23-1", false, "1.9.1");
	chooses_of("xgboost", "1.7-1", true, "1.7.6");
	chooses_of("xgboost", "3.0-5", true, NULL);
	assert_int_equal(runtime_choose("pytorch", "2.0", false, &rt, &e), -1);
	assert_non_null(strstr(e.text, "run 'scripts/runtimes pytorch'"));
	snprintf(command, sizeof command, "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_decoded),
		cmocka_unit_test(arguments_are_read),
		cmocka_unit_test(too_many_arguments_are_refused),
		cmocka_unit_test(text_becomes_utf8),
		cmocka_unit_test(xml_is_escaped),
		cmocka_unit_test(times_are_shown),
		cmocka_unit_test(models_decide),
		cmocka_unit_test(every_pattern_compiles),
		cmocka_unit_test(hostile_texts_end),
		cmocka_unit_test(s3_urls_are_split),
		cmocka_unit_test(the_nearest_runtime_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
