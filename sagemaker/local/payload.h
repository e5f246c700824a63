/* payload.h: what x-amz-content-sha256 says of an S3 request's body: signed, unsigned, or aws-chunked in one of three ways. */
#ifndef SAGEMAKER_LOCAL_PAYLOAD_H
#define SAGEMAKER_LOCAL_PAYLOAD_H

#include "sagemaker/local/request.h"

/* payload_check: the header is one that we know. payload_begin: after the signature was found right and the route is known: an
 * aws-chunked body gets r->chunked, and r->length is that of what it carries. false: replied. */
bool payload_check(struct request *r);
bool payload_begin(struct request *r);
/* payload_take: n bytes of the body as they came; r->error tells what went wrong. payload_refused: whether it was the client's
 * fault; then replied. */
void payload_take(struct request *r, const char *p, size_t n);
bool payload_refused(struct request *r);

#endif
