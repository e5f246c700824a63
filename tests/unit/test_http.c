/* The HTTP engine against a scripted server: replies, faults, cancelling, kept connections, time limits. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "web_script.h"

struct fixture {
	struct config config;
	struct http *h;
	struct web *w;
	struct script s;
	char url[128];
};

static void begin(struct fixture *f, const struct web_reply *rows, int n)
{
	struct err e;

	*f = (struct fixture){
		.s = {rows, n, BUF_INIT((size_t)1 << 20), 0}
        };
	f->config.region = (char *)(uintptr_t) "us-east-1";
	f->w = web_start(web_play, &f->s);
	f->h = http_new(&f->config, &e);
	assert_non_null(f->h);
	snprintf(f->url, sizeof f->url, "%s/a/../b?x=1", web_url(f->w));
}

static void end(struct fixture *f)
{
	http_free(f->h);
	web_stop(f->w);
	buf_release(&f->s.seen);
}

static int64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_reply_and_headers(void **state)
{
	static const struct web_reply rows[] = {
		{.status = 404,
		 .headers = TEXT("X-One: a\r\nx-two:   b  \r\n"),
		 .body = TEXT("no")}
        };
	struct http_resp r _cleanup_http_resp_ = {0};
	struct http_headers own = {NULL, 0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	assert_int_equal(http_header_add(&own, "X-Mine", "1"), 0);
	const struct http_req q = {
		.method = "PUT", .url = f.url, .headers = &own, .body = "hello", .body_len = 5};
	assert_int_equal(http_exchange(f.h, &q, &r, &e), 0);
	assert_int_equal(r.status, 404);
	assert_string_equal(http_header_get(&r.headers, "x-one"), "a");
	assert_string_equal(http_header_get(&r.headers, "X-Two"), "b");
	assert_null(http_header_get(&r.headers, "x-three"));
	assert_string_equal(buf_cstr(&r.body), "no");
	assert_true(r.sent > 5);
	assert_string_equal(web_seen(f.w, &f.s),
			    "PUT /a/../b?x=1 hello\n"); /* the path is sent as it is */
	http_headers_release(&own);
	end(&f);
}

static void test_connection_is_kept(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("ok")}};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	for (int i = 0; i < 20; i++) {
		struct http_resp r _cleanup_http_resp_ = {0};
		const struct http_req q = {.method = "GET", .url = f.url};

		assert_int_equal(http_exchange(f.h, &q, &r, &e), 0);
	}
	assert_int_equal(f.s.connections, 1);
	end(&f);
}

/* The server closes kept connections: nobody notices, and nothing is sent twice. */
static void test_closed_idle_connection(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT("ok"), .fault = WEB_CLOSE_IDLE}
        };
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	for (int i = 0; i < 5; i++) {
		struct http_resp r _cleanup_http_resp_ = {0};
		const struct http_req q = {.method = "POST",
					   .url = f.url,
					   .body = "x",
					   .body_len = 1,
					   .no_resend = true};

		assert_int_equal(http_exchange(f.h, &q, &r, &e), 0);
		poll(NULL, 0, 30);
	}
	assert_int_equal(web_requests(f.w), 5);
	end(&f);
}

/* On a kept connection that dies under a request, curl alone would send it again; no_resend forbids that. */
static void test_no_resend(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT("ok")}, {.fault = WEB_CLOSE}, {.body = TEXT("ok")}};
	struct fixture f;
	struct err e;

	(void)state;
	for (int no_resend = 0; no_resend < 2; no_resend++) {
		begin(&f, rows, 3);
		struct http_req q = {.method = "POST", .url = f.url, .body = "x", .body_len = 1};
		struct http_resp r _cleanup_http_resp_ = {0}, r2 _cleanup_http_resp_ = {0};

		assert_int_equal(http_exchange(f.h, &q, &r, &e), 0);
		q.no_resend = no_resend;
		assert_int_equal(http_exchange(f.h, &q, &r2, &e), no_resend ? -1 : 0);
		assert_int_equal(web_requests(f.w), no_resend ? 2 : 3);
		if (no_resend) {
			assert_int_equal(e.no, EIO);
			assert_true(r2.sent > 0);
		}
		end(&f);
	}
}

