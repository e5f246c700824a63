/*
 * config.h: what a client needs to know before its first call: where, as whom, with which defaults.
 *
 * Order (DESIGN 2): what the caller gave (command line) > environment > the AWS shared config file. Reads
 * AWS_REGION, AWS_DEFAULT_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, AWS_MAX_ATTEMPTS, AWS_RETRY_MODE, AWS_NEW_RETRIES_2026, AWS_CA_BUNDLE,
 * SAGEMAKER_ROLE_ARN, and region / endpoint_url of the profile in AWS_CONFIG_FILE (~/.aws/config).
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
	char *access_key;           /* explicit keys (a local mount's); NULL: found by creds.h */
	char *secret_key;
	char *session_token;
	char *role;         /* execution role ARN, NULL: to be found */
	char *bucket;       /* NULL: sagemaker-REGION-ACCOUNT */
	char *bucket_owner; /* account that must own the bucket; NULL: the caller's */
	char *kms_key; /* that archives and manifests are encrypted under; NULL: as the bucket says */
	char *prefix;            /* key prefix without slashes at its ends; default "model" */
	char *ca_bundle;         /* NULL: the system's */
	int max_attempts;        /* per call, all tries counted; 0: 3 */
	bool new_retries;        /* the newer of AWS's two sets of retry rules (RETRY_2026) */
	long connect_timeout_ms; /* 0: 10 s */
	long timeout_ms;      /* whole-reply silence allowed; 0: 60 s (70 s for InvokeEndpoint) */
	size_t upload_memory; /* bytes of parts in flight; 0: 96 MiB */
};

/* config_load: fill what is NULL/0 in *c (all members owned by c, allocated) from environment and files.
 * Errors: EINVAL with the setting's name (no region anywhere, malformed URL or number). */
int config_load(struct config *c, struct err *e) _must_check_;
void config_release(struct config *c);

/* config_partition: "aws", "aws-cn", "aws-us-gov", ... of a region. Static. */
const char *config_partition(const char *region);

/* config_is_loopback: whether an URL's host is this machine's loopback (127.0.0.0/8, ::1, localhost). */
bool config_is_loopback(const char *url);

#endif
