/* The local backend's S3, the parts that compute: aws-chunked on AWS's published example, checksums and how they are joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/crc64.h"
#include "sagemaker/local/checksum.h"
#include "sagemaker/local/chunked.h"

/* "Example: PUT object" of S3's "Transferring payload in multiple chunks": 66,560 times 'a' in chunks of 65,536 and 1,024. */
static const struct chunk_signer example = {
	{"20130524T000000Z", "us-east-1", "s3"},
	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
};

static const char *const example_signatures[] = {
	"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
	"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
	"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
};

static int gather(void *arg, const void *p, size_t n)
{
	return buf_add(arg, p, n);
}

static void add_chunk(struct buf *b, size_t n, const char *signature)
{
	buf_printf(b, "%zx;chunk-signature=%s\r\n", n, signature);
	for (size_t i = 0; i < n; i++)
		buf_char(b, 'a');
	buf_str(b, "\r\n");
}

static void example_body(struct buf *b)
{
	add_chunk(b, 65536, example_signatures[0]);
	add_chunk(b, 1024, example_signatures[1]);
	add_chunk(b, 0, example_signatures[2]);
}

static enum chunk_fault feed(struct chunked *c, const struct buf *b, size_t step)
{
	enum chunk_fault f = CHUNK_OK;

	for (size_t at = 0; at < b->len && f == CHUNK_OK; at += step)
		f = chunked_feed(c, b->data + at, MIN(step, b->len - at));
	return f;
}

static void published_example_in_any_pieces(void **state)
{
	static const size_t steps[] = {1, 7, 1000, 65536, 1 << 20};
	_cleanup_buf_ struct buf body = BUF_INIT(0);

	(void)state;
	example_body(&body);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct chunked *c = chunked_new(&example, false, gather, &out);
		assert_non_null(c);
		assert_false(chunked_done(c));
		assert_int_equal(feed(c, &body, steps[i]), CHUNK_OK);
		assert_true(chunked_done(c));
		assert_int_equal(out.len, 66560);
		assert_int_equal(strspn(out.data, "a"), 66560);
		chunked_free(c);
	}
}

static void every_spoiled_byte_is_found(void **state)
{
	_cleanup_buf_ struct buf body = BUF_INIT(0);

	(void)state;
	example_body(&body);
	for (size_t at = 0; at < body.len; at += at < 100 || at > body.len - 300 ? 1 : 4093) {
		_cleanup_buf_ struct buf out = BUF_INIT(0);
		struct chunked *c = chunked_new(&example, false, gather, &out);
		bool line_break = body.data[at] == '\r' || body.data[at] == '\n';
		assert_non_null(c);
		body.data[at] ^= 1;
		enum chunk_fault f = feed(c, &body, 4096);
		if (!line_break) /* a CR more or less changes no data */
			assert_true(f != CHUNK_OK || !chunked_done(c));
		body.data[at] ^= 1;
		chunked_free(c);
	}
}

static void a_cut_body_is_not_done(void **state)
{
	_cleanup_buf_ struct buf body = BUF_INIT(0), out = BUF_INIT(0);

	(void)state;
	example_body(&body);
	struct chunked *c = chunked_new(&example, false, gather, &out);
	assert_non_null(c);
	body.len -= 30;
	assert_int_equal(feed(c, &body, 4096), CHUNK_OK);
	assert_false(chunked_done(c));
	chunked_free(c);
}

static void decodes(const char *body, bool trailer, enum chunk_fault fault, bool done,
		    const char *data)
{
	_cleanup_buf_ struct buf out = BUF_INIT(64);
	struct chunked *c = chunked_new(NULL, trailer, gather, &out);

	assert_non_null(c);
	assert_int_equal(chunked_feed(c, body, strlen(body)), fault);
	assert_int_equal(chunked_done(c), done);
	if (done)
		assert_string_equal(buf_cstr(&out), data);
	if (done && trailer)
		assert_string_equal(chunked_trailer(c, "x-amz-checksum-crc32"), "abc");
	chunked_free(c);
}

