/* Calls to AWS: what is sent again and how often, what errors become, clocks, keys, cancelling. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "sagemaker/aws_errors.h"
#include "sagemaker/aws_retry.h"
#include "web_script.h"

#define JSON_ERROR(status_, code_)                                                            \
 {                                                                                            \
  .status = (status_), .headers = TEXT("x-amzn-RequestId: req-1\r\n"),                        \
  .body = TEXT("{\"__type\":\"com.amazon.coral.service#" code_ "\",\"message\":\"said so\"}") \
 }

static int call(struct aws_fixture *f, bool once, struct http_resp *r, struct err *e)
{
	const struct aws_req q = {.method = "POST",
				  .path = "/",
				  .body = "{}",
				  .body_len = 2,
				  .silence_ms = 400,
				  .once_sent_never_again = once};

	memset(e, 0, sizeof *e);
	return aws_raw(f->a, &AWS_SAGEMAKER, &q, r, e);
}

/* A failure, how often it is sent, and what the caller sees: rows are played, the last one for ever. */
struct expectation {
	const char *name;
	bool once;
	struct web_reply rows[3];
	int n_rows;
	int requests;
	int no;
	const char *code;
};

static const struct expectation expectations[] = {
	{"success",                   false, {{.body = TEXT("{}")}},						     1, 1, 0,         ""                     },
	{"500 twice, then well",
	 false,			      {{.status = 500}, {.status = 500}, {.body = TEXT("{}")}},
	 3,														 3,
	 0,															       ""		     },
	{"500 for ever",              false, {{.status = 500}},							  1, 3, EIO,       ""                     },
	{"503 for ever",              false, {{.status = 503}},							  1, 3, EBUSY,     ""                     },
	{"429 by status alone",       false, {{.status = 429}},							  1, 1, EBUSY,     ""                     },
	{"throttled, then well",
	 false,			      {JSON_ERROR(400, "ThrottlingException"), {.body = TEXT("{}")}},
	 2,														 2,
	 0,															       ""		     },
	{"throttled for ever",
	 false,			      {JSON_ERROR(400, "ThrottlingException")},
	 1,														 3,
	 EBUSY,															   "ThrottlingException"  },
	{"validation",
	 false,			      {JSON_ERROR(400, "ValidationException")},
	 1,														 1,
	 EINVAL,															  "ValidationException"  },
	{"limit",
	 false,			      {JSON_ERROR(400, "ResourceLimitExceeded")},
	 1,														 1,
	 EDQUOT,															  "ResourceLimitExceeded"},
	{"denied",
	 false,			      {JSON_ERROR(400, "AccessDeniedException")},
	 1,														 1,
	 EACCES,															  "AccessDeniedException"},
	{"expired keys: once more",
	 false,			      {JSON_ERROR(400, "ExpiredTokenException")},
	 1,														 2,
	 EACCES,															  "ExpiredTokenException"},
	{"reset, then well",          false, {{.fault = WEB_RESET}, {.body = TEXT("{}")}},                               2, 2, 0,         ""                     },
	{"closed for ever",           false, {{.fault = WEB_CLOSE}},                                                     1, 3, EIO,       ""                     },
	{"cut short, then well",
	 false,			      {{.fault = WEB_TRUNCATE, .body = TEXT("{\"a\":1}")}, {.body = TEXT("{}")}},
	 2,														 2,
	 0,															       ""		     },
	{"silent, then well",         false, {{.delay_ms = 1500}, {.body = TEXT("{}")}},                                 2, 2, 0,         ""                     },
	{"invoke: reset is final",    true,  {{.fault = WEB_RESET}},                                                     1, 1, EIO,       ""                     },
	{"invoke: silence is final",  true,  {{.delay_ms = 1500}},                                                       1, 1, ETIMEDOUT, ""                     },
	{"invoke: 500 is final",      true,  {{.status = 500}},							  1, 1, EIO,       ""                     },
	{"invoke: 503 is not",        true,  {{.status = 503}, {.body = TEXT("{}")}},                                    2, 2, 0,         ""                     },
	{"invoke: throttling is not",
	 true,			       {JSON_ERROR(429, "ThrottlingException"), {.body = TEXT("{}")}},
	 2,														 2,
	 0,															       ""		     },
	{"invoke: not ready is not",
	 true,			       {JSON_ERROR(429, "ModelNotReadyException"), {.body = TEXT("{}")}},
	 2,														 2,
	 0,															       ""		     },
	{"invoke: model error",
	 true,			       {JSON_ERROR(424, "ModelError")},
	 1,														 1,
	 EREMOTEIO,														       "ModelError"           },
};

static void test_retries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
		const struct expectation *x = &expectations[i];
		struct http_resp r _cleanup_http_resp_ = {0};
		struct aws_fixture f;
		struct err e;

		aws_begin(&f, x->rows, x->n_rows);
		int result = call(&f, x->once, &r, &e);
		int requests = web_requests(f.w);
		if (result != (x->no ? -1 : 0) || e.no != x->no || requests != x->requests ||
		    !streq(e.code, x->code))
			fail_msg("%s: %d requests, errno %d, code '%s', '%s'", x->name, requests,
				 e.no, e.code, e.text);
		if (x->code[0]) {
			assert_string_equal(e.text, "said so");
			assert_string_equal(e.request, "req-1");
			assert_int_equal(e.attempts, x->requests);
		}
		aws_end(&f);
	}
}

