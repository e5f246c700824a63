/* pytorch.h: the functions of pytorch's row in framework.c. */
#ifndef SAGEMAKER_PYTORCH_H
#define SAGEMAKER_PYTORCH_H

#include "sagemaker/framework.h"

int pytorch_detect(const struct source *s, struct buf *evidence);
int pytorch_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
