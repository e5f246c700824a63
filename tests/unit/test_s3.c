/* S3 against a small S3 of our own that keeps one object and one multipart upload, and fails when told. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3.h"
#include "upload.h"
#include "web_script.h"

#define MIB ((size_t)1 << 20)

static const struct s3_bucket bkt = {.name = "bkt"};

enum s3_fault {
	NO_FAULT,
	BREAK_GET,          /* each GET breaks off half way */
	CHANGE_GET,         /* and the object has another ETag afterwards */
	FLIP_BIT,           /* in what a GET brings */
	REFUSE_FULL_OBJECT, /* whole-object checksums are unknown */
	ERROR_IN_COMPLETE,  /* 200 with <Error>, for ever */
	LOSE_COMPLETE,      /* done, but the reply is lost */
	FAIL_PART,          /* part 2 is refused */
	HOLD_PARTS,         /* parts get no reply */
	LOSE_PUT,           /* done, but the reply is lost */
};

struct fake {
	enum s3_fault fault;
	struct buf object;
	bool exists;
	char etag[32], crc[16], type[16];
	struct buf parts[8];
	int n_parts, creates, completes, aborts, puts;
	bool asked_full_object;
	char complete_crc[16];
};

static void put_object(struct fake *s, const struct buf *from, const char *crc, const char *type)
{
	buf_reset(&s->object);
	buf_add(&s->object, from->data, from->len);
	s->exists = true;
	snprintf(s->etag, sizeof s->etag, "\"e%d\"", ++s->puts);
	snprintf(s->crc, sizeof s->crc, "%s", crc ? crc : "");
	snprintf(s->type, sizeof s->type, "%s", type);
}

static void get_headers(const struct fake *s, struct web_reply *r)
{
	buf_printf(&r->headers, "ETag: %s\r\nLast-Modified: Mon, 23 Nov 2026 10:00:00 GMT\r\n",
		   s->etag);
	if (s->crc[0])
		buf_printf(&r->headers, "x-amz-checksum-crc32c: %s\r\nx-amz-checksum-type: %s\r\n",
			   s->crc, s->type);
}

static void refuse(struct web_reply *r, int status, const char *code)
{
	r->status = status;
	buf_printf(&r->body, "<Error><Code>%s</Code><Message>told to</Message></Error>", code);
}

static void get_body(const struct fake *s, size_t from, struct web_reply *r)
{
	buf_add(&r->body, s->object.data + from, s->object.len - from);
	if (s->fault == FLIP_BIT)
		r->body.data[r->body.len / 2] ^= 1;
	if ((s->fault == BREAK_GET && r->body.len > 100) || (s->fault == CHANGE_GET && !from))
		r->fault = WEB_TRUNCATE;
}

static void get(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	const char *range = http_header_get(&q->headers, "Range");
	const char *match = http_header_get(&q->headers, "If-Match");
	size_t from = range ? strtoull(range + strlen("bytes="), NULL, 10) : 0;

	if (range && s->fault == CHANGE_GET)
		snprintf(s->etag, sizeof s->etag, "\"other\"");
	if (!s->exists || (match && !streq(match, s->etag))) {
		refuse(r, s->exists ? 412 : 404, s->exists ? "PreconditionFailed" : "NoSuchKey");
		return;
	}
	get_headers(s, r);
	if (range) {
		r->status = 206;
		buf_printf(&r->headers, "Content-Range: bytes %zu-%zu/%zu\r\n", from,
			   s->object.len - 1, s->object.len);
	}
	if (streq(q->method, "HEAD"))
		buf_printf(&r->headers, "Content-Length: %zu\r\n", s->object.len);
	else
		get_body(s, from, r);
}

static void put(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	const char *none = http_header_get(&q->headers, "If-None-Match"),
		   *match = http_header_get(&q->headers, "If-Match");
	const char *crc = http_header_get(&q->headers, "x-amz-checksum-crc32c");

	if ((none && s->exists) || (match && (!s->exists || !streq(match, s->etag)))) {
		refuse(r, 412, "PreconditionFailed");
		return;
	}
	put_object(s, &q->body, crc, "FULL_OBJECT");
	get_headers(s, r);
	if (s->fault == LOSE_PUT && s->puts == 1)
		r->fault = WEB_CLOSE;
}

