/*
 * endpoints.h: the endpoints and their life: Creating -> InService or Failed, Updating -> InService, Deleting -> gone.
 *
 * An endpoint runs a deployment: the variants of a configuration, each with a model's files and a process per instance. An
 * update makes a second deployment beside the first and takes its place when it is healthy; creating is an update from nothing.
 *
 * Nothing waits: preparing runs on a worker, pings and timers on the HTTP engine, ends of processes are told by the main
 * loop. Each of these holds a reference; a step that finds its endpoint in another state than it expects does nothing.
 */
#ifndef SAGEMAKER_LOCAL_ENDPOINTS_H
#define SAGEMAKER_LOCAL_ENDPOINTS_H

#include "sagemaker/local/backend.h"
#include "sagemaker/local/resources.h"

struct fleet;

/* fleet_new: what the store knows, not yet started; directories that no endpoint owns are removed. */
struct fleet *fleet_new(struct backend *be, struct err *e) _must_check_;
void fleet_free(struct fleet *all);
/* fleet_start: bring them all back. fleet_stop: SIGTERM to every model server; fleet_alive: how many live. */
void fleet_start(struct fleet *all);
void fleet_stop(struct fleet *all);
unsigned fleet_alive(struct fleet *all);
/* fleet_exited: a model server has ended. fleet_tick: once a second: notes when the logs grew. */
void fleet_exited(struct fleet *all, uint64_t tag, int status);
void fleet_tick(struct fleet *all);
/* fleet_processes: fn for every model server's process that lives; called with the lock held: short. */
void fleet_processes(struct fleet *all,
		     void (*fn)(void *arg, const char *endpoint, const char *variant, pid_t pid),
		     void *arg);

/* fleet_variant: of the deployment that serves, or will; false: there is none of that name. */
struct variant_state {
	int count;   /* instances wanted */
	bool steady; /* the endpoint is InService: it may be scaled */
	bool serverless;
};

bool fleet_variant(struct fleet *all, const char *name, const char *variant,
		   struct variant_state *out);
/* fleet_has_instance: whether an endpoint has an instance of that id. */
bool fleet_has_instance(struct fleet *all, const char *id);

/* fleet_create: variants (taken over) are the configuration's ProductionVariants, each with `Model`, its model's
 * PrimaryContainer. 1 created, 0 the name is taken, -1. */
int fleet_create(struct fleet *all, const char *name, const char *config, cJSON *variants,
		 const cJSON *tags, struct err *e) _must_check_;
/* fleet_describe: DescribeEndpoint's answer, NULL: no such endpoint. */
cJSON *fleet_describe(struct fleet *all, const char *name);

/* What a call that changes an endpoint came to. REFUSED: *e has the sentence; FAILED: our own trouble. */
enum change { CHANGE_BEGUN, CHANGE_MISSING, CHANGE_IN_PROGRESS, CHANGE_REFUSED, CHANGE_FAILED };

enum change fleet_delete(struct fleet *all, const char *name, struct err *e);
/* fleet_update: to another configuration; in is UpdateEndpoint's request, variants as above (taken over). */
enum change fleet_update(struct fleet *all, const cJSON *in, cJSON *variants, struct err *e);
/* fleet_scale: wishes is DesiredWeightsAndCapacities. */
enum change fleet_scale(struct fleet *all, const char *name, const cJSON *wishes, struct err *e);
/* fleet_census: adds to j how many endpoints have which status, how many model servers live and how many invocations they have. */
void fleet_census(struct fleet *all, cJSON *j);
/* fleet_list: malloc'ed rows for reply_list; NULL and *n = 0: none (or out of memory). */
struct listed *fleet_list(struct fleet *all, size_t *n);

/* For invocations. RESTARTING: no process of the variant answers just now. COLD: a serverless variant's process is being started:
 * ask again with the same target. BUSY: it has as many invocations as it takes. */
enum invokable {
	INVOKE_READY,
	INVOKE_UNKNOWN,
	INVOKE_NO_VARIANT,
	INVOKE_RESTARTING,
	INVOKE_COLD,
	INVOKE_BUSY
};

struct invoke_target {
	char url[64]; /* of its /invocations */
	char name[64], variant[64];
	uint64_t process;         /* 0: none yet */
	bool serverless, counted; /* counted: it is one of the variant's `serving` */
	unsigned instances;       /* of the variant */
};

/* fleet_target: the process for one invocation: the variant by the weights (or the one asked for; NULL: any), its process with
 * the fewest invocations in flight. name need not end with NUL. READY and COLD count it until fleet_release. */
enum invokable fleet_target(struct fleet *all, const char *name, size_t len, const char *variant,
			    struct invoke_target *out);
void fleet_release(struct fleet *all, const struct invoke_target *t);

#endif
