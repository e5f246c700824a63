/* gzip streams and tar.gz archives as others write them: scanned once, each chunk then inflates alone; damage is found. */
#include "scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#define ZLIB_CONST
#include <zlib.h>

#include "sagemaker/gzscan.h"
#include "sagemaker/hash.h"
#include "sagemaker/unpack.h"

#define MIB ((size_t)1 << 20)

/* A stream in memory, handed out in odd pieces. */
struct feed {
	const char *p;
	size_t n, at, step;
};

static ssize_t feed(void *arg, const void **p, struct err *e)
{
	struct feed *f = arg;
	size_t n = MIN(f->step, f->n - f->at);

	(void)e;
	*p = f->p + f->at;
	f->at += n;
	return (ssize_t)n;
}

/* Words that repeat at a distance, so that chunks need what is before them. */
static void fill(char *p, size_t n)
{
	uint32_t x = 7;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = "abcdefghijklmnopqrstuvwxyz"[(x >> 24) % 26];
		if (i > 20000 && (x >> 28))
			p[i] = p[i - 20000];
	}
}

static void deflate_to(struct buf *out, const char *p, size_t n, int level)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	size_t room = deflateBound(&z, n);
	unsigned char *to = buf_reserve(out, room);
	assert_non_null(to);
	z.next_in = (const unsigned char *)p;
	z.avail_in = (unsigned)n;
	z.next_out = to;
	z.avail_out = (unsigned)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += room - z.avail_out;
	buf_terminate(out);
	deflateEnd(&z);
}

static int scan(const struct buf *gz, size_t step, struct gz_index *x, struct buf *out,
		struct err *e)
{
	struct feed f = {gz->data, gz->len, 0, step};
	struct gz_scan *s = gz_scan_new(feed, &f, MIB, x);
	const void *p;
	ssize_t n;

	assert_non_null(s);
	while ((n = gz_scan_read(s, &p, e)) > 0)
		assert_int_equal(buf_add(out, p, (size_t)n), 0);
	gz_scan_free(s);
	return (int)n;
}

static int to_buf(void *arg, const void *p, size_t n, struct err *e)
{
	return buf_add(arg, p, n) < 0 ? err_set(e, ENOMEM, "full") : 0;
}

static void check_chunks(const struct gz_index *x, const struct buf *gz, const char *p, size_t n)
{
	struct err e = {0};

	assert_int_equal(gz_index_check(x, &e), 0);
	assert_int_equal(x->length, n);
	for (size_t i = x->n; i-- > 0;) {
		_cleanup_buf_ struct buf out = BUF_INIT(64 * MIB);
		uint64_t from, len, length;

		gz_chunk_range(x, i, &from, &len);
		assert_true(from + len <= gz->len);
		assert_int_equal(gz_chunk_inflate(x, i, gz->data + from, (size_t)len, to_buf, &out,
						  &length, &e),
				 0);
		assert_int_equal(out.len, gz_chunk_length(x, i));
		assert_memory_equal(out.data, p + x->chunks[i].in, out.len);
	}
}

static void whole_streams(void **state)
{
	static const struct {
		size_t cut; /* the first member's bytes; 0: one member */
		int level;
		size_t step, zeros;
	} rows[] = {
		{0,       9, 1000000, 0   },
                {0,       6, 777,     0   },
                {0,       1, 65536,   512 },
		{0,       0, 65536,   0   },
                {3 * MIB, 6, 99999,   0   },
                {17,      9, 4096,    1024},
	};

	size_t n = 7 * MIB + 12345;
	_cleanup_free_ char *p = malloc(n);

	(void)state;
	fill(p, n);
	for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
		_cleanup_buf_ struct buf gz = BUF_INIT(64 * MIB), out = BUF_INIT(64 * MIB);
		struct gz_index x = {0};
		struct err e = {0};

		if (rows[r].cut)
			deflate_to(&gz, p, rows[r].cut, rows[r].level);
		deflate_to(&gz, p + rows[r].cut, n - rows[r].cut, rows[r].level);
		for (size_t i = 0; i < rows[r].zeros; i++)
			buf_char(&gz, 0);
		assert_int_equal(scan(&gz, rows[r].step, &x, &out, &e), 0);
		assert_int_equal(out.len, n);
		assert_memory_equal(out.data, p, n);
		assert_true(x.n > 3);
		check_chunks(&x, &gz, p, n);
		gz_index_release(&x);
	}
}

