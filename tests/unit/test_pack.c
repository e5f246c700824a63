/* pack: whatever goes in, chunks in any order between a header and a trailer are one gzip member that zlib reads, and each is where
 * inflating can begin. */
#include "scratch.h"

#include <zlib.h>

#include "packed.h"

#define MIB ((size_t)1 << 20)

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

/* Noise where the samples are, text behind them: a chunk that is misjudged. */
static void fill_misleading(unsigned char *p, size_t n)
{
	fill_text(p, n);
	for (size_t at = 0; at < n; at += PACK_BLOCK)
		fill_noise(p + at, MIN((size_t)32 << 10, n - at));
}

/* Inflate with zlib (window_bits 31: one gzip member with its trailer; -15: bare) and compare. */
static void check_inflate(const unsigned char *z, size_t zn, const unsigned char *want, size_t n,
			  int bits)
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
		{0,              1,          fill_text      },
		{1,              1,          fill_text      },
		{100000,         777,        fill_noise     },
		{PACK_BLOCK,     PACK_BLOCK, fill_noise     },
		{PACK_CHUNK,     MIB,        fill_noise     },
		{PACK_CHUNK + 1, MIB,        fill_text      },
		{37 * MIB + 13,  999999,     fill_mixed     },
		{2 * PACK_CHUNK, MIB,        fill_misleading},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ unsigned char *p = malloc(rows[i].n + 1);
		struct packed m;

		rows[i].fill(p, rows[i].n);
		packed_make(&m, p, rows[i].n, rows[i].step);
		check_inflate(m.z, m.n, p, rows[i].n, 31);
		assert_int_equal(m.n_chunks, (rows[i].n + PACK_CHUNK - 1) / PACK_CHUNK);
		for (size_t k = 0; k < m.n_chunks; k++)
			check_inflate(m.z + m.at[k], m.n - m.at[k], p + k * PACK_CHUNK,
				      rows[i].n - k * PACK_CHUNK, -15);
		assert_true(m.n <= PACK_BOUND(rows[i].n) + 32); /* never worth more */
		if (rows[i].fill == fill_text && rows[i].n > MIB)
			assert_true(m.n < rows[i].n / 3);
		free(m.z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
