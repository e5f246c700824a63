/*
 * objects.h: what S3 is here: rows in the database, bytes in files of random names below DIR/objects.
 *
 * An object is made of segments, one file each: what was put at once has one, a multipart upload keeps its parts as
 * they are, so completing costs nothing per byte. A file that readers still need is removed when the last one ends.
 */
#ifndef SAGEMAKER_LOCAL_OBJECTS_H
#define SAGEMAKER_LOCAL_OBJECTS_H

#include "sagemaker/cancel.h"
#include "sagemaker/local/db.h"
#include "sagemaker/local/request.h"
#include "sagemaker/local/upload.h"

struct objects;

/* objects_new: opens DIR/objects and removes what no row names. */
struct objects *objects_new(struct backend *be, struct err *e) _must_check_;
void objects_free(struct objects *o);
int objects_dirfd(const struct objects *o);

#define META_MAX 6144 /* of an object's headers as JSON */
#define TAGS_MAX 6144 /* of its tags, URL-encoded */

struct object {
	int64_t id;
	uint64_t size;
	char etag[80]; /* with its quotes */
	double modified;
	char type[256];
	char checksum[CHECKSUM_TEXT]; /* "crc32c:BASE64:FULL_OBJECT" or "" */
	char meta
		[META_MAX]; /* JSON object of the headers that it is read with: x-amz-meta-*, Content-Encoding... */
	char tags[TAGS_MAX]; /* "a=b&c=d" */
};

/* object_open: the current object of that name and a reader of all its bytes. 1, 0 there is none, -1. A missing
 * segment's file is found only when it is read. */
int object_open(struct backend *be, const char *bucket, const void *key, size_t key_len,
		struct object *o, struct reader **reader, struct err *e) _must_check_;
/* object_exists: 1, 0, -1. */
int object_exists(struct backend *be, const char *bucket, const void *key, size_t key_len,
		  struct err *e) _must_check_;

/* A reader is used by one thread at a time. reader_limit: only n bytes from offset on. */
void reader_limit(struct reader *rd, uint64_t offset, uint64_t n);
/* reader_segments: all of the object, in order; they are the reader's. */
const struct segment *reader_segments(const struct reader *rd, size_t *n);
uint64_t reader_size(const struct reader *rd);
/* reader_read: at most max bytes from pos on; the number, 0 at the end, -1 with errno. */
ssize_t reader_read(struct reader *rd, uint64_t pos, char *out, size_t max);
/* reader_file: a descriptor (the caller's) and the offset in it when all of it lies in one file, else -1. */
int reader_file(const struct reader *rd, uint64_t *offset);
void reader_free(struct reader *rd);

/*
 * reader_copy: all bytes into fd (a pipe or file), each segment's CRC-32C compared with what was computed when it came
 * in. EPIPE ends the writing, not the check; cancel (may be NULL) ends both. -1: EIO (changed on disk), errors of read and write.
 */
int reader_copy(struct reader *rd, int fd, const struct cancel *cancel, struct err *e) _must_check_;

struct segment {
	char file[FILE_NAME];
	uint64_t size;
	uint32_t crc32c;
	int number; /* of the part that it was, 0: the object was put whole */
	char sum[64]; /* "sha256:BASE64" of that part where the object's checksum is COMPOSITE, else "" */
};

struct new_object {
	struct segment *segments;
	size_t n;
	uint64_t size;
	char etag[80];
	const char *type, *checksum, *meta, *tags;
	const char *upload; /* multipart: this upload ends in the same step; NULL */
	const char *async;  /* this queued invocation ends in the same step; NULL */
};

/* object_commit: make it r's bucket and key's object, under r's If-Match and If-None-Match; replaced files go. false:
 * refused or failed, replied. */
bool object_commit(struct request *r, const struct new_object *n);
/* object_put: bytes of our own become an object, and the queued invocation `async` (NULL: none) ends in the same step. -1: ENOENT
 * (no such bucket), ESTALE (no such invocation), errors of disk and database. Blocking. */
int object_put(struct backend *be, const char *bucket, const char *key, const char *type,
	       const struct buf *bytes, const char *async, struct err *e) _must_check_;
/* object_remove: true also when there is none; false: refused or failed, replied. */
bool object_remove(struct request *r);
/* files_remove: unlink n files of DIR/objects that no row names any more. */
void files_remove(struct objects *o, struct segment *files, size_t n);

/* s3_url_split: "s3://BUCKET/KEY"; key points into url. false: it is none. */
bool s3_url_split(const char *url, char bucket[64], const char **key);
/* bucket_check: whether r's bucket exists and is ours; false: replied. Takes the database's lock. */
bool bucket_check(struct request *r);
/* meta_json: the headers of r that an object is to be read with, as a JSON object; false: too long or refused, replied. */
bool meta_json(struct request *r, char out[META_MAX]);
/* meta_storage_class: of such a JSON object, "STANDARD" when it names none. */
void meta_storage_class(const char *meta, char out[32]);
/* tags_header: x-amz-tagging, checked; "" when there is none. false: replied. tags_count: how many. */
bool tags_header(struct request *r, char out[TAGS_MAX]);
unsigned tags_count(const char *tags);
/* reply_xml: takes over b. */
void reply_xml(struct request *r, struct buf *b);

#endif
