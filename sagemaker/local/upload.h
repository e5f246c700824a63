/*
 * upload.h: a body that goes into a file of the store as it arrives, its digests computed on the way, and what a request promises
 * of its body: Content-MD5, x-amz-checksum-*, a trailer.
 *
 * The file has a random name and belongs to nobody until a row of the database names it; what no row names is removed
 * when the backend starts.
 */
#ifndef SAGEMAKER_LOCAL_UPLOAD_H
#define SAGEMAKER_LOCAL_UPLOAD_H

#include "sagemaker/local/blocks.h"
#include "sagemaker/local/checksum.h"
#include "sagemaker/local/request.h"

#define FILE_NAME     33  /* with the NUL */
#define CHECKSUM_TEXT 128 /* "crc32c:BASE64:FULL_OBJECT", how an object remembers its checksum */

/* The checksum that a request gives of its body. */
struct claim {
	enum sum sum;      /* SUM_NONE: none */
	const char *value; /* base64; NULL: it comes as a trailer */
};

struct upload {
	struct backend *be;
	struct blocks out;
	char file[FILE_NAME];
	uint64_t size;
	struct claim claim;
	struct md5 *md5;    /* NULL: its ETag is made of the CRCs */
	struct sha256 *sha; /* of the payload, NULL: nobody asked for it */
	struct sums sums;
	struct sum_values values;
	unsigned char md5sum[16]; /* what the ETag shows */
	bool kept;                /* a row names the file */
};

/* upload_begin: r->upload, from r's headers. false: refused or failed, replied. */
bool upload_begin(struct request *r);
/* upload_new: one that no body fills: the sums that are wanted, the size as far as known. NULL with e filled. */
struct upload *upload_new(struct backend *be, unsigned want, uint64_t size, struct err *e);
int upload_write(struct upload *u, const void *p, size_t n, struct err *e);
/* upload_finish: digests made, the file on disk. upload_end: the same for r->upload, after its digests were compared with what
 * the request promises; false: refused, replied. */
int upload_finish(struct upload *u, struct err *e) _must_check_;
bool upload_end(struct request *r);
/* upload_checksum: what an object remembers that was put whole: the claimed checksum, else CRC64NVME, as S3 does. */
void upload_checksum(const struct upload *u, char out[CHECKSUM_TEXT]);
/* upload_crc32c: how the store remembers a file's bytes; after its end. */
uint32_t upload_crc32c(const struct upload *u);
/* upload_drop: frees; the file goes unless it is kept. */
void upload_drop(struct upload *u);

/* body_check: a body in memory is compared with the Content-MD5 and checksum that came with it. false: replied. */
bool body_check(struct request *r);

#endif
