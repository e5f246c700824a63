/*
 * chunked.h: the aws-chunked encoding of a signed upload, decoded as it arrives.
 *
 *   HEX-SIZE[;chunk-signature=64-HEX]CRLF data CRLF ... 0[;chunk-signature=...]CRLF [name:value CRLF]... [x-amz-trailer-signature:...CRLF] CRLF
 *
 * Source: S3's "Signature calculations for the Authorization header: transferring payload in multiple chunks" and "... with
 * trailing headers". Each signature covers its chunk's SHA-256 and the signature before it, the first one the request's; the
 * trailer's covers the SHA-256 of its "name:value\n" lines. Bounded: a line of at most CHUNK_LINE bytes, CHUNK_TRAILERS trailers.
 */
#ifndef SAGEMAKER_LOCAL_CHUNKED_H
#define SAGEMAKER_LOCAL_CHUNKED_H

#include "sagemaker/err.h"
#include "sagemaker/hash.h"
#include "sagemaker/sigv4.h"

#define CHUNK_LINE     ((size_t)4096)
#define CHUNK_TRAILERS 8

enum chunk_fault { CHUNK_OK, CHUNK_MALFORMED, CHUNK_SIGNATURE, CHUNK_SINK };

/* What signed chunks are compared with; strings are borrowed. */
struct chunk_signer {
	struct sig_scope scope;
	const char *secret;
	const char *seed; /* the request's signature */
};

struct chunked;

/* chunk_sink: takes n decoded bytes; non-zero ends the decoding (CHUNK_SINK). */
typedef int chunk_sink(void *arg, const void *p, size_t n);

/* chunked_new: signer NULL: chunks are not signed. trailer: trailing headers are expected. NULL: out of memory. */
struct chunked *chunked_new(const struct chunk_signer *signer, bool trailer, chunk_sink *sink,
			    void *arg);
/* chunked_feed: n more bytes as they came. A fault stays. */
enum chunk_fault chunked_feed(struct chunked *c, const void *p, size_t n);
/* chunked_done: the last chunk and its trailers have come, and no byte after them. */
bool chunked_done(const struct chunked *c);
/* chunked_trailer: the value of a trailing header by its lower-case name, or NULL. */
const char *chunked_trailer(const struct chunked *c, const char *name);
void chunked_free(struct chunked *c);

#endif
