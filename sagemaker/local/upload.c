#include "sagemaker/local/upload.h"

#include <errno.h>
#include <strings.h>

#include "sagemaker/local/chunked.h"
#include "sagemaker/local/objects.h"

#define REFUSE(r, code, ...) (reply_error((r), 400, (code), __VA_ARGS__), false)

/* Newer checksums of AWS's model: to take them unchecked would be a false success. */
static bool no_foreign_sum(struct request *r)
{
	static const char *const names[] = {"x-amz-checksum-sha512", "x-amz-checksum-md5",
					    "x-amz-checksum-xxhash64", "x-amz-checksum-xxhash3",
					    "x-amz-checksum-xxhash128"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!request_header(r, names[i]))
			continue;
		reply_error(r, 501, "NotImplemented", "the local backend does not check %s",
			    names[i]);
		return false;
	}
	return true;
}

static bool read_trailer_name(struct request *r, struct claim *c)
{
	const char *name = request_header(r, "x-amz-trailer");

	if (!name)
		return true;
	if (c->sum != SUM_NONE)
		return REFUSE(r, "InvalidRequest", "Expecting a single x-amz-checksum- header");
	c->sum = sum_by_header(name);
	return c->sum != SUM_NONE ||
	       REFUSE(r, "InvalidRequest",
		      "The value specified in the x-amz-trailer header is not supported");
}

/* x-amz-sdk-checksum-algorithm promises a checksum: it must have come. */
static bool check_sdk_header(struct request *r, const struct claim *c)
{
	const char *name = request_header(r, "x-amz-sdk-checksum-algorithm");

	if (!name)
		return true;
	if (c->sum == SUM_NONE)
		return REFUSE(r, "InvalidRequest",
			      "x-amz-sdk-checksum-algorithm specified, but no corresponding "
			      "x-amz-checksum-* or x-amz-trailer headers were found.");
	return strcasecmp(name, sum_rows[c->sum].name) == 0 ||
	       REFUSE(r, "InvalidRequest", "Value for %s header is invalid.",
		      "x-amz-sdk-checksum-algorithm");
}

/* The checksum that comes with the body. false: replied. */
static bool read_claim(struct request *r, struct claim *c)
{
	unsigned char value[SUM_MOST];

	*c = (struct claim){SUM_NONE, NULL};
	for (enum sum s = 0; s < N_SUMS; s++) {
		const char *text = request_header(r, sum_rows[s].header);
		if (!text)
			continue;
		if (c->sum != SUM_NONE)
			return REFUSE(
				r, "InvalidRequest",
				"Expecting a single x-amz-checksum- header. Multiple checksum "
				"Types are not allowed.");
		if (!sum_parse(s, text, value))
			return REFUSE(r, "InvalidRequest", "Value for %s header is invalid.",
				      sum_rows[s].header);
		*c = (struct claim){s, text};
	}
	return no_foreign_sum(r) && read_trailer_name(r, c) && check_sdk_header(r, c);
}

/* MD5 costs more than all else that is done to a byte here. S3 promises it as the ETag of a whole object; a part's ETag is only
 * handed back to complete the upload, and one whose sender made a CRC-32C has had its bytes compared by that. */
static bool wants_md5(struct request *r, const struct claim *c)
{
	return !request_arg(r, "partNumber") || c->sum != SUM_CRC32C ||
	       request_header(r, "Content-MD5");
}

struct upload *upload_new(struct backend *be, unsigned want, uint64_t size, struct err *e)
{
	struct upload *u = calloc(1, sizeof *u);

	if (!u) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	*u = (struct upload){.be = be, .out.fd = -1, .claim.sum = SUM_NONE, .md5 = md5_new()};
	random_text(u->file, sizeof u->file);
	if (!u->md5 || sums_begin(&u->sums, want) < 0)
		err_set(e, ENOMEM, "out of memory");
	else if (blocks_open(&u->out, objects_dirfd(be->objects), u->file, size, e) == 0)
		return u;
	upload_drop(u);
	return NULL;
}

/* The sum that came along, and CRC64NVME where it may become the object's: S3 makes it of what has no other. A part does not say what
 * its upload has; one with a CRC-32C costs nothing more, its sender made the upload with that. */
static unsigned wanted_sums(struct request *r, const struct claim *c)
{
	unsigned given = c->sum == SUM_NONE ? 0 : SUM_BIT(c->sum);
	bool own = request_arg(r, "partNumber") ? c->sum != SUM_CRC32C : !given;

	return given | (own ? SUM_BIT(SUM_CRC64NVME) : 0);
}

bool upload_begin(struct request *r)
{
	struct claim c;
	struct err e;

	if (!read_claim(r, &c))
		return false;
	r->upload = upload_new(r->be, wanted_sums(r, &c), r->length, &e);
	if (!r->upload) {
		reply_failure(r, &e);
		return false;
	}
	r->upload->claim = c;
	if (!wants_md5(r, &c))
		md5_free(steal(r->upload->md5));
	if (strlen(r->auth.payload) != SHA256_HEX - 1)
		return true;
	r->upload->sha = sha256_new();
	if (!r->upload->sha)
		reply_error(r, 500, "InternalError", "out of memory");
	return r->upload->sha != NULL;
}

