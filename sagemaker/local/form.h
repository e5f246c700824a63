/* form.h: AWS's query protocol, from and to the JSON that the calls work with. */
#ifndef SAGEMAKER_LOCAL_FORM_H
#define SAGEMAKER_LOCAL_FORM_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"
#include "sagemaker/local/api.h"

/* form_to_json: "A.member.1.B=x&..." as the shape says it is meant: lists, numbers, times (epoch seconds), booleans; what does not fit
 * stays text. To be deleted by the caller; NULL: malformed or too large, with e. */
cJSON *form_to_json(const char *form, const struct api_shape *shape, struct err *e);

/* xml_from_json: <name>...</name> of j, lists as <member>s, times as AWS writes them. */
void xml_from_json(const char *name, const cJSON *j, struct buf *out);

#endif
