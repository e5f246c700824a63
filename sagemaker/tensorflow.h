/* tensorflow.h: the functions of tensorflow's row in framework.c. */
#ifndef SAGEMAKER_TENSORFLOW_H
#define SAGEMAKER_TENSORFLOW_H

#include "sagemaker/framework.h"

int tensorflow_detect(const struct source *s, struct buf *evidence);
int tensorflow_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
