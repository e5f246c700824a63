/*
 * upload.h: a body that goes into a file of the store as it arrives, its digests computed on the way.
 *
 * The file has a random name and belongs to nobody until a row of the database names it; what no row names is removed
 * when the backend starts.
 */
#ifndef SAGEMAKER_LOCAL_UPLOAD_H
#define SAGEMAKER_LOCAL_UPLOAD_H

#include "sagemaker/hash.h"
#include "sagemaker/local/blocks.h"
#include "sagemaker/local/request.h"

#define FILE_NAME 33 /* with the NUL */

struct upload {
	struct backend *be;
	struct blocks out;
	char file[FILE_NAME];
	uint64_t size;
	struct md5 *md5;    /* NULL: its ETag is made of the CRCs */
	struct sha256 *sha; /* NULL: nobody asked for it */
	uint32_t crc32c, crc32;
	unsigned char md5sum[16] /* what the ETag shows */, sha256sum[SHA256_LEN];
	bool kept; /* a row names the file */
};

/* upload_begin: r->upload, from r's headers. ENOSPC... */
int upload_begin(struct request *r, struct err *e);
int upload_write(struct upload *u, const void *p, size_t n, struct err *e);
/* upload_end: digests compared with what the headers promise, the file on disk. false: refused, replied. checksum
 * becomes what the object is to remember: "crc32c:BASE64:FULL_OBJECT", or "". */
bool upload_end(struct request *r, char checksum[128]);
/* upload_drop: NULL is fine; the file is removed unless kept. */
void upload_drop(struct upload *u);

/* crc32_gzip: CRC-32 (the one of gzip and zip), continued from so_far. crc_base64: as S3 shows CRCs. */
uint32_t crc32_gzip(uint32_t so_far, const void *p, size_t n);
void crc_base64(uint32_t crc, char out[16]);

#endif
