/* Buffers, errors, hashes, cancelling, XML. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "sagemaker/buf.h"
#include "sagemaker/cancel.h"
#include "sagemaker/err.h"
#include "sagemaker/hash.h"
#include "sagemaker/xml.h"

static void test_buf_has_a_ceiling(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(8);

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_str(&b, "12345"), 0);
	assert_int_equal(buf_printf(&b, "%s", "678"), 0);
	assert_int_equal(buf_char(&b, '9'), -1);
	assert_true(b.failed);
	assert_string_equal(buf_cstr(&b), "12345678");
	buf_reset(&b);
	assert_int_equal(b.len, 0);
}

static void test_buf_remove_and_steal(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(0);

	(void)state;
	buf_add(&b, "a\0b", 3);
	buf_remove(&b, 1);
	assert_int_equal(b.len, 2);
	assert_memory_equal(b.data, "\0b", 3);
	_cleanup_free_ char *p = buf_steal(&b);
	assert_non_null(p);
	assert_int_equal(b.len, 0);
	assert_null(b.data);
}

static void test_buf_read_file(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4);

	(void)state;
	assert_int_equal(buf_read_file(&b, AT_FDCWD, "/nonexistent"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(buf_read_file(&b, AT_FDCWD, "/proc/self/maps"), -1);
	assert_int_equal(errno, EFBIG);
}

static void test_err_reads_as_one_line(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, EINVAL, "no such %s", "thing"), -1);
	err_prefix(&e, "create model '%s'", "iris");
	err_append(&e, "undo failed too");
	snprintf(e.code, sizeof e.code, "ValidationException");
	snprintf(e.request, sizeof e.request, "r1");
	e.http = 400;
	e.attempts = 3;
	err_show(&e, &out);
	assert_string_equal(buf_cstr(&out),
			    "create model 'iris': no such thing; undo failed too "
			    "(ValidationException, HTTP 400, 3 attempts, request r1)\n");
	err_clear(&e);
	buf_reset(&out);
	err_show(&e, &out);
	assert_int_equal(out.len, 0);
	errno = ENOSPC;
	err_errno(&e, "could not write");
	assert_int_equal(e.no, ENOSPC);
	assert_string_equal(e.text, "could not write: No space left on device");
	assert_int_equal(err_set(NULL, EIO, "dropped"), -1);
}

static void test_err_never_overflows(void **state)
{
	char big[4096];
	struct err e;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	err_set(&e, EIO, "%s", big);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_prefix(&e, "before");
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	assert_memory_equal(e.text, "before: xxx", 11);
	err_prefix(&e, "%s", big);
	err_append(&e, "%s", big);
	assert_true(strlen(e.text) < sizeof e.text);
}

static void assert_hex(const unsigned char *p, size_t n, const char *expected)
{
	char text[SHA256_HEX];

	hex(p, n, text);
	assert_string_equal(text, expected);
}

static void test_digests(void **state)
{
	unsigned char d[SHA256_LEN];
	unsigned char key[20];

	(void)state;
	sha256("abc", 3, d);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(NULL, 0, d);
	assert_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	struct sha256 *h = sha256_new();
	sha256_update(h, "a", 1);
	sha256_update(h, "bc", 2);
	sha256_final(h, d);
	assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(key, 0x0b, sizeof key); /* RFC 4231, case 1 */
	hmac_sha256(key, sizeof key, "Hi There", 8, d);
	assert_hex(d, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	md5("abc", 3, d);
	assert_hex(d, 16, "900150983cd24fb0d6963f7d28e17f72");
	struct md5 *m = md5_new();
	md5_update(m, "abc", 3);
	md5_final(m, d);
	assert_hex(d, 16, "900150983cd24fb0d6963f7d28e17f72");
}

static void test_crc32c(void **state)
{
	unsigned char data[1000];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(data, 0, 32); /* RFC 3720, B.4 */
	assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	assert_int_equal(crc32c(0, data, 32), 0x62a8ab43);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 7);
	uint32_t whole = crc32c(0, data, sizeof data);
	for (size_t cut = 0; cut <= sizeof data; cut += 37) {
		uint32_t a = crc32c(0, data, cut), b = crc32c(0, data + cut, sizeof data - cut);

		assert_int_equal(crc32c(a, data + cut, sizeof data - cut), whole);
		assert_int_equal(crc32c_combine(a, b, sizeof data - cut), whole);
	}
	/* 5 TiB of zeros after a byte, by doubling: combine counts in 64 bits. */
	uint32_t zeros = crc32c(0, "\0\0\0\0", 4);
	uint64_t n = 4;
	for (; n < (uint64_t)5 << 40; n *= 2)
		zeros = crc32c_combine(zeros, zeros, n);
	uint32_t half = crc32c(0, "\0\0\0\0", 4);
	for (uint64_t m = 4; m < n / 2; m *= 2)
		half = crc32c_combine(half, half, m);
	assert_int_equal(crc32c_combine(half, half, n / 2), zeros);
}

