/* The list of parts that a client sends to complete an upload. It is read by a function of one file: here that file is compiled
 * in whole, and the archive's own copy stays out. */
#include "../../sagemaker/local/multipart_complete.c" /* NOLINT(bugprone-suspicious-include) */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct wishes w = {.text = BUF_INIT(4096)};
	struct backend be = {.host_id = "host"};
	struct request *r = request_new(&be, "/bucket/key?uploadId=1");

	if (!r)
		return 0;
	buf_add(&r->body, p, n);
	if (parse(r, &w) ? !w.n || r->reply.status : r->reply.status != 400)
		abort();
	for (size_t i = 0; i < w.n; i++)
		if (strlen(w.rows[i].etag) >= sizeof w.rows[i].etag)
			abort();
	free(w.rows);
	buf_release(&w.text);
	request_free(r);
	return 0;
}
