/*
 * saved_model.h: what TensorFlow wrote about a model: saved_model.pb (graph and signatures) and variables.index (where the
 * weights are). Both may be cut short or hostile.
 */
#ifndef SAGEMAKER_SAVED_MODEL_H
#define SAGEMAKER_SAVED_MODEL_H

#include "sagemaker/err.h"

/* TensorFlow's data types that a tf.Example can carry (others are read as they are). */
enum { TF_FLOAT = 1, TF_STRING = 7, TF_INT64 = 9 };

struct saved_feature {
	char *name;
	int dtype;      /* TF_FLOAT, TF_INT64, TF_STRING */
	int64_t values; /* in one Example: 1 scalar, n; -1: any number (sparse, ragged, unknown shape) */
};

enum saved_input {
	INPUT_TENSORS, /* the serving signature takes tensors, or there is none */
	INPUT_TEXT,    /* it takes strings, and nothing in the graph reads tf.Examples */
	INPUT_STRINGS, /* it takes strings that a ParseExample may read, but not in a way understood here */
	INPUT_EXAMPLES, /* it takes serialized tf.Examples of `features` */
};

struct saved_model {
	char version[16]; /* TensorFlow's, "" unknown */
	bool serve;       /* has the tag that TensorFlow Serving asks for */
	size_t n_signatures;
	bool has_variables; /* the graph reads variables, so variables/ must be there */
	char *unrestored; /* a variable that signatures read and loading does not restore; NULL: none */
	char **assets; /* names in assets/ that the graph reads */
	size_t n_assets;
	/* of signature serving_default: */
	enum saved_input input;
	char method[16]; /* "classify", "regress", "predict" */
	struct saved_feature *features;
	size_t n_features;
};

/* saved_model_read: the file PATH beneath dirfd. EINVAL: not a whole SavedModel. To be released in every case. */
int saved_model_read(int dirfd, const char *path, struct saved_model *out, struct err *e)
	_must_check_;
/* saved_model_parse: the same from memory. */
int saved_model_parse(const void *p, size_t n, struct saved_model *out, struct err *e) _must_check_;
void saved_model_release(struct saved_model *m);

/* tensor_bundle_shards: from variables.index, the bytes that each variables.data-* must at least have; malloc'ed, n of them.
 * ENODATA: cut short; EINVAL: damaged. */
int tensor_bundle_shards(int dirfd, const char *path, uint64_t **sizes, size_t *n, struct err *e)
	_must_check_;
int tensor_bundle_parse(const void *p, size_t n, uint64_t **sizes, size_t *n_sizes, struct err *e)
	_must_check_;

#endif
