/* Failing replies as any proxy may send them: two bytes of status, a line of x-amzn-errortype, the body. There is always an
 * errno and a sentence. */
#include "sagemaker/aws_errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct http_resp r = {.body = BUF_INIT((size_t)1 << 20)};
	struct err e = {0};

	if (n < 2)
		return 0;
	r.status = 300 + (p[0] << 8 | p[1]) % 300;
	p += 2;
	n -= 2;
	const uint8_t *end = memchr(p, '\n', n);
	size_t line = end ? (size_t)(end - p) : 0;
	if (line && http_header_put(&r.headers, "x-amzn-errortype", 16, (const char *)p, line) < 0)
		return 0;
	buf_add(&r.body, p + line, n - line);
	aws_error_read(&r, &e);
	if (e.no <= 0 || e.no > 511 || !e.text[0])
		abort();
	(void)aws_error_in_success(&r);
	http_headers_release(&r.headers);
	buf_release(&r.body);
	return 0;
}
