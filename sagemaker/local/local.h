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

/* What `serve` was told. All times in seconds. */
struct local_options {
	const char *store;  /* directory, made (0700) when missing */
	const char *listen; /* "127.0.0.1:PORT", port 0: any; NULL: "127.0.0.1:0" */
	const char *region; /* NULL: LOCAL_REGION */
	bool strict_runtimes;
	bool until_unused; /* end 10 s after the last holder of DIR/users went (a mount's backend), else at SIGTERM */
	int ready_fd; /* written one line "ready URL\n" or "error TEXT\n" when known, then closed; -1: none */
	const char *
		faults; /* FILE, @FILE or JSON text: the fault table for tests (docs/local-backend.md); NULL: none */
	char access_key[32], secret_key[64]; /* "": the store's own */
	double create_delay, update_delay,
		delete_delay;  /* the least time in Creating, Updating, Deleting */
	double stale;          /* Describe and List calls answer as of so long ago */
	double control_rate;   /* control calls a second, ThrottlingException beyond; 0: no limit */
	double invoke_timeout; /* of a container's answer */
	double health_timeout; /* of a container's first good ping, unless its variant says otherwise */
	double serverless_idle; /* until a serverless variant that is not used has no process */
	double serverless_wait; /* of an invocation, and of a start, for a serverless variant's process */
	double async_ttl; /* in the queue, of an asynchronous request that says nothing else */
	double max_instances; /* of all endpoints together, but serverless ones; more: ResourceLimitExceeded */
	double max_payload; /* bytes of an invocation's body and of its answer */
};

/*
 * local_options_parse: the arguments behind `serve` (argv[0] is not looked at) over what the environment says
 * (SAGEMAKERFS_SERVE_PROFILE, SAGEMAKERFS_SERVE_ACCESS_KEY, SAGEMAKERFS_SERVE_SECRET_KEY) over the defaults, which are AWS's
 * limits without any delay. The strings stay those of argv; the secret is wiped from the environment. EINVAL: which word, and what it may be.
 */
int local_options_parse(struct local_options *o, int argc, char **argv, struct err *e) _must_check_;

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
/* local_sandbox: what would keep models in, one line; false: they would see other files or processes of the user. Before there are
 * threads. */
bool local_sandbox(struct buf *out);

#endif
