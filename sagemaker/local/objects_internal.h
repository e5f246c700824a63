/* objects_internal.h: what the files that implement S3 share; db_lock() is held where a name ends in _locked. */
#ifndef SAGEMAKER_LOCAL_OBJECTS_INTERNAL_H
#define SAGEMAKER_LOCAL_OBJECTS_INTERNAL_H

#include "sagemaker/local/objects.h"

#define XML   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

/* object_find_locked: 1, 0 none, -1. */
int object_find_locked(struct backend *be, const char *bucket, const void *key, size_t key_len,
		       struct object *o, struct err *e) _must_check_;
/* object_segments_locked: its segments in order, malloc'ed. */
int object_segments_locked(struct backend *be, int64_t object, struct segment **out, size_t *n,
			   struct err *e) _must_check_;
/* object_delete_locked: an object's rows go, within a transaction of the caller's. */
int object_delete_locked(struct backend *be, int64_t id, struct err *e) _must_check_;
/* object_files_doomed: its row is gone; files (taken over) go now or with the last reader. Without db_lock(). */
void object_files_doomed(struct objects *o, int64_t object, struct segment *files, size_t n);
/* bucket_check_locked: as bucket_check. */
bool bucket_check_locked(struct request *r);

/* wanted: r's If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since, or with "x-amz-copy-source-" before those names,
 * against an object. false: replied. */
bool wanted(struct request *r, const struct object *o, const char *prefix);
/* etag_is: whether a text is this ETag, with or without its quotes. */
bool etag_is(const char *text, const char *etag);
/* range_read: "A-B", "A-", "-N" after "bytes=". 1 with first and n, 0 not understood, -1 outside of size. */
int range_read(const char *s, uint64_t size, uint64_t *first, uint64_t *n);
/* put_tags: <TagSet> of "a=b&c=d". tags_xml: back from a Tagging document in r's body; false: replied. */
void put_tags(struct buf *b, const char *tags);
bool tags_xml(struct request *r, unsigned most, char out[TAGS_MAX]);
/* checksum_split: "crc32c:BASE64:FULL_OBJECT" into its parts; false: there is none. */
bool checksum_split(const char *checksum, enum sum *s, char value[SUM_TEXT], char type[16]);
/* put_checksum: <ChecksumCRC32C> and, when with_type, <ChecksumType> of such a text. */
void put_checksum(struct buf *b, const char *checksum, bool with_type);
/* commit_upload: what r->upload holds becomes r's object. false: replied. */
bool commit_upload(struct request *r, const struct new_object *n, char etag[80]);

/* reply_encryption: the x-amz-server-side-encryption headers of a write, given back. */
void reply_encryption(struct request *r);
/* reply_checksum: "crc32c:BASE64:FULL_OBJECT" as reply headers; "" adds none. */
void reply_checksum(struct request *r, const char *checksum);
/* reply_part_checksum: the same for a part's "crc32c:BASE64": no type. */
void reply_part_checksum(struct request *r, const char *checksum);

#endif
