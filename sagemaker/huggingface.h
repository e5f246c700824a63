/* huggingface.h: the functions of huggingface's row in framework.c. */
#ifndef SAGEMAKER_HUGGINGFACE_H
#define SAGEMAKER_HUGGINGFACE_H

#include "sagemaker/framework.h"

int huggingface_detect(const struct source *s, struct buf *evidence);
int huggingface_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
