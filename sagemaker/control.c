#include "sagemaker/control.h"

#include <errno.h>

#include "sagemaker/json.h"

#define VARIANT   "AllTraffic"
#define MAX_PAGES 10000

static void put_tags(cJSON *in, const struct tag *tags, size_t n)
{
	cJSON *list = n ? cJSON_AddArrayToObject(in, "Tags") : NULL;

	for (size_t i = 0; i < n; i++) {
		cJSON *tag = cJSON_CreateObject();

		json_put(tag, "Key", tags[i].key);
		json_put(tag, "Value", tags[i].value);
		cJSON_AddItemToArray(list, tag);
	}
}

/* A reply without what every reply of the call has is not the service's: nothing is concluded from what it does not say. */
static int check_reply(const char *action, const cJSON *o, const char *member, struct err *e)
{
	return cJSON_HasObjectItem(o, member)
		       ? 0
		       : err_set(e, EPROTO, "the reply to %s has no %s", action, member);
}

/* The calls that take one name and nothing else. What they answer has it, too. */
struct by_name {
	const char *action, *member;
};

static const struct by_name DESCRIBE_MODEL = {"DescribeModel", "ModelName"};
static const struct by_name DELETE_MODEL = {"DeleteModel", "ModelName"};
static const struct by_name DESCRIBE_ENDPOINT_CONFIG = {"DescribeEndpointConfig",
							"EndpointConfigName"};
static const struct by_name DELETE_ENDPOINT_CONFIG = {"DeleteEndpointConfig", "EndpointConfigName"};
static const struct by_name DESCRIBE_ENDPOINT = {"DescribeEndpoint", "EndpointName"};
static const struct by_name DELETE_ENDPOINT = {"DeleteEndpoint", "EndpointName"};

static int by_name(struct aws *a, const struct by_name *call, const char *name, cJSON **out,
		   struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();

	json_put(in, call->member, name);
	if (aws_json(a, &AWS_SAGEMAKER, call->action, in, c, out, e))
		return -1;
	if (!out || check_reply(call->action, *out, call->member, e) == 0)
		return 0;
	cJSON_Delete(steal(*out));
	return -1;
}

/* Models ----------------------------------------------------------------------------------- */

/* An archive, or a prefix: every object below it becomes a file of /opt/ml/model. */
static void put_data(cJSON *container, const char *url)
{
	if (!ends_with(url, "/")) {
		json_put(container, "ModelDataUrl", url);
		return;
	}
	cJSON *source = cJSON_AddObjectToObject(
		cJSON_AddObjectToObject(container, "ModelDataSource"), "S3DataSource");
	json_put(source, "S3Uri", url);
	json_put(source, "S3DataType", "S3Prefix");
	json_put(source, "CompressionType", "None");
}

int control_create_model(struct aws *a, const struct model_desc *m, const struct tag *tags,
			 size_t n_tags, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	cJSON *container = cJSON_AddObjectToObject(in, "PrimaryContainer");

	json_put(in, "ModelName", m->name);
	json_put(in, "ExecutionRoleArn", m->role);
	json_put(container, "Image", m->image);
	put_data(container, m->data_url);
	if (m->environment)
		cJSON_AddItemToObject(container, "Environment",
				      cJSON_Duplicate(m->environment, true));
	put_tags(in, tags, n_tags);
	return aws_json(a, &AWS_SAGEMAKER, "CreateModel", in, c, NULL, e);
}

int control_describe_model(struct aws *a, const char *name, struct model_state *out,
			   struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *o = NULL;

	if (by_name(a, &DESCRIBE_MODEL, name, &o, c, e))
		return -1;
	const cJSON *container = cJSON_GetObjectItemCaseSensitive(o, "PrimaryContainer");
	if (!container) /* a pipeline: its first container stands for it */
		container =
			cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "Containers"), 0);
	json_copy(o, "ModelName", out->name, sizeof out->name);
	json_copy(o, "ModelArn", out->arn, sizeof out->arn);
	json_copy(o, "ExecutionRoleArn", out->role, sizeof out->role);
	json_copy(container, "Image", out->image, sizeof out->image);
	json_copy(container, "ModelDataUrl", out->data_url, sizeof out->data_url);
	if (!out->data_url[0])
		json_copy(cJSON_GetObjectItemCaseSensitive(
				  cJSON_GetObjectItemCaseSensitive(container, "ModelDataSource"),
				  "S3DataSource"),
			  "S3Uri", out->data_url, sizeof out->data_url);
	return 0;
}

