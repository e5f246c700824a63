#include "sagemaker/creds.h"

#include <errno.h>
#include <sys/stat.h>

#include "sagemaker/buf.h"
#include "sagemaker/profile.h"

struct creds {
	const struct config *config;
	pthread_mutex_t mu; /* guards all below; held while the shared files are read */
	bool known;
	struct keys keys;
	struct timespec changed[2]; /* modification times of the files that keys came from */
};

void keys_wipe(struct keys *k)
{
	explicit_bzero(k, sizeof *k);
}

struct creds *creds_new(const struct config *c, struct err *e)
{
	struct creds *cr = calloc(1, sizeof *cr);

	if (!cr) {
		err_set(e, ENOMEM, "could not keep credentials: out of memory");
		return NULL;
	}
	cr->config = c;
	pthread_mutex_init(&cr->mu, NULL);
	return cr;
}

void creds_free(struct creds *cr)
{
	if (!cr)
		return;
	pthread_mutex_destroy(&cr->mu);
	keys_wipe(&cr->keys);
	free(cr);
}

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

static bool take_three(struct keys *k, const char *access, const char *secret, const char *token)
{
	return take(k->access, sizeof k->access, access) &&
	       take(k->secret, sizeof k->secret, secret) && take(k->token, sizeof k->token, token);
}

static int check(const struct keys *k, bool taken, const char *source, struct err *e)
{
	if (!taken)
		return err_set(e, EACCES, "the AWS keys in %s are too long to be keys", source);
	if (!k->access[0] || !k->secret[0])
		return err_set(e, EACCES, "the AWS keys in %s are not whole: %s is missing", source,
			       k->access[0] ? "the secret access key" : "the access key id");
	for (const char *s = k->access; *s; s++) {
		if (*s <= ' ' || *s > '~' || *s == '/' || *s == ',')
			return err_set(e, EACCES,
				       "the access key id in %s has a character that none has",
				       source);
	}
	return k->token[strcspn(k->token, "\r\n")]
		       ? err_set(e, EACCES, "the session token in %s has a line break in it",
				 source)
		       : 0;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* What a profile says; method names a way of getting keys that is not known here. */
struct profile {
	struct keys keys;
	bool overlong;
	const char *method;
};

static void take_line(void *arg, const char *key, const char *value)
{
	static const char *const methods[] = {"sso_session",        "sso_start_url",
					      "credential_process", "role_arn",
					      "login_session",      "web_identity_token_file"};
	struct profile *p = arg;
	bool ok = true;

	if (streq(key, "aws_access_key_id"))
		ok = take(p->keys.access, sizeof p->keys.access, value);
	else if (streq(key, "aws_secret_access_key"))
		ok = take(p->keys.secret, sizeof p->keys.secret, value);
	else if (streq(key, "aws_session_token"))
		ok = take(p->keys.token, sizeof p->keys.token, value);
	p->overlong = p->overlong || !ok;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (streq(key, methods[i]))
			p->method = methods[i];
	}
}

static void modified(struct timespec out[2])
{
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *path = profile_path(i ? PROFILE_CONFIG : PROFILE_CREDENTIALS);
		struct stat st;

		out[i] = path && stat(path, &st) == 0 ? st.st_mtim : (struct timespec){0};
	}
}

static int not_found(const struct creds *cr, const struct profile *p, bool known, struct err *e)
{
	_cleanup_free_ char *credentials = profile_path(PROFILE_CREDENTIALS);
	_cleanup_free_ char *config = profile_path(PROFILE_CONFIG);
	const char *name = cr->config->profile;

	if (p->method)
		return err_set(
			e, EACCES,
			"profile '%s' gets its keys by %s, which is not supported; put keys into the "
			"environment with 'aws configure export-credentials --format env'",
			name ? name : "default", p->method);
	if (name && !known)
		return err_set(e, EACCES, "profile '%s' is neither in '%s' nor in '%s'", name,
			       credentials ? credentials : "~/.aws/credentials",
			       config ? config : "~/.aws/config");
	return err_set(
		e, EACCES,
		"no AWS keys found: not in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), "
		"not under profile '%s' in '%s' nor in '%s'; run 'aws configure', or mount 'local' to "
		"need none",
		name ? name : "default", credentials ? credentials : "~/.aws/credentials",
		config ? config : "~/.aws/config");
}

static int from_files(struct creds *cr, struct err *e)
{
	struct profile p = {0};
	bool known = false;
	int r = 0;

	for (int i = 0; i < 2 && !r; i++) {
		enum profile_file which = i ? PROFILE_CONFIG : PROFILE_CREDENTIALS;
		bool found;

		r = profile_read(which, cr->config->profile, &found, take_line, &p, e);
		known = known || found;
		if (!r && (p.keys.access[0] || p.keys.secret[0] || p.overlong)) {
			r = check(&p.keys, !p.overlong,
				  i ? "the AWS config file" : "the AWS credentials file", e);
			if (!r)
				cr->keys = p.keys;
			keys_wipe(&p.keys);
			return r;
		}
	}
	return r ? r : not_found(cr, &p, known, e);
}

/* A profile that was named disables the keys in the environment, as in AWS's tools. AWS_PROFILE names it too weakly:
 * there, as in AWS's tools, keys in the environment win. */
static bool profile_was_named(const struct config *c)
{
	const char *by_env = env("AWS_PROFILE");

	if (!by_env)
		by_env = env("AWS_DEFAULT_PROFILE");
	return c->profile && !(by_env && streq(by_env, c->profile));
}

static int find_locked(struct creds *cr, struct err *e)
{
	const struct config *c = cr->config;
	const char *access = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
	struct timespec now[2];

	if (c->access_key)
		return check(&cr->keys,
			     take_three(&cr->keys, c->access_key, c->secret_key, c->session_token),
			     "the mount's settings", e);
	if ((access || secret) && !profile_was_named(c))
		return check(&cr->keys,
			     take_three(&cr->keys, access, secret, env("AWS_SESSION_TOKEN")),
			     "the environment", e);
	modified(now);
	if (cr->known && memcmp(now, cr->changed, sizeof now) == 0)
		return 0;
	memcpy(cr->changed, now, sizeof now);
	return from_files(cr, e);
}

int creds_get(struct creds *cr, struct keys *out, struct err *e)
{
	SCOPED_LOCK(&cr->mu);
	cr->known = find_locked(cr, e) == 0;
	if (!cr->known) {
		keys_wipe(&cr->keys);
		return -1;
	}
	*out = cr->keys;
	return 0;
}

void creds_refresh(struct creds *cr)
{
	SCOPED_LOCK(&cr->mu);
	cr->known = false;
}
