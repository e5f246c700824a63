/* pack.c: see pack.h. Whether a chunk is worth deflating is decided by samples: float weights shrink by 7 to 8 %, which is not worth
 * the time, neither here nor where it is inflated. */
#include "sagemaker/pack.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#define STORED_HEADER 5
#define SAMPLES       4
#define SAMPLE        ((size_t)32 << 10)
#define WORTH(n)      ((n) - (n) / 10) /* what shrinks less is stored */

struct deflater {
	struct isal_zstream z;
	unsigned char level[ISAL_DEF_LVL1_LARGE];
	unsigned char out[WORTH(PACK_CHUNK)];
};

struct deflater *deflater_new(void)
{
	return malloc(sizeof(struct deflater));
}

void deflater_free(struct deflater *d)
{
	free(d);
}

unsigned char *pack_room(const struct pack *p, size_t *n)
{
	*n = MIN(PACK_BLOCK - p->block, PACK_CHUNK - p->raw);
	return p->room + p->len + STORED_HEADER + p->block;
}

/* The open block gets its header: not the last one, stored, how long. */
static void end_block(struct pack *p)
{
	uint16_t len = (uint16_t)p->block, not_len = (uint16_t)~len;
	const unsigned char header[STORED_HEADER] = {0, (unsigned char)(len & 0xff),
						     (unsigned char)(len >> 8),
						     (unsigned char)(not_len & 0xff),
						     (unsigned char)(not_len >> 8)};

	if (!p->block)
		return;
	memcpy(p->room + p->len, header, sizeof(header));
	p->len += STORED_HEADER + p->block;
	p->block = 0;
}

bool pack_took(struct pack *p, size_t n)
{
	unsigned char *at = p->room + p->len + STORED_HEADER + p->block;

	p->crc = crc32_gzip_refl(p->crc, at, n);
	p->block += n;
	p->raw += n;
	if (p->block == PACK_BLOCK)
		end_block(p);
	return p->raw == PACK_CHUNK;
}

static void begin_deflate(struct deflater *d, unsigned char *out, size_t max)
{
	isal_deflate_init(&d->z);
	d->z.level = 1;
	d->z.level_buf = d->level;
	d->z.level_buf_size = sizeof(d->level);
	d->z.next_out = out;
	d->z.avail_out = (uint32_t)max;
}

/* One piece more; false: the output is full. */
static bool deflate_piece(struct deflater *d, unsigned char *p, size_t n, bool last)
{
	d->z.next_in = p; /* only read */
	d->z.avail_in = (uint32_t)n;
	d->z.flush = last ? FULL_FLUSH : NO_FLUSH;
	return isal_deflate(&d->z) == COMP_OK && d->z.avail_in == 0 && d->z.avail_out > 0;
}

/* A stored block of the chunk: its bytes. */
static unsigned char *stored_block(unsigned char *at, size_t *n)
{
	*n = at[1] | (size_t)at[2] << 8;
	return at + STORED_HEADER;
}

/* The chunk's blocks, deflated into d->out; 0: they do not shrink enough. */
static size_t deflate_chunk(const struct pack *p, struct deflater *d)
{
	size_t n, at = p->chunk;

	begin_deflate(d, d->out, WORTH(p->raw));
	while (at < p->len) {
		unsigned char *data = stored_block(p->room + at, &n);

		at += STORED_HEADER + n;
		if (!deflate_piece(d, data, n, at >= p->len))
			return 0;
	}
	return d->z.total_out;
}

static size_t deflate_sample(struct deflater *d, unsigned char *p, size_t n)
{
	begin_deflate(d, d->out, n);
	return deflate_piece(d, p, n, true) ? n - d->z.total_out : 0;
}

/* What samples promise, each from the beginning of a block. */
static bool worth_it(const struct pack *p, struct deflater *d)
{
	size_t gained = 0, looked = 0, at = p->chunk, n;
	size_t step = MAX(p->raw / SAMPLES, PACK_BLOCK), next = 0, seen = 0;

	if (p->raw <= SAMPLES * SAMPLE)
		return true;
	for (; at < p->len; at += STORED_HEADER + n) {
		unsigned char *data = stored_block(p->room + at, &n);
		size_t sample = MIN(n, SAMPLE);

		seen += n;
		if (seen - n < next)
			continue;
		next += step;
		gained += deflate_sample(d, data, sample);
		looked += sample;
	}
	return gained >= looked / 10;
}

void pack_end(struct pack *p, struct deflater *d)
{
	end_block(p);
	size_t n = p->raw && worth_it(p, d) ? deflate_chunk(p, d) : 0;

	if (!n)
		return;
	memcpy(p->room + p->chunk, d->out, n);
	p->len = p->chunk + n;
}

void pack_next(struct pack *p)
{
	p->chunk = p->len;
	p->raw = 0;
	p->crc = 0;
}

void pack_header(unsigned char out[PACK_HEADER])
{
	static const unsigned char header[PACK_HEADER] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

	memcpy(out, header, sizeof(header));
}

static void put_le32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

void pack_trailer(uint32_t crc, uint64_t size, unsigned char out[PACK_TRAILER])
{
	out[0] = 3; /* an empty block with the final bit */
	out[1] = 0;
	put_le32(out + 2, crc);
	put_le32(out + 6, (uint32_t)size);
}
