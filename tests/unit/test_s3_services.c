/* S3 services that know less than AWS's, or say other things: what an upload and a conditional write make of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/s3.h"
#include "upload.h"
#include "web_script.h"

#define MIB ((size_t)1 << 20)

static const struct s3_bucket bkt = {
	.name = "bkt", .owner = "123456789012", .kms_key = "alias/models"};

struct habits {
	const char *name;
	/* Uploads: what it answers to FULL_OBJECT at create and at complete, and what it shows */
	int create, complete;
	const char *type, *part, *result;
	/* Conditional writes: it refuses them, or takes no notice */
	bool refuses, ignores;
};

/* A request that gets no reply. */
enum hold { HOLD_NOTHING, HOLD_PUT, HOLD_CREATE, HOLD_PART, HOLD_COMPLETE };

struct fake {
	const struct habits *is;
	enum hold hold;
	bool exists;
	char etag[16];
	int creates, completes, aborts, puts, heads;
	int probes, left; /* objects of names that mean nothing: asked to be written, there */
	bool full;        /* the last complete asked for the whole object's checksum */
};

static void refuse(struct web_reply *r, int status, const char *code)
{
	r->status = status;
	buf_printf(&r->body, "<Error><Code>%s</Code><Message>told to</Message></Error>", code);
}

static bool is_full(const struct web_request *q)
{
	return http_header_get(&q->headers, "x-amz-checksum-type") != NULL;
}

/* Who owns the bucket goes with every request, the key with those that begin to write. */
static void check_headers(const struct web_request *q)
{
	const char *owner = http_header_get(&q->headers, "x-amz-expected-bucket-owner");
	const char *key =
		http_header_get(&q->headers, "x-amz-server-side-encryption-aws-kms-key-id");
	bool begins = streq(q->query, "uploads") || (streq(q->method, "PUT") && !*q->query);

	assert_non_null(owner);
	assert_string_equal(owner, "123456789012");
	assert_int_equal(key != NULL, begins);
	if (key) {
		assert_string_equal(key, "alias/models");
		assert_string_equal(http_header_get(&q->headers, "x-amz-server-side-encryption"),
				    "aws:kms");
	}
}

/* A write, or a deletion, of an object whose name means nothing. */
static void probe(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	if (streq(q->method, "DELETE")) {
		s->left--;
		return;
	}
	s->probes++;
	s->left += s->is->ignores;
	if (!s->is->ignores)
		refuse(r, s->is->refuses ? 501 : 404, "NoSuchKey");
}

static void put(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	const char *none = http_header_get(&q->headers, "If-None-Match"),
		   *match = http_header_get(&q->headers, "If-Match");

	s->puts++;
	if (s->is->refuses && (none || match)) {
		refuse(r, 501, "NotImplemented");
		return;
	}
	if (!s->is->ignores &&
	    ((none && s->exists) || (match && (!s->exists || !streq(match, s->etag))))) {
		refuse(r, 412, "PreconditionFailed");
		return;
	}
	s->exists = true;
	snprintf(s->etag, sizeof s->etag, "\"e%d\"", s->puts % 100);
	buf_printf(&r->headers, "ETag: %s\r\n", s->etag);
	if (s->is->part)
		buf_printf(&r->headers, "x-amz-checksum-crc32c: %s\r\n", s->is->part);
}

static void upload(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	const struct habits *is = s->is;

	if (streq(q->query, "uploads")) {
		s->creates++;
		if (is_full(q) && is->create) {
			refuse(r, is->create, "InvalidRequest");
			return;
		}
		if (is->type)
			buf_printf(&r->headers, "x-amz-checksum-type: %s\r\n", is->type);
		buf_str(&r->body,
			"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>");
		return;
	}
	s->completes++;
	s->full = is_full(q);
	if (s->full && is->complete) {
		refuse(r, is->complete, "InvalidRequest");
		return;
	}
	buf_printf(&r->body,
		   "<CompleteMultipartUploadResult><ETag>\"w\"</ETag>%s"
		   "</CompleteMultipartUploadResult>",
		   is->result ? is->result : "");
}

