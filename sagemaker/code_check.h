/* code_check.h: whether the user's scripts compile and find what they import; for plan.c only. */
#ifndef SAGEMAKER_CODE_CHECK_H
#define SAGEMAKER_CODE_CHECK_H

#include "sagemaker/plan.h"

/* code_check: an entry point that does not compile makes the plan not whole (EINVAL); an import of what neither the container nor
 * code/ nor requirements.txt has is a warning. The scripts are parsed by python3, a process of its own, and never run; without a
 * python3 nothing is said. At most 10 s. */
int code_check(struct package_plan *p, struct err *e) _must_check_;

#endif
