/*
 * sniff_xgboost.c: XGBoost's three forms, each walked to its end so that a file cut short is found:
 *
 *   JSON    {"learner": {...}, "version": [3, 2, 0]}
 *   UBJ     the same in Universal Binary JSON: keys without marker 'S', lengths 'L' and eight bytes, big-endian; arrays "[$d#L"
 *   binary  ("binf"), 136 bytes of parameters, u64 length and name of the objective ("reg:squarederror"); gone since 3.1
 *
 * and LightGBM's text.
 */
#include <ctype.h>
#include <errno.h>

#include "sagemaker/sniff.h"

#define MAX_DEPTH 100
#define KEY_MAX   1024

static void set_version(struct file_facts *out, const int64_t v[3])
{
	for (int i = 0; i < 3; i++)
		if (v[i] < 0 || v[i] > 999)
			return;
	snprintf(out->version, sizeof(out->version), "%d.%d.%d", (int)v[0], (int)v[1], (int)v[2]);
}

/* ---- JSON ---- */

struct json_walk {
	int depth;
	bool quoted, escaped;
	char key[16]; /* the last string at depth 1 */
	size_t n_key;
	int64_t version[3];
	int n_version; /* -1: not in the array of the version */
	bool learner, over;
};

static void in_string(struct json_walk *w, char c)
{
	if (w->escaped) {
		w->escaped = false;
	} else if (c == '\\') {
		w->escaped = true;
	} else if (c == '"') {
		w->quoted = false;
		w->key[MIN(w->n_key, sizeof(w->key) - 1)] = '\0';
		w->learner = w->learner || (w->depth == 1 && streq(w->key, "learner"));
	} else if (w->depth == 1 && w->n_key < sizeof(w->key) - 1) {
		w->key[w->n_key++] = c;
	}
}

static void take_digit(struct json_walk *w, char c)
{
	if (w->depth != 2 || w->n_version < 0 || w->n_version > 2)
		return;
	if (c == ',')
		w->n_version++;
	else if (isdigit((unsigned char)c) && w->version[w->n_version] < 10000)
		w->version[w->n_version] = w->version[w->n_version] * 10 + (c - '0');
}

static void outside(struct json_walk *w, char c)
{
	if (c == '"') {
		w->quoted = true;
		w->n_key = w->depth == 1 ? 0 : w->n_key;
	} else if (c == '{' || c == '[') {
		if (w->depth == 1 && c == '[' && streq(w->key, "version"))
			w->n_version = 0;
		w->depth++;
	} else if (c == '}' || c == ']') {
		w->over = --w->depth <= 0;
	} else {
		take_digit(w, c);
	}
}

static bool walk_json(struct bytes *b, struct file_facts *out)
{
	struct json_walk w = {.n_version = -1};
	const uint8_t *p;
	size_t n;

	for (uint64_t at = 0; !w.over && (p = bytes_some(b, at, &n)); at += n)
		for (size_t i = 0; i < n && !w.over; i++)
			(w.quoted ? in_string : outside)(&w, (char)p[i]);
	if (!w.learner)
		return false;
	out->kind = KIND_XGBOOST;
	out->form = "JSON";
	if (w.n_version == 2)
		set_version(out, w.version);
	return w.over ? true : sniff_broken(out, ENODATA, "it is cut short: the JSON does not end");
}

/* Its first key tells it from all the other JSON beside models. */
static bool is_json(struct bytes *b)
{
	size_t n;
	const char *p = (const char *)bytes_some(b, 0, &n);
	size_t i = 1;

	if (!p || *p != '{')
		return false;
	while (i < n && isspace((unsigned char)p[i]))
		i++;
	return n - i > 10 &&
	       (strncmp(p + i, "\"learner\"", 9) == 0 || strncmp(p + i, "\"version\"", 9) == 0);
}

/* ---- UBJ ---- */

struct ubj {
	struct bytes *b;
	uint64_t at;
	int64_t version[3];
	int n_version;
	bool learner;
};

