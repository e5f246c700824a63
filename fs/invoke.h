/* invoke.h: invoke/NAME: write a request, read the answer (facts: docs/invoke.md has the rules). */
#ifndef FS_INVOKE_H
#define FS_INVOKE_H

#include "fs/mount.h"

struct invoke *invoke_start(struct mount *m, struct err *e) _must_check_;
void invoke_stop(struct invoke *s);
void invoke_free(struct invoke *s);
void invoke_entry(struct invoke *s, struct node_make *how);

#endif
