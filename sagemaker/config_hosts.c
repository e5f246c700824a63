#include "sagemaker/config_hosts.h"

#include <ctype.h>
#include <errno.h>

static const struct setting_name name_ignore =
					 {
						 {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
						 {"ignore_configured_endpoint_urls"    }
},
				 name_url = {{"AWS_ENDPOINT_URL"}, {NULL}},
				 name_profile_url = {{NULL}, {"endpoint_url"}},
				 name_services = {{NULL}, {"services"}},
				 name_fips = {{"AWS_USE_FIPS_ENDPOINT"}, {"use_fips_endpoint"}},
				 name_dualstack = {{"AWS_USE_DUALSTACK_ENDPOINT"},
						   {"use_dualstack_endpoint"}},
				 name_s3_dualstack = {{NULL}, {"s3.use_dualstack_endpoint"}},
				 name_s3_regional = {{"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"},
						     {"s3_us_east_1_regional_endpoint",
						      "s3.us_east_1_regional_endpoint"}},
				 name_sts_regional = {{"AWS_STS_REGIONAL_ENDPOINTS"},
						      {"sts_regional_endpoints"}},
				 name_addressing = {{NULL}, {"s3.addressing_style"}};

/* clang-format off */
#define NAMES(upper, lower) {"AWS_ENDPOINT_URL_" upper, "services." lower ".endpoint_url"}

/* clang-format on */

static const struct {
	const char *env, *section;
} names[SERVICES] = {
	[SERVICE_S3] = NAMES("S3", "s3"),
	[SERVICE_SAGEMAKER] = NAMES("SAGEMAKER", "sagemaker"),
	[SERVICE_RUNTIME] = NAMES("SAGEMAKER_RUNTIME", "sagemaker_runtime"),
	[SERVICE_STS] = NAMES("STS", "sts"),
	[SERVICE_IAM] = NAMES("IAM", "iam"),
	[SERVICE_LOGS] = NAMES("CLOUDWATCH_LOGS", "cloudwatch_logs"),
	[SERVICE_METRICS] = NAMES("CLOUDWATCH", "cloudwatch"),
	[SERVICE_SSO] = NAMES("SSO", "sso"),
	[SERVICE_OIDC] = NAMES("SSO_OIDC", "sso_oidc"),
	[SERVICE_SIGNIN] = NAMES("SIGNIN", "signin"),
};

static int add_services(struct lookup *l, struct err *e)
{
	const char *section = lookup_text(l, &name_services, NULL);
	_cleanup_free_ char *name = section ? strdup(section) : NULL;
	bool found = false;

	if (!section)
		return 0;
	if (!name)
		return err_set(e, ENOMEM, "could not keep the settings: out of memory");
	if (lookup_services(l, name, &found, e))
		return -1;
	return found ? 0
		     : err_set(e, EINVAL,
			       "the profile's 'services' names the section '[services %s]', which "
			       "the AWS config file does not have",
			       name);
}

/* An URL, as it was found, that may be used: without slashes at its end. */
static int take_url(struct config *c, enum service s, const char *url, const char *from,
		    struct err *e)
{
	if (config_check_url(url, from, c->allow_http, e))
		return -1;
	c->service_url[s] = strdup(url);
	if (!c->service_url[s])
		return err_set(e, ENOMEM, "could not keep the settings: out of memory");
	config_cut_slashes(c->service_url[s]);
	c->url_from[s] = from;
	return 0;
}

static int find_url(struct config *c, const struct lookup *l, enum service s, struct err *e)
{
	const struct setting_name env = {{names[s].env}, {NULL}};
	const struct setting_name section = {{NULL}, {names[s].section}};
	const struct setting_name *const order[] = {&env, &name_url, &section, &name_profile_url};
	const char *from = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const char *url = lookup_text(l, order[i], &from);

		if (url)
			return take_url(c, s, url, from, e);
	}
	return 0;
}

static int find_urls(struct config *c, struct lookup *l, struct err *e)
{
	bool ignore = false;

	if (lookup_flag(l, &name_ignore, &ignore, NULL, e))
		return -1;
	if (c->endpoint_url)
		return config_check_url(c->endpoint_url, "the endpoint URL", c->allow_http, e);
	if (ignore)
		return 0;
	if (add_services(l, e))
		return -1;
	for (int s = 0; s < SERVICES; s++) {
		if (find_url(c, l, (enum service)s, e))
			return -1;
	}
	return 0;
}

static bool cut(char *text, const char *what)
{
	char *at = strstr(text, what);

	if (!at)
		return false;
	memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
	return true;
}

/* "us-east-1-fips" is an old way to ask for FIPS hosts. */
static void split_region(struct config *c)
{
	if (c->region && (cut(c->region, "fips-") || cut(c->region, "-fips"))) {
		c->fips = true;
		c->fips_from = "the region's name";
	}
}

static int find_kinds(struct config *c, const struct lookup *l, struct err *e)
{
	static const char *const ages[4] = {"legacy", "regional"};
	static const char *const styles[4] = {"auto", "path", "virtual"};
	int sts = 1, s3 = 0, style = ADDRESSING_AUTO;
	bool s3_dualstack = false;

	if (lookup_flag(l, &name_fips, &c->fips, &c->fips_from, e) ||
	    lookup_flag(l, &name_dualstack, &c->dualstack, &c->dualstack_from, e) ||
	    lookup_flag(l, &name_s3_dualstack, &s3_dualstack, NULL, e) ||
	    lookup_choice(l, &name_sts_regional, ages, &sts, e) ||
	    lookup_choice(l, &name_s3_regional, ages, &s3, e) ||
	    lookup_choice(l, &name_addressing, styles, &style, e))
		return -1;
	c->s3_dualstack = s3_dualstack;
	c->sts_legacy = sts == 0;
	c->s3_regional = s3 == 1;
	c->addressing = (enum addressing)style;
	split_region(c);
	return 0;
}

int config_hosts(struct config *c, struct lookup *l, struct err *e)
{
	return find_kinds(c, l, e) || find_urls(c, l, e) ? -1 : 0;
}