static void broken_streams(void **state)
{
	size_t n = 2 * MIB;
	_cleanup_free_ char *p = malloc(n);
	_cleanup_buf_ struct buf gz = BUF_INIT(64 * MIB);

	(void)state;
	fill(p, n);
	deflate_to(&gz, p, n, 6);
	for (int kind = 0; kind < 6; kind++) {
		_cleanup_buf_ struct buf bad = BUF_INIT(64 * MIB), out = BUF_INIT(64 * MIB);
		struct gz_index x = {0};
		struct err e = {0};

		buf_add(&bad, gz.data, kind == 1 ? gz.len - 3 : kind == 2 ? gz.len / 2 : gz.len);
		if (kind == 0)
			bad.data[gz.len / 2] ^= 8;
		else if (kind == 3)
			bad.data[gz.len - 6] ^= 1; /* the trailer's CRC */
		else if (kind == 4)
			buf_str(&bad, "garbage");
		else if (kind == 5)
			memcpy(bad.data, "BZh9", 4);
		assert_int_equal(scan(&bad, 5000, &x, &out, &e), -1);
		assert_int_equal(e.no, EINVAL);
		assert_non_null(strstr(e.text, "not a whole tar.gz"));
		gz_index_release(&x);
	}
	_cleanup_buf_ struct buf nothing = BUF_INIT(0), out = BUF_INIT(0);
	struct gz_index x = {0};
	struct err e = {0};
	buf_str(&nothing, "");
	assert_int_equal(scan(&nothing, 100, &x, &out, &e), -1);
	gz_index_release(&x);
}

struct seen {
	struct feed feed; /* first: both callbacks get this struct */
	unsigned n;
};

static int see(void *arg, const struct unpack_file *f)
{
	struct seen *s = arg;
	unsigned char digest[SHA256_LEN];

	sha256(s->feed.p + f->from, f->size, digest);
	assert_memory_equal(digest, f->sha256, sizeof digest);
	s->n++;
	return 0;
}

/* A tar stream in memory: where each file's bytes are said to be, they are. */
static void walk_tar(void **state)
{
	_cleanup_free_ char *tar = malloc(4 * MIB), *data = malloc(MIB);
	struct archive *a = archive_write_new();
	size_t used = 0;
	struct err e = {0};
	char longest[180];

	(void)state;
	fill(data, MIB);
	memset(longest, 'l', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	const char *const names[] = {"a", "dir/b", longest, "empty", "big"};
	const size_t sizes[] = {10, 513, 7, 0, 700000};
	archive_write_set_format_pax(a);
	archive_write_open_memory(a, tar, 4 * MIB, &used);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct archive_entry *t = archive_entry_new();

		archive_entry_set_pathname(t, names[i]);
		archive_entry_set_filetype(t, AE_IFREG);
		archive_entry_set_perm(t, 0644);
		archive_entry_set_size(t, (la_int64_t)sizes[i]);
		assert_int_equal(archive_write_header(a, t), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, data, sizes[i]), sizes[i]);
		archive_entry_free(t);
	}
	archive_write_free(a);
	struct seen seen = {
		{tar, used, 0, 1234},
                0
        };
	assert_int_equal(unpack_walk(feed, &seen, NULL, see, NULL, &e), 0);
	assert_int_equal(seen.n, ARRAY_SIZE(names));
	seen = (struct seen){
		{tar, used / 2, 0, 1234},
                0
        };
	assert_int_equal(unpack_walk(feed, &seen, NULL, see, NULL, &e), -1);
	assert_int_equal(e.no, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_streams),
		cmocka_unit_test(broken_streams),
		cmocka_unit_test(walk_tar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