int upload_write(struct upload *u, const void *p, size_t n, struct err *e)
{
	if (blocks_add(&u->out, p, n, e))
		return -1;
	if (u->md5)
		md5_update(u->md5, p, n);
	if (u->sha)
		sha256_update(u->sha, p, n);
	sums_update(&u->sums, p, n);
	u->size += n;
	return 0;
}

static void end_digests(struct upload *u)
{
	char text[64];

	uint32_t crc32c_value = u->sums.crc32c, crc32_value = u->sums.crc32;
	sums_end(&u->sums, &u->values);
	if (u->md5) {
		md5_final(steal(u->md5), u->md5sum);
	} else {
		int n = snprintf(text, sizeof text, "%08x %08x %llu", crc32c_value, crc32_value,
				 (unsigned long long)u->size);
		md5(text, (size_t)n, u->md5sum);
	}
}

static bool check_md5(struct request *r, const unsigned char md5sum[16])
{
	const char *given = request_header(r, "Content-MD5");
	_cleanup_buf_ struct buf b = BUF_INIT(64);

	if (!given)
		return true;
	if (unbase64(given, strlen(given), &b) < 0 || b.len != 16)
		return REFUSE(r, "InvalidDigest", "The Content-MD5 you specified was invalid.");
	return memcmp(b.data, md5sum, b.len) == 0 ||
	       REFUSE(r, "BadDigest",
		      "The Content-MD5 you specified did not match what we received.");
}

static bool check_sha_header(struct request *r, struct upload *u)
{
	unsigned char digest[SHA256_LEN];
	char text[SHA256_HEX];

	if (!u->sha)
		return true;
	sha256_final(steal(u->sha), digest);
	hex(digest, sizeof digest, text);
	return streq(text, r->auth.payload) ||
	       REFUSE(r, "XAmzContentSHA256Mismatch",
		      "The provided 'x-amz-content-sha256' header does not match what was computed.");
}

static bool check_claim(struct request *r, const struct claim *c, const struct sum_values *v)
{
	unsigned char value[SUM_MOST];
	const char *given = c->value;

	if (c->sum == SUM_NONE)
		return true;
	const struct sum_row *row = &sum_rows[c->sum];
	if (!given)
		given = r->chunked ? chunked_trailer(r->chunked, row->header) : NULL;
	if (!given)
		return REFUSE(r, "MalformedTrailerError",
			      "The request contained trailing data that was not well-formed or did "
			      "not conform to our published schema.");
	if (!sum_parse(c->sum, given, value))
		return REFUSE(r, "InvalidRequest", "Value for %s trailing header is invalid.",
			      row->header);
	return memcmp(value, v->value[c->sum], row->len) == 0 ||
	       REFUSE(r, "BadDigest", "The %s you specified did not match the calculated checksum.",
		      row->name);
}

static int sync_file(struct upload *u, struct err *e)
{
	if (blocks_sync(&u->out, e) < 0)
		return -1;
	return fsync(objects_dirfd(u->be->objects)) < 0
		       ? err_errno(e, "cannot write into the store")
		       : 0;
}

int upload_finish(struct upload *u, struct err *e)
{
	end_digests(u);
	return sync_file(u, e);
}

bool upload_end(struct request *r)
{
	struct upload *u = r->upload;
	struct err e;

	if (u->size != r->length || (r->chunked && !chunked_done(r->chunked)))
		return REFUSE(r, "IncompleteBody", "The request body terminated unexpectedly");
	end_digests(u);
	if (!check_md5(r, u->md5sum) || !check_sha_header(r, u) ||
	    !check_claim(r, &u->claim, &u->values))
		return false;
	if (sync_file(u, &e) == 0)
		return true;
	reply_failure(r, &e);
	return false;
}

void upload_checksum(const struct upload *u, char out[CHECKSUM_TEXT])
{
	enum sum s = u->claim.sum == SUM_NONE ? SUM_CRC64NVME : u->claim.sum;
	char text[SUM_TEXT];

	sum_text(s, u->values.value[s], text);
	snprintf(out, CHECKSUM_TEXT, "%s:%s:FULL_OBJECT", sum_rows[s].lower, text);
}

uint32_t upload_crc32c(const struct upload *u)
{
	const unsigned char *v = u->values.value[SUM_CRC32C];

	return (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
}

void upload_drop(struct upload *u)
{
	if (!u)
		return;
	md5_free(u->md5);
	sha256_free(u->sha);
	sums_release(&u->sums);
	if (u->out.fd >= 0 && !u->kept)
		unlinkat(objects_dirfd(u->be->objects), u->file, 0);
	blocks_close(&u->out);
	free(u);
}

bool body_check(struct request *r)
{
	const char *p = buf_cstr(&r->body);
	unsigned char md5sum[16];
	struct sum_values v;
	struct claim c;
	struct sums s;

	if (!read_claim(r, &c))
		return false;
	md5(p, r->body.len, md5sum);
	if (sums_begin(&s, c.sum == SUM_NONE ? 0 : SUM_BIT(c.sum)) < 0) {
		sums_release(&s);
		reply_error(r, 500, "InternalError", "out of memory");
		return false;
	}
	sums_update(&s, p, r->body.len);
	sums_end(&s, &v);
	return check_md5(r, md5sum) && check_claim(r, &c, &v);
}
