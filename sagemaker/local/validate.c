#include "sagemaker/local/validate.h"

#define ALNUM  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DIGITS "0123456789"

static bool all_of(const char *s, const char *set)
{
	return strspn(s, set) == strlen(s);
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);

	return n && all_of(s, ALNUM "-") && s[0] != '-' && s[n - 1] != '-';
}

/* The rest of s behind prefix, or NULL. */
static const char *behind(const char *s, const char *prefix)
{
	return s && starts_with(s, prefix) ? s + strlen(prefix) : NULL;
}

static bool is_role(const char *s)
{
	s = behind(s, "arn:aws");
	if (s)
		s += strspn(s, "abcdefghijklmnopqrstuvwxyz-");
	s = behind(s, ":iam::");
	if (!s || strspn(s, DIGITS) != 12)
		return false;
	s = behind(s + 12, ":role");
	if (s)
		s += *s == '/';
	return s && *s && all_of(s, ALNUM "_+=,.@-/");
}

static bool is_image(const char *s)
{
	return *s && !strpbrk(s, " \t\r\n\v\f");
}

static bool is_s3_url(const char *s)
{
	const char *p = starts_with(s, "s3://") ? s + 5 : starts_with(s, "https://") ? s + 8 : NULL;

	return p && *p && *p != '/';
}

static bool is_instance(const char *s)
{
	const char *dot = starts_with(s, "ml.") ? strchr(s + 3, '.') : NULL;

	return dot && dot > s + 3 && dot[1] && all_of(s, "abcdefghijklmnopqrstuvwxyz" DIGITS ".-");
}

static bool is_arn(const char *s)
{
	return starts_with(s, "arn:aws") && strstr(s, ":sagemaker:") && strchr(s, '/');
}

static bool is_env_key(const char *s)
{
	return *s && all_of(s, ALNUM "_") && !strchr(DIGITS, *s);
}

const struct pattern PATTERN_NAME = {"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", is_name};
const struct pattern PATTERN_ROLE = {
	"^arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+$", is_role};
const struct pattern PATTERN_IMAGE = {"[\\S]+", is_image};
const struct pattern PATTERN_S3_URL = {"^(https|s3)://([^/]+)/?(.*)$", is_s3_url};
const struct pattern PATTERN_INSTANCE = {"ml\\.[a-z0-9-]+\\.[a-z0-9]+", is_instance};
const struct pattern PATTERN_ARN = {"arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:.+", is_arn};
const struct pattern PATTERN_ENV_KEY = {"[a-zA-Z_][a-zA-Z0-9_]*", is_env_key};

/* What is wrong so far, in the words of AWS's validation. */
struct faultfinder {
	unsigned n;
	struct buf text;
	const char *unsupported, *unsupported_name;
};

/* "ProductionVariants", "variantName" -> "productionVariants.variantName" */
static void put_path(struct buf *out, const char *path, const char *name)
{
	if (*path)
		buf_printf(out, "%s.", path);
	buf_char(out, (char)(name[0] >= 'A' && name[0] <= 'Z' ? name[0] + 32 : name[0]));
	buf_str(out, name + 1);
}

static void complain(struct faultfinder *f, const char *path, const struct member *m,
		     const char *value, const char *constraint)
{
	buf_str(&f->text, f->n++ ? "; Value " : "Value ");
	buf_printf(&f->text, value ? "'%.200s' at '" : "%sat '", value ? value : "");
	put_path(&f->text, path, m->name);
	buf_printf(&f->text, "' failed to satisfy constraint: %s", constraint);
}

static bool right_kind(const struct member *m, const cJSON *j)
{
	switch (m->kind) {
	case K_STRING:
		return cJSON_IsString(j);
	case K_INT:
		return cJSON_IsNumber(j) && j->valuedouble == (double)(long long)j->valuedouble;
	case K_NUMBER:
		return cJSON_IsNumber(j);
	case K_BOOL:
		return cJSON_IsBool(j);
	case K_LIST:
		return cJSON_IsArray(j);
	case K_MAP:
	case K_STRUCT:
		return cJSON_IsObject(j);
	}
	return false;
}

