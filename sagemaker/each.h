/* each.h: the same work on many things by a few threads. */
#ifndef SAGEMAKER_EACH_H
#define SAGEMAKER_EACH_H

#include "sagemaker/cancel.h"
#include "sagemaker/err.h"

/* each_parallel: fn(arg, i) for every i below n, in that order of beginning, by at most `threads` threads, of which the caller's is
 * one. The first failure, or c, keeps what has not begun from beginning; what has is waited for. fn is called by several threads. */
typedef int each_fn(void *arg, size_t i, struct err *e);
int each_parallel(size_t n, unsigned threads, each_fn *fn, void *arg, struct cancel *c,
		  struct err *e) _must_check_;

#endif
