/* handler.h: the code/inference.py that a TensorFlow model gets whose signature takes serialized tf.Examples. */
#ifndef SAGEMAKER_HANDLER_H
#define SAGEMAKER_HANDLER_H

#include "sagemaker/saved_model.h"

struct buf;

/* handler_generate: the module's text, the same for the same model. 0, or -1 when out does not take it. */
int handler_generate(const struct saved_model *m, struct buf *out) _must_check_;
/* handler_describe: a line for `check`. */
void handler_describe(const struct saved_model *m, struct buf *out);

#endif
