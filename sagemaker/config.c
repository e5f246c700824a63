#include "sagemaker/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>

#include "sagemaker/buf.h"
#include "sagemaker/profile.h"

const char *config_partition(const char *region)
{
	return partition_of(region)->name;
}

/* Text settings: the member, the environment in the order it is asked, the key in the config file. */
static const struct setting {
	size_t member;
	const char *env[2];
	const char *key;
} settings[] = {
	{offsetof(struct config, region),       {"AWS_REGION", "AWS_DEFAULT_REGION"}, "region"      },
	{offsetof(struct config, endpoint_url), {"AWS_ENDPOINT_URL", NULL},           "endpoint_url"},
	{offsetof(struct config, role),         {"SAGEMAKER_ROLE_ARN", NULL},         NULL          },
	{offsetof(struct config, ca_bundle),    {"AWS_CA_BUNDLE", NULL},              "ca_bundle"   },
};

static char **member_of(struct config *c, size_t offset)
{
	return (char **)(void *)((char *)c + offset);
}

static const char *from_env(const char *const names[2])
{
	for (int i = 0; i < 2 && names[i]; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return value;
	}
	return NULL;
}

static bool ignores_endpoints(const char *value)
{
	return value && strcasecmp(value, "true") == 0;
}

/* What the profile in the config file says, kept apart until it is clear what it may set. */
struct from_file {
	char *value[ARRAY_SIZE(settings)];
	char *max_attempts, *retry_mode;
	bool ignore_endpoint, no_memory;
};

static void keep(struct from_file *f, char **where, const char *value)
{
	free(*where);
	*where = strdup(value);
	f->no_memory = f->no_memory || !*where;
}

static void take_line(void *arg, const char *key, const char *value)
{
	struct from_file *f = arg;

	if (!*value)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (settings[i].key && streq(settings[i].key, key))
			keep(f, &f->value[i], value);
	}
	if (streq(key, "max_attempts"))
		keep(f, &f->max_attempts, value);
	if (streq(key, "retry_mode"))
		keep(f, &f->retry_mode, value);
	if (streq(key, "ignore_configured_endpoint_urls"))
		f->ignore_endpoint = ignores_endpoints(value);
}

static void from_file_release(struct from_file *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		free(f->value[i]);
	free(f->max_attempts);
	free(f->retry_mode);
}

/* Only what the environment and the file say about the endpoint is ignored: what the caller gave stays. */
static int fill_texts(struct config *c, struct from_file *f, struct err *e)
{
	bool ignore = f->ignore_endpoint ||
		      ignores_endpoints(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"));

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		char **member = member_of(c, settings[i].member);
		const char *env = from_env(settings[i].env);

		if (*member || (ignore && member == &c->endpoint_url))
			continue;
		if (!env) {
			*member = steal(f->value[i]);
			continue;
		}
		*member = strdup(env);
		f->no_memory = f->no_memory || !*member;
	}
	return f->no_memory ? err_set(e, ENOMEM, "could not keep the settings: out of memory") : 0;
}

static int fill_attempts(struct config *c, const struct from_file *f, struct err *e)
{
	const char *text = getenv("AWS_MAX_ATTEMPTS");
	const char *name = "AWS_MAX_ATTEMPTS";
	char *end;

	if (c->max_attempts)
		return 0;
	if (!text || !*text) {
		text = f->max_attempts;
		name = "max_attempts";
	}
	if (!text)
		return 0;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > INT_MAX)
		return err_set(e, EINVAL, "'%s' is no value for %s: it takes a number from 1", text,
			       name);
	c->max_attempts = (int)n;
	return 0;
}

/* Which of AWS's modes is asked for makes no difference but when it is none of them: retries follow standard mode's rules.
 * ("legacy" has more attempts and no quota; "adaptive" adds a rate limit for each client.) */
static int check_retry_mode(struct config *c, const struct from_file *f, struct err *e)
{
	static const char *const modes[] = {"standard", "legacy", "adaptive"};
	const char *env = getenv("AWS_RETRY_MODE"), *rules = getenv("AWS_NEW_RETRIES_2026");
	bool from_environment = env && *env;
	const char *mode = from_environment ? env : f->retry_mode;

	c->new_retries = c->new_retries || (rules && strcasecmp(rules, "true") == 0);
	for (size_t i = 0; mode && i < ARRAY_SIZE(modes); i++) {
		if (strcasecmp(mode, modes[i]) == 0)
			return 0;
	}
	return mode ? err_set(e, EINVAL,
			      "'%.60s' is no value for %s: it takes standard, legacy or adaptive",
			      mode, from_environment ? "AWS_RETRY_MODE" : "retry_mode")
		    : 0;
}

