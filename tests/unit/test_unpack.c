/* unpack: what a container would see, and what it must never see. Archives are made byte by byte here, hostile ones too. */
#include "scratch.h"

#include <zlib.h>

#include "sagemaker/unpack.h"

struct entry {
	const char *name;
	char type; /* '0' file, '5' directory, '1' hard link, '2' symlink, '3' device, '6' fifo */
	unsigned mode;
	const char *data; /* or the link's target */
};

static void octal(char *field, size_t size, size_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*zo", (int)size - 1, n);
	memcpy(field, text, size);
}

static void put_header(char h[512], const struct entry *t, size_t size)
{
	unsigned sum = 0;

	memset(h, 0, 512);
	snprintf(h, 100, "%s", t->name);
	octal(h + 100, 8, t->mode);
	octal(h + 108, 8, 0);
	octal(h + 116, 8, 0);
	octal(h + 124, 12, size);
	octal(h + 136, 12, 0);
	memset(h + 148, ' ', 8);
	h[156] = t->type;
	if ((t->type == '1' || t->type == '2') && t->data)
		snprintf(h + 157, 100, "%s", t->data);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	octal(h + 148, 7, sum);
}

/* The entries as DIR/a.tar.gz; returns it open for reading. */
static int make_archive(const struct scratch *s, const struct entry *t, size_t n)
{
	char path[128], block[512];

	snprintf(path, sizeof(path), "%s/a.tar.gz", s->path);
	gzFile z = gzopen(path, "wb");
	assert_non_null(z);
	for (size_t i = 0; i < n; i++) {
		size_t size = t[i].type == '0' ? strlen(t[i].data) : 0;

		put_header(block, &t[i], size);
		gzwrite(z, block, 512);
		memset(block, 0, sizeof(block));
		for (size_t at = 0; at < size; at += 512) {
			size_t part = MIN(size - at, (size_t)512);

			memset(block, 0, sizeof(block));
			memcpy(block, t[i].data + at, part);
			gzwrite(z, block, 512);
		}
	}
	memset(block, 0, sizeof(block));
	gzwrite(z, block, 512);
	gzwrite(z, block, 512);
	gzclose(z);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int try(const struct scratch *s, const struct entry *t, size_t n,
	       const struct unpack_limits *l, struct err *e)
{
	_cleanup_close_ int fd = make_archive(s, t, n);

	assert_true(mkdirat(s->fd, "out", 0755) == 0 || errno == EEXIST);
	_cleanup_close_ int out = openat(s->fd, "out", O_RDONLY | O_DIRECTORY);
	return unpack(fd, out, l, NULL, e);
}

static mode_t mode_of(const struct scratch *s, const char *path)
{
	struct stat st;

	return fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_mode;
}

static void good(void **state)
{
	static const struct entry t[] = {
		{"./",			      '5', 0700,  NULL     },
		{"/",			       '5', 0755,  NULL     },
		{"./export/Servo/1/saved_model.pb", '0', 0600,
		 "pb"						    }, /* no entries for its directories */
		{"code/",			   '5', 0,     NULL     },
		{"code//./inference.py",            '0', 06777, "print()"},
		{"twice",			   '0', 0644,  "first"  },
		{"twice",			   '0', 0644,  "second" },
		{"empty",			   '0', 0,     ""       },
		{"f\xc3\xbcr",                      '0', 0644,  "utf-8"  },
	};
	_cleanup_scratch_ struct scratch s;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	mode_t before = umask(077);
	assert_int_equal(try(&s, t, ARRAY_SIZE(t), NULL, &e), 0);
	umask(before);
	assert_string_equal(scratch_read(&s, "out/export/Servo/1/saved_model.pb"), "pb");
	assert_string_equal(scratch_read(&s, "out/code/inference.py"), "print()");
	assert_string_equal(scratch_read(&s, "out/twice"), "second");
	assert_string_equal(scratch_read(&s, "out/empty"), "");
	assert_string_equal(scratch_read(&s, "out/f\xc3\xbcr"), "utf-8");
	assert_int_equal(mode_of(&s, "out/export/Servo/1/saved_model.pb"), S_IFREG | 0644);
	assert_int_equal(mode_of(&s, "out/code/inference.py"), S_IFREG | 0755);
}

static void hostile(void **state)
{
	static const struct {
		struct entry t[2];
		const char *says;
	} rows[] = {
		{{{"/etc/x", '0', 0644, "x"}},                        "absolute path"               },
		{{{"/etc/", '5', 0755, NULL}},                        "absolute path"               },
		{{{"a/../../x", '0', 0644, "x"}},                     "'..'"                        },
		{{{"..", '5', 0755, NULL}},                           "'..'"                        },
		{{{"l", '2', 0777, "/etc"}, {"l/x", '0', 0644, "x"}}, "the link 'l'"                },
		{{{"h", '1', 0644, "../../etc/passwd"}},              "the link 'h'"                },
		{{{"dev", '3', 0644, NULL}},                          "the special file 'dev'"      },
		{{{"fifo", '6', 0644, NULL}},                         "the special file 'fifo'"     },
		{{{"a", '0', 0644, "x"}, {"a/b", '0', 0644, "x"}},    "as a file and as a directory"},
		{{{"a/b", '0', 0644, "x"}, {"a", '0', 0644, "x"}},    "as a file and as a directory"},
		{{{"a\nb", '0', 0644, "x"}},                          "control characters"          },
		{{{"./", '0', 0644, "x"}},                            "not a whole tar.gz"          },
		{{{"1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5", '0',
		   0644, "x"}},
		 "directories deep"								 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		struct err e = {0};

		scratch_make(&s);
		assert_int_equal(try(&s, rows[i].t, rows[i].t[1].name ? 2 : 1, NULL, &e), -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, rows[i].says))
			fail_msg("'%s' does not say '%s'", e.text, rows[i].says);
	}
}

static void limits(void **state)
{
	static const struct entry t[] = {
		{"a", '0', 0644, "12345"},
                {"b", '0', 0644, "67890"}
        };

	static const struct {
		struct unpack_limits l;
		int no;
	} rows[] = {
		{{10, 2, 0}, 0    },
                {{9, 2, 0},  EFBIG},
                {{10, 1, 0}, EFBIG},
                {{4, 0, 0},  EFBIG}
        };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_scratch_ struct scratch s;
		struct err e = {0};

		scratch_make(&s);
		assert_int_equal(try(&s, t, 2, &rows[i].l, &e), rows[i].no ? -1 : 0);
		assert_int_equal(e.no, rows[i].no);
	}
}

