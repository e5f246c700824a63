/*
 * sniff_onnx.c: ONNX's ModelProto and safetensors, by lengths.
 *
 * ModelProto: 1 ir_version, 2 producer_name, 3 producer_version, 7 graph, 8 opset_import {1 domain, 2 version}.
 * GraphProto: 5 initializer. TensorProto: 13 external_data {1 key, 2 value}, 14 data_location (1: external).
 */
#include <errno.h>

#include "sagemaker/buf.h"
#include "sagemaker/sniff.h"

#define MAX_BESIDE  1000
#define MAX_TENSORS 1000000
#define HEADER_MAX  ((uint64_t)32 << 20) /* of safetensors; larger ones are not read */

/* ---- protobuf ---- */

struct field {
	unsigned number, wire;
	uint64_t value; /* a varint's */
	uint64_t at, n; /* of a message or string */
};

static int take_varint(struct bytes *b, uint64_t *at, uint64_t end, uint64_t *v)
{
	*v = 0;
	for (int shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = *at < end ? bytes_at(b, *at, 1) : NULL;

		if (!p)
			return -1;
		(*at)++;
		*v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return 0;
	}
	return -1;
}

/* 1: a field; 0: the end; -1: cut short or no protobuf. */
static int next_field(struct bytes *b, uint64_t *at, uint64_t end, struct field *f)
{
	uint64_t tag = 0;

	if (*at == end)
		return 0;
	if (take_varint(b, at, end, &tag))
		return -1;
	*f = (struct field){.number = (unsigned)(tag >> 3), .wire = tag & 7, .at = *at};
	if (f->number == 0 || tag >> 3 > 10000)
		return -1;
	switch (f->wire) {
	case 0:
		return take_varint(b, at, end, &f->value) ? -1 : 1;
	case 1:
	case 5:
		f->n = f->wire == 1 ? 8 : 4;
		break;
	case 2:
		if (take_varint(b, at, end, &f->n))
			return -1;
		f->at = *at;
		break;
	default:
		return -1;
	}
	if (f->n > end - *at)
		return -1;
	*at += f->n;
	return 1;
}

static void copy_text(struct bytes *b, const struct field *f, char *out, size_t size)
{
	size_t n = (size_t)MIN(f->n, (uint64_t)size - 1);
	const uint8_t *p = n ? bytes_at(b, f->at, n) : NULL;

	if (!p)
		n = 0;
	else
		memcpy(out, p, n);
	out[n] = '\0';
}

/* ---- ONNX ---- */

struct external {
	char location[256], offset[24], length[24];
};

static void take_entry(struct bytes *b, const struct field *entry, struct external *x)
{
	char key[16] = "", value[256] = "";
	uint64_t at = entry->at;
	struct field f;

	while (next_field(b, &at, entry->at + entry->n, &f) == 1) {
		if (f.number == 1 && f.wire == 2)
			copy_text(b, &f, key, sizeof(key));
		else if (f.number == 2 && f.wire == 2)
			copy_text(b, &f, value, sizeof(value));
	}
	if (streq(key, "location"))
		memcpy(x->location, value, sizeof(x->location));
	else if (streq(key, "offset"))
		snprintf(x->offset, sizeof(x->offset), "%.20s", value);
	else if (streq(key, "length"))
		snprintf(x->length, sizeof(x->length), "%.20s", value);
}

static void add_beside(struct file_facts *out, const struct external *x)
{
	uint64_t need = strtoull(x->offset, NULL, 10) + strtoull(x->length, NULL, 10);
	size_t i = 0;

	while (i < out->n_beside && !streq(out->beside[i].path, x->location))
		i++;
	if (i == out->n_beside) {
		struct file_beside *more =
			i < MAX_BESIDE ? reallocarray(out->beside, i + 1, sizeof(*more)) : NULL;

		if (!more)
			return;
		out->beside = more;
		out->n_beside = i + 1;
		memset(&more[i], 0, sizeof(*more));
		memcpy(more[i].path, x->location, sizeof(more[i].path));
	}
	out->beside[i].size = MAX(out->beside[i].size, need);
}

static void walk_tensor(struct bytes *b, const struct field *tensor, struct file_facts *out)
{
	struct external x = {0};
	uint64_t at = tensor->at;
	struct field f;

	while (next_field(b, &at, tensor->at + tensor->n, &f) == 1)
		if (f.number == 13 && f.wire == 2)
			take_entry(b, &f, &x);
	if (*x.location)
		add_beside(out, &x);
}

