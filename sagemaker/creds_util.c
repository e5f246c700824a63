#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "sagemaker/buf.h"
#include "sagemaker/creds_internal.h"
#include "sagemaker/json.h"

void keys_wipe(struct keys *k)
{
	explicit_bzero(k, sizeof *k);
}

void lease_wipe(struct lease *l)
{
	explicit_bzero(l, sizeof *l);
}

void resp_wipe(struct http_resp *r)
{
	if (r->body.data)
		explicit_bzero(r->body.data, r->body.cap);
	http_resp_release(r);
}

static void json_clear(cJSON *o)
{
	for (; o; o = o->next) {
		if (o->valuestring)
			explicit_bzero(o->valuestring, strlen(o->valuestring));
		json_clear(o->child); /* cJSON's own parser bounds the depth */
	}
}

void json_secret_free(cJSON *o)
{
	json_clear(o);
	cJSON_Delete(o);
}

void json_secret_freep(cJSON **o)
{
	json_secret_free(*o);
}

const char *creds_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Settings --------------------------------------------------------------------------------- */

static void wipe_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static struct setting *find_row(const struct texts *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++) {
		if (streq(s->rows[i].key, key))
			return &s->rows[i];
	}
	return NULL;
}

static struct setting *add_row(struct texts *s, const char *key)
{
	struct setting *rows = reallocarray(s->rows, s->n + 1, sizeof *rows);

	if (!rows)
		return NULL;
	s->rows = rows;
	rows[s->n] = (struct setting){strdup(key), NULL};
	return rows[s->n].key ? &rows[s->n++] : NULL;
}

void texts_put(void *texts, const char *key, const char *value)
{
	struct texts *s = texts;
	struct setting *row = find_row(s, key);
	char *copy = strdup(value);

	if (!row && copy)
		row = add_row(s, key);
	if (!row || !copy) {
		s->failed = true;
		wipe_free(copy);
		return;
	}
	wipe_free(row->value);
	row->value = copy;
}

const char *texts_get(const struct texts *s, const char *key)
{
	const struct setting *row = find_row(s, key);

	return row ? row->value : NULL;
}

bool texts_equal(const struct texts *a, const struct texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const char *other = texts_get(b, a->rows[i].key);

		if (!other || !streq(a->rows[i].value, other))
			return false;
	}
	return true;
}

void texts_release(struct texts *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->rows[i].key);
		wipe_free(s->rows[i].value);
	}
	free(s->rows);
	*s = (struct texts){0};
}

int from_profile(struct origin *s, const char *key, struct err *e)
{
	free(s->from);
	s->from = str_printf("profile '%s' by %s", s->profile, key);
	return s->from ? 0 : err_set(e, ENOMEM, "could not keep credentials: out of memory");
}

/* Keys ------------------------------------------------------------------------------------- */

/* One text into a member; false when it is too long to be a key. */
static bool take(char *member, size_t size, const char *value)
{
	size_t n = value ? strlen(value) : 0;

	if (n >= size)
		return false;
	if (n)
		memcpy(member, value, n);
	member[n] = '\0';
	return true;
}

static bool is_printable(const char *s)
{
	for (; *s; s++) {
		if (*s <= ' ' || *s > '~')
			return false;
	}
	return true;
}

static int check(const struct keys *k, const char *from, struct err *e)
{
	if (!k->access[0] || !k->secret[0])
		return err_set(e, EACCES, "the AWS keys of %s are not whole: %s is missing", from,
			       k->access[0] ? "the secret access key" : "the access key id");
	if (!is_printable(k->access) || strpbrk(k->access, "/,"))
		return err_set(e, EACCES, "the access key id of %s has a character that none has",
			       from);
	return is_printable(k->token)
		       ? 0
		       : err_set(e, EACCES, "the session token of %s has a character that none has",
				 from);
}

int keys_take(struct keys *k, const char *access, const char *secret, const char *token,
	      const char *from, struct err *e)
{
	if (!take(k->access, sizeof k->access, access) ||
	    !take(k->secret, sizeof k->secret, secret) || !take(k->token, sizeof k->token, token))
		return err_set(e, EACCES, "the AWS keys of %s are too long to be keys", from);
	return check(k, from, e);
}

static int take_end(struct lease *out, const char *end, const char *from, struct err *e)
{
	out->expires = end ? time_read(end) : 0;
	return out->expires < 0
		       ? err_set(e, EPROTO, "'%.40s', the end of the AWS keys of %s, is no time",
				 end, from)
		       : 0;
}

int lease_take_json(struct lease *out, const cJSON *o, const char *const names[4], int needs,
		    const char *from, struct err *e)
{
	const char *value[4];

	for (int i = 0; i < 4; i++) {
		value[i] = json_text(o, names[i]);
		if (i < needs && !value[i])
			return err_set(e, EPROTO, "%s gave no keys: the answer has no %s", from,
				       names[i]);
	}
	return keys_take(&out->keys, value[0], value[1], value[2], from, e) ||
			       take_end(out, value[3], from, e)
		       ? -1
		       : 0;
}

/* Times ------------------------------------------------------------------------------------ */

/* Two digits at s as a number; -1: they are none. */
static int two_digits(const char *s)
{
	return isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1])
		       ? (s[0] - '0') * 10 + (s[1] - '0')
		       : -1;
}

/* "+01:00", "-0530", "Z", " UTC" or nothing: seconds east of UTC; false: none of these. */
static bool read_zone(const char *s, long *seconds)
{
	static const char *const utc[] = {"", "Z", "UTC", "GMT", "z"};

	*seconds = 0;
	s += strspn(s, " ");
	for (size_t i = 0; i < ARRAY_SIZE(utc); i++) {
		if (streq(s, utc[i]))
			return true;
	}
	if ((*s != '+' && *s != '-') || two_digits(s + 1) < 0)
		return false;
	const char *minutes = s + 3 + (s[3] == ':');
	if (two_digits(minutes) < 0 || minutes[2])
		return false;
	*seconds = (two_digits(s + 1) * 60L + two_digits(minutes)) * (*s == '-' ? -60 : 60);
	return true;
}

int64_t time_read(const char *text)
{
	struct tm tm = {0};
	const char *at = strptime(text, "%Y-%m-%d", &tm);
	long east;

	if (!at || (*at != 'T' && *at != ' '))
		return -1;
	at = strptime(at + 1, "%H:%M:%S", &tm);
	if (!at)
		return -1;
	if (*at == '.') {
		at++;
		while (isdigit((unsigned char)*at))
			at++;
	}
	return read_zone(at, &east) ? (int64_t)timegm(&tm) - east : -1;
}

void time_write(int64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