static void check_size(struct faultfinder *f, const char *path, const struct member *m,
		       const cJSON *j)
{
	const char *what = m->kind == K_INT || m->kind == K_NUMBER ? "value" : "length";
	double v = cJSON_IsNumber(j)   ? j->valuedouble
		   : cJSON_IsString(j) ? (double)strlen(j->valuestring)
				       : (double)cJSON_GetArraySize(j);
	char text[96], shown[64];

	snprintf(shown, sizeof shown, "%.10g", v);
	const char *value = cJSON_IsString(j) ? j->valuestring : cJSON_IsNumber(j) ? shown : NULL;
	if (v < m->min) {
		snprintf(text, sizeof text, "Member must have %s greater than or equal to %.10g",
			 what, m->min);
		complain(f, path, m, value, text);
	}
	if (m->max > 0 && v > m->max) {
		snprintf(text, sizeof text, "Member must have %s less than or equal to %.10g", what,
			 m->max);
		complain(f, path, m, value, text);
	}
}

static void check_members(struct faultfinder *f, const char *path, const struct member *rows,
			  const cJSON *j);

static void check_inside(struct faultfinder *f, const char *path, const struct member *m,
			 const cJSON *j)
{
	_cleanup_buf_ struct buf inner = BUF_INIT(1024);
	const cJSON *item;
	int i = 0;

	put_path(&inner, path, m->name);
	if (m->kind == K_STRUCT) {
		check_members(f, buf_cstr(&inner), m->of, j);
		return;
	}
	size_t n = inner.len;
	cJSON_ArrayForEach(item, j) {
		inner.len = n;
		buf_printf(&inner, ".%d.member", ++i);
		if (cJSON_IsObject(item))
			check_members(f, buf_cstr(&inner), m->of, item);
		else
			complain(f, path, m, NULL, "Members must be structures");
	}
}

static void check_member(struct faultfinder *f, const char *path, const struct member *m,
			 const cJSON *j)
{
	char text[256];

	if (!j || cJSON_IsNull(j)) {
		if (m->required)
			complain(f, path, m, "null", "Member must not be null");
		return;
	}
	if (m->unsupported) {
		f->unsupported = m->unsupported;
		f->unsupported_name = m->name;
		return;
	}
	if (!right_kind(m, j)) {
		complain(f, path, m, NULL, "Member has the wrong type");
		return;
	}
	if (m->kind != K_BOOL && m->kind != K_STRUCT)
		check_size(f, path, m, j);
	if (m->pattern && cJSON_IsString(j) && !m->pattern->matches(j->valuestring)) {
		snprintf(text, sizeof text, "Member must satisfy regular expression pattern: %s",
			 m->pattern->text);
		complain(f, path, m, j->valuestring, text);
	}
	if (m->of)
		check_inside(f, path, m, j);
}

static void check_members(struct faultfinder *f, const char *path, const struct member *rows,
			  const cJSON *j)
{
	for (const struct member *m = rows; m->name; m++)
		check_member(f, path, m, cJSON_GetObjectItemCaseSensitive(j, m->name));
}

cJSON *validate(struct request *r, const struct member *rows)
{
	struct faultfinder f = {.text = BUF_INIT(65536)};
	cJSON *j = cJSON_ParseWithLength(r->body.len ? r->body.data : "{}",
					 r->body.len ? r->body.len : 2);

	if (!cJSON_IsObject(j)) {
		reply_error(r, 400, "SerializationException", "the body is not a JSON object");
		cJSON_Delete(j);
		return NULL;
	}
	check_members(&f, "", rows, j);
	if (f.n)
		reply_error(r, 400, "ValidationException", "%u validation error%s detected: %s",
			    f.n, f.n > 1 ? "s" : "", buf_cstr(&f.text));
	else if (f.unsupported)
		reply_error(r, 400, "ValidationException", "%s: %s", f.unsupported_name,
			    f.unsupported);
	buf_release(&f.text);
	if (!f.n && !f.unsupported)
		return j;
	cJSON_Delete(j);
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
