/* gzscan.c: inflate block by block (zlib's Z_BLOCK), and note where a block begins. */
#include "sagemaker/gzscan.h"

#include <errno.h>

#define ZLIB_CONST
#include <zlib.h>

#define GZIP_ONLY (MAX_WBITS + 16)
#define OUT       ((size_t)256 << 10)

struct gz_scan {
	gz_source *source;
	void *arg;
	uint64_t spacing;
	struct gz_index *x;
	z_stream z;
	uint64_t in, out; /* bytes of both streams so far */
	uint32_t crc;     /* of the newest chunk */
	bool member;      /* its header was read, no point was made yet */
	bool ended;       /* a member is over */
	bool over;        /* all is */
	bool dry;         /* the source has nothing more */
	unsigned char window[GZ_WINDOW], piece[OUT];
};

struct gz_scan *gz_scan_new(gz_source *source, void *arg, uint64_t spacing, struct gz_index *x)
{
	struct gz_scan *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->source = source;
	s->arg = arg;
	s->spacing = spacing;
	s->x = x;
	s->member = true;
	if (inflateInit2(&s->z, GZIP_ONLY) != Z_OK) {
		free(s);
		return NULL;
	}
	return s;
}

void gz_scan_free(struct gz_scan *s)
{
	if (!s)
		return;
	(void)inflateEnd(&s->z);
	free(s);
}

/* More input: 1, 0 at the end, -1. */
static int more(struct gz_scan *s, struct err *e)
{
	const void *p = NULL;

	if (s->z.avail_in)
		return 1;
	if (s->dry)
		return 0;
	ssize_t n = s->source(s->arg, &p, e);
	if (n < 0)
		return -1;
	s->dry = n == 0;
	s->z.next_in = p;
	s->z.avail_in = (unsigned)n;
	return n > 0;
}

/* The newest chunk, or NULL. */
static struct gz_chunk *newest(const struct gz_scan *s)
{
	return s->x->chunks && s->x->n ? s->x->chunks + (s->x->n - 1) : NULL;
}

static void end_chunk(struct gz_scan *s)
{
	struct gz_chunk *last = newest(s);

	if (last)
		last->crc = s->crc;
	s->crc = 0;
}

/* A block begins here: a point, when it is time for one. */
static int point(struct gz_scan *s, struct err *e)
{
	const struct gz_chunk *last = newest(s);
	unsigned window = 0;

	if (!s->member && last && s->out - last->in < s->spacing)
		return 0;
	if (last && last->in == s->out) /* nothing came since: the later one will do */
		s->x->n--;
	else
		end_chunk(s);
	if (!s->member && inflateGetDictionary(&s->z, s->window, &window) != Z_OK)
		return err_set(e, ENOMEM, "out of memory");
	const struct gz_chunk c = {.in = s->out,
				   .out = s->in,
				   .bits = (unsigned char)(s->z.data_type & 7),
				   .window = (uint16_t)window};
	s->member = false;
	return gz_index_add(s->x, &c, s->window) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, EINVAL, "the archive is not a whole tar.gz: %s", what);
}

/* After a member: 1: another one begins; 0: all is over. What tapes and some tools pad with is zeros. */
static int next_member(struct gz_scan *s, struct err *e)
{
	int r;

	while ((r = more(s, e)) > 0 && *s->z.next_in == 0) {
		s->z.next_in++;
		s->z.avail_in--;
		s->in++;
	}
	if (r <= 0)
		return r;
	if (*s->z.next_in != 0x1f)
		return bad(e, "something follows that is not gzip");
	s->ended = false;
	s->member = true;
	return inflateReset(&s->z) == Z_OK ? 1 : bad(e, "it cannot be read");
}

static int finish(struct gz_scan *s, struct err *e)
{
	end_chunk(s);
	const struct gz_chunk *last = newest(s);
	if (last && s->x->n > 1 && last->in == s->out)
		s->x->n--; /* nothing but the end is in it; the crc of the one before is there */
	s->x->size = s->in;
	s->x->length = s->out;
	s->over = true;
	return s->out ? gz_index_check(s->x, e) : bad(e, "it is empty");
}

/* One call of inflate: bytes that came, -1. */
static ssize_t step(struct gz_scan *s, struct err *e)
{
	unsigned before = s->z.avail_in;

	s->z.next_out = s->piece;
	s->z.avail_out = OUT;
	int rc = inflate(&s->z, Z_BLOCK);
	s->in += before - s->z.avail_in;
	if (rc == Z_MEM_ERROR)
		return err_set(e, ENOMEM, "out of memory");
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return bad(e, s->z.msg ? s->z.msg : "it is damaged");
	s->ended = rc == Z_STREAM_END;
	size_t n = OUT - s->z.avail_out;
	s->crc = gz_crc(s->crc, s->piece, n);
	s->out += n;
	return (ssize_t)n;
}

static bool at_block(const struct gz_scan *s)
{
	return (s->z.data_type & 128) && !(s->z.data_type & 64);
}

/* What comes before the next bytes: 1: go on; 0: all is over. */
static int prepare(struct gz_scan *s, struct err *e)
{
	if (s->ended) {
		int r = next_member(s, e);

		if (r <= 0)
			return r < 0 ? -1 : finish(s, e);
	} else if (s->in && at_block(s) && point(s, e) < 0) {
		return -1;
	}
	const struct gz_chunk *last = newest(s);
	if (last && s->out - last->in > GZ_CHUNK_MAX - OUT)
		return err_set(
			e, EFBIG,
			"the archive cannot be read in parts: a block of it is larger than %d MiB",
			(int)(GZ_CHUNK_MAX >> 20));
	int r = more(s, e);
	return r == 0 ? bad(e, s->in ? "it is cut short" : "it is empty") : r;
}

ssize_t gz_scan_read(struct gz_scan *s, const void **p, struct err *e)
{
	*p = s->piece;
	while (!s->over) {
		int r = prepare(s, e);

		if (r < 0)
			return -1;
		if (s->over)
			break;
		ssize_t n = step(s, e);
		if (n)
			return n;
	}
	return 0;
}
