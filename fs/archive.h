/*
 * archive.h: a published archive as it is read: where it lies in S3, its restart points, and where its members are.
 *
 * Made from a manifest (archive_of: pure and quick), or by reading the whole of it once (archive_scan.c) when the manifest has no
 * points, because somebody else wrote it. Immutable but for counts.
 */
#ifndef FS_ARCHIVE_H
#define FS_ARCHIVE_H

#include "fs/blocks.h"
#include "fs/catalog.h"
#include "sagemaker/gzindex.h"
#include "sagemaker/s3.h"

/* A member's bytes in the tar stream. */
struct extent {
	uint64_t from, size;
	bool hashed;
	unsigned char sha256[SHA256_LEN];
	char *path; /* in the archive; only of an archive that was read for it, else NULL */
	mode_t mode;
	int64_t mtime;
};

struct archive {
	unsigned refs;        /* atomic */
	char *bucket;         /* NULL: the mount's own */
	char *key, etag[128]; /* etag "": any; our keys are never written twice */
	char id[BLOCK_ID];
	struct gz_index index;
	struct extent *members; /* by from */
	size_t n;
	/* who read it last: guarded by reads.mu */
	size_t last;
	unsigned streak;
};

/* archive_of: of a version's record. NULL: ENODATA when the record does not say where its members are; EBADMSG, ENOMEM. */
struct archive *archive_of(const cJSON *record, struct err *e);
/* archive_of_file: one file of a version without an archive (record_is_files), which is not empty: an archive of its own. */
struct archive *archive_of_file(const cJSON *record, const struct manifest_member *m,
				struct err *e);
/* archive_new: bucket NULL: the mount's own. Members and index are the caller's to fill. NULL: memory. */
struct archive *archive_new(const char *bucket, const char *key, const char *etag);
struct archive *archive_ref(struct archive *a);
void archive_unref(struct archive *a);
void archive_unrefp(struct archive **a);
/* archive_add: one more member. archive_ready: all are there: sorts and checks them. */
int archive_add(struct archive *a, const struct extent *x) _must_check_;
int archive_ready(struct archive *a, struct err *e) _must_check_;
/* archive_find: where a member's bytes are: NULL: not in the archive, or in another size. */
const struct extent *archive_find(const struct archive *a, const struct manifest_member *m);

/* archive_number: a whole number that a stream may have for an offset. archive_hash: the SHA-256 of a record's "sha256". */
bool archive_number(const cJSON *v, uint64_t *out);
bool archive_hash(const cJSON *record, unsigned char out[SHA256_LEN]);
/* archive_place: an archive with a record's place, and nothing of its inside. NULL: e. */
/* archive_uri: "s3://bucket/key" apart; the key, NULL: it is none. */
const char *archive_uri(const char *uri, char bucket[64]);
struct archive *archive_place(const cJSON *record, struct err *e);

/* archive_file.c: archive_save: the text of its index. archive_read: into an archive that has only its place; EBADMSG. */
int archive_save(const struct archive *a, struct buf *out) _must_check_;
int archive_read(struct archive *a, const char *p, size_t n, struct err *e) _must_check_;

/*
 * A chunk's bytes on their way into the cache: every member that lies whole within the chunk is compared with its SHA-256.
 * chunk_check_begin, _take in order, _end (EBADMSG) or _drop.
 */
struct chunk_check {
	const struct archive *a;
	uint64_t at; /* in the tar stream */
	size_t next; /* member */
	struct sha256 *hash;
	uint64_t left; /* of the member that is being hashed */
};

void chunk_check_begin(struct chunk_check *c, const struct archive *a, size_t chunk);
int chunk_check_take(struct chunk_check *c, const void *p, size_t n, struct err *e) _must_check_;
void chunk_check_drop(struct chunk_check *c);

#endif