int control_model_json(struct aws *a, const char *name, cJSON **out, struct cancel *c,
		       struct err *e)
{
	*out = NULL;
	return by_name(a, &DESCRIBE_MODEL, name, out, c, e);
}

int control_delete_model(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	return by_name(a, &DELETE_MODEL, name, NULL, c, e);
}

/* Endpoint configurations ------------------------------------------------------------------ */

int control_create_endpoint_config(struct aws *a, const struct endpoint_config_desc *d,
				   const struct tag *tags, size_t n_tags, struct cancel *c,
				   struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	cJSON *variant = cJSON_CreateObject();

	json_put(in, "EndpointConfigName", d->name);
	json_put(variant, "VariantName", VARIANT);
	json_put(variant, "ModelName", d->model);
	json_put(variant, "InstanceType", d->instance_type);
	json_put_number(variant, "InitialInstanceCount", d->instance_count);
	json_put_number(variant, "InitialVariantWeight", 1);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(in, "ProductionVariants"), variant);
	put_tags(in, tags, n_tags);
	return aws_json(a, &AWS_SAGEMAKER, "CreateEndpointConfig", in, c, NULL, e);
}

int control_describe_endpoint_config(struct aws *a, const char *name,
				     struct endpoint_config_state *out, cJSON **raw,
				     struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *o = NULL;

	if (raw)
		*raw = NULL;
	if (by_name(a, &DESCRIBE_ENDPOINT_CONFIG, name, &o, c, e))
		return -1;
	const cJSON *variant =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "ProductionVariants"), 0);
	json_copy(o, "EndpointConfigName", out->name, sizeof out->name);
	json_copy(o, "EndpointConfigArn", out->arn, sizeof out->arn);
	json_copy(variant, "ModelName", out->model, sizeof out->model);
	json_copy(variant, "InstanceType", out->instance_type, sizeof out->instance_type);
	out->instance_count = json_count(variant, "InitialInstanceCount");
	if (raw)
		*raw = steal(o);
	return 0;
}

int control_delete_endpoint_config(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	return by_name(a, &DELETE_ENDPOINT_CONFIG, name, NULL, c, e);
}

/* Endpoints -------------------------------------------------------------------------------- */

/* A create that was sent again because its first reply was lost finds its own work. */
static bool created_it_ourselves(struct aws *a, const char *name, const char *config, char arn[256],
				 struct cancel *c, const struct err *e)
{
	struct endpoint_state there;

	if (e->attempts < 2 || !control_exists(e) ||
	    control_describe_endpoint(a, name, &there, c, NULL) || !streq(there.config, config))
		return false;
	memcpy(arn, there.arn, sizeof there.arn);
	return true;
}

int control_create_endpoint(struct aws *a, const char *name, const char *config,
			    const struct tag *tags, size_t n_tags, char arn[256], struct cancel *c,
			    struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject(), *o = NULL;
	struct err own;

	json_put(in, "EndpointName", name);
	json_put(in, "EndpointConfigName", config);
	put_tags(in, tags, n_tags);
	if (aws_json(a, &AWS_SAGEMAKER, "CreateEndpoint", in, c, &o, &own) == 0) {
		json_copy(o, "EndpointArn", arn, 256);
		return 0;
	}
	if (created_it_ourselves(a, name, config, arn, c, &own))
		return 0;
	if (e)
		*e = own;
	return -1;
}

int control_describe_endpoint(struct aws *a, const char *name, struct endpoint_state *out,
			      struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *o = NULL;

	if (by_name(a, &DESCRIBE_ENDPOINT, name, &o, c, e))
		return -1;
	const cJSON *variant =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "ProductionVariants"), 0);
	const cJSON *image =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(variant, "DeployedImages"), 0);
	json_copy(o, "EndpointName", out->name, sizeof out->name);
	json_copy(o, "EndpointArn", out->arn, sizeof out->arn);
	json_copy(o, "EndpointConfigName", out->config, sizeof out->config);
	json_copy(o, "EndpointStatus", out->status, sizeof out->status);
	json_copy(o, "FailureReason", out->failure, sizeof out->failure);
	json_copy(image, "SpecifiedImage", out->image, sizeof out->image);
	out->current_count = json_count(variant, "CurrentInstanceCount");
	out->desired_count = json_count(variant, "DesiredInstanceCount");
	out->created = json_number(o, "CreationTime");
	out->modified = json_number(o, "LastModifiedTime");
	return 0;
}

