#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

#define STS_VERSION "2011-06-15"
#define MAX_TOKEN   ((size_t)64 << 10)
#define KEEP_S      (15 * 60L) /* a source's keys that live longer are used again */

/* Finding ---------------------------------------------------------------------------------- */

/* A profile with a role; a token file makes it a web identity. */
static bool has_role(const struct texts *s)
{
	return texts_get(s, "role_arn") && !texts_get(s, "web_identity_token_file");
}

static bool has_keys(const struct texts *s)
{
	return texts_get(s, "aws_access_key_id") || texts_get(s, "aws_secret_access_key");
}

/* A profile may name itself, for its own keys; any other way round there is no end. */
static int check_visited(const struct look *l, const char *parent, const char *name,
			 const struct texts *s, struct err *e)
{
	bool visited = false;

	for (size_t i = 0; i < l->n_visited; i++)
		visited = visited || streq(l->visited[i], name);
	if (l->n_visited == MAX_ROLES)
		return err_set(e, EINVAL, "more than %d profiles name each other as source_profile",
			       MAX_ROLES);
	if (!visited || (streq(name, parent) && has_keys(s)))
		return 0;
	return err_set(e, EINVAL,
		       "profile '%s' has source_profile '%s', which leads back to itself", parent,
		       name);
}

static int base_by_look(struct look *l, const char *parent, struct origin *out, struct err *e)
{
	bool known;

	if (look_read(l, &known, e))
		return -1;
	if (!known)
		return err_set(e, EACCES,
			       "'%s', the source_profile of profile '%s', is in neither of the AWS "
			       "files",
			       l->profile, parent);
	if (check_visited(l, parent, l->profile, &l->settings, e))
		return -1;
	l->visited[l->n_visited++] = l->profile;
	if (has_role(&l->settings) && !has_keys(&l->settings))
		return origin_by_role(l, &out->base, e);
	if (origin_by_profile(l, &out->base, e))
		return -1;
	return out->base
		       ? 0
		       : err_set(e, EACCES, "'%s', the source_profile of profile '%s', has no keys",
				 l->profile, parent);
}

static int base_by_profile(const struct look *l, struct origin *out, const char *name,
			   struct err *e)
{
	struct look in = *l;
	int failed;

	in.settings = (struct texts){0};
	in.profile = name;
	in.named = true; /* whatever the environment says is not this profile's */
	failed = base_by_look(&in, l->profile, out, e);
	texts_release(&in.settings);
	return failed;
}

static int find_base(struct look *l, struct origin *out, struct err *e)
{
	const char *profile = texts_get(&l->settings, "source_profile");
	const char *named = texts_get(&l->settings, "credential_source");
	bool was_named = l->named;

	if (profile && named)
		return err_set(
			e, EINVAL,
			"profile '%s' has both source_profile and credential_source; remove one",
			l->profile);
	if (profile)
		return base_by_profile(l, out, profile, e);
	if (!named)
		return err_set(e, EINVAL,
			       "profile '%s' has role_arn and neither source_profile nor "
			       "credential_source: nobody to ask for the role",
			       l->profile);
	l->named = false; /* asked for by name, the environment does count */
	int failed = origin_by_name(l, named, &out->base, e);
	l->named = was_named;
	return failed;
}

static void copy_settings(struct origin *out, const struct texts *from, const char *const keys[])
{
	for (; *keys; keys++) {
		const char *value = texts_get(from, *keys);

		if (value)
			texts_put(&out->settings, *keys, value);
	}
}

int find_role(struct look *l, struct origin *out, struct err *e)
{
	static const char *const keys[] = {"role_arn", "role_session_name", "external_id",
					   "duration_seconds", NULL};

	if (!has_role(&l->settings))
		return 0;
	if (texts_get(&l->settings, "mfa_serial"))
		return err_set(
			e, EACCES,
			"profile '%s' wants an MFA code (mfa_serial), and a mount cannot ask for one; "
			"put its keys into the environment first: eval \"$(aws configure "
			"export-credentials --profile %s --format env)\"",
			l->profile, l->profile);
	if (find_base(l, out, e))
		return -1;
	copy_settings(out, &l->settings, keys);
	out->from = str_printf("profile '%s' by role_arn, asked for with the keys of %s",
			       l->profile, out->base->from);
	return out->from ? 1 : err_set(e, ENOMEM, "could not keep credentials: out of memory");
}

/* Each of the three is the environment's, unless a profile was named, else the profile's. */
static void take_web_settings(const struct look *l, struct origin *out)
{
	static const char *const names[][2] = {
		{"web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"},
		{"role_arn",                "AWS_ROLE_ARN"               },
		{"role_session_name",       "AWS_ROLE_SESSION_NAME"      },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = l->named ? NULL : getenv(names[i][1]);

		if (i == 0)
			out->env = value != NULL;
		if (!value)
			value = texts_get(&l->settings, names[i][0]);
		if (value)
			texts_put(&out->settings, names[i][0], value);
	}
}

int find_web_identity(struct look *l, struct origin *out, struct err *e)
{
	take_web_settings(l, out);
	const char *file = texts_get(&out->settings, "web_identity_token_file");
	const char *role = texts_get(&out->settings, "role_arn");
	if (!file || !*file)
		return 0;
	if (!role || !*role)
		return err_set(e, EINVAL,
			       "a web identity token is in '%s', and no role is named for it: set "
			       "AWS_ROLE_ARN, or role_arn in profile '%s'",
			       file, l->profile);
	if (!out->env)
		return from_profile(out, "web_identity_token_file", e) ? -1 : 1;
	out->from = strdup("the environment by AWS_WEB_IDENTITY_TOKEN_FILE");
	return out->from ? 1 : err_set(e, ENOMEM, "could not keep credentials: out of memory");
}

