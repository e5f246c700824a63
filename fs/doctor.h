/*
 * doctor.h: the checks of `sagemakerfs doctor`, rows of tables: this machine's, the local backend's, and AWS's as a mount with
 * these settings sees it.
 */
#ifndef FS_DOCTOR_H
#define FS_DOCTOR_H

#include "fs/options.h"
#include "sagemaker/aws.h"
#include "sagemaker/sts.h"

struct doctor {
	const struct options *o;
	bool wants_aws;     /* the user asked about AWS: what is missing there is a failure */
	struct config c;    /* of AWS */
	struct aws *a;      /* NULL: no region */
	struct identity id; /* "" until asked */
	bool silent;        /* no keys, bad keys, no answer: nothing more is asked */
};

/* A check says what is there (out), or why not and what to do (*e, and below it out): -1. 1: it does not concern this machine, or
 * could not be asked; out says why. 2: the same, not worth a line. */
struct check {
	const char *name;
	int (*run)(struct doctor *d, struct buf *out, struct err *e);
};

extern const struct check doctor_aws[]; /* ends with a row without a name; in this order */

#endif
