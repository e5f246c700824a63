#include "sagemaker/local/upload.h"

#include <errno.h>
#include <isa-l/crc.h>

#include "sagemaker/local/objects.h"

uint32_t crc32_gzip(uint32_t so_far, const void *p, size_t n)
{
	return crc32_gzip_refl(so_far, p, n);
}

void crc_base64(uint32_t crc, char out[16])
{
	const unsigned char bytes[4] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
					(unsigned char)(crc >> 8), (unsigned char)crc};
	_cleanup_buf_ struct buf b = BUF_INIT(16);

	base64(bytes, sizeof bytes, &b);
	snprintf(out, 16, "%s", buf_cstr(&b));
}

/* MD5 costs more than all else that is done to a byte here. S3 promises it as the ETag of a whole object; a part's ETag is only
 * handed back to complete the upload, and one whose sender made a CRC-32C has had its bytes compared by that. */
static bool wants_md5(struct request *r)
{
	return !request_arg(r, "partNumber") || !request_header(r, "x-amz-checksum-crc32c") ||
	       request_header(r, "Content-MD5");
}

int upload_begin(struct request *r, struct err *e)
{
	bool hashed = r->auth.payload[0] != 'U' || request_header(r, "x-amz-checksum-sha256");
	bool tagged = wants_md5(r);
	struct upload *u = calloc(1, sizeof *u);

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	*u = (struct upload){.be = r->be,
			     .out.fd = -1,
			     .md5 = tagged ? md5_new() : NULL,
			     .sha = hashed ? sha256_new() : NULL};
	r->upload = u;
	if ((tagged && !u->md5) || (hashed && !u->sha))
		return err_set(e, ENOMEM, "out of memory");
	random_text(u->file, sizeof u->file);
	return blocks_open(&u->out, objects_dirfd(r->be->objects), u->file, r->length, e);
}

int upload_write(struct upload *u, const void *p, size_t n, struct err *e)
{
	if (blocks_add(&u->out, p, n, e))
		return -1;
	if (u->md5)
		md5_update(u->md5, p, n);
	if (u->sha)
		sha256_update(u->sha, p, n);
	u->crc32c = crc32c(u->crc32c, p, n);
	u->crc32 = crc32_gzip(u->crc32, p, n);
	u->size += n;
	return 0;
}

static void end_digests(struct upload *u)
{
	char text[64];

	if (u->md5) {
		md5_final(steal(u->md5), u->md5sum);
	} else {
		int n = snprintf(text, sizeof text, "%08x %08x %llu", u->crc32c, u->crc32,
				 (unsigned long long)u->size);
		md5(text, (size_t)n, u->md5sum);
	}
	if (u->sha)
		sha256_final(steal(u->sha), u->sha256sum);
}

static bool check_md5(struct request *r, const struct upload *u)
{
	const char *given = request_header(r, "Content-MD5");
	_cleanup_buf_ struct buf b = BUF_INIT(64);

	if (!given)
		return true;
	if (unbase64(given, strlen(given), &b) < 0 || b.len != sizeof u->md5sum) {
		reply_error(r, 400, "InvalidDigest", "The Content-MD5 you specified was invalid.");
		return false;
	}
	if (memcmp(b.data, u->md5sum, b.len) == 0)
		return true;
	reply_error(r, 400, "BadDigest",
		    "The Content-MD5 you specified did not match what we received.");
	return false;
}

static bool check_sha_header(struct request *r, const struct upload *u)
{
	char text[SHA256_HEX];

	if (r->auth.payload[0] == 'U')
		return true;
	hex(u->sha256sum, sizeof u->sha256sum, text);
	if (streq(text, r->auth.payload))
		return true;
	reply_error(r, 400, "XAmzContentSHA256Mismatch",
		    "The provided 'x-amz-content-sha256' header does not match what was computed.");
	return false;
}

static void show_crc32c(const struct upload *u, struct buf *out)
{
	char text[16];

	crc_base64(u->crc32c, text);
	buf_str(out, text);
}

static void show_crc32(const struct upload *u, struct buf *out)
{
	char text[16];

	crc_base64(u->crc32, text);
	buf_str(out, text);
}

static void show_sha256(const struct upload *u, struct buf *out)
{
	base64(u->sha256sum, sizeof u->sha256sum, out);
}

static const struct {
	const char *header, *name;
	void (*show)(const struct upload *u,
		     struct buf *out); /* NULL: an algorithm that we do not have */
} checksums[] = {
	{"x-amz-checksum-crc32c",    "crc32c",    show_crc32c},
	{"x-amz-checksum-crc32",     "crc32",     show_crc32 },
	{"x-amz-checksum-sha256",    "sha256",    show_sha256},
	{"x-amz-checksum-sha1",      "sha1",      NULL       },
	{"x-amz-checksum-crc64nvme", "crc64nvme", NULL       },
	{"x-amz-trailer",            "a trailer", NULL       },
};

static bool check_checksum(struct request *r, const struct upload *u, size_t i, char out[128])
{
	const char *given = request_header(r, checksums[i].header);
	_cleanup_buf_ struct buf b = BUF_INIT(64);

	if (!given)
		return true;
	if (!checksums[i].show) {
		reply_error(r, 501, "NotImplemented", "the local backend does not check %s (%s)",
			    checksums[i].name, checksums[i].header);
		return false;
	}
	checksums[i].show(u, &b);
	if (!streq(buf_cstr(&b), given)) {
		reply_error(r, 400, "BadDigest",
			    "The %s you specified did not match the calculated checksum.",
			    checksums[i].name);
		return false;
	}
	snprintf(out, 128, "%s:%s:FULL_OBJECT", checksums[i].name, buf_cstr(&b));
	return true;
}

bool upload_end(struct request *r, char checksum[128])
{
	struct upload *u = r->upload;
	struct err e;

	end_digests(u);
	checksum[0] = '\0';
	if (!check_md5(r, u) || !check_sha_header(r, u))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(checksums); i++) {
		if (!check_checksum(r, u, i, checksum))
			return false;
	}
	if (blocks_sync(&u->out, &e) == 0) {
		if (fsync(objects_dirfd(r->be->objects)) == 0)
			return true;
		err_errno(&e, "cannot write into the store");
	}
	reply_failure(r, &e);
	return false;
}

void upload_drop(struct upload *u)
{
	if (!u)
		return;
	md5_free(u->md5);
	sha256_free(u->sha);
	if (u->out.fd >= 0 && !u->kept)
		unlinkat(objects_dirfd(u->be->objects), u->file, 0);
	blocks_close(&u->out);
	free(u);
}