static void test_transport_failures(void **state)
{
	static const struct {
		enum web_fault fault;
		int no;
		const char *says;
	} cases[] = {
		{WEB_RESET,    EIO,    "127.0.0.1:"     },
		{WEB_CLOSE,    EIO,    "without a reply"},
		{WEB_TRUNCATE, EIO,    "broken off"     },
		{WEB_GARBAGE,  EPROTO, "not HTTP"       },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct web_reply row = {.fault = cases[i].fault, .body = TEXT("0123456789")};
		struct http_resp r _cleanup_http_resp_ = {0};
		struct fixture f;

		begin(&f, &row, 1);
		const struct http_req q = {.method = "GET", .url = f.url};
		assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
		assert_int_equal(e.no, cases[i].no);
		if (!strstr(e.text, cases[i].says))
			fail_msg("'%s' lacks '%s'", e.text, cases[i].says);
		assert_true(r.sent > 0);
		end(&f);
	}
}

static void test_nobody_listens(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("ok")}};
	struct http_resp r _cleanup_http_resp_ = {0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	char url[128];
	struct web *gone = web_start(web_play, &f.s);
	snprintf(url, sizeof url, "%s/", web_url(gone));
	web_stop(gone);
	const struct http_req q = {.method = "POST", .url = url, .body = "x", .body_len = 1};
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
	assert_int_equal(e.no, ECONNREFUSED);
	assert_int_equal(r.sent, 0);
	assert_non_null(strstr(e.text, "could not connect to 127.0.0.1:"));
	assert_non_null(strstr(e.text, ": connection refused"));
	end(&f);
}

static void test_silence(void **state)
{
	static const struct web_reply rows[] = {{.fault = WEB_WITHHOLD}};
	struct http_resp r _cleanup_http_resp_ = {0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	const struct http_req q = {.method = "GET", .url = f.url, .silence_ms = 300};
	int64_t before = ms();
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
	assert_int_equal(e.no, ETIMEDOUT);
	assert_in_range(ms() - before, 290, 1500);
	end(&f);
}

static void *cancel_later(void *arg)
{
	poll(NULL, 0, 100);
	cancel_set(arg);
	return NULL;
}

static void test_cancel(void **state)
{
	static const struct web_reply rows[] = {{.fault = WEB_WITHHOLD}};
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	struct http_resp r _cleanup_http_resp_ = {0};
	struct fixture f;
	struct err e;
	pthread_t t;

	(void)state;
	begin(&f, rows, 1);
	const struct http_req q = {.method = "GET", .url = f.url, .cancel = c};
	int64_t before = ms();
	pthread_create(&t, NULL, cancel_later, c);
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
	assert_int_equal(e.no, ECANCELED);
	assert_in_range(ms() - before, 90, 400);
	pthread_join(t, NULL);
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1); /* set already */
	assert_int_equal(e.no, ECANCELED);
	end(&f);
}

static void count_done(void *arg, struct http_resp *r, const struct err *e)
{
	(void)r;
	atomic_fetch_add((atomic_int *)arg + (e->no == ECANCELED), 1);
}

static void test_free_ends_all(void **state)
{
	static const struct web_reply rows[] = {{.fault = WEB_WITHHOLD}};
	atomic_int counts[2] = {0, 0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	const struct http_req q = {.method = "GET", .url = f.url};
	for (int i = 0; i < 50; i++)
		assert_int_equal(http_start(f.h, &q, count_done, counts, &e), 0);
	web_wait_requests(f.w, 10);
	http_free(f.h);
	f.h = NULL;
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 50);
	end(&f);
}

/* Many at once, each answered after 200 ms: together they take little longer than one. */
static void test_many_at_once(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT("ok"), .delay_ms = 200}
        };
	atomic_int counts[2] = {0, 0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	const struct http_req q = {.method = "POST", .url = f.url, .body = "abc", .body_len = 3};
	int64_t before = ms();
	for (int i = 0; i < 300; i++)
		assert_int_equal(http_start(f.h, &q, count_done, counts, &e), 0);
	while (counts[0] + counts[1] < 300)
		poll(NULL, 0, 5);
	assert_int_equal(counts[0], 300);
	assert_true(ms() - before < 5000); /* one after the other: 60 s */
	end(&f);
}

static void count_answer(void *arg, struct http_resp *r, const struct err *e)
{
	atomic_fetch_add((atomic_int *)arg + (e->no || r->status != 200), 1);
}

