/* Finding, making and describing the bucket, and where requests for it may go: replies of S3 are played, requests looked at. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/s3_bucket.h"
#include "sagemaker/s3_internal.h"
#include "web_script.h"

#define HEAD "HEAD /bkt? \n"
#define LIST "GET /bkt?list-type=2&max-keys=1&prefix=model%2F \n"
#define MAKE                                                                                                   \
 "PUT /bkt? <CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" \
 "eu-west-1</LocationConstraint></CreateBucketConfiguration>\n"

#define REPLY(status_, headers_, body_)                               \
 {                                                                    \
  .status = (status_), .headers = TEXT(headers_), .body = TEXT(body_) \
 }
#define ERROR_BODY(code) "<Error><Code>" code "</Code><Message>told to</Message></Error>"

static const struct s3_bucket bkt = {.name = "bkt", .owner = "123456789012"};

static const struct bucket_case {
	const char *name;
	struct web_reply rows[4];
	enum s3_bucket_state state; /* of a look */
	int no;                     /* of a look */
	const char *says, *seen;
	int make_no; /* of what s3_bucket_make does then */
} cases[] = {
	{"there",
	 {REPLY(200, "x-amz-bucket-region: eu-west-1\r\n", "")},
	 S3_BUCKET_THERE,															0,
	 "",																		 HEAD,
	 0																				    },
	{"there, and says no region",                 {REPLY(200, "", "")},                                                     S3_BUCKET_THERE, 0,      "", HEAD,           0},
	{"open to us, elsewhere",
	 {REPLY(200, "x-amz-bucket-region: us-east-2\r\n", "")},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "bucket 'bkt' is in region 'us-east-2', not in 'eu-west-1': mount 'aws:us-east-2'",								 HEAD,
	 EXDEV																				},
	{"elsewhere",
	 {REPLY(301, "x-amz-bucket-region: us-east-2\r\n", "")},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "is in region 'us-east-2'",															 HEAD,
	 EXDEV																				},
	{"elsewhere, by status 400",
	 {REPLY(400, "x-amz-bucket-region: us-east-2\r\n", "")},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "is in region 'us-east-2'",															 HEAD,
	 EXDEV																				},
	{"elsewhere, and closed",
	 {REPLY(403, "x-amz-bucket-region: us-east-2\r\n", "")},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "is in region 'us-east-2'",															 HEAD,
	 EXDEV																				},
	{"elsewhere, as only a body tells",
	 {REPLY(400, "", ""),
	  REPLY(400, "",
		"<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>us-east-2</Region></Error>")},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "is in region 'us-east-2'",															 HEAD LIST,
	 EXDEV																				},
	{"elsewhere, and nobody tells where",
	 {REPLY(301, "", ""), REPLY(301, "", ERROR_BODY("PermanentRedirect"))},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "told to",																	  HEAD LIST,
	 EXDEV																				},
	{"a region that is none",
	 {REPLY(301, "x-amz-bucket-region: us'east\r\n", ""),
	  REPLY(301, "", ERROR_BODY("PermanentRedirect"))},
	 S3_BUCKET_UNKNOWN,														      EXDEV,
	 "told to",																	  HEAD LIST,
	 EXDEV																				},
	{"only our prefix may be listed",
	 {REPLY(403, "", ""), REPLY(200, "", "<ListBucketResult></ListBucketResult>")},
	 S3_BUCKET_THERE,															0,
	 "",																		 HEAD LIST,
	 0																				    },
	{"another account's",
	 {REPLY(403, "", ""), REPLY(403, "", ERROR_BODY("AccessDenied")), REPLY(200, "", "")},
	 S3_BUCKET_UNKNOWN,														      EACCES,
	 "bucket 'bkt' belongs to another account than '123456789012'",										      HEAD LIST HEAD,
	 EACCES																			       },
	{"closed",
	 {REPLY(403, "", ""), REPLY(403, "", ERROR_BODY("AccessDenied")), REPLY(403, "", "")},
	 S3_BUCKET_CLOSED,														       EACCES,
	 "told to; missing permission: s3:ListBucket; or bucket 'bkt' belongs to another account than 123456789012",
	 HEAD LIST HEAD,
	 EACCES																			       },
	{"keys that are none",
	 {REPLY(403, "", ""), REPLY(403, "", ERROR_BODY("InvalidAccessKeyId"))},
	 S3_BUCKET_UNKNOWN,														      EACCES,
	 "told to",																	  HEAD LIST,
	 EACCES																			       },
	{"missing",
	 {REPLY(404, "", ""), REPLY(200, "", "")},
	 S3_BUCKET_MISSING,														      ENOENT,
	 "bucket 'bkt' does not exist: make it ('aws s3 mb s3://bkt --region eu-west-1')",								   HEAD,
	 0																				    },
	{"missing, made by another at the same time",
	 {REPLY(404, "", ""), REPLY(409, "", ERROR_BODY("BucketAlreadyOwnedByYou"))},
	 S3_BUCKET_MISSING,														      ENOENT,
	 "does not exist",																   HEAD,
	 0																				    },
	{"missing, being made by another",
	 {REPLY(404, "", ""), REPLY(409, "", ERROR_BODY("OperationAborted"))},
	 S3_BUCKET_MISSING,														      ENOENT,
	 "does not exist",																   HEAD,
	 0																				    },
	{"missing, the name is taken",
	 {REPLY(404, "", ""), REPLY(409, "", ERROR_BODY("BucketAlreadyExists"))},
	 S3_BUCKET_MISSING,														      ENOENT,
	 "does not exist",																   HEAD,
	 EACCES																			       },
	{"missing, making it is not allowed",
	 {REPLY(404, "", ""), REPLY(403, "", ERROR_BODY("AccessDenied"))},
	 S3_BUCKET_MISSING,														      ENOENT,
	 "does not exist",																   HEAD,
	 EACCES																			       },
};

