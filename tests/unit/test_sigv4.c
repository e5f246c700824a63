/* SigV4 stage by stage, on AWS's published vectors and on what is easily got wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct keys s3_keys = {"AKIAIOSFODNN7EXAMPLE",
				    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
static const struct sig_scope s3_scope = {"20130524T000000Z", "us-east-1", "s3"};

/* The examples of "Authenticating Requests: Using the Authorization Header" in Amazon's S3 API reference. */
/* clang-format off */
static const struct {
	const char *method, *path, *query, *signature;
	struct sig_pair headers[6];
	size_t n;
	const char *payload;
} vectors[] = {
	{"GET",
	 "/test.txt",	 "",
	 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", {{"Host", "examplebucket.s3.amazonaws.com"},
	  {"Range", "bytes=0-9"},
	  {"x-amz-content-sha256", EMPTY},
	  {"x-amz-date", "20130524T000000Z"}},
	 4, EMPTY							     },
	{"PUT",
	 "/test%24file.text", "",
	 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
	  {"Host", "examplebucket.s3.amazonaws.com"},
	  {"x-amz-date", "20130524T000000Z"},
	  {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	  {"x-amz-content-sha256",
	   "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
	 5, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
	{"GET",
	 "/",		 "lifecycle",
	 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", {{"Host", "examplebucket.s3.amazonaws.com"},
	  {"x-amz-content-sha256", EMPTY},
	  {"x-amz-date", "20130524T000000Z"}},
	 3, EMPTY							     },
	{"GET",
	 "/",		 "max-keys=2&prefix=J",
	 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", {{"Host", "examplebucket.s3.amazonaws.com"},
	  {"x-amz-content-sha256", EMPTY},
	  {"x-amz-date", "20130524T000000Z"}},
	 3, EMPTY							     },
};

/* clang-format on */

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct sig_request q = {vectors[i].method,
					      vectors[i].path,
					      vectors[i].query,
					      vectors[i].headers,
					      vectors[i].n,
					      vectors[i].payload,
					      false};
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct err e;

		assert_int_equal(sigv4_authorization(&q, &s3_scope, &s3_keys, &out, &e), 0);
		if (!ends_with(out.data, vectors[i].signature))
			fail_msg("vector %zu: %s", i, out.data);
		assert_true(starts_with(
			out.data,
			"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "));
	}
}

static void canonical(const struct sig_request *q, struct buf *out)
{
	struct err e;

	buf_reset(out);
	assert_int_equal(sigv4_canonical(q, out, &e), 0);
}

static void test_canonical_form(void **state)
{
	static const struct sig_pair headers[] = {
		{"X-Amz-B", "  two   words \t here "},
		{"HOST",    "h"                     },
		{"x-amz-a", "2"                     },
		{"X-AMZ-A", "1"                     }
        };
	struct sig_request q = {"GET", "/a/./b/../c//d%20e/", "b=2&a-b=3&a=&a=1&c", headers, 4, "P",
				true};
	_cleanup_buf_ struct buf out = BUF_INIT(0);

	(void)state;
	canonical(&q, &out);
	assert_string_equal(
		out.data, "GET\n/a/c/d%2520e/\na=&a=1&a-b=3&b=2&c=\n"
			  "host:h\nx-amz-a:2,1\nx-amz-b:two words here\n\nhost;x-amz-a;x-amz-b\nP");
	q.double_encode = false; /* S3: the path as it is sent */
	canonical(&q, &out);
	assert_true(starts_with(out.data, "GET\n/a/./b/../c//d%20e/\n"));
}

static void test_paths(void **state)
{
	static const char *const rows[][2] = {
		{"/",        "/"   },
                {"//",       "/"   },
                {"/..",      "/"   },
                {"/a/..",    "/"   },
		{"/a/b/..",  "/a"  },
                {"/a/b/../", "/a/" },
                {"/./a",     "/a"  },
                {"/a/.",     "/a"  },
		{"/...",     "/..."},
                {"/a//",     "/a/" }
        };
	static const struct sig_pair host = {"host", "h"};
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	char expected[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct sig_request q = {"GET", rows[i][0], "", &host, 1, "P", true};

		canonical(&q, &out);
		snprintf(expected, sizeof expected, "GET\n%s\n\n", rows[i][1]);
		if (!starts_with(out.data, expected))
			fail_msg("'%s': %s", rows[i][0], out.data);
	}
}

static void test_refusals(void **state)
{
	static const struct sig_pair other = {"x-amz-date", "d"}, many[100];
	static const struct sig_scope bad = {"2026", "r", "s"};
	_cleanup_buf_ struct buf out = BUF_INIT(0), text = BUF_INIT(0);
	struct sig_request q = {"GET", "/", "", &other, 1, "P", true};
	struct err e;

	(void)state;
	assert_int_equal(sigv4_canonical(&q, &out, &e), -1);
	assert_int_equal(e.no, EINVAL);
	q.headers = many;
	q.n_headers = 100;
	assert_int_equal(sigv4_canonical(&q, &out, &e), -1);
	assert_int_equal(e.no, E2BIG);
	assert_int_equal(sigv4_string_to_sign(&bad, &out, &text, &e), -1);
	for (int i = 0; i < 400; i++)
		buf_printf(&text, "&a%d=1", i);
	const struct sig_pair host = {"host", "h"};
	const struct sig_request long_query = {"GET", "/", text.data, &host, 1, "P", true};
	assert_int_equal(sigv4_canonical(&long_query, &out, &e), -1);
}

static void test_uri_coding(void **state)
{
	_cleanup_buf_ struct buf coded = BUF_INIT(0), back = BUF_INIT(0);
	char all[255];

	(void)state;
	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	assert_int_equal(uri_encode(all, sizeof all, false, &coded), 0);
	assert_int_equal(
		strspn(coded.data,
		       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"),
		coded.len);
	assert_int_equal(uri_decode(coded.data, coded.len, true, &back), 0);
	assert_int_equal(back.len, sizeof all);
	assert_memory_equal(back.data, all, sizeof all);
	buf_reset(&coded);
	assert_int_equal(uri_encode("a/b c\xc3\xbc", 7, true, &coded), 0);
	assert_string_equal(coded.data, "a/b%20c%C3%BC");
	buf_reset(&back);
	assert_int_equal(uri_decode("%4", 2, false, &back), 0);
	assert_int_equal(uri_decode("%zz+%41", 7, false, &back), 0);
	assert_string_equal(back.data, "%4%zz+A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),    cmocka_unit_test(test_canonical_form),
		cmocka_unit_test(test_paths),      cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_uri_coding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
