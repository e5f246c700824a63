#include "sagemaker/config_lookup.h"

#include <errno.h>

#include "sagemaker/buf.h"
#include "sagemaker/profile.h"

static bool add_row(struct lookup *l, const char *key, const char *value)
{
	struct lookup_row *rows = reallocarray(l->rows, l->n + 1, sizeof *rows);

	if (!rows)
		return false;
	l->rows = rows;
	rows[l->n] = (struct lookup_row){str_printf("%s%s", l->under, key), strdup(value)};
	l->n++;
	return rows[l->n - 1].key && rows[l->n - 1].value;
}

/* Keys are creds.h's: no copy of them is made here. */
static bool is_secret(const char *key)
{
	return starts_with(key, "aws_");
}

static void take_row(void *arg, const char *key, const char *value)
{
	struct lookup *l = arg;

	if (!is_secret(key) && !add_row(l, key, value))
		l->no_memory = true;
}

static int read_over(const struct lookup *l, struct err *e)
{
	return l->no_memory ? err_set(e, ENOMEM, "could not keep the settings: out of memory") : 0;
}

int lookup_load(struct lookup *l, const char *profile, bool *found, struct err *e)
{
	l->under = "";
	return profile_read_both(profile, found, take_row, l, e) ? -1 : read_over(l, e);
}

int lookup_services(struct lookup *l, const char *section, bool *found, struct err *e)
{
	l->under = "services.";
	return profile_section_read(PROFILE_CONFIG, SECTION_SERVICES, section, found, take_row, l,
				    e)
		       ? -1
		       : read_over(l, e);
}

void lookup_release(struct lookup *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->rows[i].key);
		free(l->rows[i].value);
	}
	free(l->rows);
	*l = (struct lookup){0};
}

/* The later row of a key counts: the credentials file's. */
static const char *from_profile(const struct lookup *l, const char *key)
{
	for (size_t i = l->n; i-- > 0;) {
		if (l->rows[i].key && streq(l->rows[i].key, key))
			return l->rows[i].value;
	}
	return NULL;
}

static const char *found_under(const char *value, const char *name, const char **from)
{
	if (from)
		*from = name;
	return value;
}

const char *lookup_text(const struct lookup *l, const struct setting_name *name, const char **from)
{
	for (size_t i = 0; i < ARRAY_SIZE(name->env) && name->env[i]; i++) {
		const char *value = getenv(name->env[i]);

		if (value && *value)
			return found_under(value, name->env[i], from);
	}
	for (size_t i = 0; i < ARRAY_SIZE(name->key) && name->key[i]; i++) {
		const char *value = from_profile(l, name->key[i]);

		if (value && *value)
			return found_under(value, name->key[i], from);
	}
	return NULL;
}

int lookup_flag(const struct lookup *l, const struct setting_name *name, bool *out,
		const char **from, struct err *e)
{
	const char *where = NULL, *value = lookup_text(l, name, &where);

	if (!value)
		return 0;
	*out = strcasecmp(value, "true") == 0;
	if (!*out && strcasecmp(value, "false") != 0)
		return err_set(e, EINVAL, "'%.60s' is no value for %s: it takes true or false",
			       value, where);
	if (from)
		*from = where;
	return 0;
}

int lookup_choice(const struct lookup *l, const struct setting_name *name,
		  const char *const choices[4], int *out, struct err *e)
{
	const char *where = NULL, *value = lookup_text(l, name, &where);

	for (int i = 0; value && choices[i]; i++) {
		if (strcasecmp(value, choices[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	return value ? err_set(e, EINVAL, "'%.60s' is no value for %s: it takes %s%s%s%s%s", value,
			       where, choices[0], choices[2] ? ", " : " or ", choices[1],
			       choices[2] ? " or " : "", choices[2] ? choices[2] : "")
		     : 0;
}

int lookup_copy(const struct lookup *l, const struct setting_name *name, char **member,
		const char **from, struct err *e)
{
	const char *value = *member ? NULL : lookup_text(l, name, from);

	if (!value)
		return 0;
	*member = strdup(value);
	return *member ? 0 : err_set(e, ENOMEM, "could not keep the settings: out of memory");
}
