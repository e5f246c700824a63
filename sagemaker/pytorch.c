/*
 * pytorch.c: TorchScript, which the container's own handler loads (model.pt, or the only *.pt or *.pth at the top), and what
 * torch.save wrote, which only the user's model_fn can.
 */
#include "sagemaker/pytorch.h"

#include <errno.h>

#include "sagemaker/flat.h"

static bool is_torch(const struct file_facts *f)
{
	return f->kind == KIND_TORCHSCRIPT || f->kind == KIND_TORCH_SAVE ||
	       f->kind == KIND_TORCH_EXPORT;
}

/* Without a model of its own kind the code may use anything else that is there. */
static int own(struct flat *l, struct err *e)
{
	return l->first && l->first->facts->kind != KIND_TORCHSCRIPT ? flat_need_model_fn(l, e) : 0;
}

static int bare(struct flat *l, struct err *e)
{
	const struct source_file *f = l->first;

	if (!flat_only(l))
		return 0;
	if (f->facts->kind != KIND_TORCHSCRIPT) {
		plan_fail(l->plan, EINVAL,
			  "'%s' holds a %s, which the PyTorch container cannot load by itself: add "
			  "code/inference.py with model_fn(model_dir), or save a TorchScript with "
			  "torch.jit.script(model).save('model.pt')",
			  f->path, *f->facts->form ? f->facts->form : "model of torch.save");
		return 0;
	}
	plan_note(l->plan,
		  "no code: the container's own handler loads %s and takes JSON, CSV and npy",
		  f->path);
	if (!ends_with(f->path, ".pt") && !ends_with(f->path, ".pth"))
		return plan_rename(flat_member(l), "model.pt", e);
	return flat_to_top(l, e);
}

static const struct flat_rule rule = {
	.file = "TorchScript or state_dict (*.pt, *.pth)",
	.container = "PyTorch container",
	.is = is_torch,
	.own = own,
	.bare = bare,
};

int pytorch_detect(const struct source *s, struct buf *evidence)
{
	return flat_detect(&rule, s, evidence);
}

int pytorch_lay_out(const struct source *s, struct package_plan *plan, struct err *e)
{
	return flat_lay_out(&rule, s, plan, e);
}
