/*
 * config.h: what a client needs to know before its first call: where, as whom, with which defaults.
 *
 * Order (DESIGN 2): what the caller gave (command line) > environment > the profile in AWS's shared files, as botocore reads
 * them, but that AWS_REGION comes before AWS_DEFAULT_REGION. docs/hosts.md lists the settings.
 */
#ifndef SAGEMAKER_CONFIG_H
#define SAGEMAKER_CONFIG_H

#include "sagemaker/err.h"
#include "sagemaker/hosts.h"

struct config {
	/* every service there, whatever else is set ("http://127.0.0.1:4321"): the caller's; NULL: as follows */
	char *endpoint_url;
	char *service_url[SERVICES]; /* where a setting says so; NULL: AWS's own host */
	bool fips, dualstack;        /* which of AWS's own hosts */
	bool s3_dualstack;           /* the same for S3 alone */
	bool s3_regional; /* us-east-1 has a host of its own instead of s3.amazonaws.com */
	bool sts_legacy;  /* sts.amazonaws.com for the regions of old */
	enum addressing addressing; /* of buckets */
	char *region;               /* never NULL after config_load */
	char *profile;              /* NULL: "default" */
	bool profile_named;         /* by the caller, not by the environment: set by config_load */
	char *access_key;           /* explicit keys (a local mount's); NULL: found by creds.h */
	char *secret_key;
	char *session_token;
	char *role;          /* execution role ARN, NULL: to be found */
	char *metadata_file; /* where SageMaker tells its notebooks what they are; NULL: role.h's */
	char *bucket;        /* NULL: sagemaker-REGION-ACCOUNT */
	char *bucket_owner;  /* account that must own the bucket; NULL: the caller's */
	char *kms_key; /* that archives and manifests are encrypted under; NULL: as the bucket says */
	char *prefix;    /* key prefix without slashes at its ends; default "model" */
	char *ca_bundle; /* a file, or a directory as c_rehash makes it; NULL: the system's */
	bool ca_directory;
	char *proxy_http, *proxy_https; /* URLs of proxies, may hold a password; NULL: none */
	char *no_proxy;          /* hosts that are reached without: "a.b,.c" or "*"; NULL: none */
	int max_attempts;        /* per call, all tries counted; 0: 3 */
	bool new_retries;        /* the newer of AWS's two sets of retry rules (RETRY_2026) */
	long connect_timeout_ms; /* 0: 10 s */
	long timeout_ms;      /* whole-reply silence allowed; 0: 60 s (70 s for InvokeEndpoint) */
	size_t upload_memory; /* bytes of parts in flight; 0: 96 MiB */
	size_t upload_limit;  /* bytes a second of all uploads to S3 together; 0: none */
	/* Given by the caller: */
	bool isolated; /* endpoint_url, region and keys are the caller's: no setting of AWS's tools is looked at */
	bool allow_http; /* plain http to other machines too */
	/* asked for the region when nothing says it (EC2's metadata service); NULL: nobody is asked */
	int (*find_region)(const struct config *c, char region[64], struct err *e);
	/* The names of the settings that were found, static; NULL: not set. */
	const char *region_from, *profile_from, *ca_from, *fips_from, *dualstack_from;
	const char *url_from[SERVICES], *proxy_http_from, *proxy_https_from, *no_proxy_from;
};

/* config_load: fill what is NULL/0 in *c (all members owned by c, allocated) from environment and files.
 * Errors: EINVAL with the setting's name (no region anywhere, malformed URL or number). */
int config_load(struct config *c, struct err *e) _must_check_;
void config_release(struct config *c);

/* config_partition: "aws", "aws-cn", "aws-us-gov", ... of a region. Static. */
const char *config_partition(const char *region);

/* config_check_url: whether an endpoint's URL may be used: EINVAL with `from`, the name of the setting. */
int config_check_url(const char *url, const char *from, bool allow_http, struct err *e)
	_must_check_;
/* config_cut_slashes: off the end of s. */
void config_cut_slashes(char *s);

/* config_proxy: the proxy through which an URL is asked, NULL: none. Never one for this machine's loopback. */
const char *config_proxy(const struct config *c, const char *url);
/* config_proxies: fills c's proxies from the environment. For config_load. */
int config_proxies(struct config *c, struct err *e) _must_check_;

/* config_is_loopback: whether an URL's host is this machine's loopback (127.0.0.0/8, ::1, localhost). */
bool config_is_loopback(const char *url);

#endif
