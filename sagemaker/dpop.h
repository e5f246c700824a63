/*
 * dpop.h: proofs of possession (RFC 9449) for the tokens of `aws login`: a JWT signed with ES256 by the key that the login
 * made. The only place where a key of ours is not a secret text.
 */
#ifndef SAGEMAKER_DPOP_H
#define SAGEMAKER_DPOP_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

struct dpop;

/* dpop_new: from a private key of P-256 in PEM (SEC1 or PKCS#8). NULL: it is none. */
struct dpop *dpop_new(const char *pem);
void dpop_free(struct dpop *d);

/* dpop_proof: appends the proof for one request: method, URL without query, and the time, epoch seconds. */
int dpop_proof(const struct dpop *d, const char *method, const char *url, int64_t now,
	       struct buf *out, struct err *e) _must_check_;

#endif
