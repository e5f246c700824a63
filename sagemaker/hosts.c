#include "sagemaker/hosts.h"

#include <arpa/inet.h>
#include <errno.h>

#include "sagemaker/config.h"

/* By the beginning of the region's name; the last row takes every other region. */
static const struct partition partitions[] = {
	{"cn-",      "aws-cn",     "amazonaws.com.cn", "api.amazonwebservices.com.cn", "amazonaws.cn",
	 "cn-north-1"													 },
	{"us-gov-",  "aws-us-gov", "amazonaws.com",    "api.aws",                      "amazonaws-us-gov.com",
	 "us-gov-west-1"												      },
	{"us-iso-",  "aws-iso",    "c2s.ic.gov",       "api.aws.ic.gov",               "c2shome.ic.gov",       "us-iso-east-1"},
	{"us-isob-", "aws-iso-b",  "sc2s.sgov.gov",    "api.aws.scloud",               "sc2shome.sgov.gov",
	 "us-isob-east-1"												     },
	{"us-isof-", "aws-iso-f",  "csp.hci.ic.gov",   "api.aws.hci.ic.gov",           "csphome.hci.ic.gov",
	 "us-isof-south-1"												    },
	{"eu-isoe-", "aws-iso-e",  "cloud.adc-e.uk",   "api.cloud-aws.adc-e.uk",       "csphome.adc-e.uk",
	 "eu-isoe-west-1"												     },
	{"eusc-",    "aws-eusc",   "amazonaws.eu",     "api.amazonwebservices.eu",     "amazonaws-eusc.eu",
	 "eusc-de-east-1"												     },
	{"",         "aws",        "amazonaws.com",    "api.aws",                      "aws.amazon.com",       "us-east-1"    },
};

/* Kinds of an endpoint; they index the rows below. */
enum { PLAIN = 0, FIPS = 1, DUAL = 2, FIPS_DUAL = 3, KINDS };

/* $r region, $s DNS suffix, $d dual-stack suffix, $w suffix of sign-in, $g region of IAM */
static const struct service_row {
	const char *key;
	const char *host[KINDS];
} services[SERVICES] = {
	[SERVICE_S3] = {"s3",
			{"s3.$r.$s", "s3-fips.$r.$s", "s3.dualstack.$r.$s",
			 "s3-fips.dualstack.$r.$s"}							},
	[SERVICE_SAGEMAKER] = {"sagemaker",
                        {"api.sagemaker.$r.$s", "api.sagemaker-fips.$r.$s",
				"api.sagemaker.$r.$d", "api.sagemaker-fips.$r.$d"}                         },
	[SERVICE_RUNTIME] = {"sagemaker_runtime",
                        {"runtime.sagemaker.$r.$s", "runtime.sagemaker-fips.$r.$s",
			      "runtime.sagemaker.$r.$d", "runtime.sagemaker-fips.$r.$d"}                   },
	[SERVICE_STS] = {"sts",               {"sts.$r.$s", "sts-fips.$r.$s", "sts.$r.$d", "sts-fips.$r.$d"}},
	[SERVICE_IAM] = {"iam",               {"iam.$g.$s", "iam-fips.$s", "iam.global.$d", "iam-fips.$d"}  },
	[SERVICE_LOGS] = {"cloudwatch_logs",
                        {"logs.$r.$s", "logs-fips.$r.$s", "logs.$r.$d", "logs-fips.$r.$d"}                 },
	[SERVICE_METRICS] = {"cloudwatch",
                        {"monitoring.$r.$s", "monitoring-fips.$r.$s", "monitoring.$r.$d",
			      "monitoring-fips.$r.$d"}                                                     },
	[SERVICE_SSO] = {"sso",
                        {"portal.sso.$r.$s", "portal.sso-fips.$r.$s", "portal.sso.$r.$d",
			  "portal.sso-fips.$r.$d"}							 },
	[SERVICE_OIDC] = {"sso_oidc",
                        {"oidc.$r.$s", "oidc-fips.$r.$s", "oidc.$r.$d", "oidc-fips.$r.$d"}                 },
	[SERVICE_SIGNIN] = {"signin",
                        {"$r.signin.$w", "signin-fips.$r.$s", "signin.$r.$d",
			     "signin-fips.$r.$d"}							  },
};