static void unsigned_chunks(void **state)
{
	(void)state;
	decodes("3\r\nabc\r\n0\r\nX-Amz-Checksum-CRC32: abc\r\n\r\n", true, CHUNK_OK, true, "abc");
	decodes("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:abc\n\r\n", true, CHUNK_OK, true, "abc");
	decodes("0\r\nx-amz-checksum-crc32:abc\r\n\r\n", true, CHUNK_OK, true, "");
	decodes("3;any=extension\r\nabc\r\n0\r\n\r\n", false, CHUNK_OK, true, "abc");
	decodes("3\r\nabc\r\n0\r\n", false, CHUNK_OK, true, "abc");
	decodes("3\r\nabc\r\n0\r\n", true, CHUNK_OK, false, "");
	decodes("3\r\nabcd\r\n0\r\n\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("x\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("-1\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("ffffffffffffffff\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("0\r\n\r\nmore\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("0\r\na:b\r\n\r\n", false, CHUNK_MALFORMED, false, "");
	decodes("0\r\nno colon\r\n\r\n", true, CHUNK_MALFORMED, false, "");
	decodes("41\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
		false, CHUNK_SINK, false, "");
}

static void sums_are(const char *data, enum sum s, const char *wanted)
{
	struct sum_values v;
	struct sums sums;
	char text[SUM_TEXT];

	assert_int_equal(sums_begin(&sums, SUM_BIT(s)), 0);
	for (size_t i = 0; i < strlen(data); i++)
		sums_update(&sums, data + i, 1);
	sums_end(&sums, &v);
	sum_text(s, v.value[s], text);
	assert_string_equal(text, wanted);
	assert_true(v.have & SUM_BIT(SUM_CRC32) && v.have & SUM_BIT(SUM_CRC32C));
}

static void check_values(void **state)
{
	(void)state;
	sums_are("123456789", SUM_CRC32, "y/Q5Jg==");
	sums_are("123456789", SUM_CRC32C, "4waSgw==");
	sums_are("123456789", SUM_CRC64NVME, "rosUhgp5mIg=");
	sums_are("123456789", SUM_SHA1, "98O8HYCOBHMq32eZZczDTKeuNEE=");
	sums_are("123456789", SUM_SHA256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
	sums_are("", SUM_CRC64NVME, "AAAAAAAAAAA=");
}

/* Joined from any two pieces, a full object's CRC is that of the whole. */
static void crcs_are_joined(void **state)
{
	static const enum sum sums[] = {SUM_CRC32, SUM_CRC32C, SUM_CRC64NVME};

	unsigned char data[1000];

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t k = 0; k < ARRAY_SIZE(sums) * 5; k++) {
		enum sum s = sums[k % ARRAY_SIZE(sums)];
		size_t cut = k * 61 % sizeof data;
		struct sum_join j = SUM_JOIN_INIT(s);
		struct sum_values whole, a, b;
		struct sums h;
		char joined[SUM_TEXT], wanted[SUM_TEXT];

		assert_int_equal(sums_begin(&h, SUM_BIT(s)), 0);
		sums_update(&h, data, sizeof data);
		sums_end(&h, &whole);
		assert_int_equal(sums_begin(&h, SUM_BIT(s)), 0);
		sums_update(&h, data, cut);
		sums_end(&h, &a);
		assert_int_equal(sums_begin(&h, SUM_BIT(s)), 0);
		sums_update(&h, data + cut, sizeof data - cut);
		sums_end(&h, &b);
		sum_join_add(&j, a.value[s], cut);
		sum_join_add(&j, b.value[s], sizeof data - cut);
		assert_int_equal(sum_join_text(&j, true, joined), 0);
		sum_text(s, whole.value[s], wanted);
		assert_string_equal(joined, wanted);
	}
}

static void values_survive_the_store(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(1024);
	struct sum_values v, back;
	struct sums h;

	(void)state;
	assert_int_equal(sums_begin(&h, SUM_BIT(SUM_SHA1) | SUM_BIT(SUM_CRC64NVME)), 0);
	sums_update(&h, "abc", 3);
	sums_end(&h, &v);
	sums_show(&v, &text);
	sums_read(buf_cstr(&text), &back);
	assert_int_equal(back.have, v.have);
	for (enum sum s = 0; s < N_SUMS; s++) {
		if (v.have & SUM_BIT(s))
			assert_memory_equal(back.value[s], v.value[s], sum_rows[s].len);
	}
	sums_read("sha1:AAAA rot13:AAAA crc32:AAAAAA== junk", &back);
	assert_int_equal(back.have, SUM_BIT(SUM_CRC32));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_example_in_any_pieces),
		cmocka_unit_test(every_spoiled_byte_is_found),
		cmocka_unit_test(a_cut_body_is_not_done),
		cmocka_unit_test(unsigned_chunks),
		cmocka_unit_test(check_values),
		cmocka_unit_test(crcs_are_joined),
		cmocka_unit_test(values_survive_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
