/* tensorflow.h: the functions of tensorflow's row in framework.c. */
#ifndef SAGEMAKER_TENSORFLOW_H
#define SAGEMAKER_TENSORFLOW_H

#include "sagemaker/framework.h"

int tensorflow_detect(const struct source *s, struct buf *evidence);
/* tensorflow_begun: the files may be those of a SavedModel that tensorflow_detect will know when more of it is there; tensorflow_lay_out
 * places them as it will then. */
bool tensorflow_begun(const struct source *s);
int tensorflow_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
