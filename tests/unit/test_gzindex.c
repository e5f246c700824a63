/* Restart points: ours and those of streams with windows, arithmetic, and every kind of damage. */
#include "scratch.h"

#include <errno.h>
#include <zlib.h>

#include "packed.h"
#include "sagemaker/gzindex.h"

#define MIB ((size_t)1 << 20)

static int to_buf(void *arg, const void *p, size_t n, struct err *e)
{
	return buf_add(arg, p, n) < 0 ? err_set(e, ENOMEM, "full") : 0;
}

/* Text and noise in turns, so that chunks of both kinds come. */
static void fill(unsigned char *p, size_t n)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i / (16 * MIB) % 2 ? (unsigned char)(x >> 24) : (unsigned char)('a' + i % 7);
	}
}

/* A stream of ours and its index. */
static void ours(const unsigned char *p, size_t n, struct buf *out, struct gz_index *x)
{
	struct packed m;
	struct err e = {0};

	packed_make(&m, p, n, MIB);
	buf_add(out, m.z, m.n);
	free(m.z);
	x->size = out->len;
	for (size_t i = 0; i < m.n_chunks; i++) {
		const struct gz_chunk c = {.in = i * PACK_CHUNK, .out = m.at[i], .crc = m.crc[i]};

		assert_int_equal(gz_index_add(x, &c, NULL), 0);
	}
	assert_int_equal(gz_index_check(x, &e), 0);
}

static int inflate_one(const struct gz_index *x, const struct buf *stream, size_t i,
		       struct buf *out, struct err *e)
{
	uint64_t from, n, length;

	gz_chunk_range(x, i, &from, &n);
	assert_true(from + n <= stream->len);
	return gz_chunk_inflate(x, i, stream->data + from, (size_t)n, to_buf, out, &length, e);
}

static void each_chunk_alone(void **state)
{
	size_t n = 40 * MIB + 77;
	_cleanup_free_ unsigned char *p = malloc(n);
	_cleanup_buf_ struct buf stream = BUF_INIT(64 * MIB);
	struct gz_index x = {0};

	(void)state;
	fill(p, n);
	ours(p, n, &stream, &x);
	assert_int_equal(x.n, (n + PACK_CHUNK - 1) / PACK_CHUNK);
	for (size_t i = x.n; i-- > 0;) {
		_cleanup_buf_ struct buf out = BUF_INIT(64 * MIB);
		struct err e = {0};

		assert_int_equal(inflate_one(&x, &stream, i, &out, &e), 0);
		assert_int_equal(out.len, MIN(n - i * PACK_CHUNK, PACK_CHUNK));
		assert_memory_equal(out.data, p + i * PACK_CHUNK, out.len);
	}
	assert_int_equal(gz_chunk_of(&x, 0), 0);
	assert_int_equal(gz_chunk_of(&x, PACK_CHUNK - 1), 0);
	assert_int_equal(gz_chunk_of(&x, PACK_CHUNK), 1);
	assert_int_equal(gz_chunk_of(&x, n), x.n - 1);
	assert_int_equal(gz_chunk_of(&x, UINT64_MAX), x.n - 1);
	assert_int_equal(gz_chunk_length(&x, 1), PACK_CHUNK);
	assert_true(gz_chunk_length(&x, x.n - 1) == UINT64_MAX);
	gz_index_release(&x);
}

