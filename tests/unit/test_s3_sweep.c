/* Which unfinished uploads are aborted: a service with a few, over two pages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/s3.h"
#include "web_script.h"

static const struct s3_bucket bkt = {.name = "bkt", .owner = "123456789012"};

#define WEEK (7 * 86400.0)
#define NOW  "Mon, 23 Nov 2026 10:00:00 GMT"

enum parts { NO_PARTS, OLD_PARTS, NEW_PARTS, NEW_ON_PAGE_2, DENIED, GONE };

struct row {
	const char *key, *id, *begun;
	enum parts parts;
};

struct fake {
	const struct row *rows;
	size_t n, page; /* rows of the first page; the others are on the second */
	bool deny_list;
	struct buf seen; /* what was aborted */
};

static void refuse(struct web_reply *r, int status, const char *code)
{
	r->status = status;
	buf_printf(&r->body, "<Error><Code>%s</Code><Message>told to</Message></Error>", code);
}

static void list_uploads(const struct fake *s, const struct web_request *q, struct web_reply *r)
{
	bool second = strstr(q->query, "key-marker=m%2Fmark&upload-id-marker=idmark") != NULL;
	size_t from = second ? s->page : 0, to = second ? s->n : s->page;

	if (s->deny_list) {
		refuse(r, 403, "AccessDenied");
		return;
	}
	assert_non_null(strstr(q->query, "prefix=m%2F"));
	assert_string_equal(http_header_get(&q->headers, "x-amz-expected-bucket-owner"),
			    "123456789012");
	buf_str(&r->headers, "Date: " NOW "\r\n");
	buf_printf(&r->body,
		   "<ListMultipartUploadsResult><NextKeyMarker>%s</NextKeyMarker>"
		   "<NextUploadIdMarker>%s</NextUploadIdMarker><IsTruncated>%s</IsTruncated>",
		   second ? "" : "m%2Fmark", second ? "" : "idmark", to < s->n ? "true" : "false");
	for (size_t i = from; i < to; i++)
		buf_printf(
			&r->body,
			"<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>",
			s->rows[i].key, s->rows[i].id, s->rows[i].begun);
	buf_str(&r->body, "</ListMultipartUploadsResult>");
}

static const struct row *find(const struct fake *s, const char *query)
{
	const char *id = strstr(query, "uploadId=");

	assert_non_null(id);
	id += strlen("uploadId=");
	for (size_t i = 0; i < s->n; i++) {
		if (strlen(s->rows[i].id) == strcspn(id, "&") && starts_with(id, s->rows[i].id))
			return &s->rows[i];
	}
	fail_msg("no such upload: %s", query);
	return NULL;
}

static void list_parts(const struct fake *s, const struct web_request *q, struct web_reply *r)
{
	enum parts parts = find(s, q->query)->parts;
	bool second = strstr(q->query, "part-number-marker=1") != NULL;
	bool fresh = parts == NEW_PARTS || (parts == NEW_ON_PAGE_2 && second);

	if (parts == DENIED) {
		refuse(r, 403, "AccessDenied");
		return;
	}
	if (parts == GONE) {
		refuse(r, 404, "NoSuchUpload");
		return;
	}
	buf_printf(&r->body,
		   "<ListPartsResult><NextPartNumberMarker>1</NextPartNumberMarker>"
		   "<IsTruncated>%s</IsTruncated>",
		   parts == NEW_ON_PAGE_2 && !second ? "true" : "false");
	if (parts != NO_PARTS)
		buf_printf(&r->body,
			   "<Part><PartNumber>1</PartNumber><LastModified>%s</LastModified></Part>",
			   fresh ? "2026-11-20T00:00:00.000Z" : "2026-11-10T00:00:00.000Z");
	buf_str(&r->body, "</ListPartsResult>");
}

static void serve(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct fake *s = arg;

	if (streq(q->method, "DELETE"))
		buf_printf(&s->seen, "%s %s\n", q->path, find(s, q->query)->id);
	else if (starts_with(q->query, "uploads="))
		list_uploads(s, q, r);
	else
		list_parts(s, q, r);
}

static const struct row rows[] = {
	{"m/a%20b/1", "left",    "2026-11-10T00:00:00.000Z", OLD_PARTS    },
	{"m/a/2",     "young",   "2026-11-20T00:00:00.000Z", OLD_PARTS    },
	{"m/a/3",     "alive",   "2026-11-10T00:00:00.000Z", NEW_PARTS    },
	{"m/a/4",     "long",    "2026-11-10T00:00:00.000Z", NEW_ON_PAGE_2},
	{"m/b/5",     "empty",   "2026-11-10T00:00:00.000Z", NO_PARTS     },
	{"m/b/6",     "denied",  "2026-11-10T00:00:00.000Z", DENIED       },
	{"m/b/7",     "gone",    "2026-11-10T00:00:00.000Z", GONE         },
	{"m/b/8",     "undated", "",                         OLD_PARTS    },
	{"m/c/9",     "left2",   "2026-11-16T09:59:59.000Z", OLD_PARTS    },
};

static void test_old_ones(void **state)
{
	struct fake s = {.rows = rows, .n = ARRAY_SIZE(rows), .page = 4, .seen = BUF_INIT(0)};
	struct aws_fixture f;
	struct err e;
	unsigned n;

	(void)state;
	aws_begin_with(&f, serve, &s);
	assert_int_equal(s3_multipart_sweep_old(f.a, &bkt, "m/", WEEK, &n, NULL, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(buf_cstr(&s.seen), "/bkt/m/a%20b/1 left\n/bkt/m/c/9 left2\n");
	aws_end(&f);
	buf_release(&s.seen);
}

static void test_not_permitted(void **state)
{
	struct fake s = {.deny_list = true, .seen = BUF_INIT(0)};
	struct aws_fixture f;
	struct err e;
	unsigned n;

	(void)state;
	aws_begin_with(&f, serve, &s);
	assert_int_equal(s3_multipart_sweep_old(f.a, &bkt, "m/", WEEK, &n, NULL, &e), -1);
	assert_int_equal(e.no, EACCES);
	assert_int_equal(n, 0);
	aws_end(&f);
}

/* Of one key: all but the one that goes on, and none of a longer key. */
static void test_of_one_key(void **state)
{
	static const struct row own[] = {
		{"m/k",  "mine",   "", NO_PARTS},
		{"m/k",  "lost",   "", NO_PARTS},
		{"m/k2", "others", "", NO_PARTS},
	};
	struct fake s = {.rows = own, .n = 3, .page = 3, .seen = BUF_INIT(0)};
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin_with(&f, serve, &s);
	assert_int_equal(s3_multipart_sweep(f.a, &bkt, "m/k", "mine", NULL, &e), 0);
	assert_string_equal(buf_cstr(&s.seen), "/bkt/m/k lost\n");
	aws_end(&f);
	buf_release(&s.seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_ones),
		cmocka_unit_test(test_not_permitted),
		cmocka_unit_test(test_of_one_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
