/*
 * endpoints.h: the endpoints and their life: Creating -> InService or Failed -> Deleting -> gone.
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
/* fleet_exited: a model server has ended. fleet_tick: once a second: keeps the logs short. */
void fleet_exited(struct fleet *all, uint64_t tag, int status);
void fleet_tick(struct fleet *all);

/*
 * fleet_create: plan (taken over) is {EndpointName, EndpointConfigName, Variant: the config's ProductionVariant,
 * Model: the model's PrimaryContainer}. 1 created, 0 the name is taken, -1.
 */
int fleet_create(struct fleet *all, cJSON *plan, const cJSON *tags, struct err *e) _must_check_;
/* fleet_describe: DescribeEndpoint's answer, NULL: no such endpoint. */
cJSON *fleet_describe(struct fleet *all, const char *name);

enum delete_result { DELETE_BEGUN, DELETE_MISSING, DELETE_IN_PROGRESS, DELETE_FAILED };
enum delete_result fleet_delete(struct fleet *all, const char *name, struct err *e);
/* fleet_list: malloc'ed rows for reply_list; NULL and *n = 0: none (or out of memory). */
struct listed *fleet_list(struct fleet *all, size_t *n);

/* For InvokeEndpoint. name need not end with NUL. */
enum invokable { INVOKE_READY, INVOKE_UNKNOWN, INVOKE_RESTARTING };

struct invoke_target {
	char url[64];
	char name[64], variant[64];
};
enum invokable fleet_target(struct fleet *all, const char *name, size_t len,
			    struct invoke_target *out);

#endif
