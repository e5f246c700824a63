#include "sagemaker/local/payload.h"

#include <errno.h>

#include "sagemaker/local/chunked.h"
#include "sagemaker/local/routes.h"
#include "sagemaker/local/upload.h"

/* clang-format off */
static const struct payload {
	const char *name;
	bool chunked, is_signed, trailer;
} payloads[] = {
	{"UNSIGNED-PAYLOAD",                           false, false, false},
	{"STREAMING-UNSIGNED-PAYLOAD-TRAILER",         true,  false, true },
	{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",         true,  true,  false},
	{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true,  true,  true },
};

/* clang-format on */

static const struct payload *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++) {
		if (streq(payloads[i].name, name))
			return &payloads[i];
	}
	return NULL;
}

bool payload_check(struct request *r)
{
	const char *p = r->auth.payload;

	if (!*p) {
		reply_error(r, 400, "InvalidRequest",
			    "Missing required header for this request: x-amz-content-sha256");
		return false;
	}
	if (find(p) || (strlen(p) == 64 && strspn(p, "0123456789abcdef") == 64))
		return true;
	if (starts_with(p, "STREAMING-AWS4-ECDSA-"))
		reply_error(r, 501, "NotImplemented",
			    "the local backend does not know the signatures of Version 4A");
	else
		reply_error(
			r, 400, "InvalidArgument",
			"x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
			"STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
	return false;
}

static int to_upload(void *arg, const void *p, size_t n)
{
	struct request *r = arg;

	if (n > r->length - r->upload->size) {
		r->error.no = EMSGSIZE;
		return -1;
	}
	return upload_write(r->upload, p, n, &r->error);
}

static bool read_decoded_length(struct request *r)
{
	const char *s = request_header(r, "x-amz-decoded-content-length");
	char *end;

	errno = 0;
	r->length = s ? strtoull(s, &end, 10) : 0;
	r->has_length = true;
	if (s && *s >= '0' && *s <= '9' && !*end && !errno)
		return true;
	reply_error(r, s ? 400 : 411, s ? "InvalidArgument" : "MissingContentLength",
		    s ? "The x-amz-decoded-content-length header is not a number."
		      : "You must provide the Content-Length HTTP header.");
	return false;
}

bool payload_begin(struct request *r)
{
	const struct payload *p = find(r->auth.payload);
	const struct auth *a = &r->auth;
	struct chunk_signer signer = {
		{a->date, a->region, a->service},
                r->auth.secret, a->signature
        };

	if (!p || !p->chunked)
		return true;
	if (!r->route->streams) {
		reply_error(r, 501, "NotImplemented",
			    "the local backend reads aws-chunked bodies of objects and parts only");
		return false;
	}
	if (!read_decoded_length(r))
		return false;
	r->chunked = chunked_new(p->is_signed ? &signer : NULL, p->trailer, to_upload, r);
	if (!r->chunked)
		reply_error(r, 500, "InternalError", "out of memory");
	return r->chunked != NULL;
}

void payload_take(struct request *r, const char *p, size_t n)
{
	if (r->error.no)
		return;
	if (!r->upload) {
		if (buf_add(&r->body, p, n) < 0)
			r->error.no = EFBIG;
		return;
	}
	if (!r->chunked) {
		to_upload(r, p, n);
		return;
	}
	switch (chunked_feed(r->chunked, p, n)) {
	case CHUNK_MALFORMED:
		r->error.no = EBADMSG;
		break;
	case CHUNK_SIGNATURE:
		r->error.no = EKEYREJECTED;
		break;
	default:
		break;
	}
}

bool payload_refused(struct request *r)
{
	static const struct {
		int no;
		unsigned status;
		const char *code, *text;
	} rows[] = {
		{EMSGSIZE,     400, "IncompleteBody",
		 "You did not provide the number of bytes specified by the Content-Length HTTP header"},
		{EBADMSG,      400, "IncompleteBody",
		 "The request body is not aws-chunked as x-amz-content-sha256 says"                   },
		{EKEYREJECTED, 403, "SignatureDoesNotMatch",
		 "The chunk signature we calculated does not match the signature you provided."       },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!r->upload || r->error.no != rows[i].no)
			continue;
		reply_error(r, rows[i].status, rows[i].code, "%s", rows[i].text);
		return true;
	}
	return false;
}
