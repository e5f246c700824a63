#include <errno.h>
#include <time.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/hash.h"
#include "sagemaker/json.h"
#include "sagemaker/profile.h"
#include "sagemaker/sigv4.h"

#define CACHE     "~/.aws/sso/cache"
#define RENEW_S   (15 * 60L) /* a token that ends sooner is renewed (botocore's tokens.py) */
#define MAX_QUERY 4096

static int64_t now(void)
{
	return (int64_t)time(NULL);
}

/* Finding ---------------------------------------------------------------------------------- */

static int join_session(struct origin *out, const char *name, struct err *e)
{
	struct texts session _cleanup_(texts_release) = {0};
	bool found;

	if (profile_section_read(PROFILE_CONFIG, SECTION_SSO_SESSION, name, &found, texts_put,
				 &session, e))
		return -1;
	if (!found)
		return err_set(
			e, EINVAL,
			"profile '%s' names sso_session '%s', and there is no [sso-session %s]",
			out->profile, name, name);
	for (size_t i = 0; i < session.n; i++) {
		const struct setting *row = &session.rows[i];
		const char *own = texts_get(&out->settings, row->key);

		if (own && !streq(own, row->value))
			return err_set(e, EINVAL, "profile '%s' and sso_session '%s' differ in %s",
				       out->profile, name, row->key);
		texts_put(&out->settings, row->key, row->value);
	}
	out->settings.failed = out->settings.failed || session.failed;
	return 0;
}

int find_sso(struct look *l, struct origin *out, struct err *e)
{
	static const char *const needed[] = {"sso_role_name", "sso_account_id", "sso_start_url",
					     "sso_region"};
	const char *session = texts_get(&l->settings, "sso_session");

	if (!texts_get(&l->settings, needed[0]) && !texts_get(&l->settings, needed[1]))
		return 0;
	for (size_t i = 0; i < l->settings.n; i++) {
		if (starts_with(l->settings.rows[i].key, "sso_"))
			texts_put(&out->settings, l->settings.rows[i].key,
				  l->settings.rows[i].value);
	}
	if (session && join_session(out, session, e))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!texts_get(&out->settings, needed[i]))
			return err_set(e, EINVAL,
				       "profile '%s' is for IAM Identity Center and lacks %s",
				       l->profile, needed[i]);
	}
	return from_profile(out, session ? "sso_session" : "sso_start_url", e) ? -1 : 1;
}

/* The token -------------------------------------------------------------------------------- */

/* The login that the token is of: a session, or a start URL. */
struct login {
	const struct fetch *f;
	const struct origin *s;
	char *directory;
	char key[2 * SHA1_LEN + 1];
	cJSON *token;
};

static void login_release(struct login *l)
{
	json_secret_free(l->token);
	free(l->directory);
}

static int log_in_again(const struct origin *s, const char *why, struct err *e)
{
	return err_set(e, EACCES, "%s: run 'aws sso login --profile %s'", why, s->profile);
}

static int64_t ends(const cJSON *token, const char *member)
{
	const char *text = json_text(token, member);

	return text ? time_read(text) : -1;
}

static int read_token(struct login *l)
{
	json_secret_free(l->token);
	l->token = cache_read(l->directory, l->key);
	return json_text(l->token, "accessToken") && json_text(l->token, "expiresAt") ? 0 : -1;
}

static int find_token(struct login *l, struct err *e)
{
	const struct texts *s = &l->s->settings;
	const char *name = texts_get(s, "sso_session");
	unsigned char digest[SHA1_LEN];

	if (!name)
		name = texts_get(s, "sso_start_url");
	sha1(name, strlen(name), digest);
	hex(digest, sizeof digest, l->key);
	l->directory = profile_expand(CACHE);
	if (!l->directory)
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	return read_token(l) ? log_in_again(l->s, "nobody is logged in", e) : 0;
}

static bool can_renew(const cJSON *token)
{
	static const char *const needed[] = {"refreshToken", "clientId", "clientSecret"};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!json_text(token, needed[i]))
			return false;
	}
	return ends(token, "registrationExpiresAt") > now();
}

static int ask_for_token(struct login *l, cJSON **answer, struct err *e)
{
	struct http_headers h _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_(resp_wipe) = {0};
	_cleanup_secret_json_ cJSON *body = cJSON_CreateObject();
	char *text;
	int failed;

	json_put(body, "clientId", json_text(l->token, "clientId"));
	json_put(body, "clientSecret", json_text(l->token, "clientSecret"));
	json_put(body, "grantType", "refresh_token");
	json_put(body, "refreshToken", json_text(l->token, "refreshToken"));
	text = cJSON_PrintUnformatted(body);
	if (!text || http_header_add(&h, "Content-Type", "application/json")) {
		free(text);
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	}
	const struct creds_call q = {
		.service = SERVICE_OIDC,
		.region = texts_get(&l->s->settings, "sso_region"),
		.method = "POST",
		.path = "/token",
		.headers = &h,
		.body = text,
	};
	failed = creds_call(l->f, &q, &r, e);
	explicit_bzero(text, strlen(text));
	free(text);
	*answer = failed ? NULL : json_parse(r.body.data, r.body.len, e);
	return *answer ? 0 : -1;
}

