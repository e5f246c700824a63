/* The local backend's small parts that read what strangers send: URLs, names, text for XML and JSON; runtimes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

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
	for (int i = 0; i < 40; i++)
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

static void patterns_decide(void **state)
{
	static const struct {
		const struct pattern *pattern;
		const char *text;
		bool good;
	} rows[] = {
		{&PATTERN_NAME,     "iris",					  true },
		{&PATTERN_NAME,     "a--b",					  true },
		{&PATTERN_NAME,     "",					      false},
		{&PATTERN_NAME,     "-a",					    false},
		{&PATTERN_NAME,     "a-",					    false},
		{&PATTERN_NAME,     "a_b",					   false},
		{&PATTERN_NAME,     "\xc3\xbc",                                      false},
		{&PATTERN_ROLE,     "arn:aws:iam::123456789012:role/service-role/x", true },
		{&PATTERN_ROLE,     "arn:aws-cn:iam::123456789012:role/x",           true },
		{&PATTERN_ROLE,     "arn:aws:iam::12345678901:role/x",               false},
		{&PATTERN_ROLE,     "arn:aws:iam::1234567890123:role/x",             false},
		{&PATTERN_ROLE,     "arn:aws:iam::123456789012:user/x",              false},
		{&PATTERN_ROLE,     "arn:aws:iam::123456789012:role/",               false},
		{&PATTERN_IMAGE,    "1.dkr.ecr/x:1",                                 true },
		{&PATTERN_IMAGE,    "a b",					   false},
		{&PATTERN_S3_URL,   "s3://b/k",                                      true },
		{&PATTERN_S3_URL,   "s3:///k",                                       false},
		{&PATTERN_S3_URL,   "ftp://b/k",                                     false},
		{&PATTERN_INSTANCE, "ml.m5.large",                                   true },
		{&PATTERN_INSTANCE, "ml.m5d.24xlarge",                               true },
		{&PATTERN_INSTANCE, "m5.large",                                      false},
		{&PATTERN_INSTANCE, "ml.large",                                      false},
		{&PATTERN_ENV_KEY,  "_A1",					   true },
		{&PATTERN_ENV_KEY,  "1A",					    false},
		{&PATTERN_ENV_KEY,  "A-B",					   false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].pattern->matches(rows[i].text) != rows[i].good)
			fail_msg("'%s' against %s", rows[i].text, rows[i].pattern->text);
	}
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

static void chooses(const char *wish, bool strict, const char *version)
{
	struct runtime rt;
	struct err e = {0};
	int r = runtime_choose("tensorflow", wish, strict, &rt, &e);

	assert_int_equal(r, version ? 0 : -1);
	if (version)
		assert_string_equal(rt.version, version);
	else
		assert_non_null(strstr(e.text, "scripts/runtimes tensorflow=="));
}

static void the_nearest_runtime_is_chosen(void **state)
{
	static const char *const names[] = {"tensorflow-2.15.1", "tensorflow-2.20.0",
					    "tensorflow-2.20.1", "tensorflow-1.15.5",
					    "mxnet-1.9.1"};
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
		cmocka_unit_test(patterns_decide),
		cmocka_unit_test(s3_urls_are_split),
		cmocka_unit_test(the_nearest_runtime_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
