#include "sagemaker/local/validate.h"

#include "sagemaker/local/api.h"
#include "sagemaker/local/patterns.h"
#include "sagemaker/local/routes.h"

#define PATH_MOST ((size_t)4096)

/* What is wrong so far, in the words of AWS's validation. */
struct faultfinder {
	struct patterns *patterns; /* NULL: none are kept */
	unsigned n;
	struct buf *text;
	struct buf
		path; /* of the value being looked at: "productionVariants.1.member.variantName" */
	const char *wrong_type; /* the first value that is not of its type at all */
};

/* Values in sentences: short, and lists and structures not at all. */
static void put_value(struct buf *out, const cJSON *j)
{
	if (cJSON_IsString(j))
		buf_printf(out, " '%.200s'", j->valuestring);
	else if (cJSON_IsNumber(j))
		buf_printf(out, " '%.17g'", j->valuedouble);
	else if (!j || cJSON_IsNull(j))
		buf_str(out, " null");
}

static void complain(struct faultfinder *f, const cJSON *j, const char *fmt, ...) _printf_(3, 4);

static void complain(struct faultfinder *f, const cJSON *j, const char *fmt, ...)
{
	va_list ap;

	buf_str(f->text, f->n++ ? "; Value" : "Value");
	put_value(f->text, j);
	buf_printf(f->text, " at '%s' failed to satisfy constraint: ", buf_cstr(&f->path));
	va_start(ap, fmt);
	buf_vprintf(f->text, fmt, ap);
	va_end(ap);
}

static bool is_whole(double v)
{
	return v > -9e18 && v < 9e18 && v == (double)(long long)v;
}

static bool right_kind(const struct api_shape *s, const cJSON *j)
{
	switch (s->kind) {
	case API_STRING:
		return cJSON_IsString(j);
	case API_INT:
		return cJSON_IsNumber(j) && is_whole(j->valuedouble);
	case API_NUMBER:
		return cJSON_IsNumber(j);
	case API_BOOL:
		return cJSON_IsBool(j);
	case API_LIST:
		return cJSON_IsArray(j);
	case API_MAP:
	case API_STRUCT:
		return cJSON_IsObject(j);
	}
	return false;
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void check_size(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	const char *what = cJSON_IsNumber(j) ? "value" : "length";
	double v = cJSON_IsNumber(j)   ? j->valuedouble
		   : cJSON_IsString(j) ? (double)characters(j->valuestring)
				       : (double)cJSON_GetArraySize(j);

	if (s->has_min && v < s->min)
		complain(f, j, "Member must have %s greater than or equal to %.17g", what, s->min);
	if (s->has_max && v > s->max)
		complain(f, j, "Member must have %s less than or equal to %.17g", what, s->max);
}

static void check_text(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	_cleanup_buf_ struct buf set = BUF_INIT(0);
	const char *const *v = s->values;

	if (s->pattern &&
	    !patterns_match(f->patterns, s->regex ? s->regex : s->pattern, j->valuestring))
		complain(f, j, "Member must satisfy regular expression pattern: %s", s->pattern);
	for (; v && *v && !streq(*v, j->valuestring); v++)
		buf_printf(&set, "%s%s", v == s->values ? "" : ", ", *v);
	if (v && !*v)
		complain(f, j, "Member must satisfy enum value set: [%s]", buf_cstr(&set));
}

static void check(struct faultfinder *f, const struct api_shape *s, const cJSON *j);

/* "EndpointName" below "" is at "endpointName". */
static void go_down(struct faultfinder *f, const char *name)
{
	if (f->path.len)
		buf_char(&f->path, '.');
	buf_char(&f->path, (char)(name[0] >= 'A' && name[0] <= 'Z' ? name[0] + 32 : name[0]));
	buf_str(&f->path, name[0] ? name + 1 : "");
}

static void go_up(struct faultfinder *f, size_t len)
{
	f->path.len = len;
	if (f->path.data)
		f->path.data[len] = '\0';
}

static void check_members(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	size_t here = f->path.len;

	for (const struct api_member *m = s->members; m && m->name; m++) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(j, m->name);

		go_down(f, m->name);
		if (value && !cJSON_IsNull(value))
			check(f, m->shape, value);
		else if (m->required)
			complain(f, NULL, "Member must not be null");
		go_up(f, here);
	}
}

static void check_items(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	size_t here = f->path.len;
	const cJSON *item;
	int i = 0;

	cJSON_ArrayForEach(item, j) {
		buf_printf(&f->path, ".%d.member", ++i);
		check(f, s->item, item);
		go_up(f, here);
	}
}

static void check_entries(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	size_t here = f->path.len;
	const cJSON *item;

	cJSON_ArrayForEach(item, j) {
		_cleanup_json_ cJSON *key = cJSON_CreateString(item->string);

		check(f, s->key, key);
		buf_printf(&f->path, ".%.100s.member", item->string);
		check(f, s->item, item);
		go_up(f, here);
	}
}

static void check(struct faultfinder *f, const struct api_shape *s, const cJSON *j)
{
	if (!right_kind(s, j)) {
		if (!f->wrong_type)
			f->wrong_type = j->string ? j->string : "an element of a list";
		return;
	}
	check_size(f, s, j);
	if (s->kind == API_STRING)
		check_text(f, s, j);
	else if (s->kind == API_STRUCT)
		check_members(f, s, j);
	else if (s->kind == API_LIST)
		check_items(f, s, j);
	else if (s->kind == API_MAP)
		check_entries(f, s, j);
}

