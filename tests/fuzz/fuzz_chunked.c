/* aws-chunked bodies: no input may give more bytes than it has, or another result when it comes in other pieces. */
#include "sagemaker/local/chunked.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int count(void *arg, const void *data, size_t n)
{
	size_t *total = arg;

	(void)data;
	*total += n;
	return 0;
}

/* The flags come first: signed, trailer. */
static enum chunk_fault decode(const uint8_t *p, size_t n, size_t step, size_t *total, bool *done)
{
	static const struct chunk_signer signer = {
		{"20130524T000000Z", "us-east-1", "s3"},
		"secret",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        };
	struct chunked *c = chunked_new(p[0] & 1 ? &signer : NULL, p[0] & 2, count, total);
	enum chunk_fault f = CHUNK_OK;

	*total = 0;
	if (!c)
		abort();
	for (size_t at = 1; at < n && f == CHUNK_OK; at += step)
		f = chunked_feed(c, p + at, step < n - at ? step : n - at);
	*done = chunked_done(c);
	chunked_trailer(c, "x-amz-checksum-crc32");
	chunked_free(c);
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t whole, pieces;
	bool done, done_too;

	if (!n)
		return 0;
	enum chunk_fault f = decode(p, n, n, &whole, &done);
	if (whole >= n || (done && f != CHUNK_OK))
		abort();
	if (decode(p, n, 3, &pieces, &done_too) != f || whole != pieces || done != done_too)
		abort();
	return 0;
}