static void test_nothing_went_out(void **state)
{
	struct http_resp r _cleanup_http_resp_ = {0};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, NULL, 0);
	struct web *gone = web_start(web_play, &f.s);
	free(f.config.endpoint_url);
	f.config.endpoint_url = strdup(web_url(gone));
	web_stop(gone);
	assert_int_equal(call(&f, true, &r, &e), -1);
	assert_int_equal(e.no, ECONNREFUSED);
	assert_int_equal(e.attempts, 3); /* even an invocation: not a byte of it left */
	assert_non_null(strstr(e.text, "is the local backend running?"));
	aws_end(&f);
}

/* What each attempt carries. */
struct watched {
	char date[3][32], id[3][64], attempt[3][64], authorization[3][512];
	const char *server_date;
	int n;
};

static void copy(char *out, size_t size, const struct web_request *q, const char *name)
{
	const char *value = http_header_get(&q->headers, name);

	snprintf(out, size, "%s", value ? value : "(none)");
}

static void watch(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct watched *w = arg;

	copy(w->date[w->n], 32, q, "x-amz-date");
	copy(w->id[w->n], 64, q, "amz-sdk-invocation-id");
	copy(w->attempt[w->n], 64, q, "amz-sdk-request");
	copy(w->authorization[w->n], 512, q, "authorization");
	if (++w->n == 1 && w->server_date) {
		r->status = 403;
		buf_printf(&r->headers, "Date: %s\r\n", w->server_date);
		buf_str(&r->body,
			"<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>");
	} else if (w->n == 1) {
		r->status = 500;
	}
}

static void test_each_attempt_is_signed(void **state)
{
	struct http_resp r _cleanup_http_resp_ = {0};
	struct watched w = {.n = 0};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin_with(&f, watch, &w);
	assert_int_equal(call(&f, false, &r, &e), 0);
	assert_int_equal(w.n, 2);
	assert_string_equal(w.id[0], w.id[1]);
	assert_string_equal(w.attempt[0], "attempt=1; max=3");
	assert_string_equal(w.attempt[1], "attempt=2; max=3");
	assert_non_null(
		strstr(w.authorization[0],
		       "/eu-west-1/sagemaker/aws4_request, SignedHeaders=host;x-amz-date,"));
	aws_end(&f);
}

static void test_clock_is_corrected_once(void **state)
{
	struct http_resp r _cleanup_http_resp_ = {0}, r2 _cleanup_http_resp_ = {0};
	struct watched w = {.server_date = "Thu, 01 Jan 2032 00:00:00 GMT"};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin_with(&f, watch, &w);
	assert_int_equal(call(&f, false, &r, &e), 0);
	assert_int_equal(w.n, 2);
	assert_memory_equal(w.date[1], "20320101T0000", 13);
	assert_int_equal(call(&f, false, &r2, &e), 0); /* the offset stays */
	assert_memory_equal(w.date[2], "20320101T0000", 13);
	aws_end(&f);
}

static void *cancel_later(void *arg)
{
	poll(NULL, 0, 150);
	cancel_set(arg);
	return NULL;
}

/* While a reply is withheld, and while a retry waits. */
static void test_cancel(void **state)
{
	static const struct web_reply withheld = {.fault = WEB_WITHHOLD}, failing = {.status = 500};
	const struct web_reply *const cases[] = {&withheld, &failing};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cancel *c _cleanup_(cancel_unrefp)
		= cancel_new();
		struct http_resp r _cleanup_http_resp_ = {0};
		struct aws_fixture f;
		struct err e;
		pthread_t t;

		aws_begin(&f, cases[i], 1);
		f.config.max_attempts = 1000;
		const struct aws_req q = {.method = "POST", .path = "/", .cancel = c};
		pthread_create(&t, NULL, cancel_later, c);
		time_t before = time(NULL);
		assert_int_equal(aws_raw(f.a, &AWS_SAGEMAKER, &q, &r, &e), -1);
		assert_int_equal(e.no, ECANCELED);
		assert_true(time(NULL) - before <= 2);
		pthread_join(t, NULL);
		aws_end(&f);
	}
}

static void note(void *arg, struct http_resp *r, const struct err *e)
{
	(void)r;
	atomic_store((atomic_int *)arg, e->no ? e->no : -1);
}

/* aws_free while a retry waits: done runs, with ECANCELED. */
static void test_free_while_waiting(void **state)
{
	static const struct web_reply failing = {.status = 500};
	atomic_int result = 0;
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, &failing, 1);
	f.config.max_attempts = 1000;
	const struct aws_req q = {.method = "POST", .path = "/"};
	assert_int_equal(aws_start(f.a, &AWS_SAGEMAKER, &q, note, &result, &e), 0);
	web_wait_requests(f.w, 1);
	poll(NULL, 0, 20);
	aws_free(f.a);
	f.a = NULL;
	assert_int_equal(result, ECANCELED);
	aws_end(&f);
}

