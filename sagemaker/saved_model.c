/*
 * saved_model.c: the parts of saved_model.pb that packing needs. protobuf-c reads it, with an allocator that has a ceiling: a
 * small file can name very many empty messages.
 */
#include "sagemaker/saved_model.h"

#include <errno.h>

#include "sagemaker/buf.h"
#include "sagemaker/example_spec.h"
#include "sagemaker/saved_variables.h"

#define FILE_MAX  ((uint64_t)2 << 30) /* protobuf's own limit */
#define ALLOC_MIN ((size_t)64 << 20)
#define ALLOC_MAX ((size_t)3 << 30)

struct ceiling {
	size_t left;
};

static void *ceiling_alloc(void *data, size_t n)
{
	struct ceiling *c = data;

	/* every allocation costs the heap's own bytes too */
	if (n + 16 > c->left)
		return NULL;
	c->left -= n + 16;
	return malloc(n);
}

static void ceiling_free(void *data, void *p)
{
	(void)data; /* what was freed is not given back: the ceiling is for the whole file */
	free(p);
}

static bool has_tag(const Tf__MetaGraphDef *g, const char *tag)
{
	for (size_t i = 0; g->meta_info_def && i < g->meta_info_def->n_tags; i++)
		if (streq(g->meta_info_def->tags[i], tag))
			return true;
	return false;
}

/* The graph that TensorFlow Serving would load, else the first. */
static const Tf__MetaGraphDef *choose_graph(const Tf__SavedModel *m, bool *serve)
{
	for (size_t i = 0; i < m->n_meta_graphs; i++)
		if ((*serve = has_tag(m->meta_graphs[i], "serve")))
			return m->meta_graphs[i];
	return m->n_meta_graphs ? m->meta_graphs[0] : NULL;
}

static bool reads_variables(const Tf__GraphDef *g)
{
	static const char *const ops[] = {"VarHandleOp", "VariableV2", "Variable", "RestoreV2"};

	for (size_t i = 0; g && i < g->n_node; i++)
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++)
			if (streq(g->node[i]->op, ops[k]))
				return true;
	return false;
}

static int copy_assets(const Tf__MetaGraphDef *g, struct saved_model *out)
{
	if (!g->n_asset_file_def)
		return 0;
	out->assets = calloc(g->n_asset_file_def, sizeof(*out->assets));
	if (!out->assets)
		return -1;
	for (size_t i = 0; i < g->n_asset_file_def; i++) {
		out->assets[i] = strdup(g->asset_file_def[i]->filename);
		if (!out->assets[i])
			return -1;
		out->n_assets++;
	}
	return 0;
}

static const Tf__SignatureDef *serving_signature(const Tf__MetaGraphDef *g)
{
	for (size_t i = 0; i < g->n_signature_def; i++)
		if (streq(g->signature_def[i]->key, "serving_default"))
			return g->signature_def[i]->value;
	return NULL;
}

/* "tensorflow/serving/classify" is :classify, and so on; anything else is :predict. */
static const char *method_of(const Tf__SignatureDef *s)
{
	if (ends_with(s->method_name, "/classify"))
		return "classify";
	return ends_with(s->method_name, "/regress") ? "regress" : "predict";
}

static int read_signature(const Tf__MetaGraphDef *g, struct saved_model *out)
{
	const Tf__SignatureDef *s = serving_signature(g);
	const Tf__TensorInfo *in = s && s->n_inputs == 1 ? s->inputs[0]->value : NULL;

	if (!s)
		return 0;
	snprintf(out->method, sizeof(out->method), "%s", method_of(s));
	if (!in || in->dtype != TF_STRING)
		return 0;
	out->input = example_spec_possible(g->graph_def) ? INPUT_STRINGS : INPUT_TEXT;
	return example_spec_find(g->graph_def, in->name, out);
}

static int read_graph(const Tf__MetaGraphDef *g, struct saved_model *out)
{
	const char *version = g->meta_info_def ? g->meta_info_def->tensorflow_version : "";

	for (size_t i = 0; i < g->n_signature_def; i++)
		if (!starts_with(g->signature_def[i]->key, "__"))
			out->n_signatures++;
	if (strlen(version) < sizeof(out->version))
		snprintf(out->version, sizeof(out->version), "%s", version);
	out->has_variables = reads_variables(g->graph_def);
	if (copy_assets(g, out) || saved_variables_find(g, &out->unrestored))
		return -1;
	return g->graph_def ? read_signature(g, out) : 0;
}

/* Map entries without a value are legal protobuf but not what TensorFlow writes: give up on them once, here. */
static bool well_formed(const Tf__SavedModel *m)
{
	for (size_t i = 0; i < m->n_meta_graphs; i++) {
		const Tf__MetaGraphDef *g = m->meta_graphs[i];

		for (size_t k = 0; k < g->n_signature_def; k++) {
			const Tf__SignatureDef *s = g->signature_def[k]->value;

			if (!s)
				return false;
			for (size_t n = 0; n < s->n_inputs; n++)
				if (!s->inputs[n]->value)
					return false;
			for (size_t n = 0; n < s->n_outputs; n++)
				if (!s->outputs[n]->value)
					return false;
		}
	}
	return true;
}

int saved_model_parse(const void *p, size_t n, struct saved_model *out, struct err *e)
{
	struct ceiling c = {MIN(MAX(n * 16, ALLOC_MIN), ALLOC_MAX)};
	ProtobufCAllocator a = {ceiling_alloc, ceiling_free, &c};
	Tf__SavedModel *m = tf__saved_model__unpack(&a, n, p);
	const Tf__MetaGraphDef *g = NULL;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!m)
		return err_set(e, EINVAL, "it is cut short or no SavedModel");
	if (well_formed(m))
		g = choose_graph(m, &out->serve);
	if (!g)
		rc = err_set(e, EINVAL, "it is cut short or no SavedModel: it holds no graph");
	else if (read_graph(g, out))
		rc = err_set(e, ENOMEM, "out of memory");
	tf__saved_model__free_unpacked(m, &a);
	return rc;
}

int saved_model_read(int dirfd, const char *path, struct saved_model *out, struct err *e)
{
	/* read, not mapped: whoever writes the file may cut it meanwhile, and a mapping would then be fatal */
	_cleanup_buf_ struct buf b = BUF_INIT(FILE_MAX);

	memset(out, 0, sizeof(*out));
	if (buf_read_file(&b, dirfd, path)) {
		if (errno == EFBIG)
			return err_set(e, EINVAL,
				       "'%s' cannot be used: TensorFlow reads no more than 2 GiB",
				       path);
		return err_errno(e, "read '%s'", path);
	}
	if (!b.len)
		return err_set(e, EINVAL, "'%s' cannot be used: it is empty", path);
	if (saved_model_parse(b.data, b.len, out, e))
		return err_prefix(e, "'%s' cannot be used", path);
	return 0;
}

void saved_model_release(struct saved_model *m)
{
	for (size_t i = 0; i < m->n_assets; i++)
		free(m->assets[i]);
	for (size_t i = 0; i < m->n_features; i++)
		free(m->features[i].name);
	free(m->unrestored);
	free(m->assets);
	free(m->features);
	memset(m, 0, sizeof(*m));
}
