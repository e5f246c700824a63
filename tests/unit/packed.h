/* packed.h: bytes as one gzip member of ours. */
#ifndef TESTS_UNIT_PACKED_H
#define TESTS_UNIT_PACKED_H

#include <zlib.h>

#include "sagemaker/pack.h"

struct packed {
	unsigned char *z;
	size_t n;
	size_t at[32];    /* where each chunk begins */
	uint32_t crc[32]; /* of what is in it */
	size_t n_chunks;
};

static inline void packed_end_chunk(struct pack *p, struct deflater *d, struct packed *m,
				    uint32_t *crc)
{
	m->at[m->n_chunks] = p->chunk;
	m->crc[m->n_chunks++] = p->crc;
	pack_end(p, d);
	*crc = (uint32_t)crc32_combine(*crc, p->crc, (z_off_t)p->raw);
	pack_next(p);
}

static inline void packed_make(struct packed *m, const unsigned char *in, size_t n, size_t step)
{
	struct deflater *d = deflater_new();
	struct pack p = {.room = malloc(PACK_BOUND(n + PACK_CHUNK) + 64)};
	uint32_t crc = 0;

	*m = (struct packed){.z = p.room};
	pack_header(p.room);
	p.len = PACK_HEADER;
	pack_next(&p);
	for (size_t at = 0; at < n;) {
		size_t room;
		unsigned char *to = pack_room(&p, &room);

		room = MIN(MIN(room, step), n - at);
		assert_true(room > 0);
		memcpy(to, in + at, room);
		at += room;
		if (pack_took(&p, room))
			packed_end_chunk(&p, d, m, &crc);
	}
	if (p.raw)
		packed_end_chunk(&p, d, m, &crc);
	pack_trailer(crc, n, p.room + p.len);
	m->n = p.len + PACK_TRAILER;
	deflater_free(d);
}

#endif