static void put_part(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	int number = (int)strtol(q->query + strlen("partNumber="), NULL, 10);

	assert(number >= 1 && number <= 8);
	if (s->fault == FAIL_PART && number == 2) {
		refuse(r, 403, "AccessDenied");
		return;
	}
	if (s->fault == HOLD_PARTS)
		r->fault = WEB_WITHHOLD;
	s->parts[number - 1].max = 32 * MIB;
	buf_reset(&s->parts[number - 1]);
	buf_add(&s->parts[number - 1], q->body.data, q->body.len);
	s->n_parts = MAX(s->n_parts, number);
	buf_printf(&r->headers, "ETag: \"p&%d\"\r\n", number);
}

static void create_upload(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	s->creates++;
	s->asked_full_object = http_header_get(&q->headers, "x-amz-checksum-type") != NULL;
	if (s->asked_full_object && s->fault == REFUSE_FULL_OBJECT)
		refuse(r, 400, "InvalidRequest");
	else
		buf_str(&r->body,
			"<InitiateMultipartUploadResult><UploadId>id/+1</UploadId></InitiateMultipartUploadResult>");
}

static void complete_upload(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	const char *crc = http_header_get(&q->headers, "x-amz-checksum-crc32c");
	struct buf all = BUF_INIT(64 * MIB);

	s->completes++;
	snprintf(s->complete_crc, sizeof s->complete_crc, "%s", crc ? crc : "");
	assert(strstr(q->body.data, "<ETag>&#34;p&#38;1&#34;</ETag>"));
	if (s->fault == ERROR_IN_COMPLETE) {
		refuse(r, 200, "InternalError");
		return;
	}
	if (s->fault == LOSE_COMPLETE && s->completes > 1) {
		refuse(r, 404, "NoSuchUpload");
		return;
	}
	for (int i = 0; i < s->n_parts; i++)
		buf_add(&all, s->parts[i].data, s->parts[i].len);
	put_object(s, &all, crc, "FULL_OBJECT");
	buf_release(&all);
	buf_str(&r->body,
		"<CompleteMultipartUploadResult><ETag>\"whole-3\"</ETag></CompleteMultipartUploadResult>");
	if (s->fault == LOSE_COMPLETE)
		r->fault = WEB_CLOSE;
}

static void serve(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct fake *s = arg;
	bool with_id = strstr(q->query, "uploadId=id%2F%2B1") != NULL;

	if (streq(q->method, "GET") || streq(q->method, "HEAD"))
		get(s, q, r);
	else if (streq(q->method, "PUT") && with_id)
		put_part(s, q, r);
	else if (streq(q->method, "PUT"))
		put(s, q, r);
	else if (streq(q->method, "POST") && streq(q->query, "uploads"))
		create_upload(s, q, r);
	else if (streq(q->method, "POST") && with_id)
		complete_upload(s, q, r);
	else if (streq(q->method, "DELETE") && with_id)
		s->aborts++;
	else
		refuse(r, 400, "Unexpected");
}

struct fixture {
	struct aws_fixture f;
	struct fake s;
};

static void begin(struct fixture *x, enum s3_fault fault)
{
	memset(&x->s, 0, sizeof x->s);
	x->s.fault = fault;
	x->s.object.max = 64 * MIB;
	aws_begin_with(&x->f, serve, &x->s);
}

static void end(struct fixture *x)
{
	aws_end(&x->f);
	buf_release(&x->s.object);
	for (int i = 0; i < 8; i++)
		buf_release(&x->s.parts[i]);
}