int control_delete_endpoint(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	return by_name(a, &DELETE_ENDPOINT, name, NULL, c, e);
}

/* Tags ------------------------------------------------------------------------------------- */

int control_add_tags(struct aws *a, const char *arn, const struct tag *tags, size_t n_tags,
		     struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();

	json_put(in, "ResourceArn", arn);
	put_tags(in, tags, n_tags);
	return aws_json(a, &AWS_SAGEMAKER, "AddTags", in, c, NULL, e);
}

/* Lists ------------------------------------------------------------------------------------ */

/* Every page of a List call: calls row for each element of the array that is called member. */
struct list {
	const char *action, *member;
	bool may_lack; /* a reply may be without the array */
	int (*row)(void *arg, const cJSON *item);
	void *arg;
	void (*page)(const struct list *l); /* after each page; may be NULL */
	void (*fn)(void *arg, const struct endpoint_summary *rows, size_t n); /* page's */
	void *fn_arg;
};

#define PATIENCE \
 6 /* times that a list which has begun is gone on with although the service is busy */

/* One page. The calls' own retries are few: a hundred pages at once are more than some accounts may ask for. */
static int list_page(struct aws *a, const struct list *l, cJSON *in, bool begun, cJSON **out,
		     struct cancel *c, struct err *e)
{
	for (int try = 0;; try++) {
		if (aws_json(a, &AWS_SAGEMAKER, l->action, in, c, out, e) == 0)
			return 0;
		if (!begun || e->no != EBUSY || try == PATIENCE || cancel_sleep(c, 500L << try))
			return -1;
	}
}

static int list_all(struct aws *a, const struct list *l, cJSON *in, struct cancel *c, struct err *e)
{
	for (int page = 0; page < MAX_PAGES; page++) {
		_cleanup_json_ cJSON *o = NULL;
		const cJSON *item;

		if (list_page(a, l, in, page > 0, &o, c, e) ||
		    (!l->may_lack && check_reply(l->action, o, l->member, e)))
			return -1;
		cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(o, l->member)) {
			if (l->row(l->arg, item))
				return err_set(e, ENOMEM, "could not keep the list: out of memory");
		}
		if (l->page)
			l->page(l);
		const char *token = json_text(o, "NextToken");
		if (!token || !*token)
			return 0;
		cJSON_DeleteItemFromObjectCaseSensitive(in, "NextToken");
		json_put(in, "NextToken", token);
	}
	return err_set(e, EPROTO, "the service's list has no end");
}

static int take_tag(void *arg, const cJSON *item)
{
	const char *key = json_text(item, "Key"), *value = json_text(item, "Value");

	if (!key || !value)
		return 0;
	cJSON_DeleteItemFromObjectCaseSensitive(arg, key);
	return cJSON_AddStringToObject(arg, key, value) ? 0 : -1;
}

int control_list_tags(struct aws *a, const char *arn, cJSON **out, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject(), *tags = cJSON_CreateObject();
	const struct list l = {.action = "ListTags",
			       .member = "Tags",
			       .may_lack = true,
			       .row = take_tag,
			       .arg = tags};

	*out = NULL;
	json_put(in, "ResourceArn", arn);
	if (list_all(a, &l, in, c, e))
		return -1;
	*out = steal(tags);
	return 0;
}

/* Rows of one size, gathered while pages come in. */
struct rows {
	char *p;
	size_t n, cap, size;
};

static void *next_row(struct rows *r)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		char *p = reallocarray(r->p, cap, r->size);

		if (!p)
			return NULL;
		r->p = p;
		r->cap = cap;
	}
	return r->p + r->size * r->n++;
}

