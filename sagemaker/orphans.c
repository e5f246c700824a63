#include "sagemaker/orphans.h"

#include <errno.h>
#include <time.h>

#include "sagemaker/json.h"
#include "sagemaker/users.h"

#define TAG_ATTEMPT DEPLOY_TAGS "attempt"

struct found {
	struct orphan *rows;
	size_t n;
};

static struct orphan *find(struct found *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (streq(f->rows[i].name, name))
			return &f->rows[i];
	return NULL;
}

/* Items whose names have the form of an attempt's, gathered by name. */
static int gather(struct found *f, const struct control_item *items, size_t n, bool models)
{
	struct orphan *rows = reallocarray(f->rows, f->n + n + 1, sizeof *rows);

	if (!rows)
		return -1;
	f->rows = rows;
	for (size_t i = 0; i < n; i++) {
		if (!deploy_made_by_any(items[i].name))
			continue;
		struct orphan *o = find(f, items[i].name);
		if (!o) {
			o = &f->rows[f->n++];
			memset(o, 0, sizeof *o);
			memcpy(o->name, items[i].name, sizeof o->name);
		}
		memcpy(o->arn, items[i].arn, sizeof o->arn);
		o->created = MAX(o->created, items[i].created);
		o->model |= models;
		o->config |= !models;
	}
	return 0;
}

static int gather_all(struct aws *a, struct found *f, struct cancel *c, struct err *e)
{
	static const struct control_filter ours = {.contains = DEPLOY_PREFIX};
	static int (*const lists[])(struct aws *, const struct control_filter *,
				    struct control_item **, size_t *, struct cancel *,
				    struct err *) = {control_list_endpoint_configs,
						     control_list_models};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_free_ struct control_item *items = NULL;
		size_t n;

		if (lists[i](a, &ours, &items, &n, c, e))
			return -1;
		if (gather(f, items, n, i == 1))
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* 1: the endpoint that it was made for, or one whose name begins alike, runs on it. */
static int serves(struct aws *a, const struct orphan *o, const struct endpoint_summary *all,
		  size_t n, struct cancel *c, struct err *e)
{
	struct endpoint_state s;

	for (size_t i = 0; i < n; i++) {
		if (!deploy_made(o->name, all[i].name))
			continue;
		if (control_describe_endpoint(a, all[i].name, &s, c, e) == 0) {
			if (streq(s.config, o->name))
				return 1;
		} else if (!control_not_found(e)) {
			return -1;
		}
	}
	return 0;
}

static bool young(double created)
{
	return created > (double)time(NULL) - ORPHAN_AGE_S;
}

/* 1: somebody uses the configuration or the model of this name, by whatever way. */
static int used(struct aws *a, const struct orphan *o, struct cancel *c, struct err *e)
{
	int rc = o->config ? users_of_config(a, o->name, o->created - 60, "", 0, c, e) : 0;

	if (rc == 0 && o->model)
		rc = users_of_model(a, o->name, o->name, 0, c, e);
	return rc;
}

static int read_tags(struct aws *a, struct orphan *o, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *tags = NULL;

	o->tags = ORPHAN_UNKNOWN;
	if (control_list_tags(a, o->arn, &tags, c, e))
		return e->no == EACCES || control_not_found(e) ? 0 : -1;
	const char *attempt = json_text(tags, TAG_ATTEMPT);
	o->tags = attempt && ends_with(o->name, attempt) && *attempt ? ORPHAN_TAGGED
								     : ORPHAN_UNTAGGED;
	return 0;
}

int orphans_list(struct aws *a, struct orphan **out, size_t *n, struct cancel *c, struct err *e)
{
	_cleanup_free_ struct endpoint_summary *all = NULL;
	struct found f = {0};
	size_t n_all, kept = 0;
	int rc = gather_all(a, &f, c, e);

	*out = NULL;
	*n = 0;
	if (rc == 0 && f.n)
		rc = control_list_endpoints(a, &all, &n_all, c, e);
	for (size_t i = 0; rc == 0 && i < f.n; i++) {
		struct orphan *o = &f.rows[i];
		int in_use = young(o->created) ? 1 : serves(a, o, all, n_all, c, e);

		if (in_use == 0 && read_tags(a, o, c, e))
			in_use = -1;
		rc = in_use < 0 ? -1 : 0;
		if (in_use == 0)
			f.rows[kept++] = *o;
	}
	if (rc) {
		free(f.rows);
		return -1;
	}
	*out = f.rows;
	*n = kept;
	return 0;
}

/* What there is of this name now. */
static int look(struct aws *a, const char *name, struct orphan *o, struct cancel *c, struct err *e)
{
	_cleanup_json_ cJSON *config = NULL, *model = NULL;
	struct endpoint_config_state s;

	memset(o, 0, sizeof *o);
	snprintf(o->name, sizeof o->name, "%s", name);
	if (control_describe_endpoint_config(a, name, &s, &config, c, e) && !control_not_found(e))
		return -1;
	if (control_model_json(a, name, &model, c, e) && !control_not_found(e))
		return -1;
	o->config = config;
	o->model = model;
	o->created = MAX(json_number(config, "CreationTime"), json_number(model, "CreationTime"));
	if (config)
		json_copy(config, "EndpointConfigArn", o->arn, sizeof o->arn);
	else
		json_copy(model, "ModelArn", o->arn, sizeof o->arn);
	return 0;
}

static int check(struct aws *a, struct orphan *o, bool by_name, struct cancel *c, struct err *e)
{
	if (young(o->created))
		return err_set(e, EBUSY,
			       "it is younger than an hour and may be a deployment under way");
	int in_use = used(a, o, c, e);
	if (in_use < 0)
		return -1;
	if (in_use)
		return err_set(e, EBUSY, "it is in use");
	if (by_name)
		return 0;
	if (read_tags(a, o, c, e))
		return -1;
	if (o->tags != ORPHAN_TAGGED)
		return err_set(
			e, EPERM, "%s; mount with -o delete=any to remove it by its name",
			o->tags == ORPHAN_UNTAGGED
				? "it has no tag that says that sagemakerfs made it"
				: "its tags may not be read (sagemaker:ListTags), so it is not known who made it");
	return 0;
}

int orphans_remove(struct aws *a, const char *name, bool by_name, struct cancel *c, struct err *e)
{
	struct orphan o;

	if (!deploy_made_by_any(name))
		return err_set(e, EPERM, "this is no name of an attempt of sagemakerfs");
	if (look(a, name, &o, c, e))
		return -1;
	if (!o.config && !o.model)
		return 0;
	if (check(a, &o, by_name, c, e))
		return -1;
	if (o.config && control_delete_endpoint_config(a, name, c, e) && !control_not_found(e))
		return err_prefix(e, "remove endpoint configuration");
	if (o.model && control_delete_model(a, name, c, e) && !control_not_found(e))
		return err_prefix(e, "remove model");
	return 0;
}