/* n bytes that repeat nowhere near. */
static char *noise(size_t n)
{
	char *p = malloc(n + 8);
	uint64_t x = 88172645463325252ULL;

	assert(p);
	for (size_t i = 0; i < n; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
	return p;
}

static void test_put_get_head(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, NO_FAULT);
	assert_int_equal(s3_put(x.f.a, &bkt, "a b/ü",
				&(struct s3_content){"hello", 5, "text/plain", S3_IF_NONE}, &o,
				NULL, &e),
			 0);
	assert_string_equal(o.etag, "\"e1\"");
	assert_int_equal(s3_put(x.f.a, &bkt, "a b/ü",
				&(struct s3_content){"other", 5, NULL, S3_IF_NONE}, NULL, NULL, &e),
			 -1);
	assert_int_equal(e.no, EEXIST);
	assert_int_equal(e.http, 412);
	assert_int_equal(s3_put(x.f.a, &bkt, "a b/ü",
				&(struct s3_content){"other", 5, NULL, "\"e9\""}, NULL, NULL, &e),
			 -1);
	assert_int_equal(e.no, ESTALE);
	assert_int_equal(s3_head(x.f.a, &bkt, "k", &o, NULL, &e), 0);
	assert_int_equal(o.size, 5);
	assert_true(o.modified == 1795428000);
	assert_int_equal(s3_get(x.f.a, &bkt, "k", 100, &out, &o, NULL, &e), 0);
	assert_string_equal(buf_cstr(&out), "hello");
	buf_reset(&out);
	assert_int_equal(s3_get(x.f.a, &bkt, "k", 4, &out, &o, NULL, &e), -1);
	assert_int_equal(e.no, EFBIG);
	assert_int_equal(s3_get(x.f.a, &(struct s3_bucket){.name = "BAD_BUCKET"}, "k", 4, &out, &o,
				NULL, &e),
			 -1);
	assert_int_equal(e.no, EINVAL);
	x.s.exists = false;
	assert_int_equal(s3_head(x.f.a, &bkt, "k", &o, NULL, &e), -1);
	assert_int_equal(e.no, ENOENT);
	assert_string_equal(e.text, "look at 's3://bkt/k': not found");
	end(&x);
}

static void test_conditional_put_whose_reply_is_lost(void **state)
{
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, LOSE_PUT);
	assert_int_equal(s3_put(x.f.a, &bkt, "k",
				&(struct s3_content){"hello", 5, NULL, S3_IF_NONE}, &o, NULL, &e),
			 0);
	assert_string_equal(o.etag, "\"e1\"");
	assert_int_equal(x.s.puts, 1);
	end(&x);
}

static void test_get_goes_on(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(8 * MIB);
	_cleanup_free_ char *data = noise(MIB);
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, BREAK_GET);
	assert_int_equal(s3_put(x.f.a, &bkt, "k", &(struct s3_content){data, MIB, NULL, NULL}, NULL,
				NULL, &e),
			 0);
	assert_int_equal(s3_get(x.f.a, &bkt, "k", MIB, &out, &o, NULL, &e), 0);
	assert_int_equal(out.len, MIB);
	assert_memory_equal(out.data, data, MIB);
	assert_true(web_requests(x.f.w) > 10);
	end(&x);
}

static void test_get_of_what_changes(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(8 * MIB);
	_cleanup_free_ char *data = noise(MIB);
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, CHANGE_GET);
	assert_int_equal(s3_put(x.f.a, &bkt, "k", &(struct s3_content){data, MIB, NULL, NULL}, NULL,
				NULL, &e),
			 0);
	assert_int_equal(s3_get(x.f.a, &bkt, "k", MIB, &out, &o, NULL, &e), -1);
	assert_int_equal(e.no, ESTALE);
	end(&x);
}

static void test_wrong_checksum(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(8 * MIB);
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, FLIP_BIT);
	assert_int_equal(s3_put(x.f.a, &bkt, "k", &(struct s3_content){"hello", 5, NULL, NULL},
				NULL, NULL, &e),
			 0);
	assert_int_equal(s3_get(x.f.a, &bkt, "k", MIB, &out, &o, NULL, &e), -1);
	assert_int_equal(e.no, EIO);
	assert_non_null(strstr(e.text, "checksum does not match"));
	end(&x);
}

