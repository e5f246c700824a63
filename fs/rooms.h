/* rooms.h: the directories of the root, one row each (rooms.c). */
#ifndef FS_ROOMS_H
#define FS_ROOMS_H

#include "fs/mount.h"
#include "fs/vfile.h"

struct room_row {
	const char *name;
	int (*start)(struct mount *m, struct err *e);
	void (*entry)(struct mount *m, struct node_make *how); /* how the root makes its node */
	void (*stop)(struct mount *m, long grace_ms);
	void (*free)(struct mount *m);
};

/* In the order in which they start; they stop and go the other way round: first what asks, then commits get their time, and
 * deletions theirs. Ends with a row without a name. */
extern const struct room_row rooms[];

/* rooms_start: all or none. */
int rooms_start(struct mount *m, struct err *e) _must_check_;
void rooms_stop(struct mount *m, long grace_ms);
void rooms_free(struct mount *m);

/* root.c: the root directory; its tree is made with these. */
extern const struct node_ops root_ops;
extern const struct vfile root_rows[];
/* mount_status: the text of `.sagemakerfs/status`. Job thread. */
int mount_status(struct mount *m, struct buf *out);

#endif
