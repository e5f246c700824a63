/* validate.h: requests of the JSON services against what AWS's models say (api.h): the SDKs do not check most of it. */
#ifndef SAGEMAKER_LOCAL_VALIDATE_H
#define SAGEMAKER_LOCAL_VALIDATE_H

#include "sagemaker/local/request.h"

/* A member that AWS has and the local backend would have to ignore: refused instead. */
struct unsupported {
	const char *path; /* "ProductionVariants.CoreDumpConfig"; NULL ends the rows */
	const char *why;
};

/* validate: the request's JSON body against the model of its call (X-Amz-Target). rows: what is refused though AWS takes it; NULL:
 * nothing. NULL: refused and replied, with every violation in AWS's words; else owned by the caller. Members that no model knows
 * are ignored, as AWS does. */
cJSON *validate(struct request *r, const struct unsupported *rows);

/* validate_headers: what the headers of a Runtime call and the endpoint's name in its path say, by the model of the call (route's
 * name). NULL: refused (ValidationError) and replied, else {"EndpointName": ..., member: value of its header, ...}, owned by the
 * caller. */
cJSON *validate_headers(struct request *r, const char *endpoint, size_t n);

/* validate_as: the same of a request that came otherwise: call is its name as an X-Amz-Target; j is taken over. */
cJSON *validate_as(struct request *r, const char *call, cJSON *j, const struct unsupported *rows);

struct api_shape;

/* validate_shape: the model of a call; NULL: there is none of that name. */
const struct api_shape *validate_shape(const char *target);

/* validate_value: the violations of j against a shape, appended to out in AWS's words; their number. For tests. */
unsigned validate_value(const struct api_shape *shape, const cJSON *j, struct buf *out);

/* member_string: "" when absent. member_number: otherwise when absent. */
const char *member_string(const cJSON *j, const char *name);
double member_number(const cJSON *j, const char *name, double otherwise);

#endif