static void test_get_into_file(void **state)
{
	_cleanup_free_ char *data = noise(MIB), *back = malloc(MIB);
	_cleanup_fclose_ FILE *file = tmpfile();
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct fixture x;
	struct s3_object o;
	struct err e;

	(void)state;
	begin(&x, BREAK_GET);
	assert_int_equal(s3_put(x.f.a, &bkt, "k", &(struct s3_content){data, MIB, NULL, NULL}, NULL,
				NULL, &e),
			 0);
	assert_int_equal(s3_get_fd(x.f.a, &bkt, "k", fileno(file), &o, NULL, &e), 0);
	assert_int_equal(pread(fileno(file), back, MIB, 0), MIB);
	assert_memory_equal(back, data, MIB);
	assert_int_equal(s3_get_fd(x.f.a, &bkt, "k", full, &o, NULL, &e), -1);
	assert_int_equal(e.no, ENOSPC);
	end(&x);
}

struct progress {
	uint64_t last;
	int started;
};

static void on_started(void *arg, const char *id)
{
	assert_string_equal(id, "id/+1");
	((struct progress *)arg)->started++;
}

static void on_sent(void *arg, uint64_t bytes)
{
	struct progress *p = arg;

	p->last = MAX(p->last, bytes);
}

/* One upload of size bytes; what came of it. */
static int upload(struct fixture *x, const char *data, size_t size, struct progress *p,
		  struct s3_object *o, struct err *e)
{
	const struct s3_upload_hooks hooks = {on_started, on_sent, p};
	struct s3_upload *u = s3_upload_new(x->f.a, &bkt, "k", &hooks, NULL, e);

	assert_non_null(u);
	return upload_bytes(u, data, size, o, e);
}

static void test_uploads(void **state)
{
	static const struct {
		const char *name;
		enum s3_fault fault;
		size_t size;
		int creates, completes, aborts, no;
	} cases[] = {
		{"nothing",               NO_FAULT,           0,            0, 0, 0, 0     },
		{"small",                 NO_FAULT,           1000,         0, 0, 0, 0     },
		{"one part exactly",      NO_FAULT,           8 * MIB,      1, 1, 0, 0     },
		{"three parts",           NO_FAULT,           20 * MIB + 5, 1, 1, 0, 0     },
		{"parts' checksums only", REFUSE_FULL_OBJECT, 20 * MIB,     2, 1, 0, 0     },
		{"error in a 200",        ERROR_IN_COMPLETE,  9 * MIB,      1, 3, 1, EIO   },
		{"complete's reply lost", LOSE_COMPLETE,      9 * MIB,      1, 2, 0, 0     },
		{"a part refused",        FAIL_PART,          20 * MIB,     1, 0, 1, EACCES},
	};

	_cleanup_free_ char *data = noise(24 * MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct progress p = {0, 0};
		struct s3_object o;
		struct fixture x;
		struct err e = {0};

		begin(&x, cases[i].fault);
		int r = upload(&x, data, cases[i].size, &p, &o, &e);
		if (r != (cases[i].no ? -1 : 0) || e.no * (r != 0) != cases[i].no ||
		    x.s.creates != cases[i].creates || x.s.completes != cases[i].completes ||
		    x.s.aborts != cases[i].aborts)
			fail_msg("%s: %d, errno %d '%s', %d creates, %d completes, %d aborts",
				 cases[i].name, r, e.no, e.text, x.s.creates, x.s.completes,
				 x.s.aborts);
		assert_int_equal(p.started, MIN(cases[i].creates, 1));
		if (!r) {
			assert_int_equal(o.size, cases[i].size);
			assert_int_equal(x.s.object.len, cases[i].size);
			assert_memory_equal(buf_cstr(&x.s.object), data, cases[i].size);
			assert_int_equal(p.last, cases[i].size);
		}
		end(&x);
	}
}

