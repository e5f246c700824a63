/* json_cbor.c: libcbor's streaming decoder and encoders: its trees recurse as deep as who sends them likes. */
#include "sagemaker/local/json_cbor.h"

#include <cbor.h>
#include <errno.h>

#define DEPTH_MOST 32
#define EPOCH_TAG  1

bool is_time_member(const char *name)
{
	static const char *const names[] = {"Timestamp", "Timestamps", "StartTime", "EndTime"};

	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++) {
		if (streq(names[i], name))
			return true;
	}
	return false;
}

/* ---- from CBOR ---- */

struct level {
	cJSON *container;
	size_t left; /* items (keys and values of a map) to come; SIZE_MAX: until the break */
	char *key;   /* of a map: that the next value belongs to; owned */
};

struct parser {
	struct level levels[DEPTH_MOST];
	size_t depth;
	cJSON *root;       /* owned */
	const char *wrong; /* NULL: nothing yet */
};

static void fail(struct parser *p, const char *what)
{
	if (!p->wrong)
		p->wrong = what;
}

/* Containers that have all their items are done, and so is then the item that they are. */
static void close_full(struct parser *p)
{
	while (p->depth && p->levels[p->depth - 1].left == 0)
		p->depth--;
}

static void put(struct parser *p, cJSON *item)
{
	struct level *l = p->depth ? &p->levels[p->depth - 1] : NULL;

	if (!item) {
		fail(p, "out of memory");
	} else if (!l && p->root) {
		fail(p, "more than one item");
		cJSON_Delete(item);
	} else if (!l) {
		p->root = item;
	} else if (cJSON_IsArray(l->container)) {
		cJSON_AddItemToArray(l->container, item);
	} else if (!l->key) {
		fail(p, "a key that is no text");
		cJSON_Delete(item);
	} else {
		cJSON_AddItemToObject(l->container, l->key, item);
		free(l->key);
		l->key = NULL;
	}
	if (l && l->left != SIZE_MAX)
		l->left--;
}

/* A value that is whole. */
static void value(void *arg, cJSON *item)
{
	put(arg, item);
	close_full(arg);
}

static void begin(struct parser *p, cJSON *container, size_t items)
{
	if (p->depth == DEPTH_MOST) {
		cJSON_Delete(container);
		fail(p, "it is too deep");
		return;
	}
	put(p, container);
	if (p->wrong)
		return;
	p->levels[p->depth++] = (struct level){.container = container, .left = items};
	close_full(p);
}

static void number(struct parser *p, double v)
{
	if (v - v != 0)
		fail(p, "a number that is none");
	else
		value(p, cJSON_CreateNumber(v));
}

static void on_uint8(void *p, uint8_t v)
{
	number(p, v);
}

static void on_uint16(void *p, uint16_t v)
{
	number(p, v);
}

static void on_uint32(void *p, uint32_t v)
{
	number(p, v);
}

static void on_uint64(void *p, uint64_t v)
{
	number(p, (double)v);
}

static void on_negint8(void *p, uint8_t v)
{
	number(p, -1.0 - v);
}

static void on_negint16(void *p, uint16_t v)
{
	number(p, -1.0 - v);
}

static void on_negint32(void *p, uint32_t v)
{
	number(p, -1.0 - v);
}

static void on_negint64(void *p, uint64_t v)
{
	number(p, -1.0 - (double)v);
}

static void on_float(void *p, float v)
{
	number(p, (double)v);
}

static void on_double(void *p, double v)
{
	number(p, v);
}

static void on_bool(void *p, bool v)
{
	value(p, cJSON_CreateBool(v));
}

static void on_null(void *p)
{
	value(p, cJSON_CreateNull());
}

static void on_bytes(void *p, cbor_data data, size_t n)
{
	(void)data, (void)n;
	fail(p, "a byte string");
}

static void on_pieces(void *p)
{
	fail(p, "a string in pieces");
}

static void on_tag(void *p, uint64_t tag)
{
	(void)p, (void)tag; /* what it says of the item behind it the member's name says, too */
}

static void on_string(void *arg, cbor_data data, size_t n)
{
	struct parser *p = arg;
	struct level *l = p->depth ? &p->levels[p->depth - 1] : NULL;
	_cleanup_free_ char *text = strndup((const char *)data, n);

	if (!text) {
		fail(p, "out of memory");
	} else if (strlen(text) != n) {
		fail(p, "a text with a NUL");
	} else if (l && cJSON_IsObject(l->container) && !l->key) {
		l->key = steal(text);
		if (l->left != SIZE_MAX)
			l->left--;
	} else {
		value(p, cJSON_CreateString(text));
	}
}