/* Where a partition or a region differs from its service's row: the first that fits. host NULL: there is none. */
static const struct exception {
	enum service service;
	int kind;
	const char *where, *host;
} exceptions[] = {
	{SERVICE_S3,        FIPS,      "aws-cn",        NULL                          },
	{SERVICE_S3,        FIPS_DUAL, "aws-cn",        NULL                          },
	{SERVICE_SAGEMAKER, FIPS,      "aws",           "api-fips.sagemaker.$r.$s"    },
	{SERVICE_SAGEMAKER, FIPS,      "aws-us-gov",    "api-fips.sagemaker.$r.$s"    },
	{SERVICE_RUNTIME,   FIPS,      "aws",           "runtime-fips.sagemaker.$r.$s"},
	{SERVICE_RUNTIME,   FIPS,      "aws-us-gov",    "runtime.sagemaker.$r.$s"     },
	{SERVICE_STS,       FIPS,      "aws-us-gov",    "sts.$r.$s"                   },
	{SERVICE_IAM,       PLAIN,     "aws",           "iam.$s"                      },
	{SERVICE_IAM,       FIPS_DUAL, "aws",           "iam-fips.global.$d"          },
	{SERVICE_IAM,       PLAIN,     "aws-us-gov",    "iam.us-gov.$s"               },
	{SERVICE_IAM,       FIPS,      "aws-us-gov",    "iam.us-gov.$s"               },
	{SERVICE_IAM,       DUAL,      "aws-us-gov",    "iam.us-gov.$d"               },
	{SERVICE_IAM,       FIPS_DUAL, "aws-us-gov",    "iam.us-gov.$d"               },
	{SERVICE_IAM,       FIPS,      "aws-iso",       "iam-fips.$g.$s"              },
	{SERVICE_IAM,       FIPS,      "aws-iso-b",     "iam-fips.$g.$s"              },
	{SERVICE_IAM,       DUAL,      "aws-iso",       "iam.$d"                      },
	{SERVICE_IAM,       DUAL,      "aws-iso-b",     "iam.$d"                      },
	{SERVICE_IAM,       DUAL,      "aws-iso-e",     "iam.$d"                      },
	{SERVICE_IAM,       DUAL,      "aws-iso-f",     "iam.$d"                      },
	{SERVICE_LOGS,      FIPS,      "us-gov-east-1", "logs.$r.$s"                  },
	{SERVICE_LOGS,      FIPS,      "us-gov-west-1", "logs.$r.$s"                  },
	{SERVICE_METRICS,   FIPS,      "aws-us-gov",    "monitoring.$r.$s"            },
	{SERVICE_METRICS,   FIPS_DUAL, "aws-us-gov",    "monitoring.$r.$d"            },
	{SERVICE_SSO,       FIPS,      "aws-us-gov",    "portal.sso.$r.$s"            },
	{SERVICE_OIDC,      FIPS,      "aws-us-gov",    "oidc.$r.$s"                  },
	{SERVICE_SIGNIN,    FIPS,      "us-gov-west-1", "signin-fips.$w"              },
	{SERVICE_SIGNIN,    FIPS,      "aws-us-gov",    "$r.signin-fips.$w"           },
};

/* Regions that STS's one global endpoint serves under sts_regional_endpoints = legacy. */
static const char *const global_sts[] = {"ap-northeast-1", "ap-south-1",   "ap-southeast-1",
					 "ap-southeast-2", "ca-central-1", "eu-central-1",
					 "eu-north-1",     "eu-west-1",    "eu-west-2",
					 "eu-west-3",      "sa-east-1",    "us-east-1",
					 "us-east-2",      "us-west-1",    "us-west-2"};

const struct partition *partition_of(const char *region)
{
	const struct partition *p = partitions;

	while (!starts_with(region, p->prefix))
		p++;
	return p;
}

const char *service_key(enum service s)
{
	return services[s].key;
}

/* NULL: the service has no such endpoint there. */
static const char *find_format(enum service s, int kind, const char *region,
			       const struct partition *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(exceptions); i++) {
		const struct exception *x = &exceptions[i];

		if (x->service == s && x->kind == kind &&
		    (streq(x->where, region) || streq(x->where, p->name)))
			return x->host;
	}
	return services[s].host[kind];
}

static const char *placeholder(char c, const char *region, const struct partition *p)
{
	switch (c) {
	case 'r':
		return region;
	case 's':
		return p->suffix;
	case 'd':
		return p->dual_suffix;
	case 'w':
		return p->signin_suffix;
	default:
		return p->iam_region;
	}
}

static int expand(const char *format, const char *region, const struct partition *p,
		  struct buf *out)
{
	buf_str(out, "https://");
	for (; *format; format++) {
		if (*format == '$')
			buf_str(out, placeholder(*++format, region, p));
		else
			buf_char(out, *format);
	}
	return out->failed ? -1 : 0;
}