static int count_rows(const struct bucket_case *k)
{
	int n = 0;

	while (n < 4 && k->rows[n].status)
		n++;
	return n;
}

static void test_look(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bucket_case *k = &cases[i];
		struct aws_fixture f;
		enum s3_bucket_state found;
		struct err e = {0};

		aws_begin(&f, k->rows, count_rows(k));
		int rc = s3_bucket_look(f.a, &bkt, "model", &found, NULL, &e);
		if (rc != (k->no ? -1 : 0) || e.no != k->no || found != k->state ||
		    !strstr(e.text, k->says) || !streq(web_seen(f.w, &f.s), k->seen))
			fail_msg("%s: %d, errno %d, state %d, '%s', seen:\n%s", k->name, rc, e.no,
				 (int)found, e.text, web_seen(f.w, &f.s));
		aws_end(&f);
	}
}

static void test_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bucket_case *k = &cases[i];
		bool was_missing = k->state == S3_BUCKET_MISSING, made;
		struct aws_fixture f;
		struct err e = {0};

		aws_begin(&f, k->rows, count_rows(k));
		int rc = s3_bucket_make(f.a, &bkt, "model", &made, NULL, &e);
		if (rc != (k->make_no ? -1 : 0) || e.no != k->make_no || made != was_missing ||
		    (was_missing && !streq(web_seen(f.w, &f.s), HEAD MAKE)))
			fail_msg("%s: %d, errno %d '%s', seen:\n%s", k->name, rc, e.no, e.text,
				 web_seen(f.w, &f.s));
		aws_end(&f);
	}
}

static void test_make_in_the_region_without_a_name(void **state)
{
	static const struct web_reply rows[] = {REPLY(404, "", ""), REPLY(200, "", "")};
	struct aws_fixture f;
	struct err e;
	bool made;

	(void)state;
	aws_begin(&f, rows, 2);
	free(f.config.region);
	f.config.region = strdup("us-east-1");
	assert_int_equal(s3_bucket_make(f.a, &bkt, "model", &made, NULL, &e), 0);
	assert_string_equal(web_seen(f.w, &f.s), HEAD "PUT /bkt? \n");
	aws_end(&f);
}

