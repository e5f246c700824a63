/*
 * crc64.h: CRC-64/NVME, S3's default checksum (reflected polynomial 0x9a6c9329ac4bc9b5, all ones in and out; check value of
 * "123456789": 0xae8b14860a799888). isa-l has it only from 2.31 on. One hash is used by one thread at a time.
 */
#ifndef SAGEMAKER_CRC64_H
#define SAGEMAKER_CRC64_H

#include "sagemaker/util.h"

struct crc64;

/* crc64_new: NULL: out of memory. crc64_value: of all bytes so far. */
struct crc64 *crc64_new(void);
void crc64_update(struct crc64 *c, const void *p, size_t n);
uint64_t crc64_value(const struct crc64 *c);
void crc64_free(struct crc64 *c);

/* crc64_combine: the CRC of A then B from crc(A), crc(B), |B| (as zlib's crc32_combine). */
uint64_t crc64_combine(uint64_t a, uint64_t b, uint64_t len_b);

#endif
