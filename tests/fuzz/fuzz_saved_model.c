/* saved_model.pb and variables.index as anyone may hand them in; a first byte chooses which. */
#include <fcntl.h>

#include "sagemaker/buf.h"
#include "sagemaker/handler.h"
#include "sagemaker/saved_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void graph(const uint8_t *p, size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	struct saved_model m;
	struct err e = {0};

	if (saved_model_parse(p, n, &m, &e) == 0 && m.input == INPUT_EXAMPLES)
		(void)!handler_generate(&m, &text);
	saved_model_release(&m);
}

static void table(const uint8_t *p, size_t n)
{
	struct err e = {0};
	uint64_t *sizes;
	size_t n_sizes;

	if (tensor_bundle_parse(p, n, &sizes, &n_sizes, &e) == 0)
		free(sizes);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n)
		(p[0] & 1 ? graph : table)(p + 1, n - 1);
	return 0;
}
