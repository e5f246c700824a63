/*
 * db.h: the store's SQLite file: WAL, every commit on disk before it returns.
 *
 * One connection. db.mu is held from the first statement of an operation to its end (SCOPED_LOCK(db_lock(db))), so a
 * check and the write that depends on it are one step for all threads.
 */
#ifndef SAGEMAKER_LOCAL_DB_H
#define SAGEMAKER_LOCAL_DB_H

#include <sqlite3.h>

#include "sagemaker/err.h"

struct db;

/* db_open: the file PATH, made with our tables when missing. EIO with SQLite's words. */
struct db *db_open(const char *path, struct err *e) _must_check_;
void db_close(struct db *d);
pthread_mutex_t *db_lock(struct db *d);

/*
 * db_prepare: a statement with its parameters bound, types one letter each:
 *   s const char * (NULL: null)   b const void *, size_t   i int64_t   d double
 * NULL with e filled. db_step: 1 row, 0 done, -1 with e filled. Blobs and strings are borrowed until the
 * statement is finalized.
 */
sqlite3_stmt *db_prepare(struct db *d, struct err *e, const char *sql, const char *types, ...)
	_must_check_;
int db_step(sqlite3_stmt *s, struct err *e) _must_check_;
/* db_run: prepare, step to the end, finalize. */
int db_run(struct db *d, struct err *e, const char *sql, const char *types, ...) _must_check_;
int64_t db_last_id(struct db *d);
int db_changes(struct db *d); /* rows that the last statement changed */

/* db_text: column as a string, never NULL; valid until the next step. */
const char *db_text(sqlite3_stmt *s, int column);

/* A transaction: begun here, rolled back at the end of the block unless committed. */
struct db_change {
	struct db *db; /* NULL: none open */
};

int db_begin(struct db *d, struct db_change *c, struct err *e) _must_check_;
int db_commit(struct db_change *c, struct err *e) _must_check_;
void db_rollback(struct db_change *c);
#define _cleanup_change_ _cleanup_(db_rollback)

static inline void stmt_freep(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}

#define _cleanup_stmt_ _cleanup_(stmt_freep)

#endif
