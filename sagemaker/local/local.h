/*
 * local.h: the local backend as a program of its own: AWS's hosting protocols on loopback, models run for real.
 *
 * `sagemakerfs serve` calls local_serve() and so does the process that a local mount starts.
 */
#ifndef SAGEMAKER_LOCAL_LOCAL_H
#define SAGEMAKER_LOCAL_LOCAL_H

#include "sagemaker/err.h"

#define LOCAL_ACCOUNT "123456789012"
#define LOCAL_REGION  "us-east-1"

struct local_options {
	const char *store;  /* directory, made (0700) when missing */
	const char *listen; /* "127.0.0.1:PORT", port 0: any; NULL: "127.0.0.1:0" */
	const char *region; /* NULL: LOCAL_REGION */
	bool strict_runtimes;
	bool until_unused; /* end 10 s after the last holder of DIR/users went (a mount's backend), else at SIGTERM */
	int ready_fd; /* written one line "ready URL\n" or "error TEXT\n" when known, then closed; -1: none */
	const char *
		faults; /* JSON text or @FILE: the fault table for tests (docs/local-backend.md); NULL: none */
};

/*
 * local_serve: runs until SIGTERM/SIGINT or unused; returns 0 or -1 with why it could not start. Single instance per store:
 * DIR/lock is flock'ed exclusively (EBUSY: another one serves it). DIR/run.json (0600, replaced atomically) tells clients
 *   {"pid":1,"url":"http://127.0.0.1:4321","region":"us-east-1","account":"123456789012","access_key":"...","secret_key":"...",
 *    "role":"arn:aws:iam::123456789012:role/..."}
 * and is removed at the end. Clients hold a shared flock on DIR/users for as long as they use the backend.
 * Must be called in a process without other threads.
 */
int local_serve(const struct local_options *o, struct err *e) _must_check_;

/* local_runtimes: what `doctor` shows: one line per runtime found ("tensorflow 2.20.0  DIR/tensorflow-2.20.0"), into out; the number. */
struct buf;
int local_runtimes(struct buf *out);

#endif
