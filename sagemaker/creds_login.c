#include <errno.h>
#include <time.h>

#include "sagemaker/creds_internal.h"
#include "sagemaker/dpop.h"
#include "sagemaker/hash.h"
#include "sagemaker/json.h"
#include "sagemaker/profile.h"

#define CACHE   "~/.aws/login/cache"
#define RENEW_S (5 * 60L) /* keys that end sooner are renewed (botocore's LoginCredentialFetcher) */

static const char *const names[4] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"};

int find_login(struct look *l, struct origin *out, struct err *e)
{
	const char *session = texts_get(&l->settings, "login_session");

	if (!session)
		return 0;
	texts_put(&out->settings, "login_session", session);
	return from_profile(out, "login_session", e) ? -1 : 1;
}

/* The file that `aws login` wrote, and whose key is in it. */
struct login {
	const struct fetch *f;
	const struct origin *s;
	char *directory;
	char key[SHA256_HEX];
	cJSON *token;
	struct dpop *proof;
};

static void login_release(struct login *l)
{
	json_secret_free(l->token);
	dpop_free(l->proof);
	free(l->directory);
}

static int log_in_again(const struct origin *s, const char *why, struct err *e)
{
	return err_set(e, EACCES, "%s: run 'aws login --profile %s'", why, s->profile);
}

static const cJSON *token_keys(const struct login *l)
{
	return cJSON_GetObjectItemCaseSensitive(l->token, "accessToken");
}

static int read_token(struct login *l, struct err *e)
{
	static const char *const needed[] = {"refreshToken", "dpopKey", "clientId"};
	const char *name = texts_get(&l->s->settings, "login_session");
	const char *directory = creds_env("AWS_LOGIN_CACHE_DIRECTORY");
	unsigned char digest[SHA256_LEN];

	sha256(name, strlen(name), digest);
	hex(digest, sizeof digest, l->key);
	l->directory = profile_expand(directory ? directory : CACHE);
	if (!l->directory)
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	l->token = cache_read(l->directory, l->key);
	if (!l->token)
		return log_in_again(l->s, "nobody is logged in", e);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!json_text(l->token, needed[i]))
			return log_in_again(l->s, "the login's file is not whole", e);
	}
	return cJSON_IsObject(token_keys(l))
		       ? 0
		       : log_in_again(l->s, "the login's file is not whole", e);
}

/* Renewing --------------------------------------------------------------------------------- */

static int add_proof(void *arg, const char *url, struct http_headers *h, struct err *e)
{
	_cleanup_buf_ struct buf proof = BUF_INIT(0);

	if (dpop_proof(arg, "POST", url, (int64_t)time(NULL), &proof, e))
		return -1;
	return http_header_add(h, "DPoP", buf_cstr(&proof))
		       ? err_set(e, ENOMEM, "could not ask for AWS keys: out of memory")
		       : 0;
}

/* What the service says where it refuses (botocore: LoginRefreshRequired and its like). */
static int explain(const struct login *l, const struct http_resp *r, struct err *e)
{
	static const struct {
		const char *error, *why;
	} refusals[] = {
		{"TOKEN_EXPIRED",            "the login has expired"            },
		{"USER_CREDENTIALS_CHANGED",
		 "the login is no longer valid: its user's password was changed"},
		{"INSUFFICIENT_PERMISSIONS",
		 "the login's user may not renew it (signin:CreateOAuth2Token)" },
	};

	_cleanup_json_ cJSON *o = json_parse(r->body.data, r->body.len, NULL);
	const char *error = json_text(o, "error");

	for (size_t i = 0; error && i < ARRAY_SIZE(refusals); i++) {
		if (streq(error, refusals[i].error))
			return log_in_again(l->s, refusals[i].why, e);
	}
	return err_prefix(e, "renew the login");
}

static int ask(const struct login *l, const char *body, cJSON **answer, struct err *e)
{
	struct http_headers h _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_(resp_wipe) = {0};
	const struct creds_call q = {
		.service = SERVICE_SIGNIN,
		.region = json_text(l->token, "signInRegion"),
		.method = "POST",
		.path = "/v1/token",
		.headers = &h,
		.body = body,
		.prepare = add_proof,
		.arg = l->proof,
	};

	if (http_header_add(&h, "Content-Type", "application/json"))
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	if (creds_call(l->f, &q, &r, e))
		return explain(l, &r, e);
	*answer = json_parse(r.body.data, r.body.len, e);
	return *answer ? 0 : -1;
}

static int ask_for_keys(const struct login *l, cJSON **answer, struct err *e)
{
	_cleanup_secret_json_ cJSON *body = cJSON_CreateObject();
	char *text;

	json_put(body, "clientId", json_text(l->token, "clientId"));
	json_put(body, "grantType", "refresh_token");
	json_put(body, "refreshToken", json_text(l->token, "refreshToken"));
	text = cJSON_PrintUnformatted(body);
	if (!text)
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	int failed = ask(l, text, answer, e);
	explicit_bzero(text, strlen(text));
	free(text);
	return failed;
}

/* The new keys into the token, which is otherwise kept as the CLI wrote it. */
static int keep(struct login *l, const cJSON *answer, struct err *e)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(answer, "accessToken");
	cJSON *keys = cJSON_CreateObject();
	char end[32];

	time_write((int64_t)time(NULL) + json_count(answer, "expiresIn"), end);
	for (int i = 0; i < 3; i++)
		json_put(keys, names[i], json_text(given, names[i]));
	json_put(keys, "accountId", json_text(token_keys(l), "accountId"));
	json_put(keys, names[3], end);
	if (!cJSON_ReplaceItemInObjectCaseSensitive(l->token, "accessToken", keys)) {
		cJSON_Delete(keys);
		return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
	}
	if (json_text(answer, "refreshToken")) {
		cJSON_DeleteItemFromObjectCaseSensitive(l->token, "refreshToken");
		json_put(l->token, "refreshToken", json_text(answer, "refreshToken"));
	}
	return cache_write(l->directory, l->key, l->token, e);
}

static int renew(struct login *l, struct err *e)
{
	_cleanup_secret_json_ cJSON *answer = NULL;

	l->proof = dpop_new(json_text(l->token, "dpopKey"));
	if (!l->proof)
		return log_in_again(l->s, "the login's private key cannot be read", e);
	return ask_for_keys(l, &answer, e) || keep(l, answer, e) ? -1 : 0;
}

static int take(const struct login *l, struct lease *out, struct err *e)
{
	return lease_take_json(out, token_keys(l), names, 4, l->s->from, e);
}

/* Keys that cannot be renewed are used to their end, and new ones that could not be written down too. */
int fetch_login(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	struct login l _cleanup_(login_release) = {.f = f, .s = s};
	int64_t now = (int64_t)time(NULL);
	int failed;

	if (read_token(&l, e) || take(&l, out, e))
		return -1;
	if (out->expires - now > RENEW_S)
		return 0;
	failed = renew(&l, e);
	if (failed && (e->no == ECANCELED || take(&l, out, NULL) || out->expires <= now))
		return -1;
	return failed ? 0 : take(&l, out, e);
}