static void keep_member(cJSON *to, const cJSON *from, const char *name)
{
	json_put(to, name, json_text(from, name));
}

/* The cache file as the CLI writes it: the registration stays beside the new token. */
static cJSON *make_token(const struct login *l, const cJSON *answer)
{
	static const char *const kept[] = {"clientId", "clientSecret", "registrationExpiresAt"};
	cJSON *token = cJSON_CreateObject();
	char end[32];

	time_write(now() + json_count(answer, "expiresIn"), end);
	json_put(token, "startUrl", texts_get(&l->s->settings, "sso_start_url"));
	json_put(token, "region", texts_get(&l->s->settings, "sso_region"));
	keep_member(token, answer, "accessToken");
	json_put(token, "expiresAt", end);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		keep_member(token, l->token, kept[i]);
	keep_member(token, answer, "refreshToken");
	return token;
}

static int renew(struct login *l, struct err *e)
{
	_cleanup_secret_json_ cJSON *answer = NULL;

	if (ask_for_token(l, &answer, e))
		return -1;
	if (!json_text(answer, "accessToken"))
		return err_set(e, EPROTO, "the reply has no token");
	cJSON *token = make_token(l, answer);
	int failed = cache_write(l->directory, l->key, token, e);
	json_secret_free(l->token);
	l->token = token;
	return failed;
}

/* A token that ends soon is renewed where its login allows that; one that cannot be is used to its end. Another program may have
 * renewed it meanwhile, and the file then holds what our own try no longer gets. */
static int renew_session(struct login *l, struct err *e)
{
	struct err why = {0};

	if (ends(l->token, "expiresAt") - now() >= RENEW_S)
		return 0;
	if (can_renew(l->token) && renew(l, &why) && why.no == ECANCELED) {
		*e = why;
		return -1;
	}
	if (ends(l->token, "expiresAt") > now() ||
	    (read_token(l) == 0 && ends(l->token, "expiresAt") > now()))
		return 0;
	if (why.no && !why.http) {
		*e = why; /* nobody refused: the network did not let us ask */
		return err_prefix(e, "renew the login");
	}
	return log_in_again(l->s, "the login has expired", e);
}

static int get_token(struct login *l, struct err *e)
{
	if (find_token(l, e))
		return -1;
	if (texts_get(&l->s->settings, "sso_session"))
		return renew_session(l, e);
	return ends(l->token, "expiresAt") > now() ? 0
						   : log_in_again(l->s, "the login has expired", e);
}

/* The keys --------------------------------------------------------------------------------- */

static int make_query(const struct texts *s, struct buf *out)
{
	const char *role = texts_get(s, "sso_role_name");
	const char *account = texts_get(s, "sso_account_id");

	buf_str(out, "role_name=");
	if (uri_encode(role, strlen(role), false, out))
		return -1;
	buf_str(out, "&account_id=");
	return uri_encode(account, strlen(account), false, out);
}

static int take_keys(const struct http_resp *r, const struct origin *s, struct lease *out,
		     struct err *e)
{
	static const char *const names[4] = {"accessKeyId", "secretAccessKey", "sessionToken", ""};
	_cleanup_secret_json_ cJSON *o = json_parse(r->body.data, r->body.len, e);
	const cJSON *keys = cJSON_GetObjectItemCaseSensitive(o, "roleCredentials");

	if (!o || lease_take_json(out, keys, names, 3, s->from, e))
		return -1;
	out->expires = (int64_t)(json_number(keys, "expiration") / 1000);
	return 0;
}

static int ask_for_keys(const struct login *l, struct lease *out, struct err *e)
{
	struct http_headers h _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_(resp_wipe) = {0};
	_cleanup_buf_ struct buf query = BUF_INIT(MAX_QUERY);
	const struct texts *s = &l->s->settings;

	if (make_query(s, &query) ||
	    http_header_add(&h, "x-amz-sso_bearer_token", json_text(l->token, "accessToken")))
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	const struct creds_call q = {
		.service = SERVICE_SSO,
		.region = texts_get(s, "sso_region"),
		.method = "GET",
		.path = "/federation/credentials",
		.query = query.data,
		.headers = &h,
	};
	if (creds_call(l->f, &q, &r, e) == 0)
		return take_keys(&r, l->s, out, e);
	if (e->http == 401)
		return log_in_again(l->s, "the login is no longer valid", e);
	return err_prefix(e, "ask for role '%s' of account %s", texts_get(s, "sso_role_name"),
			  texts_get(s, "sso_account_id"));
}

int fetch_sso(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	struct login l _cleanup_(login_release) = {.f = f, .s = s};

	return get_token(&l, e) || ask_for_keys(&l, out, e) ? -1 : 0;
}
