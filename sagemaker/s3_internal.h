/* s3_internal.h: what the S3 files share: one request, and its parts. */
#ifndef SAGEMAKER_S3_INTERNAL_H
#define SAGEMAKER_S3_INTERNAL_H

#include "sagemaker/s3.h"

/* A request under construction: q goes to aws_raw or aws_start. */
struct s3_call {
	struct aws_req q;
	struct http_headers headers;
	char *path;
	const char *bucket, *key; /* borrowed, for sentences; key NULL: the bucket itself */
};

#define _cleanup_s3_call_ _cleanup_(s3_call_release)

/* s3_call_init: method on bucket/key (key NULL: the bucket). Refuses what cannot be a bucket's name (EINVAL). */
int s3_call_init(struct s3_call *c, struct aws *a, const char *method, const char *bucket,
		 const char *key, struct err *e) _must_check_;
int s3_call_header(struct s3_call *c, const char *name, const char *value, struct err *e)
	_must_check_;
void s3_call_release(struct s3_call *c);

/* s3_call_run: the exchange; a failure begins with "verb 's3://bucket/key': ". */
int s3_call_run(struct s3_call *c, struct aws *a, const char *verb, struct http_resp *r,
		struct err *e) _must_check_;

/* s3_crc_bytes, s3_crc_text: a CRC as S3 writes it, base64 of 4 big-endian bytes. */
#define S3_CRC_TEXT 9
void s3_crc_bytes(uint32_t crc, unsigned char out[4]);
void s3_crc_text(uint32_t crc, char out[S3_CRC_TEXT]);

/* s3_object_read: what a reply's headers say about the object. */
void s3_object_read(const struct http_headers *h, struct s3_object *o);

/* s3_copy_text: text (NULL: "") into out; -1 when it does not fit: half an ETag is another ETag. */
int s3_copy_text(char *out, size_t size, const char *text);

#endif
