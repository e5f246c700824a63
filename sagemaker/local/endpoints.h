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

struct endpoints;

/* endpoints_new: what the store knows, not yet started; directories that no endpoint owns are removed. */
struct endpoints *endpoints_new(struct backend *be, struct err *e) _must_check_;
void endpoints_free(struct endpoints *all);
/* endpoints_start: bring them all back. endpoints_stop: SIGTERM to every model server; endpoints_alive: how many live. */
void endpoints_start(struct endpoints *all);
void endpoints_stop(struct endpoints *all);
unsigned endpoints_alive(struct endpoints *all);
/* endpoints_exited: a model server has ended. endpoints_tick: once a second: keeps the logs short. */
void endpoints_exited(struct endpoints *all, uint64_t tag, int status);
void endpoints_tick(struct endpoints *all);

/*
 * endpoints_create: plan (taken over) is {EndpointName, EndpointConfigName, Variant: the config's ProductionVariant,
 * Model: the model's PrimaryContainer}. 1 created, 0 the name is taken, -1.
 */
int endpoints_create(struct endpoints *all, cJSON *plan, const cJSON *tags, struct err *e)
	_must_check_;
/* endpoints_describe: DescribeEndpoint's answer, NULL: no such endpoint. */
cJSON *endpoints_describe(struct endpoints *all, const char *name);

enum delete_result { DELETE_BEGUN, DELETE_MISSING, DELETE_IN_PROGRESS, DELETE_FAILED };
enum delete_result endpoints_delete(struct endpoints *all, const char *name, struct err *e);
/* endpoints_list: malloc'ed rows for reply_list; NULL and *n = 0: none (or out of memory). */
struct listed *endpoints_list(struct endpoints *all, size_t *n);

/* For InvokeEndpoint. name need not end with NUL. */
enum invokable { INVOKE_READY, INVOKE_UNKNOWN, INVOKE_RESTARTING };

struct invoke_target {
	char url[64];
	char name[64], variant[64];
};
enum invokable endpoints_target(struct endpoints *all, const char *name, size_t len,
				struct invoke_target *out);

#endif