/* A byte that is another one is never handed out as good. */
static void damage(void **state)
{
	size_t n = 33 * MIB;
	_cleanup_free_ unsigned char *p = malloc(n);
	_cleanup_buf_ struct buf stream = BUF_INIT(64 * MIB);
	struct gz_index x = {0};
	int failed = 0;

	(void)state;
	fill(p, n);
	ours(p, n, &stream, &x);
	for (size_t i = 0; i < x.n; i++) {
		uint64_t from, len, step;

		gz_chunk_range(&x, i, &from, &len);
		if (i + 1 == x.n)
			len -= 10; /* an empty last block, the trailer: nobody needs them */
		step = len / 5 + 1;
		for (uint64_t at = 0; at < len; at += step) {
			_cleanup_buf_ struct buf out = BUF_INIT(64 * MIB);
			struct err e = {0};

			stream.data[from + at] ^= 0x10;
			/* a stored block's padding means nothing */
			if (inflate_one(&x, &stream, i, &out, &e) == 0)
				assert_memory_equal(out.data, p + x.chunks[i].in, out.len);
			else
				assert_int_equal(e.no, EBADMSG);
			failed += e.no != 0;
			stream.data[from + at] ^= 0x10;
		}
	}
	/* one that is cut short, and an index that lies */
	_cleanup_buf_ struct buf out = BUF_INIT(64 * MIB);
	struct err e = {0};
	uint64_t length;
	assert_int_equal(gz_chunk_inflate(&x, 0, stream.data + 10, 50, to_buf, &out, &length, &e),
			 -1);
	x.chunks[1].in--;
	buf_reset(&out);
	assert_int_equal(inflate_one(&x, &stream, 0, &out, &e), -1);
	assert_int_equal(e.no, EBADMSG);
	assert_true(failed > 10);
	gz_index_release(&x);
}

static void raw_pieces(void **state)
{
	struct gz_index x = {.raw = true, .size = 10, .length = 10};
	const struct gz_chunk a = {.crc = gz_crc(0, "01234", 5)},
			      b = {.in = 5, .out = 5, .crc = gz_crc(0, "56789", 5)};
	_cleanup_buf_ struct buf out = BUF_INIT(0), object = BUF_INIT(0);
	struct err e = {0};

	(void)state;
	buf_str(&object, "0123456789");
	assert_int_equal(gz_index_add(&x, &a, NULL), 0);
	assert_int_equal(gz_index_add(&x, &b, NULL), 0);
	assert_int_equal(gz_index_check(&x, &e), 0);
	assert_int_equal(inflate_one(&x, &object, 1, &out, &e), 0);
	assert_string_equal(buf_cstr(&out), "56789");
	object.data[6] ^= 1;
	assert_int_equal(inflate_one(&x, &object, 1, &out, &e), -1);
	gz_index_release(&x);
}

static void nonsense(void **state)
{
	static const struct {
		uint64_t size, length;
		size_t n;
		struct gz_chunk c[3];
	} rows[] = {
		{100,               0,                 0, {{0}}						       },
		{100,               0,                 1, {{.in = 1, .out = 10}}                                      },
		{100,               0,                 1, {{.in = 0, .out = 100}}                                     },
		{100,               0,                 2, {{.in = 0, .out = 10}, {.in = 0, .out = 20}}                },
		{100,               0,                 2, {{.in = 0, .out = 10}, {.in = 5, .out = 10}}                },
		{100,               0,                 2, {{.in = 0, .out = 10}, {.in = 5, .out = 9}}                 },
		{100,               5,                 2, {{.in = 0, .out = 10}, {.in = 5, .out = 20}}                },
		{100,               0,                 1, {{.in = 0, .out = 10, .bits = 8}}                           },
		{100,               0,                 1, {{.in = 0, .out = 0, .bits = 1}}                            },
		{UINT64_C(1) << 40, 0,                 1, {{.in = 0, .out = 10}}                                      },
		{100,               0,                 2, {{.in = 0, .out = 10}, {.in = UINT64_C(1) << 40, .out = 20}}},
		{100,               UINT64_C(1) << 40, 1, {{.in = 0, .out = 10}}                                      },
	};

	(void)state;
	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		struct gz_index x = {.size = rows[r].size, .length = rows[r].length};
		struct err e = {0};

		for (size_t i = 0; i < rows[r].n; i++)
			assert_int_equal(gz_index_add(&x, &rows[r].c[i], NULL), 0);
		assert_int_equal(gz_index_check(&x, &e), -1);
		assert_int_equal(e.no, EBADMSG);
		gz_index_release(&x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_chunk_alone),
		cmocka_unit_test(damage),
		cmocka_unit_test(raw_pieces),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
