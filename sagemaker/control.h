/* control.h: SageMaker's control plane, one function per call (facts/sagemaker-api.md). Blocking, thread-safe. */
#ifndef SAGEMAKER_CONTROL_H
#define SAGEMAKER_CONTROL_H

#include "sagemaker/aws.h"

struct model_desc {
	const char *name, *role, *image;
	const char *
		data_url; /* of an archive; ending in '/': of a prefix, whose objects are the model's files */
	const cJSON *environment; /* object of strings, may be NULL */
};

struct endpoint_config_desc {
	const char *name, *model, *instance_type;
	int instance_count;
};

struct tag {
	const char *key, *value;
};

/* What DescribeEndpoint said. */
struct endpoint_state {
	char name[64], arn[256], config[64], status[32];
	char failure[1100];
	char image[256];
	int current_count, desired_count;
	double created, modified; /* epoch seconds */
};

struct endpoint_config_state {
	char name[64], arn[256], model[64], instance_type[32];
	int instance_count;
};

struct model_state {
	char name[64], arn[256], image[256], role[256];
	char data_url[1100]; /* as in model_desc */
};

struct endpoint_summary {
	char name[64], arn[256], status[32];
	double created, modified;
};

int control_create_model(struct aws *a, const struct model_desc *m, const struct tag *tags,
			 size_t n_tags, struct cancel *c, struct err *e) _must_check_;
int control_describe_model(struct aws *a, const char *name, struct model_state *out,
			   struct cancel *c, struct err *e) _must_check_;
int control_delete_model(struct aws *a, const char *name, struct cancel *c, struct err *e)
	_must_check_;
int control_create_endpoint_config(struct aws *a, const struct endpoint_config_desc *d,
				   const struct tag *tags, size_t n_tags, struct cancel *c,
				   struct err *e) _must_check_;
/* raw (may be NULL) receives the whole reply, owned by the caller, for endpoints/NAME/config. */
int control_describe_endpoint_config(struct aws *a, const char *name,
				     struct endpoint_config_state *out, cJSON **raw,
				     struct cancel *c, struct err *e) _must_check_;
int control_delete_endpoint_config(struct aws *a, const char *name, struct cancel *c, struct err *e)
	_must_check_;
int control_create_endpoint(struct aws *a, const char *name, const char *config,
			    const struct tag *tags, size_t n_tags, char arn[256], struct cancel *c,
			    struct err *e) _must_check_;
int control_describe_endpoint(struct aws *a, const char *name, struct endpoint_state *out,
			      struct cancel *c, struct err *e) _must_check_;
int control_delete_endpoint(struct aws *a, const char *name, struct cancel *c, struct err *e)
	_must_check_;
int control_add_tags(struct aws *a, const char *arn, const struct tag *tags, size_t n_tags,
		     struct cancel *c, struct err *e) _must_check_;
/* control_list_tags: *out is an object {key: value}, owned by the caller. */
int control_list_tags(struct aws *a, const char *arn, cJSON **out, struct cancel *c, struct err *e)
	_must_check_;
/* control_list_endpoints: all pages; *out is malloc'ed, n rows. */
int control_list_endpoints(struct aws *a, struct endpoint_summary **out, size_t *n,
			   struct cancel *c, struct err *e) _must_check_;

/* control_page_endpoints: the same page by page, as they come: fn(arg, rows, n) for each; rows are its until it returns. -1 also
 * after some pages were given. */
int control_page_endpoints(struct aws *a,
			   void (*fn)(void *arg, const struct endpoint_summary *rows, size_t n),
			   void *arg, struct cancel *c, struct err *e) _must_check_;

/* A row of ListModels or ListEndpointConfigs. */
struct control_item {
	char name[64], arn[256];
	double created; /* epoch seconds */
};

/* Which rows: names containing `contains` (NULL: any), made after `after` (epoch seconds of the service's clock; 0: any time). */
struct control_filter {
	const char *contains;
	double after;
};

/* control_list_models, control_list_endpoint_configs: all pages; *out is malloc'ed, n rows. */
int control_list_models(struct aws *a, const struct control_filter *f, struct control_item **out,
			size_t *n, struct cancel *c, struct err *e) _must_check_;
int control_list_endpoint_configs(struct aws *a, const struct control_filter *f,
				  struct control_item **out, size_t *n, struct cancel *c,
				  struct err *e) _must_check_;
/* control_model_json: DescribeModel's whole reply, owned by the caller: every container of it. */
int control_model_json(struct aws *a, const char *name, cJSON **out, struct cancel *c,
		       struct err *e) _must_check_;

/* "not found" and "exists" come as ValidationException: these read the sentence (facts/sagemaker-api.md, Errors). */
bool control_not_found(const struct err *e);
bool control_exists(const struct err *e);
bool control_in_progress(const struct err *e);

#endif
