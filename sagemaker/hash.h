/* hash.h: digests (OpenSSL) and CRCs, one-shot and incremental, and their text forms. Thread-safe: no shared state. */
#ifndef SAGEMAKER_HASH_H
#define SAGEMAKER_HASH_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

#define SHA256_LEN 32
#define SHA256_HEX 65 /* with the NUL */

/* sha256: digest of n bytes at p. */
void sha256(const void *p, size_t n, unsigned char out[SHA256_LEN]);

/* sha1: for the names of cache files that AWS's tools share, never for security. */
#define SHA1_LEN 20
void sha1(const void *p, size_t n, unsigned char out[SHA1_LEN]);
/* hmac_sha256: HMAC of n bytes at p under the key. */
void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
		 unsigned char out[SHA256_LEN]);

/* Incremental SHA-256: new, any number of updates, final (which frees). NULL from new: out of memory. */
struct sha256 *sha256_new(void);
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final(struct sha256 *h, unsigned char out[SHA256_LEN]);
void sha256_free(struct sha256 *h); /* instead of final, to give up */

/* md5: for ETags and Content-MD5 only, never for security. */
void md5(const void *p, size_t n, unsigned char out[16]);
struct md5 *md5_new(void);
void md5_update(struct md5 *h, const void *p, size_t n);
void md5_final(struct md5 *h, unsigned char out[16]);
void md5_free(struct md5 *h);

/* sha1: S3's checksum of that name. hmac_sha1: the signature of old presigned URLs; out has 20 bytes. */
struct sha1 *sha1_new(void);
void sha1_update(struct sha1 *h, const void *p, size_t n);
void sha1_final(struct sha1 *h, unsigned char out[20]);
void sha1_free(struct sha1 *h);
void hmac_sha1(const void *key, size_t key_len, const void *p, size_t n, unsigned char out[20]);

/* crc32c: CRC-32C (Castagnoli) of n more bytes, starting from the CRC so far (0 at first). Hardware speed. */
uint32_t crc32c(uint32_t so_far, const void *p, size_t n);

/* crc32c_combine: the CRC of A then B from crc(A), crc(B), |B| (as zlib's crc32_combine). */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b);

/* hex: lower-case, out has 2n+1 bytes. base64: appended to out. unbase64: strict; -1 on anything invalid. */
void hex(const unsigned char *p, size_t n, char *out);
void base64(const void *p, size_t n, struct buf *out);
int unbase64(const char *s, size_t n, struct buf *out);

/* random_text: n-1 characters of [a-z0-9] from the system's random source and a NUL, for unique names. */
void random_text(char *out, size_t n);

#endif
