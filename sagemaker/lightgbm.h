/* lightgbm.h: the functions of lightgbm's row in framework.c. */
#ifndef SAGEMAKER_LIGHTGBM_H
#define SAGEMAKER_LIGHTGBM_H

#include "sagemaker/framework.h"

int lightgbm_detect(const struct source *s, struct buf *evidence);
int lightgbm_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
