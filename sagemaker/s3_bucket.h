/*
 * s3_bucket.h: the bucket itself: found, made, and what is to be said about it. Made as the SageMaker SDK makes its default bucket
 * (sagemaker 2.257, Session.default_bucket): HeadBucket, never ListBuckets; 404 alone leads to CreateBucket. Blocking; thread-safe.
 */
#ifndef SAGEMAKER_S3_BUCKET_H
#define SAGEMAKER_S3_BUCKET_H

#include "sagemaker/s3.h"

/* s3_is_bucket_name: 3 to 63 of a-z 0-9 - . in S3's order. */
bool s3_is_bucket_name(const char *name);

enum s3_bucket_state {
	S3_BUCKET_UNKNOWN, /* *e says why: no network, another region (EXDEV), another account's (EACCES) */
	S3_BUCKET_THERE,
	S3_BUCKET_MISSING, /* ENOENT */
	S3_BUCKET_CLOSED, /* EACCES: no permission to list it, or another account's: S3 does not tell which */
};

/* s3_bucket_look: 0: it is there, in our region, its owner's, and what is under prefix may be listed. Else -1 and *state. */
int s3_bucket_look(struct aws *a, const struct s3_bucket *b, const char *prefix,
		   enum s3_bucket_state *state, struct cancel *c, struct err *e) _must_check_;

/* s3_bucket_make: looks, and makes it in our region when it is missing; *made: it was. EACCES: the name is another account's. */
int s3_bucket_make(struct aws *a, const struct s3_bucket *b, const char *prefix, bool *made,
		   struct cancel *c, struct err *e) _must_check_;

/* s3_bucket_block_public: nothing in it can be made public, whatever policies and ACLs say. */
int s3_bucket_block_public(struct aws *a, const struct s3_bucket *b, struct cancel *c,
			   struct err *e) _must_check_;

/* s3_bucket_versioned: *on: what is deleted or replaced stays as a noncurrent version (also while versioning is suspended, for what
 * was written before). */
int s3_bucket_versioned(struct aws *a, const struct s3_bucket *b, bool *on, struct cancel *c,
			struct err *e) _must_check_;

#endif
