/* s3.h: the S3 calls the product needs. Keys are plain (not encoded). All blocking unless said; thread-safe. */
#ifndef SAGEMAKER_S3_H
#define SAGEMAKER_S3_H

#include "sagemaker/aws.h"

/* A bucket as every call addresses it. */
struct s3_bucket {
	char name[64];
	/* the account that must own it, 12 digits; goes with every call, and S3 refuses (403) when it is another's. "": not
	 * asked for */
	char owner[16];
	const char *
		kms_key; /* borrowed: what is written is encrypted under it (SSE-KMS); NULL: as the bucket says */
};

struct s3_object {
	uint64_t size;
	char etag[128];         /* with its quotes */
	char crc32c[16];        /* base64 x-amz-checksum-crc32c, "" when absent */
	char checksum_type[16]; /* FULL_OBJECT, COMPOSITE or "" */
	double modified;        /* epoch seconds, 0 unknown */
};

/* Conditional writes: IF_NONE = must not exist, an ETag = must still be that; NULL = unconditional. Refused: e->http 412
 * (errno EEXIST for IF_NONE, ESTALE for an ETag). */
#define S3_IF_NONE ((const char *)"*")

struct s3_content {
	const void *p;
	size_t n;
	const char *type;     /* Content-Type, NULL: none */
	const char *if_match; /* as above */
};

/* s3_put: a whole object; out may be NULL. */
int s3_put(struct aws *a, const struct s3_bucket *bucket, const char *key,
	   const struct s3_content *content, struct s3_object *out, struct cancel *c, struct err *e)
	_must_check_;
int s3_head(struct aws *a, const struct s3_bucket *bucket, const char *key, struct s3_object *out,
	    struct cancel *c, struct err *e) _must_check_;
/* s3_get: whole object, at most max bytes, into out; breaks are continued with Range + If-Match; checksum verified. */
int s3_get(struct aws *a, const struct s3_bucket *bucket, const char *key, size_t max,
	   struct buf *out, struct s3_object *o, struct cancel *c, struct err *e) _must_check_;
/* s3_get_fd: the same into a file at its current offset, any size. */
int s3_get_fd(struct aws *a, const struct s3_bucket *bucket, const char *key, int fd,
	      struct s3_object *o, struct cancel *c, struct err *e) _must_check_;

struct s3_part {
	const char *etag; /* the object must still be that (ESTALE); "": any */
	uint64_t from, n; /* n > 0 */
};

/* s3_get_range: a part of an object, added to out; breaks are continued. EBADMSG unless all of it is within the object. Nothing but
 * the length is verified: S3 has no checksums of ranges. */
int s3_get_range(struct aws *a, const struct s3_bucket *bucket, const char *key,
		 const struct s3_part *part, struct buf *out, struct cancel *c, struct err *e)
	_must_check_;
int s3_delete(struct aws *a, const struct s3_bucket *bucket, const char *key, struct cancel *c,
	      struct err *e) _must_check_;

/* s3_delete_all: n objects, a thousand a request (DeleteObjects); none is missed that is not there. The first that stays is the
 * failure; others may be gone. */
int s3_delete_all(struct aws *a, const struct s3_bucket *bucket, const char *const *keys, size_t n,
		  struct cancel *c, struct err *e) _must_check_;

/* s3_copy: an object of the bucket under another key, without its bytes coming here: CopyObject, beyond S3_COPY_MOST bytes UploadPartCopy.
 * size is the source's. out->crc32c: what S3 says of the copy, "" nothing. 404: no such source. */
#define S3_COPY_MOST ((uint64_t)5 << 30)
#define S3_COPY_PART ((uint64_t)1 << 30)

struct s3_copy {
	struct aws *aws;
	const struct s3_bucket *bucket;
	const char *from, *to; /* keys */
	uint64_t size;
	uint64_t part; /* bytes copied at once; 0: as S3 likes it */
	struct cancel *cancel;
};

int s3_copy(const struct s3_copy *copy, struct s3_object *out, struct err *e) _must_check_;

/* s3_list: every key (or common prefix when delimiter is "/") under prefix, all pages, in order; fn returning non-zero stops. */
struct s3_item {
	const char *key; /* or the common prefix, ending in '/' */
	bool is_prefix;
	uint64_t size;
	const char *etag;
	double modified; /* epoch seconds, 0 unknown */
};

typedef int s3_list_fn(void *arg, const struct s3_item *item);
int s3_list(struct aws *a, const struct s3_bucket *bucket, const char *prefix,
	    const char *delimiter, s3_list_fn *fn, void *arg, struct cancel *c, struct err *e)
	_must_check_;

/*
 * An upload of unknown length in one pass. Bytes are gathered into parts of >= 8 MiB (growing so that 5 TiB fit in 10,000);
 * full parts go out through aws_start, several at once, at most config.upload_memory bytes in flight: s3_upload_write blocks
 * until there is room. Less than one part in all: a single PutObject at finish. Each part carries CRC32C, the whole a
 * FULL_OBJECT CRC32C where the service takes it. One thread at a time per upload.
 */
struct s3_upload;

struct s3_upload_hooks {
	/* journal: before the first part; NULL ok */
	void (*started)(void *arg, const char *upload_id);
	/* progress: total bytes sent so far; any thread; NULL ok */
	void (*sent)(void *arg, uint64_t bytes);
	void *arg;
};
struct s3_upload *s3_upload_new(struct aws *a, const struct s3_bucket *bucket, const char *key,
				const struct s3_upload_hooks *h, struct cancel *c, struct err *e)
	_must_check_;
int s3_upload_write(struct s3_upload *u, const void *p, size_t n, struct err *e) _must_check_;
/* finish: waits for the parts, completes (200 with <Error> is a failure; a lost reply is decided by HEAD), frees u on success
 * and failure alike; on failure the multipart upload is aborted. */
int s3_upload_finish(struct s3_upload *u, struct s3_object *out, struct err *e) _must_check_;
void s3_upload_abort(struct s3_upload *u); /* cancels parts, aborts at the service, frees */
/* s3_multipart_abort: abort by id (journal recovery); an unknown id is success. */
int s3_multipart_abort(struct aws *a, const struct s3_bucket *bucket, const char *key,
		       const char *upload_id, struct cancel *c, struct err *e) _must_check_;
/* s3_multipart_sweep: abort every unfinished upload of that very key (of all below it, if it ends in '/') but one (its id; NULL: none):
 * those whose ids were lost. */
int s3_multipart_sweep(struct aws *a, const struct s3_bucket *bucket, const char *key,
		       const char *but, struct cancel *c, struct err *e) _must_check_;
/* s3_multipart_sweep_old: abort what is under prefix, was begun more than age seconds ago and has got no part since: nobody is at it
 * any more, but its parts are billed. What has no parts costs nothing and stays, and so does what may not be looked at. *aborted: how
 * many. */
int s3_multipart_sweep_old(struct aws *a, const struct s3_bucket *bucket, const char *prefix,
			   double age, unsigned *aborted, struct cancel *c, struct err *e)
	_must_check_;

#endif
