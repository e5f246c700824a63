/* Lists of keys, as S3 sends them to us and as clients send them to be deleted: the first byte says which. Each is read by functions of
 * one file: here those files are compiled in whole, and the archives' own copies stay out. */
#include "../../sagemaker/s3_list.c" /* NOLINT(bugprone-suspicious-include) */

#include "../../sagemaker/local/objects_delete.c" /* NOLINT(bugprone-suspicious-include) */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int see(void *arg, const struct s3_item *item)
{
	size_t *left = arg;

	if (!item->key || !item->etag || !*left)
		abort();
	--*left;
	return 0;
}

static void page(const uint8_t *p, size_t n)
{
	struct page page _cleanup_(page_release) = {0};
	struct err e;
	size_t left = MAX_ROWS;

	if (xml_scan(p, n, on_element, &page, &e) == 0 && !page.no_memory)
		give(&page, see, &left);
}

static void victims(const uint8_t *p, size_t n)
{
	struct backend be = {.host_id = "host"};
	struct request *r = request_new(&be, "/bucket?delete");
	struct batch b = {.r = r};

	if (!r)
		return;
	buf_add(&r->body, p, n);
	if (read_batch(&b) ? !b.n || r->reply.status : r->reply.status != 400)
		abort();
	for (size_t i = 0; !r->reply.status && i < b.n; i++) {
		if (!b.rows[i].key || !*b.rows[i].key)
			abort();
	}
	batch_free(&b);
	request_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n)
		(p[0] & 1 ? page : victims)(p + 1, n - 1);
	return 0;
}
