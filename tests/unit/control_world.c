#include "control_world.h"

struct control_world svc;

struct thing *world_find(enum kind kind, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(svc.things); i++)
		if (svc.things[i].there && svc.things[i].kind == kind &&
		    streq(svc.things[i].name, name))
			return &svc.things[i];
	return NULL;
}

struct thing *world_add(enum kind kind, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(svc.things); i++) {
		struct thing *t = &svc.things[i];

		if (t->there)
			continue;
		memset(t, 0, sizeof *t);
		t->there = true;
		t->kind = kind;
		t->at = svc.clock++;
		snprintf(t->name, sizeof t->name, "%s", name);
		return t;
	}
	fail_msg("the fake service is full");
	abort();
}

size_t world_count(enum kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(svc.things); i++)
		n += svc.things[i].there && svc.things[i].kind == kind;
	return n;
}

size_t world_tags(enum kind kind, const char *name)
{
	const struct thing *t = world_find(kind, name);

	if (!t) {
		fail_msg("'%s' is not there", name);
		return 0;
	}
	return t->tags;
}

/* Logs the call. 0: it goes on; -1: it fails without effect; 1: it takes effect, then its reply is lost. */
static int call(const char *name, struct err *e)
{
	size_t n = strlen(svc.log);

	snprintf(svc.log + n, sizeof svc.log - n, "%s%s", n ? " " : "", name);
	for (size_t i = 0; i < ARRAY_SIZE(svc.faults); i++) {
		struct fault *f = &svc.faults[i];

		if (!f->call || !streq(f->call, name) || f->times == 0)
			continue;
		f->times--;
		err_set(e, f->no, "%s", f->text);
		e->http = f->http;
		e->attempts = f->how == REFUSE_REPETITION ? 2 : 1;
		return f->how == LOSE_REPLY || f->how == REFUSE_REPETITION ? 1 : -1;
	}
	return 0;
}

static int create(const char *name_of_call, enum kind kind, const char *what, const char *name,
		  struct thing **made, struct err *e)
{
	int rc = call(name_of_call, e);

	*made = NULL;
	if (rc < 0)
		return -1;
	if (world_find(kind, name)) {
		err_set(e, EEXIST, "Cannot create already existing %s \"%s\".", what, name);
		e->http = 400;
		return -1;
	}
	*made = world_add(kind, name);
	return rc ? -1 : 0;
}

static int discard(const char *name_of_call, enum kind kind, const char *what, const char *name,
		   struct err *e)
{
	int rc = call(name_of_call, e);
	struct thing *t = world_find(kind, name);

	if (rc < 0)
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find %s \"%s\".", what, name);
	t->there = false;
	return rc ? -1 : 0;
}

int control_create_model(struct aws *a, const struct model_desc *m, const struct tag *tags,
			 size_t n_tags, struct cancel *c, struct err *e)
{
	struct thing *t;
	int rc = create("CreateModel", MODEL, "model", m->name, &t, e);

	(void)a, (void)c, (void)tags;
	if (t) {
		snprintf(t->data, sizeof t->data, "%s", m->data_url);
		snprintf(t->image, sizeof t->image, "%s", m->image);
		t->tags = n_tags;
	}
	return rc;
}

int control_describe_model(struct aws *a, const char *name, struct model_state *out,
			   struct cancel *c, struct err *e)
{
	const struct thing *t = world_find(MODEL, name);

	(void)a, (void)c;
	if (call("DescribeModel", e))
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find model \"%s\".", name);
	memset(out, 0, sizeof *out);
	snprintf(out->data_url, sizeof out->data_url, "%s", t->data);
	snprintf(out->image, sizeof out->image, "%s", t->image);
	return 0;
}

int control_delete_model(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	(void)a, (void)c;
	return discard("DeleteModel", MODEL, "model", name, e);
}

int control_create_endpoint_config(struct aws *a, const struct endpoint_config_desc *d,
				   const struct tag *tags, size_t n_tags, struct cancel *c,
				   struct err *e)
{
	struct thing *t;

	(void)a, (void)c, (void)tags;
	if (!world_find(MODEL, d->model))
		return err_set(e, EINVAL, "Could not find model \"%s\".", d->model);
	int rc = create("CreateEndpointConfig", CONFIG, "endpoint configuration", d->name, &t, e);
	if (t) {
		snprintf(t->ref, sizeof t->ref, "%s", d->model);
		snprintf(t->type, sizeof t->type, "%s", d->instance_type);
		t->tags = n_tags;
	}
	return rc;
}

int control_describe_endpoint_config(struct aws *a, const char *name,
				     struct endpoint_config_state *out, cJSON **raw,
				     struct cancel *c, struct err *e)
{
	const struct thing *t = world_find(CONFIG, name);

	(void)a, (void)c;
	if (call("DescribeEndpointConfig", e))
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find endpoint configuration \"%s\".", name);
	memset(out, 0, sizeof *out);
	snprintf(out->model, sizeof out->model, "%s", t->ref);
	snprintf(out->instance_type, sizeof out->instance_type, "%s", t->type);
	if (raw) {
		*raw = cJSON_CreateObject();
		cJSON_AddNumberToObject(*raw, "CreationTime", t->at);
		cJSON_AddStringToObject(cJSON_AddObjectToObject(*raw, "Variant"), "ModelName",
					t->ref);
	}
	return 0;
}

