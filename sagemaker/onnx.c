/* onnx.c: AWS has no image of ONNX's: the PyTorch container with onnxruntime installed serves it. */
#include "sagemaker/onnx.h"

#include <errno.h>

#include "sagemaker/flat.h"

extern const char handler_onnx[]; /* generated from handler_onnx.py */

static bool is_onnx(const struct file_facts *f)
{
	return f->kind == KIND_ONNX;
}

/* Weights may stand in files of their own, whose names the model knows relative to itself. */
static void check_beside(struct flat *l)
{
	const struct file_facts *facts = l->first->facts;
	int dir = (int)(source_base_name(l->first->path) - l->first->path);

	for (size_t i = 0; i < facts->n_beside; i++) {
		_cleanup_free_ char *path =
			str_printf("%.*s%s", dir, l->first->path, facts->beside[i].path);
		const struct source_file *f = path ? source_find(l->s, path) : NULL;

		if (!f)
			plan_fail(l->plan, ENODATA,
				  "incomplete: '%s', which '%s' reads its weights from, is missing",
				  path, l->first->path);
		else if (f->size < facts->beside[i].size)
			plan_fail(l->plan, ENODATA,
				  "incomplete: '%s' has %llu bytes of the %llu that '%s' reads",
				  path, (unsigned long long)f->size,
				  (unsigned long long)facts->beside[i].size, l->first->path);
	}
}

static int own(struct flat *l, struct err *e)
{
	if (l->first)
		check_beside(l);
	return flat_need_model_fn(l, e);
}

static int bare(struct flat *l, struct err *e)
{
	const struct file_facts *f = l->first->facts;

	plan_note(l->plan, "%s: ONNX IR %d, opset %d%s%s", l->first->path, f->ir, f->opset,
		  *f->owner ? ", by " : "", f->owner);
	check_beside(l);
	return flat_generate(
		l, handler_onnx, "onnxruntime",
		"runs the model with onnxruntime in the PyTorch container, as AWS has none for "
		"ONNX, and takes JSON, CSV and npy",
		e);
}

static const struct flat_rule rule = {
	.file = "ONNX model (*.onnx)",
	.container = "PyTorch container",
	.is = is_onnx,
	.own = own,
	.bare = bare,
};

int onnx_detect(const struct source *s, struct buf *evidence)
{
	return flat_detect(&rule, s, evidence);
}

int onnx_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	return flat_lay_out(&rule, s, plan, e);
}