static enum hold stage(const struct web_request *q)
{
	if (streq(q->method, "PUT"))
		return *q->query ? HOLD_PART : HOLD_PUT;
	if (streq(q->method, "POST"))
		return streq(q->query, "uploads") ? HOLD_CREATE : HOLD_COMPLETE;
	return HOLD_NOTHING;
}

static void answer(struct fake *s, const struct web_request *q, struct web_reply *r)
{
	if (streq(q->method, "PUT") && *q->query)
		buf_printf(&r->headers, "ETag: \"p\"\r\n%s%s%s",
			   s->is->part ? "x-amz-checksum-crc32c: " : "",
			   s->is->part ? s->is->part : "", s->is->part ? "\r\n" : "");
	else if (streq(q->method, "PUT"))
		put(s, q, r);
	else if (streq(q->method, "POST"))
		upload(s, q, r);
	else if (streq(q->method, "DELETE"))
		s->aborts++;
	else if (s->heads++, s->exists)
		buf_printf(&r->headers, "ETag: %s\r\n", s->etag);
	else
		r->status = 404;
}

static void serve(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct fake *s = arg;

	check_headers(q);
	if (s->hold && stage(q) == s->hold)
		r->fault = WEB_WITHHOLD;
	if (strstr(q->path, "k.condition-"))
		probe(s, q, r);
	else
		answer(s, q, r);
}

#define ZEROES_CRC "0+y2qw==" /* CRC32C of 4 MiB of zeroes: of no part that is sent here */

static void test_uploads(void **state)
{
	static const struct {
		struct habits is;
		int creates, completes, aborts, no;
		const char *type; /* of the checksum at the end */
	} rows[] = {
		{{.name = "AWS", .type = "FULL_OBJECT"},                                         1, 1, 0, 0,      "FULL_OBJECT"},
		{{.name = "says nothing"},						       1, 1, 0, 0,      "FULL_OBJECT"},
		{{.name = "refuses it at create", .create = 400},                                2, 1, 0, 0,      "COMPOSITE"  },
		{{.name = "does not know it at create", .create = 501},                          2, 1, 0, 0,      "COMPOSITE"  },
		{{.name = "makes another of it", .type = "COMPOSITE"},                           1, 1, 0, 0,      "COMPOSITE"  },
		{{.name = "refuses it at complete", .complete = 400},                            1, 2, 0, 0,      "COMPOSITE"  },
		{{.name = "promised it, refuses it", .type = "FULL_OBJECT", .complete = 400},
		 1,										 1,
		 1,										       EINVAL,
		 NULL													  },
		{{.name = "is denied", .create = 403},                                           1, 0, 0, EACCES, NULL         },
		{{.name = "has other parts", .part = ZEROES_CRC},                                1, 0, 1, EIO,    NULL         },
		{{.name = "has another object",
		  .result = "<ChecksumCRC32C>" ZEROES_CRC "</ChecksumCRC32C>"},
		 1,										 1,
		 1,										       EIO,
		 NULL													  },
	};

	_cleanup_free_ char *data = malloc(9 * MIB);

	(void)state;
	memset(data, 'x', 9 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake s = {.is = &rows[i].is};
		struct aws_fixture f;
		struct s3_object o = {0};
		struct err e = {0};

		aws_begin_with(&f, serve, &s);
		struct s3_upload *u = s3_upload_new(f.a, &bkt, "k", NULL, NULL, &e);
		assert_non_null(u);
		int rc = upload_bytes(u, data, 9 * MIB, &o, &e);
		assert_int_equal(rc ? e.no : 0, rows[i].no);
		if (s.creates != rows[i].creates || s.completes != rows[i].completes ||
		    s.aborts != rows[i].aborts)
			fail_msg("%s: '%s', %d creates, %d completes, %d aborts", rows[i].is.name,
				 e.text, s.creates, s.completes, s.aborts);
		if (rc == 0) {
			assert_string_equal(o.checksum_type, rows[i].type);
			assert_int_equal(s.full, streq(rows[i].type, "FULL_OBJECT"));
		}
		aws_end(&f);
	}
}