int control_delete_endpoint_config(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	(void)a, (void)c;
	return discard("DeleteEndpointConfig", CONFIG, "endpoint configuration", name, e);
}

int control_create_endpoint(struct aws *a, const char *name, const char *config,
			    const struct tag *tags, size_t n_tags, char arn[256], struct cancel *c,
			    struct err *e)
{
	struct thing *t;

	(void)a, (void)c, (void)tags;
	if (!world_find(CONFIG, config))
		return err_set(e, EINVAL, "Could not find endpoint configuration \"%s\".", config);
	int rc = create("CreateEndpoint", ENDPOINT, "endpoint", name, &t, e);
	if (t) {
		snprintf(t->ref, sizeof t->ref, "%s", config);
		snprintf(t->status, sizeof t->status, "Creating");
		t->tags = n_tags;
		snprintf(arn, 256, "arn:endpoint/%s", name);
	}
	return rc;
}

int control_describe_endpoint(struct aws *a, const char *name, struct endpoint_state *out,
			      struct cancel *c, struct err *e)
{
	const struct thing *t = world_find(ENDPOINT, name);

	(void)a, (void)c;
	if (call("DescribeEndpoint", e))
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find endpoint \"%s\".", name);
	memset(out, 0, sizeof *out);
	snprintf(out->name, sizeof out->name, "%s", t->name);
	snprintf(out->config, sizeof out->config, "%s", t->ref);
	snprintf(out->status, sizeof out->status, "%s", t->status);
	snprintf(out->arn, sizeof out->arn, "arn:endpoint/%s", name);
	return 0;
}

int control_delete_endpoint(struct aws *a, const char *name, struct cancel *c, struct err *e)
{
	struct thing *t = world_find(ENDPOINT, name);
	int rc = call("DeleteEndpoint", e);

	(void)a, (void)c;
	if (rc < 0)
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find endpoint \"%s\".", name);
	if (!streq(t->status, "InService") && !streq(t->status, "Failed")) {
		err_set(e, EBUSY, "Cannot update in-progress endpoint \"%s\".", name);
		e->http = 400;
		return -1;
	}
	snprintf(t->status, sizeof t->status, "Deleting");
	return rc ? -1 : 0;
}

int control_add_tags(struct aws *a, const char *arn, const struct tag *tags, size_t n_tags,
		     struct cancel *c, struct err *e)
{
	(void)a, (void)arn, (void)tags, (void)n_tags, (void)c;
	assert_string_equal(tags[0].key, "sagemakerfs:delete");
	return call("AddTags", e) ? -1 : 0;
}

int control_list_endpoints(struct aws *a, struct endpoint_summary **out, size_t *n,
			   struct cancel *c, struct err *e)
{
	(void)a, (void)c;
	if (call("ListEndpoints", e))
		return -1;
	*out = calloc(ARRAY_SIZE(svc.things), sizeof **out);
	*n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(svc.things); i++) {
		const struct thing *t = &svc.things[i];

		if (!t->there || t->kind != ENDPOINT)
			continue;
		snprintf((*out)[*n].name, 64, "%s", t->name);
		(*out)[(*n)++].modified = t->at;
	}
	return 0;
}

static int list_items(const char *name_of_call, enum kind kind, const struct control_filter *f,
		      struct control_item **out, size_t *n, struct err *e)
{
	*n = 0;
	*out = calloc(ARRAY_SIZE(svc.things), sizeof **out);
	if (call(name_of_call, e))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(svc.things); i++) {
		const struct thing *t = &svc.things[i];

		if (!t->there || t->kind != kind || (f && t->at <= f->after) ||
		    (f && f->contains && !strstr(t->name, f->contains)))
			continue;
		snprintf((*out)[*n].name, 64, "%s", t->name);
		snprintf((*out)[*n].arn, 256, "%d/%s", (int)kind, t->name);
		(*out)[(*n)++].created = t->at;
	}
	return 0;
}

int control_list_models(struct aws *a, const struct control_filter *f, struct control_item **out,
			size_t *n, struct cancel *c, struct err *e)
{
	(void)a, (void)c;
	return list_items("ListModels", MODEL, f, out, n, e);
}

int control_list_endpoint_configs(struct aws *a, const struct control_filter *f,
				  struct control_item **out, size_t *n, struct cancel *c,
				  struct err *e)
{
	(void)a, (void)c;
	return list_items("ListEndpointConfigs", CONFIG, f, out, n, e);
}

int control_model_json(struct aws *a, const char *name, cJSON **out, struct cancel *c,
		       struct err *e)
{
	const struct thing *t = world_find(MODEL, name);

	(void)a, (void)c;
	*out = NULL;
	if (call("DescribeModel", e))
		return -1;
	if (!t)
		return err_set(e, ENOENT, "Could not find model \"%s\".", name);
	*out = cJSON_CreateObject();
	cJSON_AddStringToObject(cJSON_AddObjectToObject(*out, "PrimaryContainer"), "ModelDataUrl",
				t->data);
	return 0;
}

bool control_not_found(const struct err *e)
{
	return starts_with(e->text, "Could not find ");
}

bool control_exists(const struct err *e)
{
	return starts_with(e->text, "Cannot create already existing ");
}

bool control_in_progress(const struct err *e)
{
	return starts_with(e->text, "Cannot update in-progress ");
}
