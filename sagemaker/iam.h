/* iam.h: roles of the account. Blocking, thread-safe. */
#ifndef SAGEMAKER_IAM_H
#define SAGEMAKER_IAM_H

#include "sagemaker/aws.h"

struct iam_role {
	char arn[512];
	bool trusts_sagemaker; /* trust.h */
};

/* iam_get_role: the role of that name, without its path. ENOENT: there is none. Needs iam:GetRole. */
int iam_get_role(struct aws *a, const char *name, struct iam_role *out, struct cancel *c,
		 struct err *e) _must_check_;

/* iam_list_roles: calls each for the account's roles, at most IAM_ROLES_MAX of them; *more: there are others. Needs
 * iam:ListRoles. */
#define IAM_ROLES_MAX 3000
typedef void iam_role_fn(void *arg, const struct iam_role *role);
int iam_list_roles(struct aws *a, iam_role_fn *each, void *arg, bool *more, struct cancel *c,
		   struct err *e) _must_check_;

#endif
