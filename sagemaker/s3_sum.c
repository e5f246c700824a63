#include "sagemaker/s3_sum.h"

#include <isa-l/crc.h>

#include "sagemaker/s3_internal.h"

/* In the order in which they are taken where an object has several: the cheap ones first. */
static const struct {
	const char *name, *header;
	size_t len;
} kinds[S3_SUM_KINDS] = {
	[S3_CRC32C] = {"CRC32C",    "x-amz-checksum-crc32c",    4         },
	[S3_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", 8         },
	[S3_CRC32] = {"CRC32",     "x-amz-checksum-crc32",     4         },
	[S3_SHA256] = {"SHA256",    "x-amz-checksum-sha256",    SHA256_LEN},
	[S3_SHA1] = {"SHA1",      "x-amz-checksum-sha1",      20        },
};

const char *s3_sum_name(const struct s3_sum *s)
{
	return kinds[s->kind].name;
}

/* How many parts' checksums it was made of; 0: of the bytes; -1: nobody says. Not every service names the type; then the ETag of an
 * object that was put together has a '-'. */
static int count_parts(const struct http_headers *h, const char *shown)
{
	const char *type = http_header_get(h, "x-amz-checksum-type"),
		   *etag = http_header_get(h, "ETag");
	const char *dash = strchr(shown, '-');
	long n = dash ? strtol(dash + 1, NULL, 10) : 0;

	if (type && streq(type, "FULL_OBJECT") && !dash)
		return 0;
	if (dash)
		return n > 0 && n <= 10000 ? (int)n : -1;
	return type || (etag && strchr(etag, '-')) ? -1 : 0;
}

static bool can_tell(const struct s3_sum *s)
{
	switch (s->kind) {
	case S3_CRC32C:
	case S3_CRC32:
		return s->parts >= 0;
	case S3_CRC64NVME:
		return s->parts == 0 && s->crc64;
	case S3_SHA256:
		return s->parts == 0 && s->sha256;
	case S3_SHA1:
		return s->parts == 0 && s->sha1;
	default:
		return false;
	}
}

void s3_sum_begin(struct s3_sum *s, const struct http_headers *h)
{
	const char *shown = NULL;
	enum s3_sum_kind kind = 0;

	s3_sum_release(s);
	while (kind < S3_SUM_KINDS && !(shown = http_header_get(h, kinds[kind].header)))
		kind++;
	s->kind = kind;
	if (!shown || s3_copy_text(s->shown, sizeof s->shown, shown)) {
		s->kind = S3_SUM_KINDS;
		return;
	}
	s->parts = count_parts(h, shown);
	s->left = s3_part_size(0);
	if (kind == S3_CRC64NVME)
		s->crc64 = crc64_new();
	if (kind == S3_SHA256)
		s->sha256 = sha256_new();
	if (kind == S3_SHA1)
		s->sha1 = sha1_new();
	if (!can_tell(s))
		s3_sum_release(s);
}

static uint32_t crc_of(const struct s3_sum *s, uint32_t so_far, const void *p, size_t n)
{
	return s->kind == S3_CRC32 ? crc32_gzip_refl(so_far, p, n) : crc32c(so_far, p, n);
}

static void end_part(struct s3_sum *s)
{
	unsigned char bytes[4];

	s3_crc_bytes(s->crc, bytes);
	s->of_parts = crc_of(s, s->of_parts, bytes, sizeof bytes);
	s->crc = 0;
	s->left = s3_part_size(++s->part);
}

static void update_crc(struct s3_sum *s, const char *p, size_t n)
{
	while (s->parts && n >= s->left) {
		size_t now = (size_t)s->left;

		s->crc = crc_of(s, s->crc, p, now);
		p += now;
		n -= now;
		end_part(s);
	}
	s->crc = crc_of(s, s->crc, p, n);
	s->left -= s->parts ? n : 0;
}

void s3_sum_update(struct s3_sum *s, const void *p, size_t n)
{
	switch (s->kind) {
	case S3_CRC32C:
	case S3_CRC32:
		update_crc(s, p, n);
		break;
	case S3_CRC64NVME:
		crc64_update(s->crc64, p, n);
		break;
	case S3_SHA256:
		sha256_update(s->sha256, p, n);
		break;
	case S3_SHA1:
		sha1_update(s->sha1, p, n);
		break;
	default:
		break;
	}
}

static void value(struct s3_sum *s, unsigned char out[SHA256_LEN])
{
	uint64_t crc;

	switch (s->kind) {
	case S3_SHA256:
		sha256_final(steal(s->sha256), out);
		break;
	case S3_SHA1:
		sha1_final(steal(s->sha1), out);
		break;
	case S3_CRC64NVME:
		crc = crc64_value(s->crc64);
		s3_crc_bytes((uint32_t)(crc >> 32), out);
		s3_crc_bytes((uint32_t)crc, out + 4);
		break;
	default:
		s3_crc_bytes(s->parts ? s->of_parts : s->crc, out);
		break;
	}
}

enum s3_sum_verdict s3_sum_end(struct s3_sum *s, char text[S3_SUM_TEXT])
{
	_cleanup_buf_ struct buf b = BUF_INIT(S3_SUM_TEXT);
	unsigned char bytes[SHA256_LEN];
	enum s3_sum_verdict verdict;

	text[0] = '\0';
	if (s->kind == S3_SUM_KINDS)
		return S3_SUM_UNKNOWN;
	if (s->parts && s->left != s3_part_size(s->part))
		end_part(s);
	int parts = s->part;
	value(s, bytes);
	base64(bytes, kinds[s->kind].len, &b);
	if (s->parts)
		buf_printf(&b, "-%d", parts);
	snprintf(text, S3_SUM_TEXT, "%s", buf_cstr(&b));
	if (streq(text, s->shown))
		verdict = S3_SUM_RIGHT;
	else if (!s->parts)
		verdict = S3_SUM_WRONG;
	else
		verdict = parts == s->parts ? S3_SUM_IF_PARTS : S3_SUM_UNKNOWN;
	crc64_free(steal(s->crc64));
	return verdict;
}

void s3_sum_release(struct s3_sum *s)
{
	crc64_free(s->crc64);
	sha256_free(s->sha256);
	sha1_free(s->sha1);
	*s = (struct s3_sum){.kind = S3_SUM_KINDS};
}
