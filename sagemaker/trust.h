/* trust.h: what a role's trust policy says about SageMaker. Pure. */
#ifndef SAGEMAKER_TRUST_H
#define SAGEMAKER_TRUST_H

#include "sagemaker/util.h"

/*
 * trust_admits: whether the policy (JSON, n bytes) lets SageMaker assume the role: a statement allows sts:AssumeRole to
 * sagemaker.SUFFIX, sagemaker.amazonaws.com or everybody, and none without a condition denies it. Statements with a condition
 * (aws:SourceAccount and its like) count as allowing and not as denying: whether they hold is known to AWS alone.
 */
bool trust_admits(const char *policy, size_t n, const char *suffix);

#endif