/* Returns whether it looks like a graph: nodes, and what it puts out. */
static bool walk_graph(struct bytes *b, const struct field *graph, struct file_facts *out)
{
	bool nodes = false, outputs = false;
	uint64_t at = graph->at;
	struct field f;
	int rc;

	for (int i = 0; (rc = next_field(b, &at, graph->at + graph->n, &f)) == 1 && i < MAX_TENSORS;
	     i++) {
		nodes = nodes || (f.number == 1 && f.wire == 2);
		outputs = outputs || (f.number == 12 && f.wire == 2);
		if (f.number == 5 && f.wire == 2)
			walk_tensor(b, &f, out);
	}
	return rc >= 0 && outputs && (nodes || out->ir);
}

static void take_opset(struct bytes *b, const struct field *opset, struct file_facts *out)
{
	char domain[16] = "";
	uint64_t at = opset->at, version = 0;
	struct field f;

	while (next_field(b, &at, opset->at + opset->n, &f) == 1) {
		if (f.number == 1 && f.wire == 2)
			copy_text(b, &f, domain, sizeof(domain));
		else if (f.number == 2 && f.wire == 0)
			version = f.value;
	}
	if (!*domain && version < 1000)
		out->opset = (int)version;
}

/* The first field must be a plausible ir_version: many bytes are protobuf by chance. */
static bool begins_onnx(struct bytes *b)
{
	const uint8_t *p = bytes_at(b, 0, 3);

	return p && p[0] == 0x08 && p[1] >= 1 && p[1] < 64 && (p[2] & 7) == 2;
}

static void take_field(struct bytes *b, const struct field *f, struct file_facts *out, bool *graph)
{
	if (f->number == 1 && f->wire == 0 && f->value < 1000)
		out->ir = (int)f->value;
	else if (f->number == 2 && f->wire == 2)
		copy_text(b, f, out->owner, sizeof(out->owner));
	else if (f->number == 7 && f->wire == 2)
		*graph = walk_graph(b, f, out);
	else if (f->number == 8 && f->wire == 2)
		take_opset(b, f, out);
}

bool sniff_onnx(struct bytes *b, struct file_facts *out)
{
	bool graph = false, began = false;
	uint64_t at = 0;
	struct field f = {0};
	int rc;

	if (!begins_onnx(b))
		return false;
	while ((rc = next_field(b, &at, b->size, &f)) == 1) {
		began = began || f.number == 7;
		take_field(b, &f, out, &graph);
	}
	began = began || f.number == 7; /* the field that broke off */
	if (rc < 0 ? !began : !graph)
		return false;
	out->kind = KIND_ONNX;
	return rc < 0 ? sniff_broken(out, ENODATA, "it is cut short") : true;
}

/* ---- safetensors: u64 n, n bytes of JSON with each tensor's data_offsets, the tensors ---- */

/* Where the last tensor ends; UINT64_MAX: the header is no such JSON. */
static uint64_t data_end(const char *text, size_t n)
{
	_cleanup_json_ cJSON *j = cJSON_ParseWithLength(text, n);
	const cJSON *tensor;
	double end = 0;

	if (!cJSON_IsObject(j))
		return UINT64_MAX;
	cJSON_ArrayForEach(tensor, j) {
		const cJSON *last = cJSON_GetArrayItem(
			cJSON_GetObjectItemCaseSensitive(tensor, "data_offsets"), 1);

		if (cJSON_IsNumber(last))
			end = MAX(end, last->valuedouble);
	}
	return end >= 0 && end < 1e18 ? (uint64_t)end : UINT64_MAX;
}

static bool read_header(struct bytes *b, uint64_t n, struct file_facts *out)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)HEADER_MAX);
	const uint8_t *p;
	size_t have;

	for (uint64_t at = 8; at < 8 + n && (p = bytes_some(b, at, &have)); at += have)
		buf_add(&text, p, (size_t)MIN((uint64_t)have, 8 + n - at));
	uint64_t end = text.len == n ? data_end(buf_cstr(&text), text.len) : UINT64_MAX;
	if (end == UINT64_MAX)
		return sniff_broken(out, EINVAL, "it is damaged: its header is no JSON of tensors");
	if (end > b->size - 8 - n)
		return sniff_broken(out, ENODATA,
				    "it is cut short: its header names tensors beyond its end");
	return true;
}

bool sniff_safetensors(struct bytes *b, const char *name, struct file_facts *out)
{
	const uint8_t *p = bytes_at(b, 0, 10);
	uint64_t n = p ? bytes_le(p, 8) : 0;

	if (!p || p[8] != '{' || p[9] != '"' || n < 2 || n >> 40 ||
	    !ends_with(name, ".safetensors"))
		return false;
	out->kind = KIND_SAFETENSORS;
	if (n > b->size - 8)
		return sniff_broken(out, ENODATA, "it is cut short in its header");
	return n > HEADER_MAX ? true : read_header(b, n, out);
}