static void test_whole_checksum(void **state)
{
	_cleanup_free_ char *data = noise(20 * MIB);
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	struct progress p = {0, 0};
	struct s3_object o;
	struct fixture x;
	struct err e;

	(void)state;
	begin(&x, NO_FAULT);
	assert_int_equal(upload(&x, data, 20 * MIB, &p, &o, &e), 0);
	uint32_t crc = htonl(crc32c(0, data, 20 * MIB));
	base64(&crc, sizeof crc, &text);
	assert_string_equal(x.s.complete_crc, buf_cstr(&text));
	assert_string_equal(o.crc32c, buf_cstr(&text));
	assert_string_equal(o.checksum_type, "FULL_OBJECT");
	assert_string_equal(o.etag, "\"whole-3\"");
	end(&x);
}

/* Parts without replies: memory stays bounded, and cancelling frees the writer at once. */
struct canceller {
	struct web *w;
	struct cancel *c;
};

static void *cancel_after_three_parts(void *arg)
{
	struct canceller *k = arg;

	web_wait_requests(k->w, 4);
	cancel_set(k->c);
	return NULL;
}

static void test_upload_is_cancelled(void **state)
{
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	_cleanup_free_ char *data = noise(48 * MIB);
	struct fixture x;
	struct err e = {0};
	pthread_t t;

	(void)state;
	begin(&x, HOLD_PARTS);
	x.f.config.upload_memory = 24 * MIB;
	struct canceller k = {x.f.w, c};
	struct s3_upload *u = s3_upload_new(x.f.a, &bkt, "k", NULL, c, &e);
	struct s3_part parts[8];
	size_t n = 0;

	pthread_create(&t, NULL, cancel_after_three_parts, &k);
	assert_int_equal(upload_parts(u, data, 48 * MIB, parts, &n, &e), -1);
	assert_int_equal(e.no, ECANCELED);
	assert_int_equal(n, 3); /* what fits into 24 MiB */
	assert_int_equal(s3_upload_settle(u, &e), -1);
	assert_int_equal(e.no, ECANCELED);
	assert_int_equal(s3_upload_abort(u, &e), 0);
	assert_int_equal(x.s.aborts, 1);
	assert_false(x.s.exists);
	pthread_join(t, NULL);
	end(&x);
}

static int list_row(void *arg, const struct s3_item *item)
{
	buf_printf(arg, "%s%s %llu\n", item->key, item->is_prefix ? " (prefix)" : "",
		   (unsigned long long)item->size);
	return 0;
}

static void test_list(void **state)
{
	static const struct web_reply rows[] = {
		{.body = TEXT(
			 "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Contents><Key>m/a%20b%2B</Key>"
			 "<Size>3</Size><ETag>&quot;x&quot;</ETag></Contents><Contents><Key>m/z</Key><Size>4</Size></Contents>"
			 "<CommonPrefixes><Prefix>m/c/</Prefix></CommonPrefixes><IsTruncated>true</IsTruncated>"
			 "<NextContinuationToken>t/1=</NextContinuationToken></ListBucketResult>")},
		{.body = TEXT(
			 "<ListBucketResult><Contents><Key>n</Key><Size>5</Size></Contents></ListBucketResult>")},
	};
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, rows, 2);
	assert_int_equal(s3_list(f.a, &bkt, "m/", "/", list_row, &out, NULL, &e), 0);
	assert_string_equal(buf_cstr(&out), "m/a b+ 3\nm/c/ (prefix) 0\nm/z 4\nn 5\n");
	assert_string_equal(
		web_seen(f.w, &f.s),
		"GET /bkt?list-type=2&encoding-type=url&max-keys=1000&delimiter=%2F&prefix=m%2F \n"
		"GET /bkt?list-type=2&encoding-type=url&max-keys=1000&delimiter=%2F&prefix=m%2F&"
		"continuation-token=t%2F1%3D \n");
	aws_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_head),
		cmocka_unit_test(test_conditional_put_whose_reply_is_lost),
		cmocka_unit_test(test_get_goes_on),
		cmocka_unit_test(test_get_of_what_changes),
		cmocka_unit_test(test_wrong_checksum),
		cmocka_unit_test(test_get_into_file),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_whole_checksum),
		cmocka_unit_test(test_upload_is_cancelled),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
