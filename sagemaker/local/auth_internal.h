/* auth_internal.h: what auth.c (headers) and auth_query.c (presigned URLs) share. */
#ifndef SAGEMAKER_LOCAL_AUTH_INTERNAL_H
#define SAGEMAKER_LOCAL_AUTH_INTERNAL_H

#include <time.h>

#include "sagemaker/local/auth.h"

enum auth_fault {
	AUTH_MISSING,
	AUTH_MALFORMED,
	AUTH_UNKNOWN_KEY,
	AUTH_MISMATCH,
	AUTH_SKEWED,
	AUTH_EXPIRED,
	AUTH_WRONG_REGION,
	N_AUTH_FAULTS
};

/* auth_refuse: the refusal in r's protocol; returns false. */
bool auth_refuse(struct request *r, enum auth_fault f, const char *detail);
/* auth_credential: "AK/20261123/us-east-1/s3/aws4_request" into a. */
bool auth_credential(struct auth *a, const char *p);
/* auth_date: "20261123T175500Z" to epoch seconds; -1: malformed. */
time_t auth_date(const char *s);
/* auth_same: two signatures of 64 digits, in constant time. */
bool auth_same(const char *a, const char *b);

/* auth_query_kind: AUTH_QUERY, AUTH_QUERY_V2 or AUTH_NONE, by r's arguments. */
enum auth_kind auth_query_kind(const struct request *r);
/* auth_query_read: r->auth from the arguments; false: replied. */
bool auth_query_read(struct request *r);
/* auth_query_fresh: not expired, not from the future; false: replied. */
bool auth_query_fresh(struct request *r);
/* auth_query_signed, auth_path_signed: r's query and path as they are signed, whatever was encoded on the wire. -1: malformed. */
int auth_query_signed(const struct request *r, struct buf *out);
int auth_path_signed(const struct request *r, struct buf *out);
/* auth_query_v2: the signature of Version 2; false: replied. */
bool auth_query_v2(struct request *r);

#endif
