/* resources.h: models, endpoint configurations and endpoints as rows {kind, name, created, JSON}, and their tags. */
#ifndef SAGEMAKER_LOCAL_RESOURCES_H
#define SAGEMAKER_LOCAL_RESOURCES_H

#include "sagemaker/local/db.h"
#include "sagemaker/local/request.h"

struct resource_kind {
	const char *kind;        /* in the ARN and the database */
	const char *noun;        /* in AWS's sentences */
	const char *name_member; /* "ModelName" */
	const char *arn_member;  /* "ModelArn" */
	const char *list_member; /* "Models" */
};

extern const struct resource_kind KIND_MODEL, KIND_CONFIG, KIND_ENDPOINT;

/* resource_arn: the name is lower case in it, as in AWS's. */
void resource_arn(const struct backend *be, const struct resource_kind *k, const char *name,
		  char out[256]);

/* The following hold db_lock() themselves. resource_get: 1 (*json is the caller's), 0 none, -1. */
int resource_get(struct backend *be, const struct resource_kind *k, const char *name, cJSON **json,
		 double *created, struct err *e) _must_check_;
/* resource_add: the row and its tags (may be NULL). 1 added, 0 there is one of that name, -1. */
int resource_add(struct backend *be, const struct resource_kind *k, const char *name,
		 const cJSON *json, const cJSON *tags, struct err *e) _must_check_;
int resource_update(struct backend *be, const struct resource_kind *k, const char *name,
		    const cJSON *json, struct err *e) _must_check_;
/* resource_delete: with its tags; 1, 0 there was none, -1. */
int resource_delete(struct backend *be, const struct resource_kind *k, const char *name,
		    struct err *e) _must_check_;
/* resource_each: all of a kind; fn gets json for itself. */
int resource_each(struct backend *be, const struct resource_kind *k,
		  void (*fn)(void *arg, const char *name, double created, cJSON *json), void *arg,
		  struct err *e) _must_check_;

/* reply_missing, reply_exists: AWS's sentences for hosting calls. */
void reply_missing(struct request *r, const struct resource_kind *k, const char *name);
void reply_exists(struct request *r, const struct resource_kind *k, const char *name);

/* One line of a List call. */
struct listed {
	char name[64];
	double created, modified; /* modified 0: the kind has none */
	const char *status;       /* static, NULL: none */
};

/* reply_list: the List call of a kind over these rows: filters, order and pages as the request says. rows: malloc'ed, taken over. */
void reply_list(struct request *r, const struct resource_kind *k, struct listed *rows, size_t n);

/* The one container of a model as CreateModel takes it: PrimaryContainer, or the only one of Containers, borrowed. NULL: none,
 * or several (a pipeline, which the local backend does not have). */
const cJSON *model_container(const cJSON *model);

#endif
