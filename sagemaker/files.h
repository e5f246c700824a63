/*
 * files.h: a plan's members as objects of their own below a prefix: a model that is hosted without an archive (ModelDataSource,
 * S3Prefix, CompressionType None). What lies below the prefix is what the container finds in /opt/ml/model, so the keys are the prefix and the
 * paths that the archive would have.
 */
#ifndef SAGEMAKER_FILES_H
#define SAGEMAKER_FILES_H

#include "sagemaker/package.h"
#include "sagemaker/s3.h"

/* One for each member of the plan, in its order. */
struct files_object {
	char *copy; /* key of an object of the bucket that should have the same bytes, or NULL; freed by files_free */
	bool copy_known; /* a published version names it: it has them; else its checksum must say so */
	bool look; /* the object may be there already: it is looked at first, and kept if its checksum is the file's */
	char crc32c[16]; /* out; "" unknown */
	/* out: the CRC-32 of each FILES_PIECE bytes of the file, for who reads parts of the object; freed by files_free */
	uint32_t *crcs;
	size_t n_crcs;
};

#define FILES_PIECE ((uint64_t)16 << 20)

struct files {
	struct aws *aws;
	const struct s3_bucket *bucket;
	const char *prefix; /* ends in '/' */
	const struct package_plan *plan;
	struct files_object *objects; /* the plan's number */
	/* so many bytes more are there; any thread; NULL ok */
	void (*sent)(void *arg, uint64_t bytes);
	void *arg;
	struct cancel *cancel;
};

/* files_upload: every member is there when it returns 0. Small ones eight at a time, large ones one after the other in parts; at most
 * config.upload_memory bytes and 64 MiB in memory. EBUSY: a file changed since the plan. On failure what is there stays: the
 * caller's to take away, or to go on from. Blocking. */
int files_upload(const struct files *f, struct err *e) _must_check_;
void files_free(struct files_object *objects, size_t n);

#endif
