/*
 * flat.h: what most frameworks have in common: a model is one file, or a few, and perhaps code/. A row of framework.c is a
 * struct flat_rule and two functions that hand it on.
 */
#ifndef SAGEMAKER_FLAT_H
#define SAGEMAKER_FLAT_H

#include "sagemaker/plan.h"
#include "sagemaker/sniff.h"

struct flat;

struct flat_rule {
	const char *
		file; /* what is looked for, in words: "a TorchScript or a state_dict (*.pt, *.pth)" */
	const char *container; /* "PyTorch container" */
	bool (*is)(const struct file_facts *f);
	bool submit; /* the container finds code by SAGEMAKER_SUBMIT_DIRECTORY, too */
	/* own: the user brings an entry point, flat_program(l); is it enough? bare: there is none: generate, leave it to the
	 * container, or plan_fail. Members have their places. */
	int (*own)(struct flat *l, struct err *e);
	int (*bare)(struct flat *l, struct err *e);
};

struct flat {
	const struct source *s;
	struct package_plan *plan;
	const struct flat_rule *rule;
	const struct source_file
		*first; /* the model's first file; NULL: the framework was only named */
	size_t n;       /* how many files are models */
	size_t strip;   /* bytes of directories that all files have in common */
};

/* flat_detect: the first file that the rule takes, as evidence; how sure. */
int flat_detect(const struct flat_rule *rule, const struct source *s, struct buf *evidence);
int flat_lay_out(const struct flat_rule *rule, const struct source *s, struct package_plan *plan,
		 struct err *e) _must_check_;

/* For own and bare. flat_is_model: whether a member is a file of the model. flat_member: the first model file's member. */
bool flat_is_model(const struct flat *l, const struct package_member *m);
struct package_member *flat_member(const struct flat *l);
/* flat_only: false, with the plan failed, when there are several models and no code that knows what to do with them. */
bool flat_only(const struct flat *l);
/* flat_to_top: the only model stands at the top of the archive, by its own name. */
int flat_to_top(struct flat *l, struct err *e) _must_check_;
/* flat_need_model_fn: the container has no model_fn of its own: the user's code must. */
int flat_need_model_fn(struct flat *l, struct err *e) _must_check_;
/* flat_generate: code/inference.py of a template with MODEL filled in; requirements (may be NULL): a line for
 * code/requirements.txt, "onnxruntime". Heeds generated_code. what: what it does, for `check`. */
int flat_generate(struct flat *l, const char *template, const char *requirement, const char *what,
		  struct err *e) _must_check_;
/* flat_note_version: made_with by its first two numbers, as patch releases read each other's models; the full one in a note. */
void flat_note_version(struct flat *l, const char *framework);

#endif