static void test_base64(void **state)
{
	static const char *const bad[] = {
		"A", "AAA", "A===", "AA=A", "AB==", "AAB=", "AA A", "AAA\n", "====", "AAAA=AAA"};
	static const char text[] = "any carnal pleas";

	(void)state;
	for (size_t n = 0; n < sizeof text; n++) {
		_cleanup_buf_ struct buf coded = BUF_INIT(0), back = BUF_INIT(0);

		base64(text, n, &coded);
		assert_int_equal(unbase64(buf_cstr(&coded), coded.len, &back), 0);
		assert_int_equal(back.len, n);
		assert_memory_equal(buf_cstr(&back), text, n);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf back = BUF_INIT(0);

		if (unbase64(bad[i], strlen(bad[i]), &back) == 0)
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_random_text(void **state)
{
	char a[33], b[33], none[1] = "x";

	(void)state;
	random_text(a, sizeof a);
	random_text(b, sizeof b);
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz0123456789"), 32);
	assert_string_not_equal(a, b);
	random_text(none, sizeof none);
	assert_string_equal(none, "");
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_cancel_hooks(void **state)
{
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	atomic_int a = 0, b = 0, late = 0;

	(void)state;
	assert_false(cancel_is_set(c));
	assert_false(cancel_is_set(NULL));
	cancel_on(c, count, &a);
	cancel_on(c, count, &b);
	cancel_off(c, count, &b);
	cancel_set(c);
	cancel_set(c);
	cancel_on(c, count, &late);
	assert_true(cancel_is_set(c));
	assert_int_equal(a, 1);
	assert_int_equal(b, 0);
	assert_int_equal(late, 1);
	assert_true(cancel_sleep(c, 10000));
}

struct slow {
	atomic_int begun, ended;
};

static void run_slowly(void *arg)
{
	struct slow *s = arg;

	atomic_store(&s->begun, 1);
	poll(NULL, 0, 100);
	atomic_store(&s->ended, 1);
}

static void *set_it(void *arg)
{
	cancel_set(arg);
	return NULL;
}

/* cancel_off returns only when the hook is over, so that what it uses can be freed. */
static void test_cancel_off_waits(void **state)
{
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	struct slow s = {0, 0};
	pthread_t t;

	(void)state;
	cancel_on(c, run_slowly, &s);
	pthread_create(&t, NULL, set_it, c);
	while (!atomic_load(&s.begun))
		poll(NULL, 0, 1);
	cancel_off(c, run_slowly, &s);
	assert_int_equal(s.ended, 1);
	pthread_join(t, NULL);
}

static void *sleep_long(void *arg)
{
	return cancel_sleep(arg, 20000) ? arg : NULL;
}

static void test_cancel_ends_sleep(void **state)
{
	struct cancel *c _cleanup_(cancel_unrefp)
	= cancel_new();
	void *result = NULL;
	pthread_t t;

	(void)state;
	assert_false(cancel_sleep(c, 5));
	assert_false(cancel_sleep(NULL, 5));
	pthread_create(&t, NULL, sleep_long, c);
	poll(NULL, 0, 30);
	cancel_set(c);
	pthread_join(t, &result);
	assert_ptr_equal(result, c);
}

static int ignore(void *arg, const char *path, const char *text)
{
	(void)arg;
	(void)path;
	(void)text;
	return 0;
}

static void test_hostile_xml(void **state)
{
	static const char *const bad[] = {
		"",
		"<a>",
		"<a><b></a></b>",
		"<!DOCTYPE a [<!ENTITY x \"y\"><!ENTITY z \"&x;&x;\">]><a>&z;</a>",
		"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>",
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(xml_scan(bad[i], strlen(bad[i]), ignore, NULL, &e), -1);
		assert_int_equal(e.no, EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_has_a_ceiling),
		cmocka_unit_test(test_buf_remove_and_steal),
		cmocka_unit_test(test_buf_read_file),
		cmocka_unit_test(test_err_reads_as_one_line),
		cmocka_unit_test(test_err_never_overflows),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_random_text),
		cmocka_unit_test(test_cancel_hooks),
		cmocka_unit_test(test_cancel_off_waits),
		cmocka_unit_test(test_cancel_ends_sleep),
		cmocka_unit_test(test_hostile_xml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
