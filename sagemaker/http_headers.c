#include "sagemaker/http.h"

#define MAX_HEADERS 512

int http_header_put(struct http_headers *h, const char *name, size_t name_len, const char *value,
		    size_t value_len)
{
	if (h->n >= MAX_HEADERS)
		return -1;
	/* Grown whenever the count is a power of two: no capacity to keep. */
	if ((h->n & (h->n - 1)) == 0) {
		struct http_header *rows =
			realloc(h->rows, MAX(h->n * 2, (size_t)1) * sizeof *rows);

		if (!rows)
			return -1;
		h->rows = rows;
	}
	struct http_header *row = &h->rows[h->n];
	row->name = strndup(name, name_len);
	row->value = strndup(value, value_len);
	if (!row->name || !row->value) {
		free(row->name);
		free(row->value);
		return -1;
	}
	h->n++;
	return 0;
}

int http_header_add(struct http_headers *h, const char *name, const char *value)
{
	return http_header_put(h, name, strlen(name), value, strlen(value));
}

const char *http_header_get(const struct http_headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (strcasecmp(h->rows[i].name, name) == 0)
			return h->rows[i].value;
	}
	return NULL;
}

void http_headers_release(struct http_headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->rows[i].name);
		free(h->rows[i].value);
	}
	free(h->rows);
	*h = (struct http_headers){NULL, 0};
}

void http_resp_release(struct http_resp *r)
{
	http_headers_release(&r->headers);
	buf_release(&r->body);
	r->status = 0;
}
