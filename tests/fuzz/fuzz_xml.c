/* S3's, STS's and IAM's XML replies: what is accepted keeps what xml.h promises. */
#include "sagemaker/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int element(void *arg, const char *path, const char *text)
{
	size_t *depth = arg;

	*depth = 1;
	for (const char *s = path; *s; s++)
		*depth += *s == '/';
	if (!*path || *depth > 16 || strlen(text) > (size_t)64 << 10)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = {0};
	size_t depth = 0;

	if (xml_scan(p, n, element, &depth, &e) < 0) {
		if (!e.no || !e.text[0])
			abort();
	} else if (!depth) {
		abort(); /* a document has an element */
	}
	return 0;
}
