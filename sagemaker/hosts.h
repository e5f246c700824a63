/*
 * hosts.h: where each service is, and with which region it wants to be signed. Rows of partitions and services as in
 * botocore's partitions.json and endpoint rule sets; no network, no environment.
 */
#ifndef SAGEMAKER_HOSTS_H
#define SAGEMAKER_HOSTS_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

struct config;

enum service {
	SERVICE_S3,
	SERVICE_SAGEMAKER,
	SERVICE_RUNTIME,
	SERVICE_STS,
	SERVICE_IAM,
	SERVICE_LOGS,
	SERVICE_METRICS,
	SERVICE_SSO,    /* portal.sso: GetRoleCredentials */
	SERVICE_OIDC,   /* tokens of IAM Identity Center */
	SERVICE_SIGNIN, /* tokens of `aws login` */
	SERVICES
};

/* How S3's buckets are named in a request. */
enum addressing {
	ADDRESSING_AUTO, /* in the host where a name allows it; in the path under a custom endpoint */
	ADDRESSING_PATH,
	ADDRESSING_VIRTUAL, /* in the host of a custom endpoint too, but for IP addresses */
};

struct partition {
	const char *prefix; /* of its regions' names */
	const char *name;   /* "aws-cn" */
	const char *suffix, *dual_suffix, *signin_suffix;
	const char *iam_region; /* where IAM, which has no regions, is signed */
};

/* partition_of: the row of a region; regions nobody knows are the public cloud's. */
const struct partition *partition_of(const char *region);

/* service_key: "sagemaker_runtime": the name in AWS_ENDPOINT_URL_<NAME> and in [services] sections. Static. */
const char *service_key(enum service s);

struct host {
	char url[512]; /* what a path comes after: "https://api.sagemaker.eu-west-1.amazonaws.com" */
	char region[48]; /* that signs */
	bool custom;     /* the URL is a setting, not AWS's own */
	bool in_path;    /* S3: buckets go into the path whatever their names are */
};

/* host_find: region NULL: c's. EINVAL: there is no such endpoint (FIPS in China), or settings that exclude each other. */
int host_find(const struct config *c, enum service s, const char *region, struct host *out,
	      struct err *e) _must_check_;

/* host_path_style: whether the bucket's name goes into the path: else it goes before the host. */
bool host_path_style(const struct host *h, const char *bucket);

/* host_put: appends the URL, with the bucket (NULL: none) before its host. -1: out of memory. */
int host_put(const struct host *h, const char *bucket, struct buf *url) _must_check_;

#endif