/* Bytes of a number, 0: none. */
static size_t width(uint8_t type)
{
	switch (type) {
	case 'i':
	case 'U':
	case 'C':
		return 1;
	case 'I':
		return 2;
	case 'l':
	case 'd':
		return 4;
	case 'L':
	case 'D':
		return 8;
	default:
		return 0;
	}
}

static int take(struct ubj *u, uint8_t *c)
{
	const uint8_t *p = bytes_at(u->b, u->at, 1);

	if (!p)
		return -1;
	*c = *p;
	u->at++;
	return 0;
}

static int take_int(struct ubj *u, uint8_t type, int64_t *v)
{
	size_t n = width(type);
	const uint8_t *p = n && type != 'd' && type != 'D' ? bytes_at(u->b, u->at, n) : NULL;

	if (!p)
		return -1;
	*v = (int64_t)bytes_be(p, (int)n);
	u->at += n;
	return 0;
}

static int skip(struct ubj *u, uint64_t n)
{
	if (n > u->b->size - u->at)
		return -1;
	u->at += n;
	return 0;
}

/* A length: its type and the number. */
static int take_length(struct ubj *u, uint64_t *n)
{
	uint8_t type = 0;
	int64_t v = 0;

	if (take(u, &type) || take_int(u, type, &v) || v < 0)
		return -1;
	*n = (uint64_t)v;
	return 0;
}

static int walk_value(struct ubj *u, uint8_t type, int depth, bool versions);

/* Numbers of an array at the top that is the version. */
static void note_number(struct ubj *u, int64_t v, bool versions)
{
	if (versions && u->n_version < 3)
		u->version[u->n_version++] = v;
}

/* Numbers of one type without markers. */
static int walk_typed(struct ubj *u, uint8_t type, uint64_t n, bool versions)
{
	size_t size = width(type);
	int64_t v = 0;

	if (!size || n > u->b->size / size)
		return -1;
	if (!versions)
		return skip(u, n * size);
	for (uint64_t i = 0; i < n; i++) {
		if (take_int(u, type, &v))
			return -1;
		note_number(u, v, true);
	}
	return 0;
}

static int walk_marked(struct ubj *u, uint64_t n, int depth, bool versions)
{
	uint8_t type = 0;

	for (uint64_t i = 0; i < n; i++)
		if (take(u, &type) || walk_value(u, type, depth + 1, versions))
			return -1;
	return 0;
}

/* "$d#L": so many numbers of one type; "#L": so many values. */
static int walk_counted(struct ubj *u, uint8_t first, int depth, bool versions)
{
	uint8_t type = 0, hash = first;
	uint64_t n = 0;

	if (first == '$' && (take(u, &type) || take(u, &hash)))
		return -1;
	if (hash != '#' || take_length(u, &n))
		return -1;
	return type ? walk_typed(u, type, n, versions) : walk_marked(u, n, depth, versions);
}

static int walk_array(struct ubj *u, int depth, bool versions)
{
	uint8_t c = 0;

	if (take(u, &c))
		return -1;
	if (c == '$' || c == '#')
		return walk_counted(u, c, depth, versions);
	while (c != ']')
		if (walk_value(u, c, depth + 1, versions) || take(u, &c))
			return -1;
	return 0;
}

/* 1: *key is the next key's bytes, *n of them; 0: the object is over. */
static int next_key(struct ubj *u, const uint8_t **key, uint64_t *n)
{
	uint8_t c = 0;

	if (take(u, &c))
		return -1;
	if (c == '}')
		return 0;
	u->at--;
	if (take_length(u, n) || *n > KEY_MAX)
		return -1;
	*key = bytes_at(u->b, u->at, (size_t)*n);
	u->at += *n;
	return *key ? 1 : -1;
}

static int walk_object(struct ubj *u, int depth)
{
	const uint8_t *key = NULL;
	uint64_t n = 0;
	uint8_t c = 0;
	int more;

	while ((more = next_key(u, &key, &n)) == 1) {
		bool top = depth == 0 && n == strlen("version");
		bool versions = top && memcmp(key, "version", (size_t)n) == 0;

		u->learner = u->learner || (top && memcmp(key, "learner", (size_t)n) == 0);
		if (take(u, &c) || walk_value(u, c, depth + 1, versions))
			return -1;
	}
	return more;
}

