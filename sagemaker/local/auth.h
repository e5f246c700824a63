/*
 * auth.h: is this request signed by our key? Signature Version 4 in the Authorization header or the query, checked on the raw
 * path and query; Version 2 in the query, as boto3 presigns where it is not told otherwise. Each check returns true, or false with the refusal already made in the request's own protocol.
 */
#ifndef SAGEMAKER_LOCAL_AUTH_H
#define SAGEMAKER_LOCAL_AUTH_H

#include "sagemaker/local/request.h"

/* auth_read: fill r->auth from headers and arguments (AUTH_NONE when there is nothing); false: malformed, and unless replied
 * already, since the protocol is not known yet, auth_refuse_malformed says it. */
bool auth_read(struct request *r);
/* auth_headers: what can be said before the body: present, key, scope, clock. */
bool auth_headers(struct request *r);
/* auth_signature: the signature over headers and this payload hash. */
bool auth_signature(struct request *r, const char *payload);
void auth_refuse_malformed(struct request *r);

#endif
