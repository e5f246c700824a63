/* Signs what comes in as JSON lines and prints each stage as a JSON line: to be compared with another signer. */
#include "sagemaker/json.h"
#include "sagemaker/sigv4.h"

static const char *text(const cJSON *o, const char *key)
{
	const char *value = json_text(o, key);

	return value ? value : "";
}

static size_t read_headers(const cJSON *in, struct sig_pair *rows, size_t most)
{
	const cJSON *pair;
	size_t n = 0;

	cJSON_ArrayForEach(pair, cJSON_GetObjectItem(in, "headers")) {
		const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
		const char *value = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1));

		if (name && value && n < most)
			rows[n++] = (struct sig_pair){name, value};
	}
	return n;
}

static int sign(const cJSON *in, cJSON *out, struct err *e)
{
	_cleanup_buf_ struct buf canonical = BUF_INIT(0), sts = BUF_INIT(0),
				 authorization = BUF_INIT(0), key = BUF_INIT(0);
	struct keys keys = {"", "", ""};
	struct sig_pair rows[64];

	const struct sig_scope scope = {text(in, "date"), text(in, "region"), text(in, "service")};
	const struct sig_request q = {.method = text(in, "method"),
				      .path = text(in, "path"),
				      .query = text(in, "query"),
				      .headers = rows,
				      .n_headers = read_headers(in, rows, ARRAY_SIZE(rows)),
				      .payload = text(in, "payload"),
				      .double_encode =
					      cJSON_IsTrue(cJSON_GetObjectItem(in, "double"))};
	json_copy(in, "access", keys.access, sizeof keys.access);
	json_copy(in, "secret", keys.secret, sizeof keys.secret);
	if (uri_encode(text(in, "key"), strlen(text(in, "key")), true, &key) ||
	    sigv4_canonical(&q, &canonical, e) ||
	    sigv4_string_to_sign(&scope, &canonical, &sts, e) ||
	    sigv4_authorization(&q, &scope, &keys, &authorization, e))
		return -1;
	json_put(out, "key", buf_cstr(&key));
	json_put(out, "canonical", buf_cstr(&canonical));
	json_put(out, "string_to_sign", buf_cstr(&sts));
	json_put(out, "authorization", buf_cstr(&authorization));
	return 0;
}

int main(void)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
		_cleanup_json_ cJSON *in = cJSON_ParseWithLength(line, (size_t)n),
				     *out = cJSON_CreateObject();
		struct err e;

		if (sign(in, out, &e))
			json_put(out, "error", e.text);
		_cleanup_free_ char *said = cJSON_PrintUnformatted(out);
		puts(said ? said : "{}");
	}
	return 0;
}
