/* What is read is compared with the object's checksum, whichever S3 shows, and nothing is called wrong that is not. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/hash.h"
#include "sagemaker/s3.h"
#include "web_script.h"

#define MIB ((size_t)1 << 20)

static const struct s3_bucket bkt = {.name = "bkt"};

struct fake {
	const char *data;
	size_t n;
	const char *headers;
	size_t first_part; /* of its two; 0: it tells nothing of parts */
	int asked;         /* for parts */
};

static void serve(void *arg, const struct web_request *q, struct web_reply *r)
{
	struct fake *s = arg;

	if (streq(q->method, "GET")) {
		buf_str(&r->headers, s->headers);
		if (!strstr(s->headers, "ETag:")) /* every object has one */
			buf_str(&r->headers, "ETag: \"x\"\r\n");
		buf_add(&r->body, s->data, s->n);
		return;
	}
	s->asked++;
	if (!s->first_part)
		r->status = 403;
	else
		buf_printf(&r->headers, "Content-Length: %zu\r\n",
			   strstr(q->query, "partNumber=1") ? s->first_part : s->n - s->first_part);
}

/* The errno of reading it. */
static int get(struct fake *s, struct err *e)
{
	_cleanup_buf_ struct buf out = BUF_INIT(16 * MIB);
	struct aws_fixture f;

	*e = (struct err){0};
	aws_begin_with(&f, serve, s);
	int rc = s3_get(f.a, &bkt, "k", 16 * MIB, &out, NULL, NULL, e);
	if (rc == 0) {
		assert_int_equal(out.len, s->n);
		assert_memory_equal(out.data, s->data, s->n);
	}
	aws_end(&f);
	return rc ? e->no : 0;
}

static void test_algorithms(void **state)
{
	static const struct {
		const char *headers; /* with the checksum of "123456789" */
		bool tells;
	} rows[] = {
		{"x-amz-checksum-crc32c: 4waSgw==\r\n",                                              true },
		{"x-amz-checksum-crc32: y/Q5Jg==\r\nx-amz-checksum-type: FULL_OBJECT\r\n",           true },
		{"x-amz-checksum-crc64nvme: rosUhgp5mIg=\r\nx-amz-checksum-type: FULL_OBJECT\r\n",
		 true										     },
		{"x-amz-checksum-crc64nvme: rosUhgp5mIg=\r\nx-amz-checksum-type: FULL_OBJECT\r\n"
		 "ETag: \"x-2\"\r\n",					       true },
		{"x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=\r\n",          true },
		{"x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=\r\n",                            true },
		{"x-amz-checksum-crc32c: 4waSgw==\r\nx-amz-checksum-sha256: nobody/looks/at/it\r\n",
		 true										     },
 /* Of its parts, and nobody says which; of an algorithm of tomorrow; of nothing. */
		{"x-amz-checksum-crc32c: 4waSgw==\r\nx-amz-checksum-type: COMPOSITE\r\n",            false},
		{"x-amz-checksum-crc32c: 4waSgw==\r\nETag: \"x-2\"\r\n",                             false},
		{"x-amz-checksum-crc32c: AAAAAA==-2\r\n",                                            false},
		{"x-amz-checksum-crc32: AAAAAA==-99999\r\n",                                         false},
		{"x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=-1\r\n",
		 false										    },
		{"x-amz-checksum-xxhash3: AAAAAAAAAAA=\r\n",                                         false},
		{"",										 false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake right = {.data = "123456789", .n = 9, .headers = rows[i].headers};
		struct fake wrong = {.data = "123456798", .n = 9, .headers = rows[i].headers};
		struct err e;

		if (get(&right, &e) || get(&wrong, &e) != (rows[i].tells ? EIO : 0))
			fail_msg("'%s': '%s'", rows[i].headers, e.text);
		if (rows[i].tells)
			assert_non_null(strstr(e.text, "checksum does not match"));
	}
}

/* "CRC-N" of parts of which the first has so many bytes. */
static void of_two_parts(const char *p, size_t n, size_t first, char out[64])
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	uint32_t both[2] = {htonl(crc32c(0, p, first)), htonl(crc32c(0, p + first, n - first))};
	uint32_t crc = htonl(crc32c(0, both, sizeof both));

	base64(&crc, sizeof crc, &text);
	snprintf(out, 64, "x-amz-checksum-crc32c: %.20s-2\r\n", buf_cstr(&text));
}

static void test_checksums_of_parts(void **state)
{
	static const struct {
		const char *name;
		size_t first, told; /* bytes of the first part, and what the service says of it */
		bool damaged;
		int no, asked;
	} rows[] = {
		{"as we cut them",                               8 * MIB, 8 * MIB, false, 0,   0},
		{"as we cut them, damaged",                      8 * MIB, 8 * MIB, true,  EIO, 2},
		{"as others cut them",                           5 * MIB, 5 * MIB, false, 0,   1},
		{"as others cut them, damaged: nobody can tell", 5 * MIB, 5 * MIB, true,  0,   1},
		{"damaged, and no permission to ask",            8 * MIB, 0,       true,  0,   1},
	};

	_cleanup_free_ char *data = malloc(9 * MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake s = {.data = data, .n = 9 * MIB, .first_part = rows[i].told};
		char headers[64];
		struct err e;

		for (size_t k = 0; k < 9 * MIB; k++)
			data[k] = (char)(k * 2654435761U >> 13);
		of_two_parts(data, 9 * MIB, rows[i].first, headers);
		s.headers = headers;
		data[MIB] ^= (char)rows[i].damaged;
		if (get(&s, &e) != rows[i].no || s.asked != rows[i].asked)
			fail_msg("%s: '%s', asked %d times", rows[i].name, e.text, s.asked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_checksums_of_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