static void test_quota(void **state)
{
	struct retry_quota q;
	int n = 0;

	(void)state;
	retry_quota_init(&q, &RETRY_STANDARD);
	while (retry_take(&q, &RETRY_STANDARD, RETRY_TIMEOUT))
		n++;
	assert_int_equal(n, 50);
	for (int i = 0; i < 4; i++)
		retry_success(&q, &RETRY_STANDARD, 0);
	assert_int_equal(retry_take(&q, &RETRY_STANDARD, RETRY_TRANSIENT), 0);
	retry_success(&q, &RETRY_STANDARD, 0);
	assert_int_equal(retry_take(&q, &RETRY_STANDARD, RETRY_TRANSIENT), 5);
	retry_success(&q, &RETRY_STANDARD, 10000);
	assert_int_equal(q.tokens, 500);
	for (int i = 0; i < 100; i++) {
		assert_in_range(retry_delay(&RETRY_STANDARD, 0), 0, 1000);
		assert_in_range(retry_delay(&RETRY_STANDARD, 3), 0, 8000);
		assert_in_range(retry_delay(&RETRY_STANDARD, 62), 0, 20000);
	}
	retry_quota_release(&q);
}

static void test_error_forms(void **state)
{
	static const struct {
		long status;
		const char *type, *body;
		int no;
		const char *code, *text, *request;
	} cases[] = {
		{404, NULL,
		 "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key</Message><RequestId>R1</RequestId></Error>",
		 ENOENT,																			      "NoSuchKey",           "The key",                                        "R1"},
		{403, NULL,
		 "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error><RequestId>R2</RequestId></ErrorResponse>",
		 EACCES,																			      "AccessDenied",        "not you",                                        "R2"},
		{400, "ValidationError:http://x/",
		 "{\"Message\":\"Endpoint a of account 1 not found.\"}",												      ENOENT, "ValidationError",
		 "Endpoint a of account 1 not found.",																									 ""  },
		{400, NULL,
		 "{\"__type\":\"ValidationException\",\"message\":\"Could not find model \\\"arn\\\".\"}",
		 ENOENT,																			      "ValidationException", "Could not find model \"arn\".",                  ""  },
		{400, NULL,
		 "{\"__type\":\"ValidationException\",\"message\":\"Cannot create already existing endpoint \\\"a\\\".\"}",
		 EEXIST,																			      "ValidationException", "Cannot create already existing endpoint \"a\".",
		 ""																														},
		{404, NULL,                        "",															ENOENT, "",                    "not found",                                      ""  },
		{418, NULL,                        "",															EINVAL, "",                    "the service answered with HTTP status 418",      ""  },
		{500, NULL,                        "{broken",														 EIO,    "",                    "the service failed",                             ""  },
		{400, NULL,                        "<Error><Code>X</Code><Message>cut",										       EINVAL, "X",
		 "the service refused the request",																									    ""  },
		{400, NULL,                        "<!DOCTYPE a [<!ENTITY b \"c\">]><Error><Code>&b;</Code></Error>",
		 EINVAL,																			      "",                    "the service refused the request",                ""  },
		{400, NULL,                        "{\"__type\":\"A\\nB\",\"message\":\"two\\nlines\\u001b[0m\"}",                                                            EINVAL,
		 "A",																							"two lines [0m",                                  ""  },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_resp r _cleanup_http_resp_ = {.status = cases[i].status};
		struct err e;

		buf_str(&r.body, cases[i].body);
		if (cases[i].type)
			assert_int_equal(
				http_header_add(&r.headers, "x-amzn-ErrorType", cases[i].type), 0);
		aws_error_read(&r, &e);
		assert_int_equal(e.no, cases[i].no);
		assert_string_equal(e.code, cases[i].code);
		assert_string_equal(e.text, cases[i].text);
		assert_string_equal(e.request, cases[i].request);
		assert_int_equal(e.http, cases[i].status);
	}
}

static void test_json(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT("{\"A\":\"b\"}")}, {.body = TEXT("")}, {.body = TEXT("<html>")}};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, rows, 3);
	for (int i = 0; i < 3; i++) {
		_cleanup_json_ cJSON *in = cJSON_CreateObject(), *out = NULL;

		cJSON_AddStringToObject(in, "Name", "x");
		assert_int_equal(aws_json(f.a, &AWS_SAGEMAKER, "DescribeModel", in, NULL, &out, &e),
				 i == 2 ? -1 : 0);
		if (i < 2)
			assert_true(cJSON_IsObject(out));
		else
			assert_int_equal(e.no, EPROTO);
	}
	assert_true(starts_with(web_seen(f.w, &f.s), "POST /? {\"Name\":\"x\"}\n"));
	aws_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_nothing_went_out),
		cmocka_unit_test(test_each_attempt_is_signed),
		cmocka_unit_test(test_clock_is_corrected_once),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_free_while_waiting),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_error_forms),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
