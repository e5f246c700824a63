/* Requests of CloudWatch's metrics: the first byte says as what: CBOR, or a form against a call's model. What CBOR gives must survive
 * being written and read again. */
#include <stdlib.h>

#include "sagemaker/local/form.h"
#include "sagemaker/local/json_cbor.h"
#include "sagemaker/local/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_cbor(const uint8_t *p, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)64 << 20);
	struct err e;
	_cleanup_json_ cJSON *j = cbor_to_json(p, n, &e), *again = NULL;

	if (!j)
		return;
	if (cbor_from_json(j, &b) < 0)
		abort();
	again = cbor_to_json(b.data, b.len, &e);
	if (!again || cJSON_GetArraySize(j) != cJSON_GetArraySize(again))
		abort();
}

static void read_form(const uint8_t *p, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT((size_t)64 << 20), text = BUF_INIT((size_t)1 << 20);
	_cleanup_free_ char *form = strndup((const char *)p, n);
	const struct api_shape *shape =
		validate_shape("GraniteServiceVersion20100801.GetMetricData");
	struct err e;
	_cleanup_json_ cJSON *j = form ? form_to_json(form, shape, &e) : NULL;

	if (!j)
		return;
	validate_value(shape, j, &text);
	xml_from_json("R", j, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n)
		(p[0] & 1 ? read_form : read_cbor)(p + 1, n - 1);
	return 0;
}
