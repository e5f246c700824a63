/* sklearn.h: the functions of sklearn's row in framework.c. */
#ifndef SAGEMAKER_SKLEARN_H
#define SAGEMAKER_SKLEARN_H

#include "sagemaker/framework.h"

int sklearn_detect(const struct source *s, struct buf *evidence);
int sklearn_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
