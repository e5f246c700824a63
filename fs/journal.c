#include "fs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>

#include "sagemaker/buf.h"

#define JOURNAL_FILE "journal"

struct journal {
	pthread_mutex_t mu; /* guards db: held across one statement, which may wait for the disk */
	sqlite3 *db;
};

static const char schema[] =
	"PRAGMA journal_mode=WAL;"
	"PRAGMA synchronous=FULL;"
	"CREATE TABLE IF NOT EXISTS operation (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
	" name TEXT NOT NULL, json TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);";

static int fail(struct journal *j, struct err *e)
{
	int rc = sqlite3_errcode(j->db);

	return err_set(e,
		       rc == SQLITE_FULL    ? ENOSPC
		       : rc == SQLITE_NOMEM ? ENOMEM
					    : EIO,
		       "cannot use the journal: %s", sqlite3_errmsg(j->db));
}

static void finalizep(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}

/* A statement with up to three texts bound from the first parameter on; NULL ends them. */
static sqlite3_stmt *prepare(struct journal *j, const char *sql, const char *const text[3])
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(j->db, sql, -1, &s, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 0; i < 3 && text[i]; i++) {
		if (sqlite3_bind_text(s, i + 1, text[i], -1, SQLITE_TRANSIENT) != SQLITE_OK) {
			sqlite3_finalize(s);
			return NULL;
		}
	}
	return s;
}

/* Runs a statement that gives no rows. id, when not 0, is bound after the texts. */
static int run_locked(struct journal *j, const char *sql, const char *const text[3], int64_t id,
		      struct err *e)
{
	_cleanup_(finalizep)
	sqlite3_stmt *s = prepare(j, sql, text);

	if (!s)
		return fail(j, e);
	if (id)
		sqlite3_bind_int64(s, sqlite3_bind_parameter_count(s), id);
	return sqlite3_step(s) == SQLITE_DONE ? 0 : fail(j, e);
}

/* Whether the open database reads as one that we wrote. */
static bool sound(sqlite3 *db)
{
	_cleanup_(finalizep)
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW)
		return false;
	const char *said = (const char *)sqlite3_column_text(s, 0);
	return said && streq(said, "ok");
}

static int damage(int rc)
{
	rc &= 0xff;
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB || rc == SQLITE_ERROR;
}

/* Opens and makes ready. 1: open; 0: damaged, closed again; -1: cannot, *e says why. */
static int try_open(struct journal *j, const char *path, struct err *e)
{
	int rc = sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(j->db, 5000);
		rc = sqlite3_exec(j->db, schema, NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK && sound(j->db))
		return 1;
	int r = rc == SQLITE_OK || damage(rc) ? 0 : fail(j, e);
	sqlite3_close(j->db);
	j->db = NULL;
	return r;
}

static int set_aside(int dirfd, struct err *e)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct timespec now;
	char from[32], to[96];

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(from, sizeof from, JOURNAL_FILE "%s", suffixes[i]);
		snprintf(to, sizeof to, "journal.damaged-%lld.%09ld%s", (long long)now.tv_sec,
			 now.tv_nsec, suffixes[i]);
		if (renameat(dirfd, from, dirfd, to) < 0 && errno != ENOENT)
			return err_errno(e, "cannot set the damaged journal aside");
	}
	return 0;
}

/* SQLite wants a path; the directory is known by its descriptor only. */
static int path_of(int dirfd, char *out, size_t size, struct err *e)
{
	char link[64], dir[3072];

	snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
	ssize_t n = readlink(link, dir, sizeof dir - 1);
	if (n < 0)
		return err_errno(e, "cannot find the state directory");
	dir[n] = '\0';
	snprintf(out, size, "%s/" JOURNAL_FILE, dir);
	return 0;
}

struct journal *journal_open(int state_dirfd, bool *was_damaged, struct err *e)
{
	struct journal *j = calloc(1, sizeof *j);
	char path[3200];

	*was_damaged = false;
	if (!j) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	if (path_of(state_dirfd, path, sizeof path, e) < 0)
		goto fail;
	int r = try_open(j, path, e);
	if (r == 0) {
		*was_damaged = true;
		if (set_aside(state_dirfd, e) < 0)
			goto fail;
		r = try_open(j, path, e);
	}
	if (r == 0)
		err_set(e, EIO, "cannot make a journal in the state directory");
	if (r != 1)
		goto fail;
	pthread_mutex_init(&j->mu, NULL);
	return j;
fail:
	err_prefix(e, "open '%s'", path);
	free(j);
	return NULL;
}

struct journal *journal_look(int state_dirfd, struct err *e)
{
	struct journal *j = calloc(1, sizeof *j);
	char path[3200];

