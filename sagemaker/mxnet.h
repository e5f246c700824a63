/* mxnet.h: the functions of mxnet's row in framework.c, and the check of a .params file. */
#ifndef SAGEMAKER_MXNET_H
#define SAGEMAKER_MXNET_H

#include "sagemaker/framework.h"

int mxnet_detect(const struct source *s, struct buf *evidence);
int mxnet_lay_out(const struct source *s, struct package_plan *plan, struct err *e);

/* mxnet_params_check: a list of arrays as save_checkpoint writes it, whole to its last byte. ENODATA: cut short; EINVAL: none.
 * names (may be NULL) receives the arrays' names without "arg:" and "aux:", a line feed around each. */
struct buf;
int mxnet_params_check(int dirfd, const char *path, struct buf *names, struct err *e) _must_check_;

#endif