static void on_array(void *p, size_t n)
{
	begin(p, cJSON_CreateArray(), n);
}

static void on_map(void *p, size_t n)
{
	if (n > SIZE_MAX / 4)
		fail(p, "it is too large");
	else
		begin(p, cJSON_CreateObject(), n * 2);
}

static void on_open_array(void *p)
{
	begin(p, cJSON_CreateArray(), SIZE_MAX);
}

static void on_open_map(void *p)
{
	begin(p, cJSON_CreateObject(), SIZE_MAX);
}

static void on_break(void *arg)
{
	struct parser *p = arg;

	if (!p->depth || p->levels[p->depth - 1].left != SIZE_MAX || p->levels[p->depth - 1].key) {
		fail(p, "a break that ends nothing");
		return;
	}
	p->depth--;
	close_full(p);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_negint8,
	.negint16 = on_negint16,
	.negint32 = on_negint32,
	.negint64 = on_negint64,
	.byte_string_start = on_pieces,
	.byte_string = on_bytes,
	.string = on_string,
	.string_start = on_pieces,
	.indef_array_start = on_open_array,
	.array_start = on_array,
	.indef_map_start = on_open_map,
	.map_start = on_map,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_null,
	.null = on_null,
	.boolean = on_bool,
	.indef_break = on_break,
};

cJSON *cbor_to_json(const void *p, size_t n, struct err *e)
{
	struct parser parser = {.depth = 0};
	const unsigned char *at = p;

	while (n && !parser.wrong) {
		struct cbor_decoder_result r = cbor_stream_decode(at, n, &callbacks, &parser);

		if (r.status != CBOR_DECODER_FINISHED || !r.read)
			fail(&parser, "it is malformed");
		at += r.read;
		n -= MIN(n, r.read);
	}
	if (!parser.root || parser.depth)
		fail(&parser, "it ends too early");
	for (size_t i = 0; i < DEPTH_MOST; i++)
		free(parser.levels[i].key);
	if (!parser.wrong)
		return parser.root;
	err_set(e, EINVAL, "the body is not the CBOR of a request: %s", parser.wrong);
	cJSON_Delete(parser.root);
	return NULL;
}

/* ---- to CBOR ---- */

static void head(struct buf *out, size_t (*encode)(size_t, unsigned char *, size_t), size_t n)
{
	unsigned char b[9];

	buf_add(out, b, encode(n, b, sizeof b));
}

static void put_text(struct buf *out, const char *s)
{
	head(out, cbor_encode_string_start, strlen(s));
	buf_str(out, s);
}

static void put_scalar(const cJSON *j, bool time, struct buf *out)
{
	unsigned char b[9];

	if (cJSON_IsNumber(j)) {
		if (time)
			buf_add(out, b, cbor_encode_tag(EPOCH_TAG, b, sizeof b));
		buf_add(out, b, cbor_encode_double(j->valuedouble, b, sizeof b));
	} else if (cJSON_IsString(j)) {
		put_text(out, j->valuestring);
	} else if (cJSON_IsBool(j)) {
		buf_add(out, b, cbor_encode_bool(cJSON_IsTrue(j), b, sizeof b));
	} else {
		buf_add(out, b, cbor_encode_null(b, sizeof b));
	}
}

/* Our own replies: they are not deep. */
static void put_item(const cJSON *j, bool time, struct buf *out)
{
	const cJSON *child;

	if (cJSON_IsArray(j))
		head(out, cbor_encode_array_start, (size_t)cJSON_GetArraySize(j));
	else if (cJSON_IsObject(j))
		head(out, cbor_encode_map_start, (size_t)cJSON_GetArraySize(j));
	else
		put_scalar(j, time, out);
	if (!cJSON_IsArray(j) && !cJSON_IsObject(j))
		return;
	cJSON_ArrayForEach(child, j) {
		if (cJSON_IsObject(j))
			put_text(out, child->string);
		put_item(child, cJSON_IsObject(j) ? is_time_member(child->string) : time, out);
	}
}

int cbor_from_json(const cJSON *j, struct buf *out)
{
	put_item(j, false, out);
	return out->failed ? -1 : 0;
}
