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

struct s3_range {
	const char *etag; /* the object must still be that (ESTALE); "": any */
	uint64_t from, n; /* n > 0 */
};

/* s3_get_range: a part of an object, added to out; breaks are continued. EBADMSG unless all of it is within the object. Nothing but
 * the length is verified: S3 has no checksums of ranges. */
int s3_get_range(struct aws *a, const struct s3_bucket *bucket, const char *key,
		 const struct s3_range *part, struct buf *out, struct cancel *c, struct err *e)
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
 * An upload in parts that come in any order, from any number of threads, and may be left and gone on with. A part's bytes stand in
 * room that the upload lends: s3_upload_room waits until it fits beside what is in flight (config.upload_memory), s3_upload_send takes
 * it, with as many parts at once as the line carries. Each part has its CRC32C, the whole a FULL_OBJECT CRC32C where the service takes
 * it. What is one room's worth in all is a single PutObject (s3_upload_whole). S3 wants 5 MiB of every listed part but the last.
 */
struct s3_upload;

#define S3_PART_MIN  ((size_t)5 << 20)
#define S3_MAX_PARTS 10000

struct s3_part {
	int number;   /* 1 to S3_MAX_PARTS; a number that is sent again replaces its part */
	uint32_t crc; /* CRC32C */
	uint64_t size;
	char etag[128]; /* with its quotes; "" until it is there */
};

struct s3_upload_hooks {
	/* journal: before the first part; NULL ok */
	void (*started)(void *arg, const char *upload_id);
	/* progress: total bytes that are at the service so far; any thread; NULL ok */
	void (*sent)(void *arg, uint64_t bytes);
	void *arg;
};
struct s3_upload *s3_upload_new(struct aws *a, const struct s3_bucket *bucket, const char *key,
				const struct s3_upload_hooks *h, struct cancel *c, struct err *e)
	_must_check_;
/* s3_upload_resume: go on with what an earlier s3_upload began (before anything is sent): a part that is there already with the same
 * bytes is not sent again. e->http 404: the service knows of no such upload (any more). */
int s3_upload_resume(struct s3_upload *u, const char *id, struct err *e) _must_check_;
/* s3_upload_made: the service knows nothing of the upload any more: it may have become the object, and the reply was lost. If the object is
 * there, with a checksum, u sends nothing from here on, and s3_upload_finish compares: ESTALE when the parts would make another one. */
int s3_upload_made(struct s3_upload *u, struct err *e) _must_check_;
/* s3_upload_room: room for max bytes, of which about size will be used. s3_upload_drop: gives it back. -1 also when a part failed. */
int s3_upload_room(struct s3_upload *u, size_t size, size_t max, void **room, struct err *e)
	_must_check_;
void s3_upload_drop(struct s3_upload *u, void *room);
/* s3_upload_send: sends p->size bytes of room, which it takes in any case; begins the upload first if nobody has. *p is the caller's and
 * stays until the upload is settled; its ETag is there then. */
int s3_upload_send(struct s3_upload *u, struct s3_part *p, void *room, struct err *e) _must_check_;
/* s3_upload_settle: waits until nothing is in flight. -1: the first failure of a part; the upload takes no more then. */
int s3_upload_settle(struct s3_upload *u, struct err *e) _must_check_;
/* s3_upload_finish: settles, puts together the n parts listed (by ascending numbers; others are dropped by the service): 200 with
 * <Error> is a failure; a lost reply is decided by HEAD. On failure u is as it was, to be left or aborted. */
int s3_upload_finish(struct s3_upload *u, const struct s3_part *const *parts, size_t n,
		     struct s3_object *out, struct err *e) _must_check_;
/* s3_upload_whole: n bytes of room are all; takes room in any case. */
int s3_upload_whole(struct s3_upload *u, void *room, size_t n, struct s3_object *out, struct err *e)
	_must_check_;
/* Both end what is in flight and free u (NULL: nothing). leave: parts stay at the service, for s3_upload_resume (also after
 * s3_upload_finish or s3_upload_whole). abort: they go; -1: they may be there still, e says why. */
void s3_upload_leave(struct s3_upload *u);
int s3_upload_abort(struct s3_upload *u, struct err *e);
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
