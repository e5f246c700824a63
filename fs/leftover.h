/*
 * leftover.h: what mounts that have ended left in their state directories, as lines for users.
 */
#ifndef FS_LEFTOVER_H
#define FS_LEFTOVER_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

/* leftover_lines: a line for each upload, deployment and deletion that is not finished, and for each model with changes that are in no
 * version. how: what becomes of the former ("goes on ..."). state: descriptor of a state directory, borrowed; nothing there is changed.
 * The number of operations, -1: not known. */
int leftover_lines(int state, const char *how, struct buf *out, struct err *e);
/* leftover_all: the same of every state directory that no mount holds, each under a line with its source. */
void leftover_all(struct buf *out);

#endif
