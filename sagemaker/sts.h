/* sts.h: who am I, and which execution role would do. */
#ifndef SAGEMAKER_STS_H
#define SAGEMAKER_STS_H

#include "sagemaker/aws.h"

struct identity {
	char account[16];
	char arn[512];
};

int sts_identity(struct aws *a, struct identity *out, struct cancel *c, struct err *e) _must_check_;

/* sts_role: the execution role: config.role, else the caller's assumed role looked up by iam:GetRole (its path), used only if
 * its trust policy admits sagemaker.amazonaws.com. Not found: EINVAL, one sentence that says what to set. */
int sts_role(struct aws *a, const struct identity *id, char role[512], struct cancel *c,
	     struct err *e) _must_check_;

#endif
