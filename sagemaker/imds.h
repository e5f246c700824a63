/*
 * imds.h: the instance metadata service of EC2, version 2 only: a session token is fetched by PUT first, so that a request
 * forged through another program of the machine gets nothing. A service that gives no token is not asked without one.
 *
 * Settings as in botocore (utils.py, IMDSFetcher; session.py): AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT,
 * AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4, IPv6), AWS_IMDS_USE_IPV6, AWS_METADATA_SERVICE_TIMEOUT (seconds without a
 * byte, 1), AWS_METADATA_SERVICE_NUM_ATTEMPTS (1); all but the first also as keys of the profile (ec2_metadata_service_endpoint,
 * ...), where the environment counts more. No proxy is ever asked.
 */
#ifndef SAGEMAKER_IMDS_H
#define SAGEMAKER_IMDS_H

#include "sagemaker/http.h"

struct imds;

/* imds_new: reads the settings of the profile (NULL: "default") and of the environment. h: the engine to use, NULL: an own
 * one for the life of the result. EINVAL: a setting that is none; ENOTSUP: switched off. */
struct imds *imds_new(struct http *h, const char *profile, struct err *e) _must_check_;
void imds_free(struct imds *m);

/* imds_get: what is under a path ("latest/meta-data/placement/region"), appended to out; blocking, one thread at a time, never
 * the engine's. ENOENT: the service answers and has nothing there; EACCES: it gives no token; else why it cannot be reached. */
int imds_get(struct imds *m, const char *path, struct buf *out, struct cancel *cancel,
	     struct err *e) _must_check_;

/* imds_region: the region of the machine, from its availability zone as botocore does; for imds_get's reasons not. */
int imds_region(const char *profile, char region[64], struct cancel *cancel, struct err *e)
	_must_check_;

#endif
