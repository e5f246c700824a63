/* vfile_private.h: what vfile.c (rows as files), vfile_wait.c (readers and pollers that wait) and vfile_dir.c (rows in
 * directories) share. Nobody else includes it. */
#ifndef FS_VFILE_PRIVATE_H
#define FS_VFILE_PRIVATE_H

#include "fs/mount.h"
#include "fs/vfile.h"

/* An open virtual file. */
struct vhandle {
	struct node *node, *dir; /* referenced */
	const struct vfile *row;
	struct buf text; /* what reads see; constant once ready */
	int no;          /* readers get it after the text */

	/* vfiles.mu guards what follows */
	unsigned refs;
	bool ready;    /* text and no are set */
	uint64_t seen; /* follow rows, whose text is what no read has got yet */
	bool over;     /* and nothing will follow */
	bool changed;  /* vfile_wake() since the open */
	bool poll_on;  /* counted as waiting by the row, for poll */
	bool listed;   /* in vfiles.pollers */
	struct pollwake *poll;
	struct vhandle *next;
	struct vhandle *open_next, **open_at; /* in vfiles.open */
};

struct vhandle *vhandle_new(struct mount *m, struct node *n);
void vhandle_link(struct mount *m, struct vhandle *h); /* once, when it is made */
void vhandle_unref(struct mount *m, struct vhandle *h);
/* vhandle_slice: answer a read from the handle's text. */
void vhandle_slice(struct req *r, const struct vhandle *h, size_t size, off_t off);

/* vfile_wait.c */
void vhandle_await(struct req *r, struct vhandle *h, size_t size, off_t off);
void vhandle_close(struct mount *m, struct vhandle *h);
void vhandle_poll(struct req *r, struct vhandle *h, struct pollwake *w);

/* vfile_stat: attributes of a row's file, calling show for its size. -1 and errno ENOENT when the row says it is absent. */
int vfile_stat(struct mount *m, struct node *dir, const struct node *n, const struct vfile *row,
	       struct stat *st);
#define VFILE_UNKNOWN_SIZE \
 4096 /* of rows whose text is made at open: as in sysfs, tools then read to the end */

#endif
