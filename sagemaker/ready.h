/* ready.h: a model.tar.gz that was made elsewhere; for plan.c only. */
#ifndef SAGEMAKER_READY_H
#define SAGEMAKER_READY_H

#include "sagemaker/framework.h"

/* ready_find: the archive, when it is all there is; else NULL. ready_name: whether a file is one by its name. */
const struct source_file *ready_find(const struct source *s);
bool ready_name(const char *name);
/* ready_lay_out: looks into it with the rows of every model: the plan gets what they say, and the archive as its one member. */
int ready_lay_out(const struct source *s, const char *name, struct package_plan *p, struct err *e)
	_must_check_;

#endif
