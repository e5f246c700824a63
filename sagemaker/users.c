#include "sagemaker/users.h"

#include <errno.h>

#include "sagemaker/json.h"

/* Archives ------------------------------------------------------------------------------------ */

struct search {
	struct archive_use *archives;
	size_t n;
	const char *model; /* being looked at */
	void (*fn)(void *arg, const char *model, size_t which);
	void *arg;
};

/* A URI that names the archive, or, ending in '/', everything below it. */
static bool covers(const char *uri, const char *archive)
{
	return streq(uri, archive) || (ends_with(uri, "/") && starts_with(archive, uri));
}

static bool mark(void *arg, const char *key, const char *text)
{
	struct search *s = arg;

	(void)key;
	for (size_t i = 0; starts_with(text, "s3://") && i < s->n; i++) {
		if (!covers(text, s->archives[i].uri))
			continue;
		s->archives[i].used = true;
		if (s->fn)
			s->fn(s->arg, s->model, i);
	}
	return false; /* all strings are looked at */
}

int users_of_archives(struct aws *a, struct archive_use *archives, size_t n, double after,
		      struct cancel *c, struct err *e)
{
	return users_of_archives_named(a, archives, n, after, NULL, NULL, c, e);
}

int users_of_archives_named(struct aws *a, struct archive_use *archives, size_t n, double after,
			    void (*fn)(void *arg, const char *model, size_t which), void *arg,
			    struct cancel *c, struct err *e)
{
	_cleanup_free_ struct control_item *models = NULL;
	const struct control_filter f = {.after = after};
	struct search s = {archives, n, NULL, fn, arg};
	size_t n_models;

	if (control_list_models(a, &f, &models, &n_models, c, e))
		return -1;
	if (n_models > USERS_MODELS_MAX)
		return err_set(
			e, E2BIG,
			"%zu models would have to be looked at to know which archives they use",
			n_models);
	for (size_t i = 0; i < n_models; i++) {
		_cleanup_json_ cJSON *model = NULL;

		s.model = models[i].name;
		if (control_model_json(a, models[i].name, &model, c, e) == 0)
			json_any(model, mark, &s);
		else if (!control_not_found(e))
			return -1;
	}
	return 0;
}

/* Configurations and models -------------------------------------------------------------------- */

int users_of_config(struct aws *a, const char *config, double made, const char *endpoint,
		    size_t max, struct cancel *c, struct err *e)
{
	_cleanup_free_ struct endpoint_summary *all = NULL;
	struct endpoint_state other;
	size_t n, asked = 0;
	int used = 0;

	if (control_list_endpoints(a, &all, &n, c, e))
		return -1;
	for (size_t i = 0; i < n && !used && (!max || asked < max); i++) {
		if (streq(all[i].name, endpoint) || all[i].modified < made)
			continue;
		asked++;
		if (control_describe_endpoint(a, all[i].name, &other, c, e) == 0)
			used = streq(other.config, config);
		else if (!control_not_found(e))
			return -1;
	}
	return used;
}

static bool names_model(void *arg, const char *key, const char *text)
{
	return key && streq(key, "ModelName") && streq(text, arg);
}

int users_of_model(struct aws *a, const char *model, const char *config, size_t max,
		   struct cancel *c, struct err *e)
{
	_cleanup_free_ struct control_item *configs = NULL;
	struct endpoint_config_state s;
	char name[64];
	size_t n;

	snprintf(name, sizeof name, "%s", model);
	if (control_list_endpoint_configs(a, NULL, &configs, &n, c, e))
		return -1;
	for (size_t i = 0; i < n && (!max || n <= max); i++) {
		_cleanup_json_ cJSON *raw = NULL;

		if (streq(configs[i].name, config))
			continue;
		if (control_describe_endpoint_config(a, configs[i].name, &s, &raw, c, e) == 0) {
			if (json_any(raw, names_model, name))
				return 1;
		} else if (!control_not_found(e)) {
			return -1;
		}
	}
	return 0;
}
