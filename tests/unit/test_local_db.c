/* The local backend's database: what is committed together, kept and rolled back. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "sagemaker/local/db.h"

static char path[] = "/tmp/smfs-db-XXXXXX";

/* The group's database. A test is given a copy of the group's state: one that opens it anew must tell the others. */
static struct db *opened;
#define DB(state) (*(struct db **)*(state))

static int count(struct db *db)
{
	struct err e;
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(db, &e, "SELECT count(*) FROM bucket", "");

	assert_non_null(s);
	assert_int_equal(db_step(s, &e), 1);
	return sqlite3_column_int(s, 0);
}

static int add(struct db *db, const char *name)
{
	struct err e;

	return db_run(db, &e, "INSERT INTO bucket(name, created) VALUES(?, ?)", "sd", name, 1.5);
}

static void changes_are_whole_or_not_at_all(void **state)
{
	struct db *db = DB(state);

	struct err e;

	{
		_cleanup_change_ struct db_change c = {NULL};
		assert_int_equal(db_begin(db, &c, &e), 0);
		assert_int_equal(add(db, "a"), 0);
		assert_int_equal(add(db, "a"), -1);
	}

	assert_int_equal(count(db), 0);
	{
		_cleanup_change_ struct db_change c = {NULL};
		assert_int_equal(db_begin(db, &c, &e), 0);
		assert_int_equal(add(db, "a"), 0);
		assert_int_equal(db_changes(db), 1);
		assert_int_equal(db_commit(&c, &e), 0);
	}
	assert_int_equal(count(db), 1);
}

static void what_is_committed_is_there_again(void **state)
{
	struct err e;

	db_close(DB(state));
	DB(state) = db_open(path, &e);
	assert_non_null(DB(state));
	assert_int_equal(count(DB(state)), 1);
}

static void keys_are_bytes(void **state)
{
	struct db *db = DB(state);
	static const char key[] = "a\0\xff'; DROP TABLE bucket; --";
	struct err e;

	assert_int_equal(
		db_run(db, &e,
		       "INSERT INTO object(bucket, key, size, etag, modified, type, checksum, meta)"
		       " VALUES('b', ?, ?, '', 0, '', '', '')",
		       "bi", key, sizeof key, (int64_t)1 << 40),
		0);
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(db, &e, "SELECT size FROM object WHERE key=?", "b", key, sizeof key);
	assert_int_equal(db_step(s, &e), 1);
	assert_true(sqlite3_column_int64(s, 0) == (int64_t)1 << 40);
	assert_int_equal(db_step(s, &e), 0);
}

static void nonsense_is_an_error(void **state)
{
	struct err e = {0};

	assert_null(db_prepare(DB(state), &e, "SELECT nothing FROM nowhere", ""));
	assert_non_null(strstr(e.text, "the store's database"));
	assert_null(db_open("/proc/none/store.db", &e));
	assert_non_null(strstr(e.text, "cannot open '/proc/none/store.db'"));
}

static int open_one(void **state)
{
	struct err e;
	int fd = mkstemp(path);

	if (fd < 0)
		return -1;
	close(fd);
	opened = db_open(path, &e);
	*state = &opened;
	return opened ? 0 : -1;
}

static int close_one(void **state)
{
	char side[64];

	db_close(DB(state));
	unlink(path);
	snprintf(side, sizeof side, "%s-wal", path);
	unlink(side);
	snprintf(side, sizeof side, "%s-shm", path);
	unlink(side);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_whole_or_not_at_all),
		cmocka_unit_test(what_is_committed_is_there_again),
		cmocka_unit_test(keys_are_bytes),
		cmocka_unit_test(nonsense_is_an_error),
	};

	return cmocka_run_group_tests(tests, open_one, close_one);
}
