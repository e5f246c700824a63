/* Archives as they are read: made from records, found members, chunks compared with hashes, indexes to disk and back; the bounded
 * cache of blocks. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/archive.h"
#include "fs/jobs.h"
#include "sagemaker/unpack.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */

int64_t now_ms(void)
{
	static int64_t now = 1;

	return now += 60000; /* every use of a block is worth noting */
}

void log_line(struct log *l, enum log_level level, const char *room, const char *fmt, ...)
{
	(void)l;
	(void)level;
	(void)room;
	(void)fmt;
}

static cJSON *record(const char *points, const char *members)
{
	_cleanup_free_ char *text = str_printf(
		"{\"key\":\"model/a/v/model.tar.gz\",\"size\":1000,\"points\":%s,\"members\":%s}",
		points, members);
	cJSON *j = cJSON_Parse(text);

	assert_non_null(j);
	return j;
}

static void records(void **state)
{
	static const struct {
		const char *points, *members;
		int no; /* 0: fine */
	} rows[] = {
		{"[[0,10,1]]",             "[{\"offset\":512,\"size\":3,\"sha256\":\"" ABC "\"}]",  0      },
		{"[[0,10,1],[600,500,2]]", "[]",						    0      },
		{"[[0,10]]",               "[]",						    ENODATA}, /* as old manifests have them */
		{"[]",                     "[]",						    ENODATA},
		{"null",                   "[]",						    ENODATA},
		{"[[0,10,1]]",             "[{\"size\":3}]",                                        ENODATA},
		{"[[0,10,-1]]",            "[]",						    ENODATA},
		{"[[0,10,4294967296]]",    "[]",						    ENODATA},
		{"[[5,10,1]]",             "[]",						    EBADMSG},
		{"[[0,10,1],[600,5,2]]",   "[]",						    EBADMSG},
		{"[[0,2000,1]]",           "[]",						    EBADMSG},
		{"[[0,10,1]]",             "[{\"offset\":0,\"size\":9},{\"offset\":8,\"size\":3}]", EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ cJSON *j = record(rows[i].points, rows[i].members);
		struct err e = {0};
		_cleanup_(archive_unrefp)
		struct archive *a = archive_of(j, &e);

		assert_int_equal(a ? 0 : e.no, rows[i].no);
	}
}

static void uris(void **state)
{
	char bucket[64];

	(void)state;
	assert_string_equal(archive_uri("s3://b-1/a/b.tar.gz", bucket), "a/b.tar.gz");
	assert_string_equal(bucket, "b-1");
	for (size_t i = 0; i < 6; i++) {
		static const char *const bad[] = {"",        "s3://",   "s3://b",
						  "s3://b/", "s3:///k", "http://b/k"};

		assert_null(archive_uri(bad[i], bucket));
	}
}

static void finds(void **state)
{
	_cleanup_json_ cJSON *j = record("[[0,10,1]]", "[{\"offset\":0,\"size\":0},{\"offset\":0,"
						       "\"size\":7},{\"offset\":100,\"size\":3}]");
	struct err e = {0};
	_cleanup_(archive_unrefp)
	struct archive *a = archive_of(j, &e);
	struct manifest_member m = {.archive = "x", .offset = 0, .size = 7};

	(void)state;
	assert_non_null(a);
	assert_int_equal(archive_find(a, &m)->size, 7);
	m.size = 0;
	assert_int_equal(archive_find(a, &m)->size, 0);
	m.size = 5;
	assert_null(archive_find(a, &m));
	m.offset = OFFSET_UNKNOWN;
	assert_null(archive_find(a, &m));
}

/* A stream of two chunks: a member of "abc" in the first, one across both, one empty at the end. */
static void hashes(void **state)
{
	_cleanup_json_ cJSON *j = record("[[0,10,1],[20,50,2]]",
					 "[{\"offset\":4,\"size\":3,\"sha256\":\"" ABC "\"},"
					 "{\"offset\":10,\"size\":20,\"sha256\":\"" ABC "\"},"
					 "{\"offset\":35,\"size\":3,\"sha256\":\"" ABC "\"}]");
	struct err e = {0};
	_cleanup_(archive_unrefp)
	struct archive *a = archive_of(j, &e);
	static const char first[] = "....abc...cross....-", wrong[] = "....abd...cross....-",
			  second[] = "-cross.........abc..";

	(void)state;
	assert_non_null(a);
	for (size_t step = 1; step <= 20; step++) {
		const char *const texts[] = {first, wrong, second};
		const size_t chunk[] = {0, 0, 1};

		for (int t = 0; t < 3; t++) {
			struct chunk_check c;
			int r = 0;

			chunk_check_begin(&c, a, chunk[t]);
			for (size_t at = 0; at < 20 && r == 0; at += step)
				r = chunk_check_take(&c, texts[t] + at, MIN(step, 20 - at), &e);
			chunk_check_drop(&c);
			assert_int_equal(r, t == 1 ? -1 : 0);
		}
	}
}

static void index_files(void **state)
{
	_cleanup_(archive_unrefp)
	struct archive *a = archive_new("b", "k", "e"), *back = archive_new("b", "k", "e"),
		       *bad = archive_new("b", "k", "e");
	_cleanup_buf_ struct buf file = BUF_INIT(0);
	struct extent x = {.from = 3, .size = 5, .hashed = true, .mode = 0755, .mtime = 7};
	const struct gz_chunk c0 = {.out = 10, .crc = 0xfffffff1},
			      c1 = {.in = 9, .out = 20, .window = 4, .bits = 3};
	struct err e = {0};

	(void)state;
	a->index.size = 100;
	a->index.length = 20;
	x.path = strdup("dir/f");
	assert_int_equal(gz_index_add(&a->index, &c0, NULL), 0);
	assert_int_equal(gz_index_add(&a->index, &c1, "wxyz"), 0);
	assert_int_equal(archive_add(a, &x), 0);
	assert_int_equal(archive_save(a, &file), 0);
	assert_int_equal(archive_read(back, file.data, file.len, &e), 0);
	assert_int_equal(back->index.n, 2);
	assert_int_equal(back->index.chunks[0].crc, 0xfffffff1);
	assert_int_equal(back->index.chunks[1].bits, 3);
	assert_memory_equal(back->index.windows.data + back->index.chunks[1].at, "wxyz", 4);
	assert_string_equal(back->members[0].path, "dir/f");
	assert_int_equal(back->members[0].mtime, 7);
	file.data[file.len / 2] ^= 1;
	assert_int_equal(archive_read(bad, file.data, file.len, &e), -1);
	assert_int_equal(e.no, EBADMSG);
	assert_int_equal(archive_read(bad, file.data, 20, &e), -1);
}

/* --- blocks */

static uint64_t bytes_in(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t left = 0;

	assert_int_equal(blocks_trim(fd, UINT64_MAX, &left), 0);
	return left;
}

static void put_block(struct blocks *b, const char *id, size_t i, char fill, size_t n)
{
	_cleanup_free_ char *p = malloc(n);
	struct block_new w;
	struct err e = {0};

	memset(p, fill, n);
	assert_int_equal(block_begin(&w, b, &e), 0);
	assert_int_equal(block_write(&w, p, n / 2, &e), 0);
	assert_int_equal(block_write(&w, p + n / 2, n - n / 2, &e), 0);
	struct block *k = block_end(&w, id, i);
	assert_non_null(k);
	block_put(k);
}

static uint32_t crc_of(char fill, size_t n)
{
	_cleanup_free_ char *p = malloc(n);

	memset(p, fill, n);
	return gz_crc(0, p, n);
}

static void bounded(void **state)
{
	char dir[] = "/tmp/smfs-blocks-XXXXXX";
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	struct blocks *b = blocks_new(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1 << 20, NULL);
	for (size_t i = 0; i < 40; i++) {
		put_block(b, i % 2 ? "aaaa" : "bbbb", i, (char)('a' + i % 26), 100000);
		struct timespec ms = {0, 2000000};
		nanosleep(&ms, NULL); /* file times must differ */
		if (i == 20)
			blocks_forget(b, "none");
		/* the first one stays in use, and so on the disk */
		struct block *first = blocks_find(b, "bbbb", 0);
		if (!first)
			first = blocks_load(b, "bbbb", 0, 100000, crc_of('a', 100000));
		assert_non_null(first);
		block_put(first);
		assert_true(bytes_in(dir) < (1 << 20) + 130000);
	}
	blocks_free(b);
	/* another mount, later: the newest is there, an old one is not */
	b = blocks_new(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1 << 20, NULL);
	struct block *k = blocks_load(b, "aaaa", 39, 100000, crc_of((char)('a' + 39 % 26), 100000));
	assert_non_null(k);
	block_put(k);
	assert_null(blocks_load(b, "aaaa", 1, 100000, crc_of('b', 100000)));
	/* what is not what it should be goes */
	assert_null(blocks_load(b, "bbbb", 38, 100000, 1));
	assert_null(blocks_load(b, "bbbb", 38, 100000, crc_of((char)('a' + 38 % 26), 100000)));
	blocks_forget(b, "aaaa");
	assert_null(blocks_find(b, "aaaa", 39));
	blocks_free(b);
	(void)remove_tree(AT_FDCWD, dir, &e);
}

static void no_disk(void **state)
{
	struct blocks *b = blocks_new(-1, 1 << 20, NULL);
	int there = 0;

	(void)state;
	assert_false(blocks_keeps(b));
	for (size_t i = 0; i < 10; i++)
		put_block(b, "id", i, 'x', 5000);
	for (size_t i = 0; i < 10; i++) {
		struct block *k = blocks_find(b, "id", i);

		there += k != NULL;
		block_put(k);
	}
	assert_int_equal(there, BLOCKS_MEMORY);
	blocks_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records), cmocka_unit_test(uris),        cmocka_unit_test(finds),
		cmocka_unit_test(hashes),  cmocka_unit_test(index_files), cmocka_unit_test(bounded),
		cmocka_unit_test(no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