unsigned validate_value(const struct api_shape *shape, const cJSON *j, struct buf *out)
{
	struct faultfinder f = {.text = out, .path = BUF_INIT(PATH_MOST)};

	check(&f, shape, j);
	buf_release(&f.path);
	return f.n;
}

const struct api_shape *validate_shape(const char *target)
{
	const struct api_call *c = api_calls;

	while (target && c->target && !streq(c->target, target))
		c++;
	return target ? c->input : NULL;
}

/* Whether the value at path ("A.B", through every element of a list on the way) is there. */
static bool is_given(const cJSON *j, const char *path)
{
	char name[64];
	size_t n = strcspn(path, ".");
	const cJSON *item;

	if (cJSON_IsArray(j)) {
		cJSON_ArrayForEach(item, j) {
			if (is_given(item, path))
				return true;
		}
		return false;
	}
	if (!copy_text(name, sizeof name, path, n))
		return false;
	item = cJSON_GetObjectItemCaseSensitive(j, name);
	return path[n] ? is_given(item, path + n + 1) : item && !cJSON_IsNull(item);
}

/* What a service calls a request that breaks its model. */
static const char *invalid_code(const struct request *r)
{
	return streq(r->auth.service, "logs")         ? "InvalidParameterException"
	       : streq(r->auth.service, "monitoring") ? "ValidationError"
						      : "ValidationException";
}

/* false: replied. */
static bool judge(struct request *r, const char *call, const cJSON *j,
		  const struct unsupported *rows)
{
	_cleanup_buf_ struct buf text = BUF_INIT(65536);
	struct faultfinder f = {
		.patterns = r->be->patterns, .text = &text, .path = BUF_INIT(PATH_MOST)};
	const struct api_shape *model = validate_shape(call);

	if (model)
		check(&f, model, j);
	buf_release(&f.path);
	if (f.wrong_type) {
		reply_error(r, 400, "SerializationException", "'%.100s' is of another type",
			    f.wrong_type);
		return false;
	}
	if (f.n) {
		reply_error(r, 400, invalid_code(r), "%u validation error%s detected: %s", f.n,
			    f.n > 1 ? "s" : "", buf_cstr(&text));
		return false;
	}
	for (const struct unsupported *u = rows; u && u->path; u++) {
		if (is_given(j, u->path)) {
			reply_error(r, 400, invalid_code(r), "%s: %s", u->path, u->why);
			return false;
		}
	}
	return true;
}

cJSON *validate_as(struct request *r, const char *call, cJSON *j, const struct unsupported *rows)
{
	if (judge(r, call, j, rows))
		return j;
	cJSON_Delete(j);
	return NULL;
}

cJSON *validate(struct request *r, const struct unsupported *rows)
{
	const char *text = r->body.len ? buf_cstr(&r->body) : "{}", *end = text;
	cJSON *j = cJSON_ParseWithLengthOpts(text, strlen(text) + 1, &end, true);

	if (!cJSON_IsObject(j) || end != text + MAX(r->body.len, (size_t)2)) {
		reply_error(r, 400, "SerializationException", "the body is not a JSON object");
		cJSON_Delete(j);
		return NULL;
	}
	return validate_as(r, request_header(r, "X-Amz-Target"), j, rows);
}

static void add_header(cJSON *j, const struct api_member *m, const char *value)
{
	char *end;
	double n = m->shape->kind == API_INT ? strtod(value, &end) : 0;

	if (m->shape->kind != API_INT || end == value || *end)
		cJSON_AddStringToObject(j, m->name, value);
	else
		cJSON_AddNumberToObject(j, m->name, n);
}

static cJSON *read_headers(const struct request *r, const struct api_shape *model,
			   const char *endpoint)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "EndpointName", endpoint);
	for (const struct api_member *m = model->members; m && m->name; m++) {
		const char *value = m->header ? request_header(r, m->header) : NULL;
		if (value)
			add_header(j, m, value);
	}
	return j;
}

cJSON *validate_headers(struct request *r, const char *endpoint, size_t n)
{
	_cleanup_free_ char *name = strndup(endpoint, n),
			    *target = str_printf("sagemaker-runtime.%s", r->route->name);
	_cleanup_buf_ struct buf text = BUF_INIT(65536);
	struct faultfinder f = {
		.patterns = r->be->patterns, .text = &text, .path = BUF_INIT(PATH_MOST)};
	const struct api_shape *model = validate_shape(target);
	_cleanup_json_ cJSON *j = model && name ? read_headers(r, model, name) : NULL;

	if (!j) {
		reply_error(r, 500, "InternalFailure", "out of memory");
		return NULL;
	}
	check(&f, model, j);
	buf_release(&f.path);
	if (!f.n && !f.wrong_type)
		return steal(j);
	if (f.wrong_type)
		buf_printf(&text, "%s'%s' is not a number", f.n ? "; " : "", f.wrong_type);
	reply_error(r, 400, "ValidationError", "%u validation error%s detected: %s", MAX(f.n, 1u),
		    f.n > 1 ? "s" : "", buf_cstr(&text));
	return NULL;
}

const char *member_string(const cJSON *j, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, name));

	return s ? s : "";
}

double member_number(const cJSON *j, const char *name, double otherwise)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(j, name);

	return cJSON_IsNumber(n) ? n->valuedouble : otherwise;
}
