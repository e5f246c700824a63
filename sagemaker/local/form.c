#include "sagemaker/local/form.h"

#include <errno.h>
#include <time.h>

#include "sagemaker/local/json_cbor.h"
#include "sagemaker/local/request.h"

#define PAIRS_MOST 10000
#define DEPTH_MOST 16
#define TEXT_MOST  ((size_t)64 << 10)

/* ---- the form as a tree of its names ---- */

/* "a.b.c" into objects below tree; -1: it contradicts what was before, or memory is out. */
static int plant(cJSON *tree, char *path, const char *text)
{
	int depth = 0;

	for (char *dot = strchr(path, '.'); dot; path = dot + 1, dot = strchr(path, '.')) {
		*dot = '\0';
		cJSON *below = cJSON_GetObjectItemCaseSensitive(tree, path);

		if (!below)
			below = cJSON_AddObjectToObject(tree, path);
		if (!cJSON_IsObject(below) || ++depth > DEPTH_MOST)
			return -1;
		tree = below;
	}
	if (cJSON_GetObjectItemCaseSensitive(tree, path))
		return -1;
	return cJSON_AddStringToObject(tree, path, text) ? 0 : -1;
}

static int plant_pair(cJSON *tree, const char *p, size_t n)
{
	_cleanup_buf_ struct buf name = BUF_INIT(1024), text = BUF_INIT(TEXT_MOST);
	const char *eq = memchr(p, '=', n);
	size_t name_len = eq ? (size_t)(eq - p) : n;

	if (url_decode(p, name_len, true, &name) < 0 || !name.len ||
	    (eq && url_decode(eq + 1, n - name_len - 1, true, &text) < 0))
		return -1;
	return plant(tree, name.data, buf_cstr(&text));
}

static cJSON *read_tree(const char *form, struct err *e)
{
	_cleanup_json_ cJSON *tree = cJSON_CreateObject();
	int pairs = 0;

	for (const char *p = form, *end; tree && *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '&');
		if (end == p)
			continue;
		if (++pairs > PAIRS_MOST || plant_pair(tree, p, (size_t)(end - p)) < 0) {
			err_set(e, EINVAL, "the form is malformed or too large");
			return NULL;
		}
	}
	if (!tree)
		err_set(e, ENOMEM, "out of memory");
	return steal(tree);
}

/* ---- as the model means it ---- */

/* "2026-11-25T23:00:00Z", with a fraction or an offset from UTC; false: it is something else. */
static bool read_time(const char *s, double *out)
{
	struct tm tm = {0};
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	double fraction = 0;
	long hours, minutes;
	char *end;

	if (!p)
		return false;
	if (*p == '.') {
		fraction = strtod(p, &end);
		p = end;
	}
	*out = (double)timegm(&tm) + fraction;
	if (*p != '+' && *p != '-')
		return *p == '\0' || streq(p, "Z");
	hours = strtol(p + 1, &end, 10);
	if (*end != ':')
		return false;
	minutes = strtol(end + 1, &end, 10);
	*out -= (*p == '-' ? -1 : 1) * ((double)hours * 3600 + (double)minutes * 60);
	return *end == '\0';
}

static cJSON *number_of(const char *text)
{
	double v;
	char *end;

	if (read_time(text, &v))
		return cJSON_CreateNumber(v);
	v = strtod(text, &end);
	return *text && !*end && v - v == 0 ? cJSON_CreateNumber(v) : cJSON_CreateString(text);
}

static cJSON *meant(const struct api_shape *s, const cJSON *tree);

static cJSON *list_of(const struct api_shape *s, const cJSON *tree)
{
	const cJSON *members = cJSON_GetObjectItemCaseSensitive(tree, "member"), *item;
	cJSON *list = cJSON_CreateArray();
	char name[16] = "1";

	for (int i = 1; (item = cJSON_GetObjectItemCaseSensitive(members, name));
	     snprintf(name, sizeof name, "%d", ++i))
		cJSON_AddItemToArray(list, meant(s->item, item));
	return list;
}

static cJSON *struct_of(const struct api_shape *s, const cJSON *tree)
{
	cJSON *j = cJSON_CreateObject();

	for (const struct api_member *m = s->members; m && m->name; m++) {
		const cJSON *below = cJSON_GetObjectItemCaseSensitive(tree, m->name);

		if (below)
			cJSON_AddItemToObject(j, m->name, meant(m->shape, below));
	}
	return j;
}

static cJSON *meant(const struct api_shape *s, const cJSON *tree)
{
	const char *text = cJSON_GetStringValue(tree);

	if (s->kind == API_LIST)
		return list_of(s, tree);
	if (s->kind == API_STRUCT)
		return struct_of(s, tree);
	if (text && (s->kind == API_NUMBER || s->kind == API_INT))
		return number_of(text);
	if (text && s->kind == API_BOOL && (streq(text, "true") || streq(text, "false")))
		return cJSON_CreateBool(streq(text, "true"));
	return cJSON_Duplicate(tree, true);
}

cJSON *form_to_json(const char *form, const struct api_shape *shape, struct err *e)
{
	_cleanup_json_ cJSON *tree = read_tree(form, e);

	return tree ? struct_of(shape, tree) : NULL;
}

/* ---- the answer ---- */

static void put_text(const cJSON *j, bool time, struct buf *out)
{
	char when[32];

	if (cJSON_IsNumber(j) && time) {
		iso_time(j->valuedouble, when);
		buf_str(out, when);
	} else if (cJSON_IsNumber(j)) {
		buf_printf(out, "%.17g", j->valuedouble);
	} else if (cJSON_IsString(j)) {
		xml_text(out, j->valuestring, strlen(j->valuestring));
	} else {
		buf_str(out, cJSON_IsTrue(j) ? "true" : "false");
	}
}

static void put(const char *name, const cJSON *j, bool time, struct buf *out)
{
	const cJSON *child;

	buf_printf(out, "<%s>", name);
	if (!cJSON_IsArray(j) && !cJSON_IsObject(j))
		put_text(j, time, out);
	else
		cJSON_ArrayForEach(child, j)
			put(cJSON_IsArray(j) ? "member" : child->string, child,
			    cJSON_IsArray(j) ? time : is_time_member(child->string), out);
	buf_printf(out, "</%s>", name);
}

void xml_from_json(const char *name, const cJSON *j, struct buf *out)
{
	put(name, j, false, out);
}