static int write_on(struct aws_fixture *f, const char *condition, struct err *e)
{
	const struct s3_content text = {"hello", 5, NULL, condition};

	return s3_put(f->a, &bkt, "k", &text, NULL, NULL, e);
}

static void test_conditions(void **state)
{
	static const struct habits services[] = {
		{.name = "knows them"},
		{ .name = "refuses them",     .refuses = true},
		{ .name = "takes no notice",     .ignores = true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		struct fake s = {.is = &services[i]};
		struct aws_fixture f;
		struct err e = {0};

		aws_begin_with(&f, serve, &s);
		assert_int_equal(write_on(&f, "\"e9\"", &e), -1);
		assert_int_equal(e.no, ESTALE);
		assert_int_equal(write_on(&f, S3_IF_NONE, &e), 0);
		assert_true(s.exists);
		assert_int_equal(write_on(&f, S3_IF_NONE, &e), -1);
		assert_int_equal(e.no, EEXIST);
		assert_int_equal(e.http, 412);
		assert_int_equal(write_on(&f, "\"e99\"", &e), -1);
		assert_int_equal(e.no, ESTALE);
		assert_int_equal(e.http, 412);
		const int heads = s.heads;
		assert_int_equal(write_on(&f, s.etag, &e), 0);
		assert_int_equal(write_on(&f, NULL, &e), 0);
		/* Whether it heeds If-Match is asked once; one that does is not looked at first. */
		assert_int_equal(s.probes, 1);
		assert_int_equal(s.left, 0);
		assert_int_equal(s.heads - heads, services[i].refuses || services[i].ignores);
		aws_end(&f);
	}
}

static void test_wrong_checksum_of_what_was_written(void **state)
{
	static const struct habits other = {.name = "has other bytes", .part = ZEROES_CRC};
	struct fake s = {.is = &other};
	struct aws_fixture f;
	struct err e = {0};

	(void)state;
	aws_begin_with(&f, serve, &s);
	assert_int_equal(write_on(&f, NULL, &e), -1);
	assert_int_equal(e.no, EIO);
	assert_non_null(strstr(e.text, "checksum does not match"));
	aws_end(&f);
}

struct canceller {
	struct web *w;
	struct cancel *c;
	int requests;
};

static void *cancel_then(void *arg)
{
	struct canceller *k = arg;

	web_wait_requests(k->w, k->requests);
	cancel_set(k->c);
	return NULL;
}

/* At whichever moment: the caller is free at once, and what was begun is aborted. An upload whose id has not come yet is found by
 * its key (s3_multipart_sweep). */
static void test_cancelled_at_any_moment(void **state)
{
	static const struct {
		enum hold at;
		size_t size;
		int requests; /* when it is cancelled */
		int aborts;
	} rows[] = {
		{HOLD_PUT,      1000,    1, 0},
		{HOLD_CREATE,   9 * MIB, 1, 0},
		{HOLD_PART,     9 * MIB, 3, 1},
		{HOLD_COMPLETE, 9 * MIB, 4, 1},
	};
	static const struct habits aws = {.name = "AWS", .type = "FULL_OBJECT"};
	_cleanup_free_ char *data = calloc(9, MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cancel *c _cleanup_(cancel_unrefp)
		= cancel_new();
		struct fake s = {.is = &aws, .hold = rows[i].at};
		struct aws_fixture f;
		struct err e = {0};
		pthread_t t;

		aws_begin_with(&f, serve, &s);
		struct canceller k = {f.w, c, rows[i].requests};
		struct s3_upload *u = s3_upload_new(f.a, &bkt, "k", NULL, c, &e);
		assert_non_null(u);
		pthread_create(&t, NULL, cancel_then, &k);
		assert_int_equal(upload_bytes(u, data, rows[i].size, NULL, &e), -1);
		assert_int_equal(e.no, ECANCELED);
		pthread_join(t, NULL);
		aws_end(&f);
		assert_int_equal(s.aborts, rows[i].aborts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_cancelled_at_any_moment),
		cmocka_unit_test(test_wrong_checksum_of_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
