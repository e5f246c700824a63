/* s3_upload_internal.h: an upload in parts, shared by what sends them (s3_upload.c) and what puts them together (s3_complete.c). */
#ifndef SAGEMAKER_S3_UPLOAD_INTERNAL_H
#define SAGEMAKER_S3_UPLOAD_INTERNAL_H

#include "sagemaker/s3_internal.h"

#define MAX_PARTS 10000

struct chunk;

struct part {
	struct s3_upload *u;
	int number; /* from 1 */
	uint32_t crc;
	size_t len, sent;
	struct chunk *chunk; /* NULL once it is there */
	char etag[128];
};

struct s3_upload {
	struct aws *a;
	struct s3_bucket bucket;
	char *kms_key, *key, *id; /* kms_key: the bucket's, copied */
	struct s3_upload_hooks hooks;
	struct cancel *cancel,
		*parent; /* ours: ends the parts when one fails, or when the caller's is set */
	bool full_object; /* the checksum asked for is one of the whole object, not of its parts' checksums */
	bool full_told;          /* and the service said so */
	char host[S3_HOST_SIZE]; /* where S3 sends the parts, "": where it is */
	/* The writing thread's own: */
	struct part **parts;
	int n_parts;
	struct chunk *filling;
	uint32_t crc;
	uint64_t total;

	pthread_mutex_t
		mu; /* guards all below, and part.sent, chunk, etag while parts are in flight; leaf */
	pthread_cond_t changed;
	struct chunk *spare;
	size_t memory; /* bytes of chunks that are not spare */
	int in_flight;
	uint64_t sent;
	struct err failure; /* the first part's that failed */
};

/* s3_upload_complete: puts the parts together, all of which are there. A 200 with an <Error> is a failure; a lost reply is decided by
 * looking at the object. */
int s3_upload_complete(struct s3_upload *u, struct s3_object *out, struct err *e) _must_check_;

#endif
