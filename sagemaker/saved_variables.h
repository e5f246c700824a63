/* saved_variables.h: whether loading a SavedModel gives its variables their values. */
#ifndef SAGEMAKER_SAVED_VARIABLES_H
#define SAGEMAKER_SAVED_VARIABLES_H

#include "saved_model.pb-c.h"

#include "sagemaker/err.h"

/* saved_variables_find: into *name (malloc'ed, NULL: none) a variable that a signature reads and nothing sets. tf.saved_model.save
 * of a Keras 3 model writes such: Python finds the values by object, TensorFlow Serving does not. -1: out of memory. */
int saved_variables_find(const Tf__MetaGraphDef *g, char **name) _must_check_;

#endif
