/* blocks: what is on the disk is what was added, past the page cache and through it, whatever the pieces. */
#include "scratch.h"

#include "sagemaker/local/blocks.h"

#define MIB ((size_t)1 << 20)

static void check_file(int dirfd, const char *name, const char *want, size_t n)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *got = malloc(n + 1);
	size_t have = 0;
	ssize_t m;

	assert_true(fd >= 0);
	while ((m = read(fd, got + have, n + 1 - have)) > 0)
		have += (size_t)m;
	assert_int_equal(have, n);
	assert_memory_equal(got, want, n);
}

static void write_one(int dirfd, const char *p, size_t n, size_t step, uint64_t expected)
{
	struct blocks b;
	struct err e = {0};

	assert_int_equal(blocks_open(&b, dirfd, "f", expected, &e), 0);
	for (size_t at = 0; at < n; at += step)
		assert_int_equal(blocks_add(&b, p + at, MIN(step, n - at), &e), 0);
	assert_int_equal(blocks_sync(&b, &e), 0);
	blocks_close(&b);
	check_file(dirfd, "f", p, n);
	assert_int_equal(unlinkat(dirfd, "f", 0), 0);
}

static void all_sizes(int dirfd)
{
	static const size_t rows[][2] = {
		{0,              1      },
		{1,              1      },
		{4095,           4096   },
		{4096,           100    },
		{MIB - 1,        70000  },
		{MIB,            MIB    },
		{MIB + 1,        131072 },
		{5 * MIB + 4097, 131071 },
		{9 * MIB + 77,   3 * MIB},
	};
	_cleanup_free_ char *p = malloc(9 * MIB + 77);

	assert_non_null(p);
	for (size_t i = 0; i < 9 * MIB + 77; i++)
		p[i] = (char)(i * 31 + i / 4099);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_one(dirfd, p, rows[i][0], rows[i][1], rows[i][0]);
		write_one(dirfd, p, rows[i][0], rows[i][1],
			  64 * MIB); /* direct, however little comes */
	}
}

static void on_disk(void **state)
{
	_cleanup_scratch_ struct scratch s;

	(void)state;
	scratch_make(&s);
	all_sizes(s.fd);
}

/* A file system in memory, which may know no O_DIRECT. */
static void in_memory(void **state)
{
	char path[] = "/dev/shm/smfs-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(path));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	all_sizes(fd);
	assert_int_equal(rmdir(path), 0);
}

static void refuses(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct blocks b;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	scratch_file(&s, "f", "x", 1);
	assert_int_equal(blocks_open(&b, s.fd, "f", 64 * MIB, &e), -1);
	assert_int_equal(e.no, EEXIST);
	blocks_close(&b);
	check_file(s.fd, "f", "x", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_disk),
		cmocka_unit_test(in_memory),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
