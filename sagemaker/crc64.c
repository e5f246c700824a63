#include "sagemaker/crc64.h"

#define POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5) /* reflected */
#define SLICES     16                           /* bytes that are taken at once */

/* table[k][b]: what byte b, followed by k zero bytes, adds. */
struct crc64 {
	uint64_t crc; /* complemented */
	uint64_t table[SLICES][256];
};

struct crc64 *crc64_new(void)
{
	struct crc64 *c = malloc(sizeof *c);

	if (!c)
		return NULL;
	c->crc = ~UINT64_C(0);
	for (uint64_t b = 0; b < 256; b++) {
		uint64_t v = b;
		for (int bit = 0; bit < 8; bit++)
			v = v & 1 ? v >> 1 ^ POLYNOMIAL : v >> 1;
		c->table[0][b] = v;
	}
	for (size_t k = 1; k < SLICES; k++) {
		for (size_t b = 0; b < 256; b++) {
			uint64_t v = c->table[k - 1][b];
			c->table[k][b] = v >> 8 ^ c->table[0][v & 255];
		}
	}
	return c;
}

static uint64_t load(const unsigned char *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

void crc64_update(struct crc64 *c, const void *p, size_t n)
{
	const unsigned char *s = p;
	uint64_t crc = c->crc;

	for (; n >= SLICES; n -= SLICES, s += SLICES) {
		uint64_t a = crc ^ load(s), b = load(s + 8);
		crc = 0;
		for (unsigned i = 0; i < 8; i++)
			crc ^= c->table[15 - i][a >> 8 * i & 255] ^
			       c->table[7 - i][b >> 8 * i & 255];
	}
	for (; n; n--)
		crc = crc >> 8 ^ c->table[0][(crc ^ *s++) & 255];
	c->crc = crc;
}

uint64_t crc64_value(const struct crc64 *c)
{
	return ~c->crc;
}

void crc64_free(struct crc64 *c)
{
	free(c);
}

/* a * b in GF(2)[x] modulo the polynomial; bit 63 is the coefficient of x^0. */
static uint64_t gf2_multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (uint64_t bit = UINT64_C(1) << 63; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ POLYNOMIAL : b >> 1;
	}
	return product;
}

/* Appending len_b zero bytes to A multiplies its CRC by x^(8 * len_b): square and multiply. */
uint64_t crc64_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	uint64_t power = UINT64_C(1) << 55; /* x^8 */

	for (; len_b; len_b >>= 1) {
		if (len_b & 1)
			a = gf2_multiply(power, a);
		power = gf2_multiply(power, power);
	}
	return a ^ b;
}
