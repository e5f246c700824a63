#include "sagemaker/config.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "sagemaker/buf.h"
#include "sagemaker/config_hosts.h"
#include "sagemaker/profile.h"

const char *config_partition(const char *region)
{
	return partition_of(region)->name;
}

static const struct setting_name name_region =
					 {
						 {"AWS_REGION", "AWS_DEFAULT_REGION"},
                                                 {"region"           }
},
				 name_role = {{"SAGEMAKER_ROLE_ARN"}, {NULL}},
				 name_ca = {{"AWS_CA_BUNDLE"}, {"ca_bundle"}},
				 name_requests_ca = {{"REQUESTS_CA_BUNDLE"}, {NULL}},
				 name_attempts = {{"AWS_MAX_ATTEMPTS"}, {"max_attempts"}},
				 name_retry_mode = {{"AWS_RETRY_MODE"}, {"retry_mode"}},
				 name_new_retries = {{"AWS_NEW_RETRIES_2026"}, {NULL}};

static int fill_attempts(struct config *c, const struct lookup *l, struct err *e)
{
	const char *name = NULL, *text = lookup_text(l, &name_attempts, &name);
	char *end;

	if (c->max_attempts || !text)
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
static int check_retry_mode(struct config *c, const struct lookup *l, struct err *e)
{
	static const char *const modes[4] = {"standard", "legacy", "adaptive"};
	const char *rules = lookup_text(l, &name_new_retries, NULL);
	int mode;

	c->new_retries = c->new_retries || (rules && strcasecmp(rules, "true") == 0);
	return lookup_choice(l, &name_retry_mode, modes, &mode, e);
}

/* A missing file would be noticed at the first connection only, and as a fault of the server's. */
static int find_ca(struct config *c, const struct lookup *l, struct err *e)
{
	struct stat st;

	if (lookup_copy(l, &name_ca, &c->ca_bundle, &c->ca_from, e) ||
	    lookup_copy(l, &name_requests_ca, &c->ca_bundle, &c->ca_from, e))
		return -1;
	if (!c->ca_bundle)
		return 0;
	if (access(c->ca_bundle, R_OK) < 0 || stat(c->ca_bundle, &st) < 0) {
		err_errno(e, "cannot read the CA certificates in '%s' (%s)", c->ca_bundle,
			  c->ca_from ? c->ca_from : "given");
		e->no = EINVAL;
		return -1;
	}
	c->ca_directory = S_ISDIR(st.st_mode);
	return 0;
}

static int no_region(struct err *e)
{
	return err_set(
		e, EINVAL,
		"no region is set: name one as aws:REGION or -o region=REGION, or set AWS_REGION, "
		"or 'region' in the AWS config file");
}

/* "eu-west-1": it becomes part of host names, so nothing else may be in it. */
static int check_region(const struct config *c, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *r = c->region;

	if (!r)
		return no_region(e);
	if (!*r || strlen(r) > 40 || *r == '-' || r[strspn(r, allowed)])
		return err_set(e, EINVAL,
			       "'%.60s' is no region (%s): it takes a name like eu-west-1", r,
			       c->region_from ? c->region_from : "given");
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
	config_cut_slashes(tidy);
	free(c->prefix);
	c->prefix = tidy;
	return 0;
}

static int choose_profile(struct config *c, struct err *e)
{
	static const struct setting_name name = {
		{"AWS_DEFAULT_PROFILE", "AWS_PROFILE"},
                {NULL                    }
        };
	static const struct lookup none;

	c->profile_named = c->profile != NULL;
	c->profile_from = c->profile_named ? "-o profile" : NULL;
	return lookup_copy(&none, &name, &c->profile, &c->profile_from, e);
}

static int no_profile(const struct config *c, struct err *e)
{
	_cleanup_free_ char *credentials = profile_path(PROFILE_CREDENTIALS);
	_cleanup_free_ char *config = profile_path(PROFILE_CONFIG);

	return err_set(e, EINVAL, "profile '%s' (%s) is neither in '%s' nor in '%s'", c->profile,
		       c->profile_from, config ? config : "~/.aws/config",
		       credentials ? credentials : "~/.aws/credentials");
}

static int find_region(struct config *c, const struct lookup *l, struct err *e)
{
	struct err why = {0};
	char region[64] = "";

	if (c->region && !c->region_from)
		c->region_from = "the mount's source or options";
	if (lookup_copy(l, &name_region, &c->region, &c->region_from, e))
		return -1;
	if (c->region || !c->find_region)
		return 0;
	if (c->find_region(c, region, &why)) {
		no_region(e);
		return err_append(e, "this machine's metadata service was asked, too: %s",
				  why.text);
	}
	c->region = strdup(region);
	c->region_from = "the instance metadata service";
	return c->region ? 0 : err_set(e, ENOMEM, "could not keep the settings: out of memory");
}

static int load(struct config *c, struct lookup *l, struct err *e)
{
	bool found = false;

	if (choose_profile(c, e) || lookup_load(l, c->profile, &found, e))
		return -1;
	if (c->profile && !found)
		return no_profile(c, e);
	if (find_region(c, l, e) || lookup_copy(l, &name_role, &c->role, NULL, e) ||
	    find_ca(c, l, e))
		return -1;
	if (fill_attempts(c, l, e) || check_retry_mode(c, l, e))
		return -1;
	return config_proxies(c, e) || config_hosts(c, l, e) ? -1 : 0;
}

int config_load(struct config *c, struct err *e)
{
	struct lookup l _cleanup_(lookup_release) = {0};

	if (c->isolated ? config_check_url(c->endpoint_url, "the backend's URL", false, e)
			: load(c, &l, e))
		return -1;
	if (c->endpoint_url)
		config_cut_slashes(c->endpoint_url);
	return check_region(c, e) || tidy_prefix(c, e) ? -1 : 0;
}

static void wipe_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void config_release(struct config *c)
{
	char *const plain[] = {c->endpoint_url, c->region,  c->profile,      c->role,
			       c->bucket,       c->prefix,  c->ca_bundle,    c->no_proxy,
			       c->bucket_owner, c->kms_key, c->metadata_file};

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		free(plain[i]);
	for (size_t i = 0; i < SERVICES; i++)
		free(c->service_url[i]);
	wipe_free(c->proxy_http);
	wipe_free(c->proxy_https);
	wipe_free(c->access_key);
	wipe_free(c->secret_key);
	wipe_free(c->session_token);
	memset(c, 0, sizeof *c);
}