/* The services that one host serves for many regions, where older settings say so. */
static bool is_global(const struct config *c, enum service s, const char *region)
{
	if (s == SERVICE_S3)
		return !c->s3_regional && streq(region, "us-east-1");
	if (s != SERVICE_STS || !c->sts_legacy)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(global_sts); i++) {
		if (streq(region, global_sts[i]))
			return true;
	}
	return false;
}

static int find_own(const struct config *c, enum service s, const char *region, struct host *out,
		    struct err *e)
{
	_cleanup_buf_ struct buf url = BUF_INIT(sizeof out->url - 1);
	bool dual = c->dualstack || (s == SERVICE_S3 && c->s3_dualstack);
	int kind = (c->fips ? FIPS : 0) | (dual ? DUAL : 0);
	const struct partition *p = partition_of(region);
	const char *format = find_format(s, kind, region, p);

	if (!format)
		return err_set(
			e, EINVAL,
			"%s has no FIPS endpoint in region '%s': unset AWS_USE_FIPS_ENDPOINT "
			"(use_fips_endpoint), or use another region",
			services[s].key, region);
	if (kind == PLAIN && is_global(c, s, region)) {
		format = s == SERVICE_S3 ? "s3.$s" : "sts.$s";
		snprintf(out->region, sizeof out->region, "us-east-1");
	}
	if (expand(format, region, p, &url))
		return err_set(e, ENOMEM, "could not tell where %s is: out of memory",
			       services[s].key);
	snprintf(out->url, sizeof out->url, "%s", buf_cstr(&url));
	if (s == SERVICE_IAM)
		snprintf(out->region, sizeof out->region, "%s", p->iam_region);
	out->in_path = s == SERVICE_S3 && c->addressing == ADDRESSING_PATH;
	return 0;
}

static const char *authority(const char *url)
{
	const char *at = strstr(url, "://");

	return at ? at + 3 : url;
}

static bool is_ip(const char *url)
{
	const char *at = authority(url);
	size_t n = strcspn(at, ":/");
	char text[64];
	struct in_addr v4;

	if (*at == '[')
		return true;
	snprintf(text, sizeof text, "%.*s", (int)MIN(n, sizeof text - 1), at);
	return inet_pton(AF_INET, text, &v4) == 1;
}

/* An endpoint of one's own has no kinds; botocore then forgets that FIPS was asked for, which we do not. */
static int excluded(const struct config *c, enum service s, struct err *e)
{
	const char *kind = c->fips ? c->fips_from : c->dualstack_from;

	return err_set(e, EINVAL, "%s and %s exclude each other: %s; unset one of them",
		       kind ? kind : "the choice of a host", c->url_from[s],
		       c->fips ? "only AWS's own endpoints come in a FIPS variant"
			       : "only AWS's own endpoints come in a dual-stack variant");
}

int host_find(const struct config *c, enum service s, const char *region, struct host *out,
	      struct err *e)
{
	const char *url = c->endpoint_url ? c->endpoint_url : c->service_url[s];

	region = region ? region : c->region;
	*out = (struct host){.custom = url != NULL};
	snprintf(out->region, sizeof out->region, "%s", region);
	if (!url)
		return find_own(c, s, region, out, e);
	if (!c->endpoint_url && (c->fips || c->dualstack))
		return excluded(c, s, e);
	if ((size_t)snprintf(out->url, sizeof out->url, "%s", url) >= sizeof out->url)
		return err_set(e, EINVAL, "the endpoint URL of %s is longer than %zu characters",
			       services[s].key, sizeof out->url - 1);
	out->in_path = c->addressing != ADDRESSING_VIRTUAL || is_ip(url);
	return 0;
}

/* A bucket's name as the first labels of a host. */
static bool fits_host(const char *bucket, bool dots)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t n = strlen(bucket), letters = sizeof allowed - 3; /* without '-' and '.' */

	if (n < 3 || n > 63 || bucket[strspn(bucket, allowed)])
		return false;
	if (!memchr(allowed, bucket[0], letters) || !memchr(allowed, bucket[n - 1], letters))
		return false;
	if (strstr(bucket, "..") || strstr(bucket, ".-") || strstr(bucket, "-."))
		return false;
	return dots || !strchr(bucket, '.');
}

bool host_path_style(const struct host *h, const char *bucket)
{
	return h->in_path || !fits_host(bucket, starts_with(h->url, "http://"));
}

int host_put(const struct host *h, const char *bucket, struct buf *url)
{
	const char *at = authority(h->url);

	if (!bucket)
		return buf_str(url, h->url);
	buf_add(url, h->url, (size_t)(at - h->url));
	return buf_printf(url, "%s.%s", bucket, at);
}
