/* xgboost.h: the functions of xgboost's row in framework.c. */
#ifndef SAGEMAKER_XGBOOST_H
#define SAGEMAKER_XGBOOST_H

#include "sagemaker/framework.h"

int xgboost_detect(const struct source *s, struct buf *evidence);
int xgboost_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
