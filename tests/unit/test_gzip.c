/* gzip: what comes out must be one member that zlib reads, whatever goes in, and inflate from every restart point. */
#include "scratch.h"

#include <zlib.h>

#include "sagemaker/gzip.h"

#define MIB ((size_t)1 << 20)

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
	return buf_add(arg, p, n) ? err_set(e, ENOMEM, "sink") : 0;
}

static void fill_noise(unsigned char *p, size_t n)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (unsigned char)(x >> 24);
	}
}

static void fill_text(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)("the quick brown fox "[i % 20] + (i / 4099) % 7);
}

/* Noise, then text, in blocks that do not fall on chunks. */
static void fill_mixed(unsigned char *p, size_t n)
{
	for (size_t at = 0; at < n; at += 5 * MIB)
		(at / (5 * MIB) % 2 ? fill_text : fill_noise)(p + at, MIN(5 * MIB, n - at));
}

static void write_all(struct buf *out, const unsigned char *p, size_t n, size_t step,
		      struct gzip_point **points, size_t *n_points)
{
	struct err e = {0};
	struct gzip *g = gzip_new(collect, out, 2, &e);

	assert_non_null(g);
	for (size_t at = 0; at < n; at += step)
		assert_int_equal(gzip_write(g, p + at, MIN(step, n - at), &e), 0);
	assert_int_equal(gzip_finish(g, points, n_points, &e), 0);
}

/* Inflate with zlib (window_bits 31: one gzip member with its trailer; -15: bare) and compare. */
static void check_inflate(const char *z, size_t zn, const unsigned char *want, size_t n, int bits)
{
	unsigned char *got = malloc(n + 1);
	z_stream s = {.next_in = (unsigned char *)(uintptr_t)z,
		      .avail_in = (unsigned)zn,
		      .next_out = got,
		      .avail_out = (unsigned)(n + 1)};

	assert_int_equal(inflateInit2(&s, bits), Z_OK);
	assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
	assert_int_equal(s.total_out, n);
	if (bits > 0)
		assert_int_equal(s.avail_in, 0);
	inflateEnd(&s);
	assert_memory_equal(got, want, n);
	free(got);
}

static void round_trips(void **state)
{
	static const struct {
		size_t n, step;
		void (*fill)(unsigned char *, size_t);
	} rows[] = {
		{0,             1,        fill_text },
		{1,             1,        fill_text },
		{100000,        777,      fill_noise},
		{16 * MIB,      3 * MIB,  fill_noise},
		{16 * MIB + 1,  MIB,      fill_text },
		{70 * MIB + 13, 999999,   fill_mixed},
		{33 * MIB,      33 * MIB, fill_noise},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct buf out = BUF_INIT(128 * MIB);
		_cleanup_free_ unsigned char *p = malloc(rows[i].n + 1);
		_cleanup_free_ struct gzip_point *points = NULL;
		size_t n_points = 0;

		rows[i].fill(p, rows[i].n);
		write_all(&out, p, rows[i].n, rows[i].step, &points, &n_points);
		check_inflate(out.data, out.len, p, rows[i].n, 31);
		assert_int_equal(n_points, (rows[i].n + 16 * MIB - 1) / (16 * MIB));
		for (size_t k = 0; k < n_points; k++) {
			assert_int_equal(points[k].in, k * 16 * MIB);
			check_inflate(out.data + points[k].out, out.len - points[k].out,
				      p + points[k].in, rows[i].n - points[k].in, -15);
			size_t end = k + 1 < n_points ? points[k + 1].in : rows[i].n;
			assert_int_equal(points[k].crc, crc32(0, p + points[k].in,
							      (unsigned)(end - points[k].in)));
		}
		assert_true(out.len <= rows[i].n + rows[i].n / 10000 + 64); /* never worth more */
		if (rows[i].fill == fill_text && rows[i].n > MIB)
			assert_true(out.len < rows[i].n / 3);
	}
}

struct picky {
	size_t left;
	bool failed;
	int calls_after_failure;
};

static int refuse_late(void *arg, const void *p, size_t n, struct err *e)
{
	struct picky *s = arg;

	(void)p;
	if (s->failed)
		s->calls_after_failure++;
	if (n > s->left) {
		s->failed = true;
		return err_set(e, ENOSPC, "the sink is full");
	}
	s->left -= n;
	return 0;
}

static void sink_fails(void **state)
{
	static const size_t room[] = {0, 10, 17 * MIB, 40 * MIB};
	_cleanup_free_ unsigned char *p = malloc(MIB);

	(void)state;
	fill_noise(p, MIB);
	for (size_t i = 0; i < ARRAY_SIZE(room); i++) {
		struct picky s = {room[i], false, 0};
		struct err e = {0};
		struct gzip *g = gzip_new(refuse_late, &s, 2, &e);
		int rc = g ? 0 : -1;

		for (size_t k = 0; rc == 0 && k < 64; k++)
			rc = gzip_write(g, p, MIB, &e);
		if (g && rc == 0)
			rc = gzip_finish(g, NULL, NULL, &e);
		else
			gzip_free(g);
		assert_int_equal(rc, -1);
		assert_int_equal(e.no, ENOSPC);
		assert_string_equal(e.text, "the sink is full");
		assert_int_equal(s.calls_after_failure, 0);
	}
}

static void given_up(void **state)
{
	_cleanup_buf_ struct buf out = BUF_INIT(128 * MIB);
	_cleanup_free_ unsigned char *p = calloc(1, 40 * MIB);
	struct err e = {0};

	(void)state;
	struct gzip *g = gzip_new(collect, &out, 0, &e);
	assert_int_equal(gzip_write(g, p, 40 * MIB, &e), 0);
	gzip_free(g);
	gzip_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips),
					   cmocka_unit_test(sink_fails),
					   cmocka_unit_test(given_up)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
