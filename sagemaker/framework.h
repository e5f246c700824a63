/*
 * framework.h: what makes a directory a model of some framework: one row each.
 */
#ifndef SAGEMAKER_FRAMEWORK_H
#define SAGEMAKER_FRAMEWORK_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"
#include "sagemaker/file_key.h"

struct file_facts;
struct hash_cache;
struct package_plan;

/* A file of the model's directory, as the walk found it: regular, or a link to one inside the model; the rest is noted. */
struct source_file {
	char *path; /* relative, '/' separated */
	uint64_t size;
	mode_t mode;
	int64_t mtime;
	struct file_key key;
	struct file_facts
		*facts; /* sniff.h; NULL: its name promises nothing, or it stands in code/ */
};

struct source {
	int dirfd;
	struct hash_cache *known;  /* package.h; NULL: none */
	struct source_file *files; /* sorted by path */
	size_t n;
};

struct framework {
	const char *name;         /* "tensorflow", "onnx": what users say in sagemaker.json */
	const char *images;       /* whose images serve it, as in images.h */
	const char *content_type; /* of plain invoke/NAME */
	/* detect: how sure (0: not this), evidence into out ("export/Servo/1/saved_model.pb"). Looks at names and facts. */
	int (*detect)(const struct source *s, struct buf *evidence);
	/* lay_out: members, checks, made_with, notes, whole/why into plan. */
	int (*lay_out)(const struct source *s, struct package_plan *plan, struct err *e);
};

/* framework_all: the table, ends with a row whose name is NULL. framework_find: by name, or NULL. */
extern const struct framework framework_all[];
const struct framework *framework_find(const char *name);
/* framework_images: the name in images.h of what serves that framework; the name itself when no row has it. */
const char *framework_images(const char *name);
/* framework_own: not in the table; a model whose image the user gave and whose layout none of the rows knows: every file goes
 * where it is. Its name is "". */
extern const struct framework framework_own;
/* framework_content_type: what a plain invoke/NAME sends to an image of that framework, which need not be in the table. */
const char *framework_content_type(const char *name);

#endif
