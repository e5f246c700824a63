#include "sagemaker/local/db.h"

#include <errno.h>
#include <stdarg.h>

#define PATH_MOST 500 /* SQLite's own limit is 512 with the names of its journals */

struct db {
	sqlite3 *h;
	pthread_mutex_t mu; /* guards h */
};

/* Keys are blobs: arbitrary bytes, compared as S3 does, by bytes. */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS bucket(name TEXT PRIMARY KEY, created REAL NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS object(id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key BLOB NOT NULL,"
	" size INTEGER NOT NULL, etag TEXT NOT NULL, modified REAL NOT NULL, type TEXT NOT NULL, checksum TEXT NOT NULL,"
	" meta TEXT NOT NULL, UNIQUE(bucket, key));"
	"CREATE TABLE IF NOT EXISTS segment(object INTEGER NOT NULL, seq INTEGER NOT NULL, file TEXT NOT NULL UNIQUE,"
	" size INTEGER NOT NULL, crc32c INTEGER NOT NULL, PRIMARY KEY(object, seq)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS upload(id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, created REAL NOT NULL,"
	" type TEXT NOT NULL, algorithm TEXT NOT NULL, full INTEGER NOT NULL, meta TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS part(upload TEXT NOT NULL, number INTEGER NOT NULL, file TEXT NOT NULL UNIQUE,"
	" size INTEGER NOT NULL, md5 TEXT NOT NULL, crc32c INTEGER NOT NULL, crc32 INTEGER NOT NULL, modified REAL NOT NULL,"
	" PRIMARY KEY(upload, number)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS resource(kind TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, created REAL NOT NULL,"
	" json TEXT NOT NULL, PRIMARY KEY(kind, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS metric(endpoint TEXT NOT NULL, variant TEXT NOT NULL, name TEXT NOT NULL,"
	" minute INTEGER NOT NULL, n REAL NOT NULL, sum REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,"
	" PRIMARY KEY(endpoint, variant, name, minute)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS metric_seen(endpoint TEXT NOT NULL, variant TEXT NOT NULL, name TEXT NOT NULL,"
	" minute INTEGER NOT NULL, PRIMARY KEY(endpoint, variant, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS tag(arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(arn, key))"
	" WITHOUT ROWID;";

/* What later versions added, in order; PRAGMA user_version says how many of them a store has. Never change a row. */
static const char *const upgrades[] = {
	"ALTER TABLE object ADD COLUMN tags TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE upload ADD COLUMN tags TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE part ADD COLUMN sums TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE segment ADD COLUMN number INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE segment ADD COLUMN sum TEXT NOT NULL DEFAULT '';"
	"CREATE TABLE setting(bucket TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(bucket, name))"
	" WITHOUT ROWID;",
	"CREATE TABLE async(id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, json TEXT NOT NULL, created REAL NOT NULL, body BLOB)"
	" WITHOUT ROWID; CREATE INDEX async_age ON async(created);",
};

static const char settings[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"
	"PRAGMA wal_autocheckpoint=1000;";

static int fail(sqlite3 *h, struct err *e)
{
	int no = sqlite3_errcode(h) == SQLITE_FULL ? ENOSPC : EIO;

	return err_set(e, no, "the store's database: %s", sqlite3_errmsg(h));
}

static int exec(sqlite3 *h, const char *sql, struct err *e)
{
	return sqlite3_exec(h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(h, e);
}

static int upgrade_step(struct db *d, size_t i, struct err *e)
{
	_cleanup_change_ struct db_change change = {NULL};
	char version[64];

	snprintf(version, sizeof version, "PRAGMA user_version=%zu", i + 1);
	if (db_begin(d, &change, e) < 0 || exec(d->h, upgrades[i], e) < 0 ||
	    exec(d->h, version, e) < 0)
		return -1;
	return db_commit(&change, e);
}

static int upgrade(struct db *d, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(d, e, "PRAGMA user_version", "");
	int more = s ? db_step(s, e) : -1;
	size_t have = more > 0 ? (size_t)sqlite3_column_int(s, 0) : 0;

	sqlite3_finalize(steal(s));
	if (have > ARRAY_SIZE(upgrades))
		return err_set(
			e, EINVAL,
			"the store was made by a newer version of sagemakerfs: use that one");
	for (; more >= 0 && have < ARRAY_SIZE(upgrades); have++) {
		if (upgrade_step(d, have, e) < 0)
			return -1;
	}
	return more < 0 ? -1 : 0;
}

/* SQLite says "unable to open" and "not a database": not what to do. */
static void explain(const struct db *d, const char *path, struct err *e)
{
	int rc = d->h ? sqlite3_errcode(d->h) : SQLITE_NOMEM;

	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		err_append(
			e,
			"it is damaged: put a copy back, or move the whole store away to begin with an empty one");
	else if (rc == SQLITE_CANTOPEN && strlen(path) >= PATH_MOST)
		err_append(e, "its path is too long for SQLite: use a store with a shorter one");
}

struct db *db_open(const char *path, struct err *e)
{
	struct db *d = calloc(1, sizeof *d);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (!d) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&d->mu, NULL);
	if (sqlite3_open_v2(path, &d->h, flags, NULL) != SQLITE_OK) {
		err_set(e, EIO, "cannot open '%s': %s", path,
			d->h ? sqlite3_errmsg(d->h) : "out of memory");
		explain(d, path, e);
		db_close(d);
		return NULL;
	}
	sqlite3_extended_result_codes(d->h, 0);
	sqlite3_busy_timeout(d->h, 5000);
	if (exec(d->h, settings, e) < 0 || exec(d->h, schema, e) < 0 || upgrade(d, e) < 0) {
		err_prefix(e, "cannot use '%s'", path);
		explain(d, path, e);
		db_close(d);
		return NULL;
	}
	return d;
}

void db_close(struct db *d)
{
	if (!d)
		return;
	sqlite3_close(d->h);
	pthread_mutex_destroy(&d->mu);
	free(d);
}

pthread_mutex_t *db_lock(struct db *d)
{
	return &d->mu;
}

static int bind_one(sqlite3_stmt *s, int i, char type, va_list *ap)
{
	const void *p;
	size_t n;

	switch (type) {
	case 's':
		return sqlite3_bind_text(s, i, va_arg(*ap, const char *), -1, SQLITE_STATIC);
	case 'b':
		p = va_arg(*ap, const void *);
		n = va_arg(*ap, size_t);
		return sqlite3_bind_blob64(s, i, n ? p : "", n, SQLITE_STATIC);
	case 'i':
		return sqlite3_bind_int64(s, i, va_arg(*ap, int64_t));
	case 'd':
		return sqlite3_bind_double(s, i, va_arg(*ap, double));
	default:
		return SQLITE_MISUSE;
	}
}

static sqlite3_stmt *prepare(struct db *d, struct err *e, const char *sql, const char *types,
			     va_list *ap)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(d->h, sql, -1, &s, NULL) != SQLITE_OK) {
		fail(d->h, e);
		return NULL;
	}
	for (int i = 0; types[i]; i++) {
		if (bind_one(s, i + 1, types[i], ap) != SQLITE_OK) {
			fail(d->h, e);
			sqlite3_finalize(s);
			return NULL;
		}
	}
	return s;
}

sqlite3_stmt *db_prepare(struct db *d, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	sqlite3_stmt *s = prepare(d, e, sql, types, &ap);
	va_end(ap);
	return s;
}

int db_step(sqlite3_stmt *s, struct err *e)
{
	int r = sqlite3_step(s);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : fail(sqlite3_db_handle(s), e);
}

int db_run(struct db *d, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	_cleanup_stmt_ sqlite3_stmt *s = prepare(d, e, sql, types, &ap);
	va_end(ap);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0)
		;
	return r;
}

int64_t db_last_id(struct db *d)
{
	return sqlite3_last_insert_rowid(d->h);
}

int db_changes(struct db *d)
{
	return sqlite3_changes(d->h);
}

const char *db_text(sqlite3_stmt *s, int column)
{
	const unsigned char *p = sqlite3_column_text(s, column);

	return p ? (const char *)p : "";
}

int db_begin(struct db *d, struct db_change *c, struct err *e)
{
	if (exec(d->h, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	c->db = d;
	return 0;
}

int db_commit(struct db_change *c, struct err *e)
{
	if (exec(c->db->h, "COMMIT", e) < 0)
		return -1;
	c->db = NULL;
	return 0;
}

void db_rollback(struct db_change *c)
{
	if (c->db)
		exec(c->db->h, "ROLLBACK", NULL);
	c->db = NULL;
}
