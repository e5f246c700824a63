/* json_cbor.h: CBOR (RFC 8949) as the protocol rpcv2Cbor has it, from and to the JSON that the calls work with. */
#ifndef SAGEMAKER_LOCAL_JSON_CBOR_H
#define SAGEMAKER_LOCAL_JSON_CBOR_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

/* is_time_member: whether a member of that name holds a time (epoch seconds in our JSON): the protocols write those each in their
 * own way. NULL: no. */
bool is_time_member(const char *name);

/* cbor_to_json: one item of n bytes, all of them; tags are dropped (a time is epoch seconds). To be deleted by the caller; NULL: it is
 * malformed, deeper than 32, has byte strings or strings in pieces, or a key that is no text: EINVAL with the reason. Hostile
 * input is expected: memory is a small multiple of n. */
cJSON *cbor_to_json(const void *p, size_t n, struct err *e);

/* cbor_from_json: j appended to out; numbers as doubles, times tagged; -1: out of memory. */
int cbor_from_json(const cJSON *j, struct buf *out) _must_check_;

#endif
