/* The files of models as anyone may hand them in: every parser of sniff.h, as the first byte's name of the file leads to it. */
#include "sagemaker/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const names[] = {"model.pt",      "model.joblib", "model.json",
					    "xgboost-model", "model.onnx",   "model.safetensors",
					    "model.txt",     "model.ubj",    "model.ckpt.index"};
	struct file_facts facts;
	struct bytes b;

	if (!n)
		return 0;
	bytes_of_memory(&b, p + 1, n - 1);
	sniff_bytes(&b, names[p[0] % ARRAY_SIZE(names)], &facts);
	sniff_release(&facts);
	return 0;
}
