/* aws_denied.h: refusals for want of a permission name it, whether or not the service did. Pure. */
#ifndef SAGEMAKER_AWS_DENIED_H
#define SAGEMAKER_AWS_DENIED_H

#include "sagemaker/aws.h"

/* aws_operation: the name of what a request asks for, static; NULL: not known. */
const char *aws_operation(const struct aws_service *s, const struct aws_req *q);

/* aws_denied: when *e is a refusal for want of a permission: e->action names it, and the sentence ends with it. Refusals of the
 * keys themselves stay as they are. operation may be NULL. */
void aws_denied(const struct aws_service *s, const char *operation, struct err *e);

#endif