static void test_public_access(void **state)
{
	static const struct web_reply rows[] = {REPLY(200, "", ""),
						REPLY(403, "", ERROR_BODY("AccessDenied"))};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, rows, 2);
	assert_int_equal(s3_bucket_block_public(f.a, &bkt, NULL, &e), 0);
	assert_int_equal(s3_bucket_block_public(f.a, &bkt, NULL, &e), -1);
	assert_int_equal(e.no, EACCES);
	assert_non_null(strstr(web_seen(f.w, &f.s),
			       "PUT /bkt?publicAccessBlock <PublicAccessBlockConfiguration"));
	assert_non_null(strstr(web_seen(f.w, &f.s), "<RestrictPublicBuckets>true<"));
	aws_end(&f);
}

static void test_versions(void **state)
{
	static const struct {
		struct web_reply reply;
		int rc;
		bool on;
	} rows[] = {
		{REPLY(200, "",
                 "<VersioningConfiguration xmlns=\"x\"><Status>Enabled</Status></VersioningConfiguration>"),
		 0,											      true },
		{REPLY(200, "",
                 "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"),
		 0,											      true },
		{REPLY(200, "", "<VersioningConfiguration/>"),                                               0,  false},
		{REPLY(403, "", ERROR_BODY("AccessDenied")),                                                 -1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct aws_fixture f;
		struct err e;
		bool on;

		aws_begin(&f, &rows[i].reply, 1);
		assert_int_equal(s3_bucket_versioned(f.a, &bkt, &on, NULL, &e), rows[i].rc);
		assert_int_equal(on, rows[i].on);
		assert_string_equal(web_seen(f.w, &f.s), "GET /bkt?versioning \n");
		aws_end(&f);
	}
}

/* Where a signed request may be sent on to. */
static void test_redirections(void **state)
{
	static const struct {
		const char *region, *location, *host; /* NULL: not followed */
	} rows[] = {
		{"eu-west-1",      "https://bkt.s3-eu-west-1.amazonaws.com/k?rk=1",
		 "bkt.s3-eu-west-1.amazonaws.com"								     },
		{"eu-west-1",      "https://bkt.s3.eu-west-1.amazonaws.com/",
		 "bkt.s3.eu-west-1.amazonaws.com"								     },
		{"eu-west-1",      "https://s3.eu-west-1.amazonaws.com",                  "s3.eu-west-1.amazonaws.com"},
		{"eu-west-1",      "https://s3.dualstack.eu-west-1.amazonaws.com/bkt/k",
		 "s3.dualstack.eu-west-1.amazonaws.com"							       },
		{"eu-west-1",      "https://bkt.s3-gztb4pa9sq.amazonaws.com/",
		 "bkt.s3-gztb4pa9sq.amazonaws.com"								    },
		{"cn-north-1",     "https://bkt.s3.cn-north-1.amazonaws.com.cn/",
		 "bkt.s3.cn-north-1.amazonaws.com.cn"								 },
		{"eu-west-1",      "http://bkt.s3.eu-west-1.amazonaws.com/",              NULL                        },
		{"eu-west-1",      "//bkt.s3.eu-west-1.amazonaws.com/",                   NULL                        },
		{"eu-west-1",      "/k",						  NULL                        },
		{"eu-west-1",      "",						    NULL                        },
		{"eu-west-1",      "https://bkt.s3.cn-north-1.amazonaws.com.cn/",         NULL                        },
		{"eu-west-1",      "https://bkt.s3.eu-west-1.amazonaws.com.example.org/", NULL                        },
		{"eu-west-1",      "https://example.org/bkt.s3.eu-west-1.amazonaws.com",  NULL                        },
		{"eu-west-1",      "https://example.org?s3.amazonaws.com",                NULL                        },
		{"eu-west-1",      "https://user@bkt.s3.eu-west-1.amazonaws.com/",        NULL                        },
		{"eu-west-1",      "https://bkt.s3.eu-west-1.amazonaws.com:444/",         NULL                        },
		{"eu-west-1",      "https://s3-mine-1.eu-west-1.elb.amazonaws.com/",      NULL                        },
		{"eu-west-1",      "https://other.s3.eu-west-1.amazonaws.com/",           NULL                        },
		{"eu-west-1",      "https://s3.eu-west-1.vpce.amazonaws.com/",            NULL                        },
		{"eu-west-1",      "https://bkts3.eu-west-1.amazonaws.com/",              NULL                        },
		{"eu-west-1",      "https://evilamazonaws.com/",                          NULL                        },
		{"eu-west-1",      "https://bkt.s3-fips.eu-west-1.amazonaws.com/",
		 "bkt.s3-fips.eu-west-1.amazonaws.com"								},
		{"us-west-2+fips", "https://bkt.s3-fips.us-west-2.amazonaws.com/",
		 "bkt.s3-fips.us-west-2.amazonaws.com"								},
		{"us-west-2+fips", "https://bkt.s3.us-west-2.amazonaws.com/",             NULL                        },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c = {.access_key = strdup("AKIDEXAMPLE"), .secret_key = strdup("x")};
		size_t n = strcspn(rows[i].region, "+");
		char host[S3_HOST_SIZE];
		struct err e;

		c.region = strndup(rows[i].region, n);
		c.fips = rows[i].region[n] != '\0';
		assert_int_equal(config_load(&c, &e), 0);
		struct aws *a = aws_new(&c, &e);
		assert_non_null(a);
		bool follows = s3_redirect_host(a, "bkt", rows[i].location, host);
		if (follows != (rows[i].host != NULL) || (follows && !streq(host, rows[i].host)))
			fail_msg("'%s' in %s: %s", rows[i].location, rows[i].region,
				 follows ? host : "not followed");
		aws_free(a);
		config_release(&c);
	}
}

/* Neither a redirection for now nor one for good is followed to another host, or from a service that is not AWS's. */
static void test_redirected(void **state)
{
	static const struct {
		struct web_reply reply;
		const char *says;
	} rows[] = {
		{REPLY(307, "Location: https://bkt.s3-eu-west-1.amazonaws.com/k\r\n",
                 ERROR_BODY("TemporaryRedirect")),
		 "read 's3://bkt/k': told to; it redirects to 'https://bkt.s3-eu-west-1.amazonaws.com/k', which was not followed"                                  },
		{REPLY(307, "",									      ""),                              "it redirects to ''"},
		{REPLY(301, "Location: http://127.0.0.1:1/k\r\n",                                            ERROR_BODY("PermanentRedirect")),
		 "read 's3://bkt/k': told to"														      },
		{REPLY(301, "x-amz-bucket-region: us-east-2\r\n",                                            ERROR_BODY("PermanentRedirect")),
		 "read 's3://bkt/k': bucket 'bkt' is in region 'us-east-2', not in 'eu-west-1'"                                                                    },
		{REPLY(307,
                 "Location: https://bkt.s3-us-east-2.amazonaws.com/k\r\nx-amz-bucket-region: us-east-2\r\n",
                 ""),
		 "read 's3://bkt/k': bucket 'bkt' is in region 'us-east-2', not in 'eu-west-1'"                                                                    },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct aws_fixture f;
		struct err e = {0};

		aws_begin(&f, &rows[i].reply, 1);
		assert_int_equal(s3_get(f.a, &bkt, "k", 100, &out, NULL, NULL, &e), -1);
		assert_int_equal(e.no, EXDEV);
		if (!starts_with(e.text, rows[i].says) && !strstr(e.text, rows[i].says))
			fail_msg("'%s' lacks '%s'", e.text, rows[i].says);
		assert_int_equal(web_requests(f.w), 1);
		aws_end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_in_the_region_without_a_name),
		cmocka_unit_test(test_public_access),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_redirections),
		cmocka_unit_test(test_redirected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
