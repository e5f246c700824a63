#include "scratch.h"

#include "fs/journal.h"

struct fixture {
	struct scratch dir;
	struct journal *j;
};

static struct journal *open_in(struct fixture *f, bool *damaged)
{
	struct err e = {0};
	struct journal *j = journal_open(f->dir.fd, damaged, &e);

	if (!j)
		print_message("%s\n", e.text);
	return j;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	bool damaged;

	scratch_make(&f->dir);
	f->j = open_in(f, &damaged);
	assert_non_null(f->j);
	assert_false(damaged);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct buf cmd = {0};

	journal_close(f->j);
	close(f->dir.fd);
	buf_printf(&cmd, "rm -rf '%s'", f->dir.path);
	int rc = system(buf_cstr(&cmd));
	buf_release(&cmd);
	free(f);
	return rc;
}

struct seen {
	struct fixture *f;
	char text[512];
	int stop_after;
};

static int note(void *arg, int64_t id, const char *name, const char *json)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	(void)id;
	snprintf(s->text + n, sizeof s->text - n, "%s=%s;", name, json);
	return s->stop_after && --s->stop_after == 0;
}

static int end_it(void *arg, int64_t id, const char *name, const char *json)
{
	struct seen *s = arg;

	(void)name;
	(void)json;
	return journal_end(s->f->j, id, NULL);
}

static void operations_survive(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.f = f};
	int64_t a, b, c;
	bool damaged;

	assert_int_equal(journal_begin(f->j, "commit", "iris", "{}", &a, NULL), 0);
	assert_int_equal(journal_begin(f->j, "delete", "iris", "{}", &b, NULL), 0);
	assert_int_equal(journal_begin(f->j, "commit", "it's \"odd\"", "{\"a\":1}", &c, NULL), 0);
	assert_true(a > 0 && b > a && c > b);
	assert_int_equal(journal_update(f->j, a, "{\"step\":2}", NULL), 0);
	journal_close(f->j);
	f->j = open_in(f, &damaged);
	assert_false(damaged);
	assert_int_equal(journal_each(f->j, "commit", note, &s, NULL), 0);
	assert_string_equal(s.text, "iris={\"step\":2};it's \"odd\"={\"a\":1};");
	s = (struct seen){.f = f, .stop_after = 1};
	assert_int_equal(journal_each(f->j, "commit", note, &s, NULL), 0);
	assert_string_equal(s.text, "iris={\"step\":2};");
	assert_int_equal(journal_each(f->j, "commit", end_it, &s, NULL),
			 0); /* calls back while iterating */
	s = (struct seen){.f = f};
	assert_int_equal(journal_each(f->j, "commit", note, &s, NULL), 0);
	assert_string_equal(s.text, "");
	assert_int_equal(journal_each(f->j, "delete", note, &s, NULL), 0);
	assert_string_equal(s.text, "iris={};");
}

static void settings(void **state)
{
	struct fixture *f = *state;
	char *value = (char *)1;

	assert_int_equal(journal_get(f->j, "key", &value, NULL), 0);
	assert_null(value);
	assert_int_equal(journal_set(f->j, "key", "one", NULL), 0);
	assert_int_equal(journal_set(f->j, "key", "two", NULL), 0);
	assert_int_equal(journal_get(f->j, "key", &value, NULL), 0);
	assert_string_equal(value, "two");
	free(value);
}

static unsigned set_aside(const struct fixture *f)
{
	_cleanup_closedir_ DIR *d = opendir(f->dir.path);
	unsigned n = 0;

	for (struct dirent *de; (de = readdir(d));)
		n += starts_with(de->d_name, "journal.damaged-");
	return n;
}

static void spoil(struct fixture *f, off_t off, size_t n)
{
	_cleanup_close_ int fd = openat(f->dir.fd, "journal", O_RDWR);
	_cleanup_free_ char *junk = malloc(n);

	memset(junk, 0x5a, n);
	assert_int_equal(pwrite(fd, junk, n, off), n);
}

static void damage_is_set_aside(void **state)
{
	static const off_t places[] = {0, 100, 4096};
	struct fixture *f = *state;
	struct seen s = {.f = f};
	int64_t id;
	bool damaged;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(journal_begin(f->j, "commit", "x", "{}", &id, NULL), 0);
		journal_close(f->j);
		spoil(f, places[i], 3000);
		f->j = open_in(f, &damaged);
		assert_non_null(f->j);
		assert_true(damaged);
		assert_true(set_aside(f) >= i + 1);
		assert_int_equal(journal_each(f->j, "commit", note, &s, NULL), 0);
		assert_string_equal(s.text, "");
	}
}

static void not_a_database_is_set_aside(void **state)
{
	struct fixture *f = *state;
	bool damaged;

	journal_close(f->j);
	f->j = NULL;
	assert_int_equal(unlinkat(f->dir.fd, "journal", 0), 0);
	_cleanup_close_ int fd = openat(f->dir.fd, "journal", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "hello hello hello hello hello", 29), 29);
	f->j = open_in(f, &damaged);
	assert_non_null(f->j);
	assert_true(damaged);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(operations_survive),
		TEST(settings),
		TEST(damage_is_set_aside),
		TEST(not_a_database_is_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
