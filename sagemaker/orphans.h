/*
 * orphans.h: models and endpoint configurations of attempts whose endpoint is gone or never came to be, and whose mount did not
 * live to remove them. They cost nothing, but count against the account's quotas and clutter its lists.
 *
 * One attempt's model and configuration have the same name (deploy_resource), so they are one orphan. Whatever is younger than
 * ORPHAN_AGE_S may belong to an attempt in flight on some mount and is no orphan. Blocking, thread-safe.
 */
#ifndef SAGEMAKER_ORPHANS_H
#define SAGEMAKER_ORPHANS_H

#include "sagemaker/deploy.h"

#define ORPHAN_AGE_S 3600

enum orphan_tags {
	ORPHAN_TAGGED, /* with its attempt: surely ours */
	ORPHAN_UNTAGGED, /* ours by its name only: made where tags were not permitted, or by somebody who likes our names */
	ORPHAN_UNKNOWN /* tags may not be read */
};

struct orphan {
	char name[64];
	bool model, config; /* which of them there are */
	char arn[256];      /* of one of them */
	double created;     /* of the younger one, epoch seconds */
	enum orphan_tags tags;
};

/* orphans_list: those that the endpoint they were made for does not run on; *out is malloc'ed, n rows. Whether somebody else has
 * put one to use is looked for when it is removed. */
int orphans_list(struct aws *a, struct orphan **out, size_t *n, struct cancel *c, struct err *e)
	_must_check_;

/* orphans_remove: after having looked again whether it is one: configuration, then model. EBUSY: in use, or too young; EPERM: its
 * tags do not say that it is ours and by_name is not set. Already gone is success. */
int orphans_remove(struct aws *a, const char *name, bool by_name, struct cancel *c, struct err *e)
	_must_check_;

#endif
