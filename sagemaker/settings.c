#include "sagemaker/settings.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/images.h"

#define VARIABLE_MAX 1024 /* of a variable's name and of its value, at SageMaker */

enum kind { TEXT, WORD, TYPE, PACKAGING, FLAG, ENVIRONMENT, LIST };

static const struct row {
	const char *key;
	enum kind kind;
	size_t offset, size;
} rows[] = {

#define ROW(key, kind)                                   \
 {                                                       \
#  key, kind, offsetof(struct package_settings, key),    \
	  sizeof(((struct package_settings *)NULL)->key) \
 }
#define TEXT_ROW(key) ROW(key, TEXT)
	TEXT_ROW(framework),
	TEXT_ROW(framework_version),
	TEXT_ROW(py_version),
	ROW(image, WORD), /* SageMaker's pattern: [\S]+ */
	TEXT_ROW(role),
	TEXT_ROW(entry_point),
	ROW(instance_type, TYPE),
	ROW(packaging, PACKAGING),
	{"env",            ENVIRONMENT, offsetof(struct package_settings, env),            0},
	{"ignore",         LIST,        offsetof(struct package_settings, ignore),         0},
	{"generated_code", FLAG,        offsetof(struct package_settings, generated_code), 0},
};

void settings_init(struct package_settings *s)
{
	memset(s, 0, sizeof(*s));
	s->generated_code = true;
}

void settings_release(struct package_settings *s)
{
	cJSON_Delete(s->env);
	cJSON_Delete(s->ignore);
	free(s->text);
	settings_init(s);
}

static int check_blanks(const struct row *r, const char *text, struct err *e)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (r->kind == WORD && *c == ' '))
			return err_set(e, EINVAL, SETTINGS_FILE ": '%s' holds a %s", r->key,
				       *c == ' ' ? "blank" : "control character");
	return 0;
}

static int check_text(const struct row *r, const char *text, struct err *e)
{
	if (strlen(text) >= r->size)
		return err_set(e, EINVAL, SETTINGS_FILE ": '%s' is longer than %zu characters",
			       r->key, r->size - 1);
	if (check_blanks(r, text, e) < 0)
		return -1;
	if (r->kind == PACKAGING && !streq(text, "none") && !streq(text, "archive"))
		return err_set(e, EINVAL,
			       SETTINGS_FILE
			       ": '%s' is \"archive\" (one model.tar.gz) or \"none\" (the files as "
			       "they are, below a prefix)",
			       r->key);
	if (r->kind == TYPE && *text && images_check_type(text, e) < 0)
		return err_prefix(e, SETTINGS_FILE ": '%s'", r->key);
	return 0;
}

static int take_text(const struct row *r, const cJSON *v, char *to, struct err *e)
{
	if (!cJSON_IsString(v))
		return err_set(e, EINVAL, SETTINGS_FILE ": '%s' must be a string", r->key);
	if (check_text(r, v->valuestring, e) < 0)
		return -1;
	memcpy(to, v->valuestring, strlen(v->valuestring) + 1);
	return 0;
}

/* SageMaker's rules for a container's environment. */
static int check_variable(const cJSON *v, struct err *e)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	const char *name = v->string;

	if (!*name || isdigit((unsigned char)*name) || name[strspn(name, allowed)] ||
	    strlen(name) > VARIABLE_MAX)
		return err_set(
			e, EINVAL,
			SETTINGS_FILE
			": 'env' has '%.64s', which is no name of a variable: letters, digits and '_', "
			"at most %d, the first one no digit",
			name, VARIABLE_MAX);
	if (strlen(v->valuestring) > VARIABLE_MAX)
		return err_set(e, EINVAL, SETTINGS_FILE ": 'env.%s' is longer than %d characters",
			       name, VARIABLE_MAX);
	return 0;
}

static int take_environment(const struct row *r, const cJSON *v, cJSON **to, struct err *e)
{
	const cJSON *item;

	if (!cJSON_IsObject(v))
		return err_set(e, EINVAL, SETTINGS_FILE ": '%s' must be an object of strings",
			       r->key);
	cJSON_ArrayForEach(item, v) {
		if (!cJSON_IsString(item))
			return err_set(e, EINVAL, SETTINGS_FILE ": '%s.%s' must be a string",
				       r->key, item->string);
		if (check_variable(item, e))
			return -1;
	}
	cJSON_Delete(*to);
	*to = cJSON_Duplicate(v, true);
	return *to ? 0 : err_set(e, ENOMEM, "read " SETTINGS_FILE ": out of memory");
}