/* Fetching --------------------------------------------------------------------------------- */

/* A field of a form of the query protocol. */
static int add_field(struct buf *form, const char *name, const char *value)
{
	if (!value)
		return 0;
	buf_printf(form, "&%s=", name);
	return uri_encode(value, strlen(value), false, form);
}

static int on_text(void *arg, const char *path, const char *text)
{
	const char *at = strstr(path, "Result/Credentials/");

	if (at)
		texts_put(arg, at + strlen("Result/Credentials/"), text);
	return 0;
}

static int read_reply(const struct http_resp *r, const struct origin *s, struct lease *out,
		      struct err *e)
{
	struct texts t _cleanup_(texts_release) = {0};
	const char *end;

	if (xml_scan(r->body.data, r->body.len, on_text, &t, e))
		return -1;
	end = texts_get(&t, "Expiration");
	out->expires = end ? time_read(end) : -1;
	if (out->expires < 0)
		return err_set(e, EPROTO, "the reply has no keys");
	return keys_take(&out->keys, texts_get(&t, "AccessKeyId"), texts_get(&t, "SecretAccessKey"),
			 texts_get(&t, "SessionToken"), s->from, e);
}

static int ask_sts(const struct fetch *f, const struct origin *s, const char *form,
		   const struct keys *keys, struct lease *out, struct err *e)
{
	struct http_headers h _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_(resp_wipe) = {0};
	const struct creds_call q = {
		.service = SERVICE_STS,
		.method = "POST",
		.path = "/",
		.headers = &h,
		.body = form,
		.keys = keys,
	};

	if (http_header_add(&h, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	if (creds_call(f, &q, &r, e) || read_reply(&r, s, out, e))
		return err_prefix(e, "assume role '%s'", texts_get(&s->settings, "role_arn"));
	return 0;
}

/* "RoleArn", and "RoleSessionName", by which the account's log tells sessions apart. */
static int begin_form(struct buf *form, const char *action, const struct origin *s)
{
	const char *session = texts_get(&s->settings, "role_session_name");
	char made[64];

	snprintf(made, sizeof made, "sagemakerfs-%lld", (long long)time(NULL));
	buf_printf(form, "Action=%s&Version=" STS_VERSION, action);
	if (add_field(form, "RoleArn", texts_get(&s->settings, "role_arn")))
		return -1;
	return add_field(form, "RoleSessionName", session && *session ? session : made);
}

/* A duration that is no number is none, as in botocore. */
static const char *duration(const struct origin *s)
{
	const char *text = texts_get(&s->settings, "duration_seconds");

	return text && *text && !text[strspn(text, "0123456789")] ? text : NULL;
}

/* The source's keys: those of last time while they live long enough. */
static int base_lease(const struct fetch *f, struct origin *base, struct lease *out, struct err *e)
{
	const struct lease *last = &base->lease;

	if (base->provider->fetch && last->keys.access[0] &&
	    (!last->expires || last->expires - (int64_t)time(NULL) > KEEP_S)) {
		*out = *last;
		return 0;
	}
	if (origin_lease(f, base, out, e))
		return -1;
	if (base->provider->fetch)
		base->lease = *out;
	return 0;
}

static int assume(const struct fetch *f, const struct origin *s, const struct keys *keys,
		  struct lease *out, struct err *e)
{
	struct buf form _cleanup_(buf_release) = BUF_INIT(MAX_TOKEN);

	if (begin_form(&form, "AssumeRole", s) ||
	    add_field(&form, "ExternalId", texts_get(&s->settings, "external_id")) ||
	    add_field(&form, "DurationSeconds", duration(s)))
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	return ask_sts(f, s, form.data, keys, out, e);
}

/* Keys of last time may be refused by now: then once more with new ones. */
int fetch_role(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	bool kept = s->base->provider->fetch && s->base->lease.keys.access[0];
	struct lease base _cleanup_lease_ = {0};

	if (base_lease(f, s->base, &base, e))
		return -1;
	if (assume(f, s, &base.keys, out, e) == 0)
		return 0;
	if (!kept || e->no != EACCES)
		return -1;
	lease_wipe(&s->base->lease);
	return base_lease(f, s->base, &base, e) || assume(f, s, &base.keys, out, e) ? -1 : 0;
}

static int read_token(const char *path, struct buf *token, struct err *e)
{
	if (buf_read_file(token, AT_FDCWD, path))
		return err_errno(e, "could not read the web identity token '%s'", path);
	while (token->len && strchr(" \t\r\n", token->data[token->len - 1]))
		token->data[--token->len] = '\0';
	return token->len ? 0 : err_set(e, EACCES, "the web identity token '%s' is empty", path);
}

int fetch_web_identity(const struct fetch *f, const struct origin *s, struct lease *out,
		       struct err *e)
{
	struct buf form _cleanup_(buf_release) = BUF_INIT(MAX_TOKEN * 4);
	struct buf token _cleanup_(buf_release) = BUF_INIT(MAX_TOKEN);
	int failed = read_token(texts_get(&s->settings, "web_identity_token_file"), &token, e);

	if (!failed && (begin_form(&form, "AssumeRoleWithWebIdentity", s) ||
			add_field(&form, "WebIdentityToken", buf_cstr(&token))))
		failed = err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	if (!failed)
		failed = ask_sts(f, s, form.data, NULL, out, e);
	if (form.data)
		explicit_bzero(form.data, form.cap);
	if (token.data)
		explicit_bzero(token.data, token.cap);
	return failed;
}
