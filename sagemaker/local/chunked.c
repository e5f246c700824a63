#include "sagemaker/local/chunked.h"

#include <stdlib.h>

#define TRAILER_SIGNATURE "x-amz-trailer-signature"

enum state { SIZE, DATA, DATA_END, TRAILER, DONE };

struct trailer {
	char *name, *value; /* name in lower case */
};

struct chunked {
	struct chunk_signer signer;
	bool is_signed, has_trailer;
	chunk_sink *sink;
	void *arg;
	enum state state;
	enum chunk_fault fault;
	struct buf line;
	uint64_t left;  /* of the chunk's data */
	bool last;      /* the chunk is empty: the final one */
	char claim[65]; /* the signature that the chunk's line gives */
	char previous[65];
	struct sha256 *hash; /* of the chunk's data, where signed */
	struct trailer trailers[CHUNK_TRAILERS];
	size_t n_trailers;
	struct buf trailer_text; /* canonical */
	bool trailer_signed;
};

struct chunked *chunked_new(const struct chunk_signer *signer, bool trailer, chunk_sink *sink,
			    void *arg)
{
	struct chunked *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->sink = sink;
	c->arg = arg;
	c->has_trailer = trailer;
	c->line.max = CHUNK_LINE;
	c->trailer_text.max = CHUNK_LINE * CHUNK_TRAILERS;
	if (signer) {
		c->signer = *signer;
		c->is_signed = true;
		snprintf(c->previous, sizeof c->previous, "%s", signer->seed);
	}
	return c;
}

void chunked_free(struct chunked *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_trailers; i++) {
		free(c->trailers[i].name);
		free(c->trailers[i].value);
	}
	sha256_free(c->hash);
	buf_release(&c->line);
	buf_release(&c->trailer_text);
	free(c);
}

static enum chunk_fault fail(struct chunked *c, enum chunk_fault fault)
{
	c->fault = fault;
	return fault;
}

/* The signature of a chunk or of the trailer; digests: the lines after the previous signature. */
static bool verify(struct chunked *c, const char *algorithm, const char *digests, const char *claim)
{
	const struct sig_scope *s = &c->signer.scope;
	_cleanup_buf_ struct buf text = BUF_INIT(2048);
	char expected[65];
	unsigned char diff = 0;

	buf_printf(&text, "%s\n%s\n%.8s/%s/%s/aws4_request\n%s\n%s", algorithm, s->date, s->date,
		   s->region, s->service, c->previous, digests);
	if (text.failed || strlen(claim) != 64)
		return false;
	sigv4_signature(s, c->signer.secret, &text, expected);
	for (size_t i = 0; i < 64; i++)
		diff |= (unsigned char)(expected[i] ^ claim[i]);
	memcpy(c->previous, expected, sizeof c->previous);
	return diff == 0;
}