/* The whole list into rows; the caller's *out and *n. */
static int list_rows(struct aws *a, struct list *l, cJSON *in, struct rows *r, void **out,
		     size_t *n, struct cancel *c, struct err *e)
{
	*out = NULL;
	*n = 0;
	l->arg = r;
	json_put_number(in, "MaxResults", 100);
	int rc = list_all(a, l, in, c, e);
	l->arg = NULL;
	if (rc) {
		free(r->p);
		return -1;
	}
	*out = r->p;
	*n = r->n;
	return 0;
}

static int take_summary(void *arg, const cJSON *item)
{
	struct endpoint_summary *row = next_row(arg);

	if (!row)
		return -1;
	json_copy(item, "EndpointName", row->name, sizeof row->name);
	json_copy(item, "EndpointArn", row->arn, sizeof row->arn);
	json_copy(item, "EndpointStatus", row->status, sizeof row->status);
	row->created = json_number(item, "CreationTime");
	row->modified = json_number(item, "LastModifiedTime");
	return 0;
}

int control_list_endpoints(struct aws *a, struct endpoint_summary **out, size_t *n,
			   struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	struct rows r = {.size = sizeof **out};
	struct list l = {.action = "ListEndpoints", .member = "Endpoints", .row = take_summary};

	return list_rows(a, &l, in, &r, (void **)out, n, c, e);
}

static void give_page(const struct list *l)
{
	struct rows *r = l->arg;

	l->fn(l->fn_arg, (const struct endpoint_summary *)(const void *)r->p, r->n);
	r->n = 0;
}

int control_page_endpoints(struct aws *a,
			   void (*fn)(void *arg, const struct endpoint_summary *rows, size_t n),
			   void *arg, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	struct rows r = {.size = sizeof(struct endpoint_summary)};
	struct list l = {.action = "ListEndpoints",
			 .member = "Endpoints",
			 .row = take_summary,
			 .page = give_page,
			 .fn = fn,
			 .fn_arg = arg};
	void *rows;
	size_t n;

	int rc = list_rows(a, &l, in, &r, &rows, &n, c, e);
	free(rows);
	return rc;
}

static int take_item(const cJSON *item, const char *name, const char *arn, struct rows *r)
{
	struct control_item *row = next_row(r);

	if (!row)
		return -1;
	json_copy(item, name, row->name, sizeof row->name);
	json_copy(item, arn, row->arn, sizeof row->arn);
	row->created = json_number(item, "CreationTime");
	if (!row->name[0])
		r->n--;
	return 0;
}

static int take_model(void *arg, const cJSON *item)
{
	return take_item(item, "ModelName", "ModelArn", arg);
}

static int take_config(void *arg, const cJSON *item)
{
	return take_item(item, "EndpointConfigName", "EndpointConfigArn", arg);
}

static int list_items(struct aws *a, struct list *l, const struct control_filter *f,
		      struct control_item **out, size_t *n, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	struct rows r = {.size = sizeof **out};

	json_put(in, "NameContains", f ? f->contains : NULL);
	if (f && f->after > 0)
		json_put_number(in, "CreationTimeAfter", f->after);
	return list_rows(a, l, in, &r, (void **)out, n, c, e);
}

int control_list_models(struct aws *a, const struct control_filter *f, struct control_item **out,
			size_t *n, struct cancel *c, struct err *e)
{
	struct list l = {.action = "ListModels", .member = "Models", .row = take_model};

	return list_items(a, &l, f, out, n, c, e);
}

int control_list_endpoint_configs(struct aws *a, const struct control_filter *f,
				  struct control_item **out, size_t *n, struct cancel *c,
				  struct err *e)
{
	struct list l = {
		.action = "ListEndpointConfigs", .member = "EndpointConfigs", .row = take_config};

	return list_items(a, &l, f, out, n, c, e);
}

/* Sentences -------------------------------------------------------------------------------- */

static bool says(const struct err *e, const char *words)
{
	return streq(e->code, "ValidationException") && strstr(e->text, words);
}

bool control_not_found(const struct err *e)
{
	return says(e, "Could not find ") || starts_with(e->code, "ResourceNotFound");
}

bool control_exists(const struct err *e)
{
	return says(e, "Cannot create already existing ") ||
	       streq(e->code, "ResourceAlreadyExists");
}

bool control_in_progress(const struct err *e)
{
	return says(e, "Cannot update in-progress ") || streq(e->code, "ResourceInUse");
}
