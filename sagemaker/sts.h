/* sts.h: who am I. */
#ifndef SAGEMAKER_STS_H
#define SAGEMAKER_STS_H

#include <time.h>

#include "sagemaker/aws.h"

struct identity {
	char account[16];
	char arn[512];
};

/* sts_identity: whose keys these are; needs no permission. Blocking, thread-safe. */
int sts_identity(struct aws *a, struct identity *out, struct cancel *c, struct err *e) _must_check_;

/* sts_clock: the same question; *date: when the service answered by its own clock, 0: it did not say. */
int sts_clock(struct aws *a, time_t *date, struct cancel *c, struct err *e) _must_check_;

#endif
