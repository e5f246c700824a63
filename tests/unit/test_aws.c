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
	{"success",					 false, {{.body = TEXT("{}")}},						     1, 1, 0,         ""                           },
	{"500 twice, then well",
	 false,						    {{.status = 500}, {.status = 500}, {.body = TEXT("{}")}},
	 3,																       3,
	 0,																		     ""			   },
	{"500 for ever",				    false, {{.status = 500}},							  1, 3, EIO,       ""                           },
	{"503 for ever",				    false, {{.status = 503}},							  1, 3, EBUSY,     ""                           },
	{"429 by status alone",                             false, {{.status = 429}},							  1, 1, EBUSY,     ""                           },
	{"throttled, then well",
	 false,						    {JSON_ERROR(400, "ThrottlingException"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"throttled for ever",
	 false,						    {JSON_ERROR(400, "ThrottlingException")},
	 1,																       3,
	 EBUSY,																		 "ThrottlingException"        },
	{"validation",
	 false,						    {JSON_ERROR(400, "ValidationException")},
	 1,																       1,
	 EINVAL,																		"ValidationException"        },
	{"limit",
	 false,						    {JSON_ERROR(400, "ResourceLimitExceeded")},
	 1,																       1,
	 EDQUOT,																		"ResourceLimitExceeded"      },
	{"denied",
	 false,						    {JSON_ERROR(400, "AccessDeniedException")},
	 1,																       1,
	 EACCES,																		"AccessDeniedException"      },
	{"keys that are none",
	 false,						    {JSON_ERROR(400, "UnrecognizedClientException")},
	 1,																       1,
	 EACCES,																		"UnrecognizedClientException"},
	{"expired keys: once more",
	 false,						    {JSON_ERROR(400, "ExpiredTokenException")},
	 1,																       2,
	 EACCES,																		"ExpiredTokenException"      },
	{"expired request: clock right, so keys read anew",
	 false,						    {JSON_ERROR(400, "RequestExpired"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"S3's condition is being decided",
	 false,						    {JSON_ERROR(409, "ConditionalRequestConflict"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"skewed, but no date to set the clock by",
	 false,						    {JSON_ERROR(403, "RequestTimeTooSkewed")},
	 1,																       1,
	 EACCES,																		"RequestTimeTooSkewed"       },
	{"no HTTP, then well",                              false, {{.fault = WEB_GARBAGE}, {.body = TEXT("{}")}},                             2, 2, 0,         ""                           },
	{"reset, then well",				false, {{.fault = WEB_RESET}, {.body = TEXT("{}")}},                               2, 2, 0,         ""                           },
	{"closed for ever",				 false, {{.fault = WEB_CLOSE}},                                                     1, 3, EIO,       ""                           },
	{"cut short, then well",
	 false,						    {{.fault = WEB_TRUNCATE, .body = TEXT("{\"a\":1}")}, {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"silent, then well",			       false, {{.delay_ms = 1500}, {.body = TEXT("{}")}},                                 2, 2, 0,         ""                           },
	{"invoke: reset is final",                          true,  {{.fault = WEB_RESET}},                                                     1, 1, EIO,       ""                           },
	{"invoke: silence is final",                        true,  {{.delay_ms = 1500}},                                                       1, 1, ETIMEDOUT, ""                           },
	{"invoke: 500 is final",                            true,  {{.status = 500}},							  1, 1, EIO,       ""                           },
	{"invoke: 503 is not",                              true,  {{.status = 503}, {.body = TEXT("{}")}},                                    2, 2, 0,         ""                           },
	{"invoke: throttling is not",
	 true,						     {JSON_ERROR(429, "ThrottlingException"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"invoke: not ready is not",
	 true,						     {JSON_ERROR(429, "ModelNotReadyException"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"invoke: 429 by status alone",                     true,  {{.status = 429}},                                                          1, 1, EBUSY,     ""                           },
	{"invoke: no HTTP is final",                        true,  {{.fault = WEB_GARBAGE}},                                                   1, 1, EPROTO,    ""                           },
	{"invoke: expired keys: once more",
	 true,						     {JSON_ERROR(403, "ExpiredTokenException"), {.body = TEXT("{}")}},
	 2,																       2,
	 0,																		     ""			   },
	{"invoke: model error",
	 true,						     {JSON_ERROR(424, "ModelError")},
	 1,																       1,
	 EREMOTEIO,																	     "ModelError"                 },
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
			assert_true(starts_with(e.text, "said so"));
			assert_int_equal(strstr(e.text,
						"the keys are those of the mount's settings") !=
						 NULL,
					 starts_with(x->code, "ExpiredToken"));
			assert_string_equal(e.request, "req-1");
			assert_int_equal(e.keys, starts_with(x->code, "ExpiredToken") ||
							 starts_with(x->code, "RequestTime") ||
							 starts_with(x->code, "Unrecognized"));
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
	aws_free(f.a);
	f.a = aws_new(&f.config, &e);
	assert_non_null(f.a);
	web_stop(gone);
	aws_free(f.a);
	f.a = aws_new(&f.config, &e);
	assert_non_null(f.a);
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
	assert_int_equal(strlen(w.id[0]), 36);
	assert_true(w.id[0][8] == '-' && w.id[0][14] == '4' && w.id[0][23] == '-');
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

/* A HEAD is refused without a word: the date of the reply, or the token, has to tell why. */
static void test_head_without_words(void **state)
{
	static const struct {
		const char *name, *token, *headers;
		int status, requests, no;
	} rows[] = {
		{"clocks differ",      NULL,    "Date: Thu, 01 Jan 2032 00:00:00 GMT\r\n", 403, 2, 0     },
		{"denied",             NULL,    "",					403, 1, EACCES},
		{"no such thing",      NULL,    "Date: Thu, 01 Jan 2032 00:00:00 GMT\r\n", 404, 1, ENOENT},
		{"an expired token",   "token", "",                                        400, 2, 0     },
		{"another region",     "token", "x-amz-bucket-region: eu-west-2\r\n",      400, 1, EINVAL},
		{"no token to expire", NULL,    "",                                        400, 1, EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct aws_req q = {.method = "HEAD", .path = "/bucket/key"};
		struct http_resp r _cleanup_http_resp_ = {0};
		struct web_reply replies[2] = {{.status = rows[i].status}, {.status = 200}};
		struct aws_fixture f;
		struct err e = {0};

		buf_str(&replies[0].headers, rows[i].headers);
		aws_begin(&f, replies, 2);
		if (rows[i].token)
			f.config.session_token = strdup(rows[i].token);
		int result = aws_raw(f.a, &AWS_S3, &q, &r, &e);
		if (result != (rows[i].no ? -1 : 0) || e.no != rows[i].no ||
		    web_requests(f.w) != rows[i].requests)
			fail_msg("%s: %d requests, errno %d '%s'", rows[i].name, web_requests(f.w),
				 e.no, e.text);
		aws_end(&f);
		buf_release(&replies[0].headers);
	}
}

/* Every first attempt is refused for its date; the replies come when all calls have been sent. */
static void refuse_old_dates(void *arg, const struct web_request *q, struct web_reply *r)
{
	const char *date = http_header_get(&q->headers, "x-amz-date");

	(void)arg;
	if (date && starts_with(date, "2032"))
		return;
	r->status = 403;
	r->fault = WEB_WITHHOLD;
	buf_str(&r->headers, "Date: Thu, 01 Jan 2032 00:00:00 GMT\r\n");
	buf_str(&r->body, "<Error><Code>RequestTimeTooSkewed</Code></Error>");
}

static void count_success(void *arg, struct http_resp *r, const struct err *e)
{
	(void)r;
	atomic_fetch_add((atomic_int *)arg, e->no ? 1000 : 1);
}

/* The first refusal sets the clock; the others, signed before that, must not take it for right already. */
static void test_clock_of_calls_in_flight(void **state)
{
	enum { CALLS = 5 };
	const struct aws_req q = {.method = "POST", .path = "/"};
	atomic_int ended = 0;
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin_with(&f, refuse_old_dates, NULL);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(aws_start(f.a, &AWS_SAGEMAKER, &q, count_success, &ended, &e), 0);
	web_wait_requests(f.w, CALLS);
	web_release(f.w);
	for (int i = 0; i < 1000 && atomic_load(&ended) < CALLS; i++)
		poll(NULL, 0, 10);
	assert_int_equal(atomic_load(&ended), CALLS);
	assert_int_equal(web_requests(f.w), 2 * CALLS);
	aws_end(&f);
}

/* The newer rules: 429 is throttling, also for an invocation, and what the service asks for is heeded. */
static void test_new_rules(void **state)
{
	static const struct web_reply busy[] = {{.status = 429}, {.body = TEXT("{}")}};

	(void)state;
	for (int once = 0; once < 2; once++) {
		struct http_resp r _cleanup_http_resp_ = {0};
		struct aws_fixture f;
		struct err e;

		assert_int_equal(setenv("AWS_NEW_RETRIES_2026", "True", 1), 0);
		aws_begin(&f, busy, 2);
		unsetenv("AWS_NEW_RETRIES_2026");
		assert_int_equal(call(&f, once, &r, &e), 0);
		assert_int_equal(web_requests(f.w), 2);
		aws_end(&f);
	}
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
	retry_quota_release(&q);
}

static int retries_paid(const struct retry_rules *rules, enum retry_class why)
{
	struct retry_quota q;
	int n = 0;

	retry_quota_init(&q, rules);
	while (retry_take(&q, rules, why))
		n++;
	retry_quota_release(&q);
	return n;
}

static void test_costs(void **state)
{
	(void)state;
	assert_int_equal(retries_paid(&RETRY_STANDARD, RETRY_TRANSIENT), 100);
	assert_int_equal(retries_paid(&RETRY_STANDARD, RETRY_TIMEOUT), 50);
	assert_int_equal(retries_paid(&RETRY_STANDARD, RETRY_THROTTLED), 100);
	assert_int_equal(retries_paid(&RETRY_2026, RETRY_TRANSIENT), 35);
	assert_int_equal(retries_paid(&RETRY_2026, RETRY_TIMEOUT), 35);
	assert_int_equal(retries_paid(&RETRY_2026, RETRY_THROTTLED), 100);
}

static void test_delays(void **state)
{
	static const struct {
		const struct retry_rules *rules;
		enum retry_class why;
		int i;
		const char *asked;
		long least, most;
	} rows[] = {
		{&RETRY_STANDARD, RETRY_TRANSIENT, 0,  NULL,                     0,    1000 },
		{&RETRY_STANDARD, RETRY_THROTTLED, 3,  NULL,                     0,    8000 },
		{&RETRY_STANDARD, RETRY_TIMEOUT,   62, NULL,                     0,    20000},
		{&RETRY_STANDARD, RETRY_TRANSIENT, 0,  "5000",                   0,    1000 },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  NULL,                     0,    50   },
		{&RETRY_2026,     RETRY_TIMEOUT,   3,  NULL,                     0,    400  },
		{&RETRY_2026,     RETRY_THROTTLED, 0,  NULL,                     0,    1000 },
		{&RETRY_2026,     RETRY_TRANSIENT, 62, NULL,                     0,    20000},
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "2000",                   2000, 2000 },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "600000",                 5000, 5050 },
		{&RETRY_2026,     RETRY_THROTTLED, 0,  "0",                      0,    1000 },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "-1",                     0,    50   },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "soon",                   0,    50   },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "1e3",                    0,    50   },
		{&RETRY_2026,     RETRY_TRANSIENT, 0,  "9999999999999999999999", 0,    50   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int n = 0; n < 100; n++) {
			long ms = retry_delay(rows[i].rules, rows[i].why, rows[i].i, rows[i].asked);

			if (ms < rows[i].least || ms > rows[i].most)
				fail_msg("row %zu: %ld ms", i, ms);
		}
	}
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
		{.body = TEXT("{\"A\":\"b\"}")}, {.body = TEXT("")}, {.body = TEXT("sorry")}};
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
		cmocka_unit_test(test_head_without_words),
		cmocka_unit_test(test_clock_of_calls_in_flight),
		cmocka_unit_test(test_new_rules),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_free_while_waiting),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_error_forms),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