/* A sparse member may claim petabytes of zeros in a few bytes: refused by its claim, nothing written. */
static void sparse_bomb(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct err e = {0};
	char path[128], h[512];
	struct entry t = {"bomb", '0', 0644, ""};

	(void)state;
	scratch_make(&s);
	snprintf(path, sizeof(path), "%s/a.tar.gz", s.path);
	gzFile z = gzopen(path, "wb");
	put_header(h, &t, 077777777777UL);
	gzwrite(z, h, 512);
	gzclose(z);
	_cleanup_close_ int fd = open(path, O_RDONLY);
	struct unpack_limits l = {1 << 20, 0, 0};
	assert_int_equal(unpack(fd, s.fd, &l, NULL, &e), -1);
	assert_int_equal(e.no, EFBIG);
	assert_null(scratch_read(&s, "bomb"));
}

static void not_archives(void **state)
{
	static const struct entry t[] = {
		{"a", '0', 0644, "hello hello hello hello"}
        };
	_cleanup_scratch_ struct scratch s;
	struct stat st;

	(void)state;
	scratch_make(&s);
	_cleanup_close_ int fd = make_archive(&s, t, 1);
	assert_int_equal(fstat(fd, &st), 0);
	/* every truncation of it, then garbage, an empty file and a bare tar */
	for (off_t n = 0; n < st.st_size - 8; n++) {
		char part[4096];
		struct err e = {0};

		assert_int_equal(pread(fd, part, (size_t)n, 0), n);
		scratch_file(&s, "part", part, (size_t)n);
		_cleanup_close_ int in = openat(s.fd, "part", O_RDONLY);
		assert_int_equal(mkdirat(s.fd, "out", 0755), 0);
		_cleanup_close_ int out = openat(s.fd, "out", O_RDONLY | O_DIRECTORY);
		if (unpack(in, out, NULL, NULL, &e) == 0)
			assert_true(n > st.st_size / 2); /* only the padding was lost */
		else
			assert_int_equal(e.no, EINVAL);
		assert_int_equal(remove_tree(s.fd, "out", &e), 0);
	}
	struct err e = {0};
	char bare[2048] = {0};
	put_header(bare, t, 0);
	scratch_file(&s, "bare", bare, sizeof(bare));
	_cleanup_close_ int in = openat(s.fd, "bare", O_RDONLY);
	assert_int_equal(unpack(in, s.fd, NULL, NULL, &e), -1);
	assert_int_equal(e.no, EINVAL);
	assert_non_null(strstr(e.text, "gzip"));
}