static bool verify_chunk(struct chunked *c)
{
	static const char empty[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
	unsigned char digest[SHA256_LEN];
	char text[sizeof empty + SHA256_HEX];

	if (!c->is_signed)
		return true;
	sha256_final(steal(c->hash), digest);
	memcpy(text, empty, sizeof empty - 1);
	hex(digest, sizeof digest, text + sizeof empty - 1);
	return verify(c, "AWS4-HMAC-SHA256-PAYLOAD", text, c->claim);
}

/* "1a2b;chunk-signature=..."; -1: malformed. */
static int read_size(struct chunked *c, const char *line)
{
	static const char word[] = ";chunk-signature=";
	size_t digits = strspn(line, "0123456789abcdefABCDEF");
	const char *rest = line + digits;

	if (!digits || digits > 15)
		return -1;
	c->left = strtoull(line, NULL, 16);
	c->last = c->left == 0;
	c->claim[0] = '\0';
	if (!c->is_signed)
		return *rest && *rest != ';' ? -1 : 0;
	if (!starts_with(rest, word) || strlen(rest) != sizeof word - 1 + 64)
		return -1;
	memcpy(c->claim, rest + sizeof word - 1, sizeof c->claim);
	c->hash = sha256_new();
	return c->hash ? 0 : -1;
}

static enum chunk_fault begin_chunk(struct chunked *c, const char *line)
{
	if (read_size(c, line) < 0)
		return fail(c, CHUNK_MALFORMED);
	if (!c->last) {
		c->state = DATA;
		return CHUNK_OK;
	}
	c->state = TRAILER;
	return verify_chunk(c) ? CHUNK_OK : fail(c, CHUNK_SIGNATURE);
}

static enum chunk_fault add_trailer(struct chunked *c, char *line)
{
	char *colon = strchr(line, ':');

	if (!colon || colon == line || c->n_trailers == CHUNK_TRAILERS)
		return fail(c, CHUNK_MALFORMED);
	*colon = '\0';
	for (char *p = line; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	const char *value = colon + 1 + strspn(colon + 1, " \t");
	if (streq(line, TRAILER_SIGNATURE)) {
		unsigned char digest[SHA256_LEN];
		char text[SHA256_HEX];
		sha256(buf_cstr(&c->trailer_text), c->trailer_text.len, digest);
		hex(digest, sizeof digest, text);
		/* Nothing tells what an unsigned body's would be of. */
		c->trailer_signed =
			!c->is_signed || verify(c, "AWS4-HMAC-SHA256-TRAILER", text, value);
		return c->trailer_signed ? CHUNK_OK : fail(c, CHUNK_SIGNATURE);
	}
	struct trailer *t = &c->trailers[c->n_trailers];
	*t = (struct trailer){strdup(line), strdup(value)};
	if (!t->name || !t->value) {
		free(t->name);
		free(t->value);
		return fail(c, CHUNK_MALFORMED);
	}
	c->n_trailers++;
	buf_printf(&c->trailer_text, "%s:%s\n", t->name, t->value);
	return CHUNK_OK;
}

static enum chunk_fault take_trailer(struct chunked *c, char *line)
{
	if (*line)
		return c->has_trailer && !c->trailer_signed ? add_trailer(c, line)
							    : fail(c, CHUNK_MALFORMED);
	if (c->is_signed && c->has_trailer && !c->trailer_signed)
		return fail(c, CHUNK_SIGNATURE);
	c->state = DONE;
	return CHUNK_OK;
}

static enum chunk_fault take_line(struct chunked *c)
{
	char *line = c->line.data;
	size_t n = c->line.len;

	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
		n--;
	line[n] = '\0';
	if (strlen(line) != n)
		return fail(c, CHUNK_MALFORMED);
	switch (c->state) {
	case SIZE:
		return begin_chunk(c, line);
	case DATA_END:
		c->state = SIZE;
		if (n)
			return fail(c, CHUNK_MALFORMED);
		return verify_chunk(c) ? CHUNK_OK : fail(c, CHUNK_SIGNATURE);
	case TRAILER:
		return take_trailer(c, line);
	default:
		return fail(c, CHUNK_MALFORMED);
	}
}

/* Bytes up to the end of a line; the number that were taken. */
static size_t feed_line(struct chunked *c, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	size_t part = end ? (size_t)(end - p) + 1 : n;

	if (buf_add(&c->line, p, part) < 0) {
		fail(c, CHUNK_MALFORMED);
	} else if (end) {
		take_line(c);
		buf_reset(&c->line);
	}
	return part;
}

static size_t feed_data(struct chunked *c, const char *p, size_t n)
{
	size_t part = c->left < n ? (size_t)c->left : n;

	if (c->hash)
		sha256_update(c->hash, p, part);
	if (c->sink(c->arg, p, part))
		fail(c, CHUNK_SINK);
	c->left -= part;
	if (!c->left)
		c->state = DATA_END;
	return part;
}

enum chunk_fault chunked_feed(struct chunked *c, const void *p, size_t n)
{
	const char *s = p;

	while (n && c->fault == CHUNK_OK) {
		size_t part = c->state == DATA ? feed_data(c, s, n) : feed_line(c, s, n);
		s += part;
		n -= part;
	}
	return c->fault;
}

bool chunked_done(const struct chunked *c)
{
	/* Without trailers some clients leave the last line break out. */
	bool ended = c->state == DONE || (c->state == TRAILER && !c->has_trailer);

	return c->fault == CHUNK_OK && ended && !c->line.len;
}

const char *chunked_trailer(const struct chunked *c, const char *name)
{
	for (size_t i = 0; i < c->n_trailers; i++) {
		if (streq(c->trailers[i].name, name))
			return c->trailers[i].value;
	}
	return NULL;
}
