/* handler.h: the code/inference.py that models get whose container cannot serve them by itself. */
#ifndef SAGEMAKER_HANDLER_H
#define SAGEMAKER_HANDLER_H

#include "sagemaker/saved_model.h"

struct buf;

/* handler_generate: for a TensorFlow model whose signature takes serialized tf.Examples: the module's text, the same for the same model. 0, or -1 when out does not take it. */
int handler_generate(const struct saved_model *m, struct buf *out) _must_check_;
/* handler_describe: a line for `check`. */
void handler_describe(const struct saved_model *m, struct buf *out);

/* handler_named: the template's text with its line `KEY = ""` (MODEL, INPUT) having the value. 0, or -1 when out does not take it. */
int handler_named(const char *template, const char *key, const char *value, struct buf *out)
	_must_check_;

#endif
