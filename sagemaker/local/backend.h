/*
 * backend.h: what the rooms of the local backend share: one context, made by serve.c, handed to everybody.
 *
 * Locks, in the order in which they may be taken: endpoints.mu, metrics.io, metrics.mu, stats.mu, db.mu, async.mu, pins.mu,
 * history.mu, throttle.mu, logger.mu, faults.mu, pool.mu.
 * None is held across a wait for the network or for a model.
 */
#ifndef SAGEMAKER_LOCAL_BACKEND_H
#define SAGEMAKER_LOCAL_BACKEND_H

#include "sagemaker/config.h"
#include "sagemaker/local/local.h"

#define LOCAL_ROLE_NAME "sagemakerfs-local"
#define LOCAL_ROLE_ARN  "arn:aws:iam::" LOCAL_ACCOUNT ":role/service-role/" LOCAL_ROLE_NAME

struct async;
struct db;
struct fleet;
struct faults;
struct history;
struct http;
struct logger;
struct metrics;
struct objects;
struct patterns;
struct pool;
struct scaling;
struct server;
struct spawner;
struct stats;
struct usage;
struct throttle;

struct backend {
	const struct local_options *options;
	char *dir; /* the store's absolute path */
	int dirfd;
	int lockfd; /* DIR/lock, flock'ed as long as we run */
	char region[32];
	char access_key[32];
	char secret_key[64];
	char host_id[32];  /* x-amz-id-2 */
	unsigned port;     /* where the server listens */
	size_t max_invoke; /* bytes of an invocation's body */
	struct db *db;
	struct objects *objects;
	struct patterns *patterns;
	struct fleet *endpoints;
	struct async *async;       /* queued invocations */
	struct history *history;   /* NULL: what is answered is the present */
	struct throttle *throttle; /* of control calls; NULL: no limit */
	struct faults *faults;     /* NULL: none asked for */
	struct config http_config; /* borrowed by http */
	struct http *http;         /* towards the model servers */
	struct logger *log;
	struct metrics *metrics;
	struct usage *usage;
	struct scaling *scaling;
	struct stats *stats;
	struct pool *quick; /* calls that touch the disk */
	struct pool *slow;  /* unpacking models, removing their files */
	struct server *server;
	struct spawner *spawner;
};

#endif