static int take_list(const struct row *r, const cJSON *v, cJSON **to, struct err *e)
{
	const cJSON *item;

	if (!cJSON_IsArray(v))
		return err_set(e, EINVAL,
			       SETTINGS_FILE ": '%s' must be a list of patterns, as [\"*.log\"]",
			       r->key);
	cJSON_ArrayForEach(item, v) {
		if (!cJSON_IsString(item) || !*item->valuestring)
			return err_set(e, EINVAL,
				       SETTINGS_FILE ": '%s' must hold patterns, as \"*.log\"",
				       r->key);
	}
	cJSON_Delete(*to);
	*to = cJSON_Duplicate(v, true);
	return *to ? 0 : err_set(e, ENOMEM, "read " SETTINGS_FILE ": out of memory");
}

static int take_row(const struct row *r, const cJSON *v, struct package_settings *out,
		    struct err *e)
{
	char *to = (char *)out + r->offset;

	if (r->kind <= PACKAGING)
		return take_text(r, v, to, e);
	if (r->kind == ENVIRONMENT)
		return take_environment(r, v, &out->env, e);
	if (r->kind == LIST)
		return take_list(r, v, &out->ignore, e);
	if (!cJSON_IsBool(v))
		return err_set(e, EINVAL, SETTINGS_FILE ": '%s' must be true or false", r->key);
	out->generated_code = cJSON_IsTrue(v);
	return 0;
}

static int unknown_key(const char *key, struct err *e)
{
	_cleanup_buf_ struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buf_printf(&known, "%s%s", i ? " " : "", rows[i].key);
	return err_set(e, EINVAL, SETTINGS_FILE ": unknown key '%s'; known are %s", key,
		       buf_cstr(&known));
}

static int take_key(const cJSON *v, struct package_settings *out, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streq(rows[i].key, v->string))
			return take_row(&rows[i], v, out, e);
	return unknown_key(v->string, e);
}

/* Where cJSON stopped, as a line number. */
static int line_of(const char *text, size_t n, const char *at)
{
	int line = 1;

	for (const char *c = text; at && c < at && c < text + n; c++)
		line += *c == '\n';
	return line;
}

static bool only_space(const char *s, const char *end)
{
	while (s < end && strchr(" \t\r\n", *s) && *s)
		s++;
	return s == end;
}

int settings_parse(const char *text, size_t n, struct package_settings *out, struct err *e)
{
	const char *end = NULL;
	_cleanup_json_ cJSON *j = cJSON_ParseWithLengthOpts(text, n, &end, false);
	const cJSON *v;

	settings_init(out);
	if (!j || !only_space(end, text + n))
		return err_set(e, EINVAL, SETTINGS_FILE ": not JSON, at line %d",
			       line_of(text, n, end));
	if (!cJSON_IsObject(j))
		return err_set(e, EINVAL, SETTINGS_FILE ": not an object");
	cJSON_ArrayForEach(v, j) {
		if (take_key(v, out, e))
			return -1;
	}
	out->text = strndup(text, n);
	return out->text ? 0 : err_set(e, ENOMEM, "read " SETTINGS_FILE ": out of memory");
}

static int merge_env(struct package_settings *s, const cJSON *over, struct err *e)
{
	const cJSON *item;

	if (!s->env)
		s->env = cJSON_CreateObject();
	cJSON_ArrayForEach(item, over) {
		cJSON_DeleteItemFromObjectCaseSensitive(s->env, item->string);
		if (!cJSON_AddStringToObject(s->env, item->string, item->valuestring))
			return err_set(e, ENOMEM, "read " SETTINGS_FILE ": out of memory");
	}
	return 0;
}

int settings_override(struct package_settings *s, const struct package_settings *over,
		      struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *from = (const char *)over + rows[i].offset;

		if (rows[i].kind <= PACKAGING && *from)
			memcpy((char *)s + rows[i].offset, from, rows[i].size);
	}
	s->generated_code = s->generated_code && over->generated_code;
	return over->env ? merge_env(s, over->env, e) : 0;
}
