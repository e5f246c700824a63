/* sandbox.h: what a model server's process gives up before it runs the model's code. Only in a child without threads. */
#ifndef SAGEMAKER_LOCAL_SANDBOX_H
#define SAGEMAKER_LOCAL_SANDBOX_H

#include "sagemaker/err.h"

/*
 * sandbox_mounts: a mount namespace of its own, in which BASE/model is /opt/ml/model and BASE/code, where there is one,
 * /opt/ml/code, both read-only, and of the store only scratch is there. -1: the system does not allow it; nothing that matters
 * has changed then (sandbox_plain follows).
 */
int sandbox_mounts(const char *store, const char *base, const char *scratch, struct err *e)
	_must_check_;
/* sandbox_plain: without namespaces: BASE/model and BASE/code lose their write permissions. */
void sandbox_plain(const char *base);
/* sandbox_limits: no new privileges, no capabilities but those over files, limits, first to be killed when memory is
 * out, dies with its parent. */
void sandbox_limits(void);
/* tree_writable: give owner's write permission back to the directories below dirfd/name, so that it can be removed. */
void tree_writable(int dirfd, const char *name, bool writable);

#endif
