/*
 * checksum.h: S3's five checksums: their names on the wire, computing them as bytes arrive, those of a multipart upload.
 *
 * Names, value sizes and which may be FULL_OBJECT or COMPOSITE: botocore's S3 model (ChecksumAlgorithm, ChecksumType) and S3's
 * "Checking object integrity". A value is the algorithm's bytes, big-endian, on the wire in base64.
 */
#ifndef SAGEMAKER_LOCAL_CHECKSUM_H
#define SAGEMAKER_LOCAL_CHECKSUM_H

#include "sagemaker/hash.h"

enum sum { SUM_CRC32, SUM_CRC32C, SUM_CRC64NVME, SUM_SHA1, SUM_SHA256, N_SUMS, SUM_NONE = N_SUMS };

#define SUM_MOST   32 /* bytes of a value */
#define SUM_TEXT   64 /* of a value in base64, possibly with "-PARTS" */
#define SUM_BIT(s) (1U << (s))

struct sum_row {
	const char *name;    /* "CRC32C": x-amz-checksum-algorithm */
	const char *lower;   /* "crc32c": how the store and sentences name it */
	const char *header;  /* "x-amz-checksum-crc32c" */
	const char *element; /* "ChecksumCRC32C" */
	size_t len;          /* bytes of a value */
	bool full;           /* a multipart upload may have it of the full object... */
	bool composite;      /* ... or of its parts' values */
};

extern const struct sum_row sum_rows[N_SUMS];

/* sum_by_name, sum_by_header: without regard to case; SUM_NONE. */
enum sum sum_by_name(const char *name);
enum sum sum_by_header(const char *header);

/* What was computed of some bytes: have has a SUM_BIT for each. */
struct sum_values {
	unsigned have;
	unsigned char value[N_SUMS][SUM_MOST];
};

/* Being computed. All zero is a valid one of nothing. */
struct sums {
	unsigned want;
	uint32_t crc32, crc32c;
	struct crc64 *crc64;
	struct sha1 *sha1;
	struct sha256 *sha256;
};

/* sums_begin: want is a set of SUM_BITs; the two 32-bit CRCs always come too. -1: out of memory. */
int sums_begin(struct sums *s, unsigned want) _must_check_;
void sums_update(struct sums *s, const void *p, size_t n);
/* sums_end: the values; s is released. */
void sums_end(struct sums *s, struct sum_values *out);
void sums_release(struct sums *s);

/* sum_text: a value in base64. sum_parse: back; false: not a value of this algorithm. */
void sum_text(enum sum s, const unsigned char value[SUM_MOST], char out[SUM_TEXT]);
bool sum_parse(enum sum s, const char *text, unsigned char value[SUM_MOST]);

/* sums_show: "crc32:BASE64 sha1:BASE64", how the store keeps them. sums_read: back; what is not understood is left out. */
void sums_show(const struct sum_values *v, struct buf *out);
void sums_read(const char *text, struct sum_values *v);

/* Of a whole from its parts, added in order: the full object's CRC and the checksum of their values. */
struct sum_join {
	enum sum sum;
	size_t n;
	unsigned char whole[SUM_MOST]; /* where sum_rows[].full */
	struct buf values;
};

#define SUM_JOIN_INIT(sum_)             \
 {                                      \
  .sum = (sum_), .values = BUF_INIT(0), \
 }
/* sum_join_add: a part's value and size. sum_join_text: the result, with "-PARTS" when composite; releases j. -1: out of memory. */
void sum_join_add(struct sum_join *j, const unsigned char value[SUM_MOST], uint64_t size);
int sum_join_text(struct sum_join *j, bool full, char out[SUM_TEXT]);

#endif
