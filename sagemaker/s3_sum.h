/*
 * s3_sum.h: whether bytes are those that an object's checksum was made of, whoever wrote it and with whichever of S3's algorithms:
 * CRC32C, CRC64NVME, CRC32, SHA-256, SHA-1, of the object or of its parts. One thread at a time.
 */
#ifndef SAGEMAKER_S3_SUM_H
#define SAGEMAKER_S3_SUM_H

#include "sagemaker/crc64.h"
#include "sagemaker/hash.h"
#include "sagemaker/http.h"

#define S3_SUM_TEXT 64 /* base64 of the longest, "-10000", NUL */

enum s3_sum_kind { S3_CRC32C, S3_CRC64NVME, S3_CRC32, S3_SHA256, S3_SHA1, S3_SUM_KINDS };

struct s3_sum {
	enum s3_sum_kind kind; /* S3_SUM_KINDS: the object has none that we know */
	char shown[S3_SUM_TEXT];
	/* The checksum is one of the checksums of that many parts; 0: of the object's bytes. We know where ours end (s3_part_size). */
	int parts;
	uint32_t crc;      /* of the object, or of the part being read */
	uint32_t of_parts; /* CRC of the CRCs of the parts before it */
	uint64_t left;     /* bytes until the part ends */
	int part;          /* from 0 */
	struct crc64 *crc64;
	struct sha256 *sha256;
	struct sha1 *sha1;
};

enum s3_sum_verdict {
	S3_SUM_RIGHT,
	S3_SUM_UNKNOWN, /* nothing that could be compared */
	S3_SUM_WRONG,
	S3_SUM_IF_PARTS, /* wrong if its parts are as long as ours would be; right or wrong otherwise */
};

/* s3_sum_begin: reads the headers of a reply that begins with the object's first byte. */
void s3_sum_begin(struct s3_sum *s, const struct http_headers *h);
void s3_sum_update(struct s3_sum *s, const void *p, size_t n);
/* s3_sum_end: after the last byte; text is what the bytes have ("" when UNKNOWN). Releases s. */
enum s3_sum_verdict s3_sum_end(struct s3_sum *s, char text[S3_SUM_TEXT]);
void s3_sum_release(struct s3_sum *s);

/* s3_sum_name: "CRC32C". Static. */
const char *s3_sum_name(const struct s3_sum *s);

#endif
