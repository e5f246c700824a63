/* gzindex.c: chunks of a gzip stream, found and inflated. */
#include "sagemaker/gzindex.h"

#include <errno.h>
#include <isa-l/crc.h>
#define ZLIB_CONST
#include <zlib.h>

#define PIECE       ((size_t)256 << 10)
#define WINDOWS_MAX ((size_t)1 << 30)

void gz_index_release(struct gz_index *x)
{
	free(x->chunks);
	buf_release(&x->windows);
	*x = (struct gz_index){0};
}

int gz_index_add(struct gz_index *x, const struct gz_chunk *c, const void *window)
{
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 16;
		struct gz_chunk *more = reallocarray(x->chunks, cap, sizeof *more);

		if (!more)
			return -1;
		x->chunks = more;
		x->cap = cap;
	}
	x->windows.max = WINDOWS_MAX;
	x->chunks[x->n] = *c;
	x->chunks[x->n].at = x->windows.len;
	if (c->window && buf_add(&x->windows, window, c->window) < 0)
		return -1;
	x->n++;
	return 0;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the index of its archive is damaged: %s", what);
}

static bool is_outside(const struct gz_index *x, const struct gz_chunk *c)
{
	return c->out >= x->size || c->bits > 7 || (c->bits && !c->out) || c->window > GZ_WINDOW ||
	       c->at + c->window > x->windows.len;
}

/* next: NULL: c is the last one. */
static int check_chunk(const struct gz_index *x, const struct gz_chunk *c,
		       const struct gz_chunk *next, struct err *e)
{
	/* of the last one the inflated length may be unknown */
	uint64_t out_end = next ? next->out : x->size;
	uint64_t in_end = next ? next->in : x->length ? x->length : c->in + 1;

	if (is_outside(x, c))
		return bad(e, "a restart point outside of it");
	if (out_end <= c->out || in_end <= c->in)
		return bad(e, "restart points out of order");
	if (out_end - c->out > GZ_CHUNK_MAX || in_end - c->in > GZ_CHUNK_MAX)
		return bad(e, "restart points too far apart");
	return 0;
}

int gz_index_check(const struct gz_index *x, struct err *e)
{
	if (!x->n || x->chunks[0].in)
		return bad(e, "it does not begin at the beginning");
	for (size_t i = 0; i < x->n; i++) {
		if (check_chunk(x, &x->chunks[i], i + 1 < x->n ? &x->chunks[i + 1] : NULL, e) < 0)
			return -1;
	}
	return 0;
}

size_t gz_chunk_of(const struct gz_index *x, uint64_t in)
{
	size_t lo = 0, hi = x->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->chunks[mid].in <= in)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

uint64_t gz_chunk_length(const struct gz_index *x, size_t i)
{
	if (i + 1 < x->n)
		return x->chunks[i + 1].in - x->chunks[i].in;
	return x->length ? x->length - x->chunks[i].in : UINT64_MAX;
}

void gz_chunk_range(const struct gz_index *x, size_t i, uint64_t *from, uint64_t *n)
{
	uint64_t end = i + 1 < x->n ? x->chunks[i + 1].out : x->size;

	*from = x->chunks[i].out - (x->chunks[i].bits ? 1 : 0);
	*n = end - *from;
}

uint32_t gz_crc(uint32_t so_far, const void *p, size_t n)
{
	return crc32_gzip_refl(so_far, p, n);
}

struct inflating {
	z_stream z;
	unsigned char *piece;
};

static void inflating_end(struct inflating *f)
{
	(void)inflateEnd(&f->z);
	free(f->piece);
}

/* Ready to go on where c begins. */
static int begin(struct inflating *f, const struct gz_index *x, const struct gz_chunk *c,
		 const void *p, size_t n, struct err *e)
{
	const unsigned char *at = p;

	f->piece = malloc(PIECE);
	if (!f->piece || inflateInit2(&f->z, -MAX_WBITS) != Z_OK)
		return err_set(e, ENOMEM, "out of memory");
	if (c->window && inflateSetDictionary(&f->z, (const unsigned char *)x->windows.data + c->at,
					      c->window) != Z_OK)
		return err_set(e, ENOMEM, "out of memory");
	if (c->bits) {
		if (!n || inflatePrime(&f->z, c->bits, at[0] >> (8 - c->bits)) != Z_OK)
			return bad(e, "a chunk without bytes");
		at++;
		n--;
	}
	f->z.next_in = at;
	f->z.avail_in = (unsigned)n;
	return 0;
}

static int damaged(struct err *e)
{
	return err_set(e, EBADMSG,
		       "the bytes of its archive in S3 are not those that were published");
}

/* The next piece, at most left bytes: how many came; 0: the stream is over; -1. */
static ssize_t step(struct inflating *f, uint64_t left, struct err *e)
{
	size_t room = (size_t)MIN(left, (uint64_t)PIECE);

	f->z.next_out = f->piece;
	f->z.avail_out = (unsigned)room;
	int rc = inflate(&f->z, Z_NO_FLUSH);
	if (rc == Z_MEM_ERROR)
		return err_set(e, ENOMEM, "out of memory");
	if (rc != Z_OK && rc != Z_STREAM_END)
		return damaged(e);
	size_t n = room - f->z.avail_out;
	return n || rc == Z_STREAM_END ? (ssize_t)n : damaged(e);
}

static int hand_on(const struct gz_chunk *c, const void *p, size_t n, gz_sink *sink, void *arg,
		   uint64_t *length, struct err *e)
{
	*length = n;
	if (gz_crc(0, p, n) != c->crc)
		return damaged(e);
	return sink(arg, p, n, e);
}

int gz_chunk_inflate(const struct gz_index *x, size_t i, const void *p, size_t n, gz_sink *sink,
		     void *arg, uint64_t *length, struct err *e)
{
	if (x->raw)
		return hand_on(&x->chunks[i], p, n, sink, arg, length, e);
	const struct gz_chunk *c = &x->chunks[i];
	struct inflating f _cleanup_(inflating_end) = {0};
	uint64_t want = gz_chunk_length(x, i), max = MIN(want, GZ_CHUNK_MAX);
	uint32_t crc = 0;

	*length = 0;
	if (begin(&f, x, c, p, n, e) < 0)
		return -1;
	while (*length < max) {
		ssize_t k = step(&f, max - *length, e);

		if (k < 0)
			return -1;
		if (k == 0)
			break;
		crc = gz_crc(crc, f.piece, (size_t)k);
		*length += (uint64_t)k;
		if (sink(arg, f.piece, (size_t)k, e) < 0)
			return -1;
	}
	return crc == c->crc && (want == UINT64_MAX || *length == want) ? 0 : damaged(e);
}
