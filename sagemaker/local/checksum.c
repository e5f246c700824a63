#include "sagemaker/local/checksum.h"

#include <isa-l/crc.h>
#include <strings.h>
#include <zlib.h>

#include "sagemaker/crc64.h"

/* clang-format off */
const struct sum_row sum_rows[N_SUMS] = {
	[SUM_CRC32]     = {"CRC32",     "crc32",     "x-amz-checksum-crc32",     "ChecksumCRC32",     4,  true,  true },
	[SUM_CRC32C]    = {"CRC32C",    "crc32c",    "x-amz-checksum-crc32c",    "ChecksumCRC32C",    4,  true,  true },
	[SUM_CRC64NVME] = {"CRC64NVME", "crc64nvme", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8,  true,  false},
	[SUM_SHA1]      = {"SHA1",      "sha1",      "x-amz-checksum-sha1",      "ChecksumSHA1",      20, false, true },
	[SUM_SHA256]    = {"SHA256",    "sha256",    "x-amz-checksum-sha256",    "ChecksumSHA256",    32, false, true },
};

/* clang-format on */

enum sum sum_by_name(const char *name)
{
	enum sum s = 0;

	while (s < N_SUMS && strcasecmp(sum_rows[s].name, name) != 0)
		s++;
	return s;
}

enum sum sum_by_header(const char *header)
{
	enum sum s = 0;

	while (s < N_SUMS && strcasecmp(sum_rows[s].header, header) != 0)
		s++;
	return s;
}

int sums_begin(struct sums *s, unsigned want)
{
	*s = (struct sums){.want = want | SUM_BIT(SUM_CRC32) | SUM_BIT(SUM_CRC32C)};
	if (want & SUM_BIT(SUM_CRC64NVME))
		s->crc64 = crc64_new();
	if (want & SUM_BIT(SUM_SHA1))
		s->sha1 = sha1_new();
	if (want & SUM_BIT(SUM_SHA256))
		s->sha256 = sha256_new();
	return ((want & SUM_BIT(SUM_CRC64NVME)) && !s->crc64) ||
			       ((want & SUM_BIT(SUM_SHA1)) && !s->sha1) ||
			       ((want & SUM_BIT(SUM_SHA256)) && !s->sha256)
		       ? -1
		       : 0;
}

void sums_update(struct sums *s, const void *p, size_t n)
{
	s->crc32 = crc32_gzip_refl(s->crc32, p, n);
	s->crc32c = crc32c(s->crc32c, p, n);
	if (s->crc64)
		crc64_update(s->crc64, p, n);
	if (s->sha1)
		sha1_update(s->sha1, p, n);
	if (s->sha256)
		sha256_update(s->sha256, p, n);
}

static void big_endian(uint64_t v, size_t len, unsigned char *out)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)(v >> 8 * (len - 1 - i));
}

static uint64_t from_big_endian(const unsigned char *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

void sums_end(struct sums *s, struct sum_values *out)
{
	*out = (struct sum_values){.have = s->want};
	big_endian(s->crc32, 4, out->value[SUM_CRC32]);
	big_endian(s->crc32c, 4, out->value[SUM_CRC32C]);
	if (s->crc64)
		big_endian(crc64_value(s->crc64), 8, out->value[SUM_CRC64NVME]);
	if (s->sha1)
		sha1_final(steal(s->sha1), out->value[SUM_SHA1]);
	if (s->sha256)
		sha256_final(steal(s->sha256), out->value[SUM_SHA256]);
	sums_release(s);
}

void sums_release(struct sums *s)
{
	crc64_free(s->crc64);
	sha1_free(s->sha1);
	sha256_free(s->sha256);
	*s = (struct sums){0};
}

void sum_text(enum sum s, const unsigned char value[SUM_MOST], char out[SUM_TEXT])
{
	_cleanup_buf_ struct buf b = BUF_INIT(SUM_TEXT);

	base64(value, sum_rows[s].len, &b);
	snprintf(out, SUM_TEXT, "%s", buf_cstr(&b));
}

bool sum_parse(enum sum s, const char *text, unsigned char value[SUM_MOST])
{
	_cleanup_buf_ struct buf b = BUF_INIT(SUM_TEXT);

	if (unbase64(text, strlen(text), &b) < 0 || b.len != sum_rows[s].len)
		return false;
	memcpy(value, b.data, b.len);
	return true;
}

void sums_show(const struct sum_values *v, struct buf *out)
{
	char text[SUM_TEXT];

	for (enum sum s = 0; s < N_SUMS; s++) {
		if (!(v->have & SUM_BIT(s)))
			continue;
		sum_text(s, v->value[s], text);
		buf_printf(out, "%s%s:%s", out->len ? " " : "", sum_rows[s].lower, text);
	}
}

void sums_read(const char *text, struct sum_values *v)
{
	char name[16], value[SUM_TEXT];
	int n = 0;

	*v = (struct sum_values){0};
	for (; sscanf(text, " %15[a-z0-9]:%63s%n", name, value, &n) == 2; text += n) {
		enum sum s = sum_by_name(name);
		if (s < N_SUMS && sum_parse(s, value, v->value[s]))
			v->have |= SUM_BIT(s);
	}
}

static uint64_t combine(enum sum s, uint64_t a, uint64_t b, uint64_t len_b)
{
	switch (s) {
	case SUM_CRC32:
		return crc32_combine((uLong)a, (uLong)b, (z_off_t)len_b);
	case SUM_CRC32C:
		return crc32c_combine((uint32_t)a, (uint32_t)b, len_b);
	default:
		return crc64_combine(a, b, len_b);
	}
}

void sum_join_add(struct sum_join *j, const unsigned char value[SUM_MOST], uint64_t size)
{
	const struct sum_row *row = &sum_rows[j->sum];

	buf_add(&j->values, value, row->len);
	if (row->full && j->n)
		big_endian(combine(j->sum, from_big_endian(j->whole, row->len),
				   from_big_endian(value, row->len), size),
			   row->len, j->whole);
	else
		memcpy(j->whole, value, row->len);
	j->n++;
}

int sum_join_text(struct sum_join *j, bool full, char out[SUM_TEXT])
{
	struct sum_values v;
	struct sums s;
	int rc = j->values.failed ? -1 : 0;

	if (full) {
		sum_text(j->sum, j->whole, out);
	} else if (rc == 0 && (rc = sums_begin(&s, SUM_BIT(j->sum))) == 0) {
		sums_update(&s, buf_cstr(&j->values), j->values.len);
		sums_end(&s, &v);
		sum_text(j->sum, v.value[j->sum], out);
		size_t n = strlen(out);
		snprintf(out + n, SUM_TEXT - n, "-%zu", j->n);
	}
	buf_release(&j->values);
	return rc;
}
