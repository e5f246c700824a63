/*
 * sigv4.h: AWS Signature Version 4 in three pure stages (no clock, no environment, no I/O), so that each can be
 * tested on vectors and the local backend can verify with the same code.
 */
#ifndef SAGEMAKER_SIGV4_H
#define SAGEMAKER_SIGV4_H

#include "sagemaker/buf.h"
#include "sagemaker/creds.h"
#include "sagemaker/err.h"

struct sig_pair {
	const char *name; /* header names: any case */
	const char *value;
};

struct sig_request {
	const char *method;
	const char *path;  /* as on the wire: already URI-encoded once, begins with '/' */
	const char *query; /* as on the wire without '?', or "" */
	const struct sig_pair *headers; /* those to sign; must contain host */
	size_t n_headers;
	const char *payload; /* hex SHA-256, or "UNSIGNED-PAYLOAD", or "STREAMING-..." */
	bool double_encode;  /* true for all services but S3 */
};

struct sig_scope {
	const char *date; /* "20261123T175500Z" */
	const char *region;
	const char *service;
};

/* Stage 1: the canonical request. Sorts headers and query, trims and squeezes values. */
int sigv4_canonical(const struct sig_request *q, struct buf *out, struct err *e) _must_check_;
/* The signed-headers list "host;x-amz-date" of q. */
int sigv4_signed_headers(const struct sig_request *q, struct buf *out, struct err *e) _must_check_;
/* Stage 2: the string to sign. */
int sigv4_string_to_sign(const struct sig_scope *s, const struct buf *canonical, struct buf *out,
			 struct err *e) _must_check_;
/* Stage 3: the hex signature. */
void sigv4_signature(const struct sig_scope *s, const char *secret, const struct buf *sts,
		     char out[65]);
/* All three: the value of the Authorization header. */
int sigv4_authorization(const struct sig_request *q, const struct sig_scope *s,
			const struct keys *k, struct buf *out, struct err *e) _must_check_;
/* uri_encode: RFC 3986 unreserved kept, all else %XX upper-case; '/' kept when keep_slash. */
int uri_encode(const char *s, size_t n, bool keep_slash, struct buf *out) _must_check_;
/* uri_decode: %XX to bytes, and '+' to a blank when plus; a '%' without two digits stays as it is. */
int uri_decode(const char *s, size_t n, bool plus, struct buf *out) _must_check_;

#endif
