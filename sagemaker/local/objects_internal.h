/* objects_internal.h: what the files that implement S3 share; db_lock() is held where a name ends in _locked. */
#ifndef SAGEMAKER_LOCAL_OBJECTS_INTERNAL_H
#define SAGEMAKER_LOCAL_OBJECTS_INTERNAL_H

#include "sagemaker/local/objects.h"

/* object_find_locked: 1, 0 none, -1. */
int object_find_locked(struct backend *be, const char *bucket, const void *key, size_t key_len,
		       struct object *o, struct err *e) _must_check_;
/* object_segments_locked: its segments in order, malloc'ed. */
int object_segments_locked(struct backend *be, int64_t object, struct segment **out, size_t *n,
			   struct err *e) _must_check_;
/* object_files_doomed: its row is gone; files (taken over) go now or with the last reader. Without db_lock(). */
void object_files_doomed(struct objects *o, int64_t object, struct segment *files, size_t n);
/* bucket_check_locked: as bucket_check. */
bool bucket_check_locked(struct request *r);

/* reply_checksum: "crc32c:BASE64:FULL_OBJECT" as reply headers; "" adds none. */
void reply_checksum(struct request *r, const char *checksum);

#endif