	if (!j) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&j->mu, NULL);
	if (path_of(state_dirfd, path, sizeof path, e) == 0 &&
	    sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(j->db, 5000);
		return j;
	}
	if (j->db)
		(void)!fail(j, e);
	journal_close(j);
	return NULL;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	sqlite3_close(j->db);
	pthread_mutex_destroy(&j->mu);
	free(j);
}

int journal_begin(struct journal *j, const char *kind, const char *name, const char *json,
		  int64_t *id, struct err *e)
{
	SCOPED_LOCK(&j->mu);

	*id = 0;
	if (run_locked(j, "INSERT INTO operation (kind, name, json) VALUES (?, ?, ?)",
		       (const char *const[3]){kind, name, json}, 0, e) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(j->db);
	return 0;
}

int journal_update(struct journal *j, int64_t id, const char *json, struct err *e)
{
	SCOPED_LOCK(&j->mu);

	return run_locked(j, "UPDATE operation SET json = ? WHERE id = ?",
			  (const char *const[3]){json}, id, e);
}

int journal_end(struct journal *j, int64_t id, struct err *e)
{
	SCOPED_LOCK(&j->mu);

	return run_locked(j, "DELETE FROM operation WHERE id = ?", (const char *const[3]){NULL}, id,
			  e);
}

int journal_end_named(struct journal *j, const char *kind, const char *name, struct err *e)
{
	SCOPED_LOCK(&j->mu);

	return run_locked(j, "DELETE FROM operation WHERE kind = ? AND name = ?",
			  (const char *const[3]){kind, name}, 0, e);
}

struct row {
	struct row *next;
	int64_t id;
	char *name, *json;
};

static void rows_free(struct row **rows)
{
	while (*rows) {
		struct row *r = *rows;

		*rows = r->next;
		free(r->name);
		free(r->json);
		free(r);
	}
}

static struct row *row_new(sqlite3_stmt *s)
{
	struct row *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->id = sqlite3_column_int64(s, 0);
	r->name = strdup((const char *)sqlite3_column_text(s, 1));
	r->json = strdup((const char *)sqlite3_column_text(s, 2));
	if (r->name && r->json)
		return r;
	rows_free(&r);
	return NULL;
}

/* The rows of a query with one parameter. */
static int read_rows(struct journal *j, const char *sql, const char *value, struct row **rows,
		     struct err *e)
{
	SCOPED_LOCK(&j->mu);
	_cleanup_(finalizep)
	sqlite3_stmt *s = prepare(j, sql, (const char *const[3]){value});
	int rc = SQLITE_DONE;

	if (!s)
		return fail(j, e);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		*rows = row_new(s);
		if (!*rows)
			return err_set(e, ENOMEM, "out of memory");
		rows = &(*rows)->next;
	}
	return rc == SQLITE_DONE ? 0 : fail(j, e);
}

/* fn is called when no lock is held any more. */
static int each_row(struct journal *j, const char *sql, const char *value,
		    int (*fn)(void *arg, int64_t id, const char *name, const char *json), void *arg,
		    struct err *e)
{
	_cleanup_(rows_free)
	struct row *rows = NULL;

	if (read_rows(j, sql, value, &rows, e) < 0)
		return -1;
	for (const struct row *r = rows; r; r = r->next) {
		if (fn(arg, r->id, r->name, r->json))
			break;
	}
	return 0;
}

int journal_each(struct journal *j, const char *kind,
		 int (*fn)(void *arg, int64_t id, const char *name, const char *json), void *arg,
		 struct err *e)
{
	return each_row(j, "SELECT id, name, json FROM operation WHERE kind = ? ORDER BY id", kind,
			fn, arg, e);
}

int journal_settings(struct journal *j, const char *prefix,
		     int (*fn)(void *arg, int64_t id, const char *key, const char *value),
		     void *arg, struct err *e)
{
	return each_row(
		j,
		"SELECT 0, key, value FROM setting WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
		prefix, fn, arg, e);
}

int journal_set(struct journal *j, const char *key, const char *value, struct err *e)
{
	SCOPED_LOCK(&j->mu);

	return run_locked(j, "INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)",
			  (const char *const[3]){key, value}, 0, e);
}

int journal_get(struct journal *j, const char *key, char **value, struct err *e)
{
	SCOPED_LOCK(&j->mu);
	_cleanup_(finalizep)
	sqlite3_stmt *s =
		prepare(j, "SELECT value FROM setting WHERE key = ?", (const char *const[3]){key});

	*value = NULL;
	int rc = s ? sqlite3_step(s) : SQLITE_ERROR;
	if (rc == SQLITE_ROW) {
		*value = strdup((const char *)sqlite3_column_text(s, 0));
		return *value ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	return rc == SQLITE_DONE ? 0 : fail(j, e);
}
