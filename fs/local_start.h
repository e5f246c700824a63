/* local_start.h: the local backend of a mount: joined if one serves the store, else started as a process of its own. */
#ifndef FS_LOCAL_START_H
#define FS_LOCAL_START_H

#include "fs/log.h"
#include "sagemaker/config.h"

/* What DIR/run.json says. */
struct local_run {
	char *url, *region, *account, *access_key, *secret_key, *role;
	pid_t pid;
};

struct local_backend;

/* local_store: the directory of a "local[:DIR]" source, absolute. */
char *local_store(const char *source, struct err *e);
/* local_read: run.json of a store. ENOENT: nobody serves it. */
int local_read(const char *store, struct local_run *out, struct err *e) _must_check_;
void local_run_release(struct local_run *r);
/* local_env: print the variables that let other programs use the backend of a store, as shell exports. */
void local_env(const char *store, const struct local_run *r, FILE *to);

/* local_join: hold a shared lock on DIR/users, so that the backend stays, and give its address and keys. No other threads yet. */
struct local_backend *local_join(const char *store, bool strict_runtimes, struct local_run *out,
				 struct err *e) _must_check_;
/* local_guard: from now on a thread starts the backend anew when it dies, at the same address. local_leave: stop guarding, let go. */
int local_guard(struct local_backend *b, struct log *log, struct err *e) _must_check_;
void local_leave(struct local_backend *b);

#endif
