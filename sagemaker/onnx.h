/* onnx.h: the functions of onnx's row in framework.c. */
#ifndef SAGEMAKER_ONNX_H
#define SAGEMAKER_ONNX_H

#include "sagemaker/framework.h"

int onnx_detect(const struct source *s, struct buf *evidence);
int onnx_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

#endif