/* The host of an URL into host: without brackets, user and port. */
static bool url_host(const char *url, char *host, size_t size)
{
	const char *at = strstr(url, "://");
	size_t n;

	if (!at)
		return false;
	at += 3;
	n = strcspn(at, "/?#");
	if (memchr(at, '@', n))
		return false;
	if (*at == '[') {
		at++;
		n = strcspn(at, "]");
	} else {
		n = strcspn(at, ":/?#");
	}
	if (!n || n >= size)
		return false;
	memcpy(host, at, n);
	host[n] = '\0';
	return true;
}

bool config_is_loopback(const char *url)
{
	struct in_addr v4;
	struct in6_addr v6;
	char host[256];

	if (!url_host(url, host, sizeof host))
		return false;
	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static void cut_slashes(char *s)
{
	for (size_t n = strlen(s); n && s[n - 1] == '/'; n--)
		s[n - 1] = '\0';
}

static bool has_blank_or_control(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return true;
	}
	return false;
}

static int check_endpoint(const struct config *c, struct err *e)
{
	char host[256], *url = c->endpoint_url;

	if (!url)
		return 0;
	cut_slashes(url);
	if (has_blank_or_control(url))
		return err_set(e, EINVAL,
			       "the endpoint URL has a blank or a control character in it");
	bool tls = starts_with(url, "https://"), plain = starts_with(url, "http://");
	if (!(tls || plain) || !url_host(url, host, sizeof host))
		return err_set(e, EINVAL,
			       "'%s' is no endpoint URL: it takes the form https://HOST[:PORT]",
			       strchr(url, '@') ? "(not shown)" : url);
	if (plain && !config_is_loopback(url))
		return err_set(e, EINVAL,
			       "endpoint URL '%s' is refused: plain http is only for this machine "
			       "(127.0.0.1, localhost); use https",
			       url);
	return 0;
}

/* "eu-west-1": it becomes part of host names, so nothing else may be in it. */
static int check_region(const struct config *c, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *r = c->region;

	if (!r)
		return err_set(
			e, EINVAL,
			"no region is set: name one as aws:REGION or -o region=REGION, or set AWS_REGION, "
			"or 'region' in the AWS config file");
	if (!*r || strlen(r) > 40 || *r == '-' || r[strspn(r, allowed)])
		return err_set(e, EINVAL, "'%.60s' is no region: it takes a name like eu-west-1",
			       r);
	return 0;
}

/* "model" without slashes at its ends, as keys are put together with one. */
static int tidy_prefix(struct config *c, struct err *e)
{
	const char *from = c->prefix ? c->prefix : "model";
	char *tidy;

	while (*from == '/')
		from++;
	tidy = strdup(from);
	if (!tidy)
		return err_set(e, ENOMEM, "could not keep the settings: out of memory");
	cut_slashes(tidy);
	free(c->prefix);
	c->prefix = tidy;
	return 0;
}

static int choose_profile(struct config *c, struct err *e)
{
	static const char *const names[2] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"};
	const char *value = from_env(names);

	if (c->profile || !value)
		return 0;
	c->profile = strdup(value);
	return c->profile ? 0 : err_set(e, ENOMEM, "could not keep the settings: out of memory");
}

int config_load(struct config *c, struct err *e)
{
	struct from_file _cleanup_(from_file_release) f = {0};

	if (choose_profile(c, e) ||
	    profile_read(PROFILE_CONFIG, c->profile, NULL, take_line, &f, e))
		return -1;
	if (fill_texts(c, &f, e) || fill_attempts(c, &f, e) || check_retry_mode(c, &f, e))
		return -1;
	return check_region(c, e) || check_endpoint(c, e) || tidy_prefix(c, e) ? -1 : 0;
}

static void wipe_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void config_release(struct config *c)
{
	char *const plain[] = {c->endpoint_url, c->region,    c->profile,      c->role,   c->bucket,
			       c->prefix,       c->ca_bundle, c->bucket_owner, c->kms_key};

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		free(plain[i]);
	for (size_t i = 0; i < SERVICES; i++)
		free(c->service_url[i]);
	wipe_free(c->access_key);
	wipe_free(c->secret_key);
	wipe_free(c->session_token);
	memset(c, 0, sizeof *c);
}