static int walk_number(struct ubj *u, uint8_t type, bool versions)
{
	int64_t v = 0;

	if (!versions || type == 'd' || type == 'D')
		return width(type) ? skip(u, width(type)) : -1;
	if (take_int(u, type, &v))
		return -1;
	note_number(u, v, true);
	return 0;
}

static int walk_value(struct ubj *u, uint8_t type, int depth, bool versions)
{
	uint64_t n = 0;

	if (depth > MAX_DEPTH)
		return -1;
	switch (type) {
	case '{':
		return walk_object(u, depth);
	case '[':
		return walk_array(u, depth, versions);
	case 'S':
		return take_length(u, &n) ? -1 : skip(u, n);
	case 'T':
	case 'F':
	case 'Z':
	case 'N':
		return 0;
	default:
		return walk_number(u, type, versions);
	}
}

static bool walk_ubj(struct bytes *b, struct file_facts *out)
{
	static const uint8_t head[] = {'{', 'L', 0, 0, 0, 0, 0, 0, 0, 7};
	const uint8_t *p = bytes_at(b, 0, sizeof(head) + 7);
	struct ubj u = {.b = b, .at = 1};

	if (!p || memcmp(p, head, sizeof(head)) != 0 ||
	    (memcmp(p + sizeof(head), "learner", 7) != 0 &&
	     memcmp(p + sizeof(head), "version", 7) != 0))
		return false;
	out->kind = KIND_XGBOOST;
	out->form = "UBJ";
	int rc = walk_object(&u, 0);
	if (u.n_version == 3)
		set_version(out, u.version);
	return rc ? sniff_broken(out, ENODATA, "it is cut short: the UBJ does not end") : true;
}

/* ---- the older binary form ---- */

#define PARAMETERS 136

static bool is_objective(const uint8_t *p, uint64_t n)
{
	static const char *const first[] = {
		"reg:", "binary:", "multi:", "rank:", "count:", "survival:"};

	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		if (n > strlen(first[i]) && memcmp(p, first[i], strlen(first[i])) == 0)
			return true;
	return false;
}

static bool is_binary(struct bytes *b, struct file_facts *out)
{
	const uint8_t *p = bytes_at(b, 0, 4);
	uint64_t at = p && memcmp(p, "binf", 4) == 0 ? 4 : 0;

	p = bytes_at(b, at, PARAMETERS + 8);
	uint64_t n = p ? bytes_le(p + PARAMETERS, 8) : 0;
	if (n < 4 || n > 64)
		return false;
	const int64_t version[3] = {(int64_t)bytes_le(p + 20, 4), (int64_t)bytes_le(p + 24, 4), 0};
	p = bytes_at(b, at + PARAMETERS + 8, (size_t)n);
	if (!p || !is_objective(p, n))
		return false;
	out->kind = KIND_XGBOOST;
	out->form = "the older binary form";
	if (version[0] > 0)
		set_version(out, version);
	return true;
}

bool sniff_xgboost(struct bytes *b, struct file_facts *out)
{
	return (is_json(b) && walk_json(b, out)) || walk_ubj(b, out) || is_binary(b, out);
}

/* ---- LightGBM ---- */

bool sniff_lightgbm(struct bytes *b, struct file_facts *out)
{
	static const char end[] = "\nend of trees";
	const char *p = (const char *)bytes_at(b, 0, 14);
	size_t n;

	if (!p || strncmp(p, "tree", 4) != 0 || !memchr(p, '\n', 7))
		return false;
	p = (const char *)bytes_some(b, 0, &n);
	n = MIN(n, (size_t)64);
	const char *said = p ? memmem(p, n, "version=v", 9) : NULL;
	if (!said || said + 9 == p + n)
		return false;
	out->kind = KIND_LIGHTGBM;
	out->form = "text";
	/* the form's version: v4 is LightGBM 4's */
	out->version[0] = said[9];
	if (bytes_find(b, 0, b->size, end, strlen(end)) == UINT64_MAX)
		return sniff_broken(out, ENODATA, "it is cut short: 'end of trees' is missing");
	return true;
}
