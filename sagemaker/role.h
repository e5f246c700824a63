/* role.h: which execution role models run as. */
#ifndef SAGEMAKER_ROLE_H
#define SAGEMAKER_ROLE_H

#include "sagemaker/sts.h"

/* ROLE_METADATA: what SageMaker's notebooks and Studio say about themselves (the Python SDK reads the same file, in
 * session.get_caller_identity_arn); config.metadata_file names another. */
#define ROLE_METADATA "/opt/ml/metadata/resource-metadata.json"

/*
 * role_find: the ARN of the execution role: `set` (a model's own; NULL or "": none), else config.role, else what the metadata
 * file leads to (ExecutionRoleArn, the notebook instance's, the user profile's, the domain's), else the caller's assumed role
 * if its trust policy admits SageMaker. Blocking, thread-safe.
 *
 * A setting is an ARN, a path with name ("/service-role/Models"), or a name: its path is then asked for; where that is not
 * allowed it is "/". Nothing is guessed for a role that nobody named. Errors: EINVAL, ENOENT, EACCES with a sentence that says
 * what to set.
 */
int role_find(struct aws *a, const struct identity *id, const char *set, char out[512],
	      struct cancel *c, struct err *e) _must_check_;

/* role_check: whether a setting has the form of a role. EINVAL with the form. Pure. */
int role_check(const char *set, struct err *e) _must_check_;

#endif
