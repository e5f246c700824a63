/*
 * journal.h: SQLite (WAL, synchronous=FULL) in the mount's state directory: operations in flight, written before each step is
 * taken, so that the next mount resumes or undoes; and small settings. A damaged file is renamed aside ("journal.damaged-TIME"),
 * a new one begun, and that is logged. Thread-safe (one lock inside).
 */
#ifndef FS_JOURNAL_H
#define FS_JOURNAL_H

#include "sagemaker/err.h"

struct journal;

struct journal *journal_open(int state_dirfd, bool *was_damaged, struct err *e) _must_check_;
/* journal_look: of a mount that may be running, only to read: nothing is made, changed or set aside. */
struct journal *journal_look(int state_dirfd, struct err *e) _must_check_;
void journal_close(struct journal *j);

/* One operation: kind ("commit", "deploy", "delete"), name, a JSON text that its room understands. begin returns its id. */
int journal_begin(struct journal *j, const char *kind, const char *name, const char *json,
		  int64_t *id, struct err *e) _must_check_;
int journal_update(struct journal *j, int64_t id, const char *json, struct err *e) _must_check_;
int journal_end(struct journal *j, int64_t id, struct err *e) _must_check_;
/* journal_end_named: all operations of that kind and name. */
int journal_end_named(struct journal *j, const char *kind, const char *name, struct err *e)
	_must_check_;
/* journal_each: every operation of kind in order of begin. fn returns non-zero to stop. fn may call back (rows are read first). */
int journal_each(struct journal *j, const char *kind,
		 int (*fn)(void *arg, int64_t id, const char *name, const char *json), void *arg,
		 struct err *e) _must_check_;
/* Settings (".defaults", ...): get gives an allocated copy or NULL when unset. */
int journal_set(struct journal *j, const char *key, const char *value, struct err *e) _must_check_;
int journal_get(struct journal *j, const char *key, char **value, struct err *e) _must_check_;
/* journal_settings: those whose key begins with prefix, by key; fn as journal_each's, with the key as the name and 0 as the id. */
int journal_settings(struct journal *j, const char *prefix,
		     int (*fn)(void *arg, int64_t id, const char *key, const char *value),
		     void *arg, struct err *e) _must_check_;

#endif
