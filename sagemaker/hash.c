#include "sagemaker/hash.h"

#include <assert.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

/* One-shot digests cannot fail but for memory; a wrong digest must never be used, so that is the end. */
void sha256(const void *p, size_t n, unsigned char out[SHA256_LEN])
{
	int ok = EVP_Digest(n ? p : "", n, out, NULL, EVP_sha256(), NULL);

	assert(ok == 1);
}

void sha1(const void *p, size_t n, unsigned char out[SHA1_LEN])
{
	int ok = EVP_Digest(n ? p : "", n, out, NULL, EVP_sha1(), NULL);

	assert(ok == 1);
}

void hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
		 unsigned char out[SHA256_LEN])
{
	assert(key_len <= INT32_MAX);
	unsigned char *ok = HMAC(EVP_sha256(), key, (int)key_len, n ? p : "", n, out, NULL);

	assert(ok);
}

void hmac_sha1(const void *key, size_t key_len, const void *p, size_t n, unsigned char out[20])
{
	assert(key_len <= INT32_MAX);
	unsigned char *ok = HMAC(EVP_sha1(), key, (int)key_len, n ? p : "", n, out, NULL);

	assert(ok);
}

void md5(const void *p, size_t n, unsigned char out[16])
{
	int ok = EVP_Digest(n ? p : "", n, out, NULL, EVP_md5(), NULL);

	assert(ok == 1);
}

/* struct sha256, sha1 and md5 are never defined: each is an EVP_MD_CTX under a name that says which. */
static EVP_MD_CTX *digest_new(const EVP_MD *type)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (c && EVP_DigestInit_ex(c, type, NULL) != 1) {
		EVP_MD_CTX_free(c);
		c = NULL;
	}
	return c;
}

static void digest_update(void *c, const void *p, size_t n)
{
	int ok = EVP_DigestUpdate(c, p, n);

	assert(ok == 1);
}

static void digest_final(void *c, unsigned char *out)
{
	int ok = EVP_DigestFinal_ex(c, out, NULL);

	assert(ok == 1);
	EVP_MD_CTX_free(c);
}

struct sha256 *sha256_new(void)
{
	return (struct sha256 *)digest_new(EVP_sha256());
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
	digest_update(h, p, n);
}

void sha256_final(struct sha256 *h, unsigned char out[SHA256_LEN])
{
	digest_final(h, out);
}

void sha256_free(struct sha256 *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

struct md5 *md5_new(void)
{
	return (struct md5 *)digest_new(EVP_md5());
}

void md5_update(struct md5 *h, const void *p, size_t n)
{
	digest_update(h, p, n);
}

void md5_final(struct md5 *h, unsigned char out[16])
{
	digest_final(h, out);
}

void md5_free(struct md5 *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

struct sha1 *sha1_new(void)
{
	return (struct sha1 *)digest_new(EVP_sha1());
}

void sha1_update(struct sha1 *h, const void *p, size_t n)
{
	digest_update(h, p, n);
}

void sha1_final(struct sha1 *h, unsigned char out[20])
{
	digest_final(h, out);
}

void sha1_free(struct sha1 *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

uint32_t crc32c(uint32_t so_far, const void *p, size_t n)
{
	const int most = 1 << 30;    /* isa-l counts in int */
	uintptr_t at = (uintptr_t)p; /* isa-l's parameter lacks a const */
	uint32_t crc = ~so_far;

	while (n) {
		int len = n < (size_t)most ? (int)n : most;

		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		crc = crc32_iscsi((unsigned char *)at, len, crc);
		at += (size_t)len;
		n -= (size_t)len;
	}
	return ~crc;
}

/* a * b in GF(2)[x] modulo the polynomial; bit 31 is the coefficient of x^0. */
static uint32_t gf2_multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = UINT32_C(1) << 31; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ CRC32C_POLYNOMIAL : b >> 1;
	}
	return product;
}

/* Appending len_b zero bytes to A multiplies its CRC by x^(8 * len_b): square and multiply. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b)
{
	uint32_t power = UINT32_C(1) << 23; /* x^8 */

	for (; len_b; len_b >>= 1) {
		if (len_b & 1)
			a = gf2_multiply(power, a);
		power = gf2_multiply(power, power);
	}
	return a ^ b;
}

void hex(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64(const void *p, size_t n, struct buf *out)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t rest = n - i;
		uint32_t v = (uint32_t)s[i] << 16;
		char quad[4];

		if (rest > 1)
			v |= (uint32_t)s[i + 1] << 8;
		if (rest > 2)
			v |= s[i + 2];
		quad[0] = base64_digits[v >> 18];
		quad[1] = base64_digits[v >> 12 & 63];
		quad[2] = (char)(rest > 1 ? base64_digits[v >> 6 & 63] : '=');
		quad[3] = (char)(rest > 2 ? base64_digits[v & 63] : '=');
		buf_add(out, quad, sizeof quad);
	}
}

/* The 6 bits of a digit, -1 for any other byte. */
static int base64_value(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

int unbase64(const char *s, size_t n, struct buf *out)
{
	size_t pad = 0;

	if (n % 4)
		return -1;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < n; i += 4) {
		size_t digits = i + 4 == n ? 4 - pad : 4;
		uint32_t v = 0;

		for (size_t j = 0; j < digits; j++) {
			int six = base64_value(s[i + j]);

			if (six < 0)
				return -1;
			v |= (uint32_t)six << (18 - 6 * j);
		}
		if (v & ((UINT32_C(1) << (8 * (4 - digits))) - 1))
			return -1; /* bits beyond the last byte: two texts would mean one value */
		unsigned char bytes[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8),
					  (unsigned char)v};
		if (buf_add(out, bytes, digits - 1))
			return -1;
	}
	return 0;
}

void random_text(char *out, size_t n)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t i = 0;

	while (i + 1 < n) {
		unsigned char bytes[64];
		ssize_t got = getrandom(bytes, sizeof bytes, 0);

		assert(got > 0 || errno == EINTR);
		for (ssize_t j = 0; j < got && i + 1 < n; j++) {
			if (bytes[j] < 252) /* 7 * 36: every digit equally likely */
				out[i++] = digits[bytes[j] % 36];
		}
	}
	if (n)
		out[i] = '\0';
}
