/* throttle.h: so many calls a second and no more (serve --control-rate): a bucket of tokens that holds one second's. */
#ifndef SAGEMAKER_LOCAL_THROTTLE_H
#define SAGEMAKER_LOCAL_THROTTLE_H

#include "sagemaker/util.h"

struct throttle;

struct throttle *throttle_new(double per_second); /* NULL: out of memory */
void throttle_free(struct throttle *t);           /* takes NULL */
/* throttle_take: false: too many. Any thread. */
bool throttle_take(struct throttle *t);

#endif
