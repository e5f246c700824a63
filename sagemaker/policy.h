/*
 * policy.h: which IAM permission each AWS call of ours needs, and the smallest policies that give them.
 *
 * One table of rows {service, operation, action, statement}: error sentences name the missing action from it, and the policies
 * that `sagemakerfs doctor --policy` prints are made of it. Actions, resource types and condition keys are those of AWS's
 * Service Authorization Reference (docs.aws.amazon.com/service-authorization/latest/reference/), for S3 also of "Required
 * permissions for Amazon S3 API operations"; tests/peers/permissions.sh compares them with a copy of it.
 *
 * Pure: no I/O, thread-safe.
 */
#ifndef SAGEMAKER_POLICY_H
#define SAGEMAKER_POLICY_H

#include "sagemaker/err.h"

/* Who gets what. DEPLOY has all of READ and INVOKE. ROLE: what the execution role needs to host a model. */
enum policy_level { POLICY_READ, POLICY_INVOKE, POLICY_DEPLOY, POLICY_ROLE };

/* What the policies are about; NULL: not known, a placeholder in capitals stands for it (REGION, ACCOUNT, ROLE). Borrowed. */
struct policy_place {
	const char *region;
	const char *account;
	const char *bucket; /* NULL: the default, sagemaker-REGION-ACCOUNT */
	const char *prefix; /* without slashes at its ends; NULL: "model" */
	const char *
		role; /* ARN or name of the execution role; NULL: it is to be found (iam:GetRole) */
	const char *kms_key; /* ARN, id or alias of the key that encrypts objects; NULL: none */
};

/* policy_action: the action a call needs first of all: ("s3", "HeadBucket") -> "s3:ListBucket". Static; NULL: it needs none, or
 * is no call of ours. service is aws_service.name. */
const char *policy_action(const char *service, const char *operation);

/* policy_s3_operation: S3's name of a REST request: method, whether it has a key, its query ("uploads", "partNumber=1&..." or
 * NULL). Static; NULL: none of ours. */
const char *policy_s3_operation(const char *method, bool key, const char *query);

/* policy_document: the policy of a level, as IAM takes it. Owned by the caller; NULL: out of memory. */
cJSON *policy_document(const struct policy_place *p, enum policy_level level);

/* policy_trust: the trust policy an execution role needs. Owned by the caller; NULL: out of memory. */
cJSON *policy_trust(void);

/* POLICY_SERVICE: who assumes execution roles. */
#define POLICY_SERVICE "sagemaker.amazonaws.com"

#endif
