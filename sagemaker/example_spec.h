/* example_spec.h: from the tensor that a signature feeds to the tf.Example features that the graph parses out of it. */
#ifndef SAGEMAKER_EXAMPLE_SPEC_H
#define SAGEMAKER_EXAMPLE_SPEC_H

#include "saved_model.pb-c.h"

#include "sagemaker/saved_model.h"

/* example_spec_find: tensor ("input_example_tensor:0") in g. Found: out->input, features. Not found: out as it was. -1 only
 * when memory is out. */
int example_spec_find(const Tf__GraphDef *g, const char *tensor, struct saved_model *out)
	_must_check_;

/* example_spec_possible: whether anything in g reads tf.Examples. */
bool example_spec_possible(const Tf__GraphDef *g);

#endif
