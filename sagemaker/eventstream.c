#include "sagemaker/eventstream.h"

#include <zlib.h>

#define TYPE_STRING 7
#define PRELUDE     12 /* total length, headers' length, CRC of both */
#define NAME_MOST   255
#define VALUE_MOST  32767

static void put_u32(struct buf *out, uint32_t v)
{
	const unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
				    (unsigned char)(v >> 8), (unsigned char)v};

	buf_add(out, b, sizeof b);
}

static uint32_t crc_from(const struct buf *out, size_t start)
{
	return (uint32_t)crc32_z(0, (const unsigned char *)out->data + start, out->len - start);
}

static int put_header(struct buf *out, const struct eventstream_header *h)
{
	size_t name = strlen(h->name), value = strlen(h->value);

	if (!name || name > NAME_MOST || value > VALUE_MOST)
		return -1;
	buf_char(out, (char)name);
	buf_add(out, h->name, name);
	buf_char(out, TYPE_STRING);
	buf_char(out, (char)(value >> 8));
	buf_char(out, (char)value);
	return buf_add(out, h->value, value);
}

int eventstream_put(struct buf *out, const struct eventstream_header *rows, size_t n_rows,
		    const void *payload, size_t n)
{
	_cleanup_buf_ struct buf headers = BUF_INIT((size_t)128 << 10);
	size_t start = out->len;

	for (size_t i = 0; i < n_rows; i++) {
		if (put_header(&headers, &rows[i]))
			return -1;
	}
	if (n > UINT32_MAX - headers.len - PRELUDE - 4)
		return -1;
	put_u32(out, (uint32_t)(PRELUDE + headers.len + n + 4));
	put_u32(out, (uint32_t)headers.len);
	if (out->failed)
		return -1;
	put_u32(out, crc_from(out, start));
	buf_add(out, buf_cstr(&headers), headers.len);
	buf_add(out, payload, n);
	if (out->failed)
		return -1;
	put_u32(out, crc_from(out, start));
	return out->failed ? -1 : 0;
}