static void cancelled(void **state)
{
	static const struct entry t[] = {
		{"a", '0', 0644, "x"}
        };
	_cleanup_scratch_ struct scratch s;
	_cleanup_(cancel_unrefp)
	struct cancel *c = cancel_new();
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	_cleanup_close_ int fd = make_archive(&s, t, 1);
	cancel_set(c);
	assert_int_equal(unpack(fd, s.fd, NULL, c, &e), -1);
	assert_int_equal(e.no, ECANCELED);
}

static int collect(void *arg, const char *path, uint64_t size, mode_t mode)
{
	(void)mode;
	return buf_printf(arg, "%s:%llu ", path, (unsigned long long)size);
}

static void listing(void **state)
{
	static const struct entry t[] = {
		{"./d/",  '5', 0755, NULL   },
                {"./d/a", '0', 0644, "12345"},
                {"b",     '0', 0644, ""     }
        };
	_cleanup_scratch_ struct scratch s;
	_cleanup_buf_ struct buf b = BUF_INIT(0);
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	_cleanup_close_ int fd = make_archive(&s, t, ARRAY_SIZE(t));
	assert_int_equal(unpack_list(fd, NULL, collect, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), "d:0 d/a:5 b:0 ");
}

static void removing(void **state)
{
	_cleanup_scratch_ struct scratch s;
	struct err e = {0};

	(void)state;
	scratch_make(&s);
	scratch_text(&s, "keep/file", "kept");
	scratch_text(&s, "tree/a/b/c", "x");
	assert_int_equal(symlinkat("../keep", s.fd, "tree/link"), 0);
	assert_int_equal(fchmodat(s.fd, "tree/a", 0, 0), 0);
	assert_int_equal(remove_tree(s.fd, "tree", &e), 0);
	assert_int_equal(faccessat(s.fd, "tree", F_OK, 0), -1);
	assert_string_equal(scratch_read(&s, "keep/file"), "kept");
	assert_int_equal(remove_tree(s.fd, "tree", &e), 0); /* gone already: fine */
	assert_int_equal(symlinkat("keep", s.fd, "link"), 0);
	assert_int_equal(remove_tree(s.fd, "link", &e), 0);
	assert_string_equal(scratch_read(&s, "keep/file"), "kept");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),         cmocka_unit_test(hostile),
		cmocka_unit_test(limits),       cmocka_unit_test(sparse_bomb),
		cmocka_unit_test(not_archives), cmocka_unit_test(cancelled),
		cmocka_unit_test(listing),      cmocka_unit_test(removing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