/* How many of the others were answered before. */
static void note_answer(void *arg, struct http_resp *r, const struct err *e)
{
	atomic_int *counts = arg;

	if (!e->no && r->status == 200)
		atomic_store(&counts[2], atomic_load(&counts[0]));
}

/* Two bodies share the rate, whose pauses are no silence; a third one has nothing to do with it. */
static void test_shared_rate(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("ok")}};
	static const char body[96 << 10];
	atomic_int paced[3] = {0, 0, -1};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	f.config.upload_limit = 64 << 10;
	struct http_req q = {.method = "PUT",
			     .url = f.url,
			     .body = body,
			     .body_len = sizeof body,
			     .silence_ms = 300,
			     .paced = true};
	int64_t before = ms();
	for (int i = 0; i < 2; i++)
		assert_int_equal(http_start(f.h, &q, count_answer, paced, &e), 0);
	q.paced = false;
	assert_int_equal(http_start(f.h, &q, note_answer, paced, &e), 0);
	while (paced[0] + paced[1] < 2)
		poll(NULL, 0, 5);
	assert_int_equal(paced[0], 2);
	assert_int_equal(paced[2], 0);
	/* 192 KiB, of which two pieces for each may be ahead of the rate */
	assert_true(ms() - before >= 1900);
	end(&f);
}

static int refuse_body(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	errno = ENOSPC;
	return -1;
}

static void test_receiver(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT("0123456789")},
                { .status = 500,     .body = TEXT("sorry")}
        };
	struct http_resp r _cleanup_http_resp_ = {0}, r2 _cleanup_http_resp_ = {0},
			   r3 _cleanup_http_resp_ = {0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 2);
	struct http_req q = {.method = "GET", .url = f.url, .on_body = refuse_body};
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
	assert_int_equal(e.no, ENOSPC);
	/* Only success goes to the receiver. */
	assert_int_equal(http_exchange(f.h, &q, &r2, &e), 0);
	assert_string_equal(buf_cstr(&r2.body), "sorry");
	q.on_body = NULL;
	q.max_reply = 3;
	assert_int_equal(http_exchange(f.h, &q, &r3, &e), -1);
	assert_int_equal(e.no, EFBIG);
	end(&f);
}

static void test_header_injection(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("ok")}};
	struct http_resp r _cleanup_http_resp_ = {0};
	struct http_headers own = {NULL, 0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	assert_int_equal(http_header_add(&own, "X-Mine", "1\r\nX-Evil: 2"), 0);
	const struct http_req q = {.method = "GET", .url = f.url, .headers = &own};
	assert_int_equal(http_exchange(f.h, &q, &r, &e), -1);
	assert_int_equal(e.no, EINVAL);
	assert_int_equal(web_requests(f.w), 0);
	http_headers_release(&own);
	end(&f);
}

static void set_now(void *arg)
{
	atomic_store((_Atomic int64_t *)arg, ms());
}

static void test_timer(void **state)
{
	static const struct web_reply rows[] = {{.body = TEXT("ok")}};
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	_Atomic int64_t at[3] = {0, 0, 0};
	struct fixture f;
	struct err e;

	(void)state;
	begin(&f, rows, 1);
	int64_t before = ms();
	assert_int_equal(http_timer(f.h, 150, NULL, set_now, &at[0], &e), 0);
	assert_int_equal(http_timer(f.h, 60000, c, set_now, &at[1], &e), 0);
	assert_int_equal(http_timer(f.h, 60000, NULL, set_now, &at[2], &e), 0);
	poll(NULL, 0, 50);
	cancel_set(c);
	poll(NULL, 0, 200);
	assert_in_range(at[0] - before, 149, 240);
	assert_in_range(at[1] - before, 49, 140);
	assert_int_equal(at[2], 0);
	end(&f);
	assert_true(at[2] != 0); /* the engine's end is every timer's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_and_headers),
		cmocka_unit_test(test_connection_is_kept),
		cmocka_unit_test(test_closed_idle_connection),
		cmocka_unit_test(test_no_resend),
		cmocka_unit_test(test_transport_failures),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_free_ends_all),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_shared_rate),
		cmocka_unit_test(test_receiver),
		cmocka_unit_test(test_header_injection),
		cmocka_unit_test(test_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
