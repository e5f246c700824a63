/* pool.h: a few threads that run what would keep the server's own threads waiting. */
#ifndef SAGEMAKER_LOCAL_POOL_H
#define SAGEMAKER_LOCAL_POOL_H

#include "sagemaker/err.h"

struct pool;

struct pool *pool_new(unsigned threads, struct err *e) _must_check_;
/* pool_run: fn(arg) on one of the threads, in the order of the calls. -1: no memory, fn will not run. */
int pool_run(struct pool *p, void (*fn)(void *), void *arg) _must_check_;
/* pool_free: runs what is queued, then ends the threads. */
void pool_free(struct pool *p);

#endif
