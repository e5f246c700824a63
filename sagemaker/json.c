#include "sagemaker/json.h"

#include <errno.h>
#include <limits.h>

cJSON *json_parse(const void *p, size_t n, struct err *e)
{
	const char *end = NULL;
	cJSON *o = p && n ? cJSON_ParseWithLengthOpts(p, n, &end, false) : NULL;

	if (!o)
		err_set(e, EPROTO, "the reply is not JSON");
	return o;
}

const char *json_text(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

double json_number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

int json_count(const cJSON *o, const char *key)
{
	double n = json_number(o, key);

	if (!(n > 0))
		return 0;
	return n < INT_MAX ? (int)n : INT_MAX;
}

void json_copy(const cJSON *o, const char *key, char *out, size_t size)
{
	const char *text = json_text(o, key);
	size_t n = text ? MIN(strlen(text), size - 1) : 0;

	if (n)
		memcpy(out, text, n);
	out[n] = '\0';
}

void json_put(cJSON *o, const char *key, const char *value)
{
	if (value)
		cJSON_AddStringToObject(o, key, value);
}

void json_put_number(cJSON *o, const char *key, double value)
{
	cJSON_AddNumberToObject(o, key, value);
}

bool json_any(const cJSON *j, bool (*is)(void *arg, const char *key, const char *text), void *arg)
{
	if (cJSON_IsString(j))
		return is(arg, j->string, j->valuestring);
	for (const cJSON *v = j ? j->child : NULL; v;
	     v = v->next) /* cJSON_Parse bounds the depth */
		if (json_any(v, is, arg))
			return true;
	return false;
}
