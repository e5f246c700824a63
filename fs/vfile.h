/*
 * vfile.h: a virtual file is one row; the engine (vfile.c) does lookup, listing, getattr, snapshot at open, slices, write
 * accumulation, waiting readers, poll. A row never sees an offset, a request or a lock of the engine.
 *
 * `dir` below is the virtual directory's node (its data says which endpoint, model, ...).
 */
#ifndef FS_VFILE_H
#define FS_VFILE_H

#include "fs/tree.h"
#include "sagemaker/cancel.h"

/* found by lookup, not listed (wait, .sagemaker's rows): nothing blocks by being listed */
#define VF_HIDDEN     (1u << 0)
/* a symlink: show gives its target */
#define VF_LINK       (1u << 1)
/* names beginning with '.': listed anyway (.error: ls -a shows it) */
#define VF_LISTED_ALL (1u << 2)

struct vfile {
	const char *name; /* NULL ends a table */
	mode_t mode;      /* 0444, 0644; owner is the mounting user */
	unsigned flags;
	size_t max_write; /* bytes; EFBIG above */
	/* show: the whole text now; quick: no network, no disk beyond staging. Runs on a FUSE worker. At open it is snapshot into the
	 * handle; getattr gives its exact size. -1: open fails with e->no. */
	int (*show)(struct node *dir, struct buf *out, struct err *e);
	/* fetch: instead of show where the text needs the network or work: runs as a job at open; stat shows size 4096 before. */
	int (*fetch)(struct node *dir, struct buf *out, struct err *e);
	/* settled: instead of show for files that block (wait): 0 = not yet (the reader is parked), 1 = out is the line; with e->no set
	 * the reader gets the line and then that errno. Quick. Re-asked after vfile_wake(). */
	int (*settled)(struct node *dir, struct buf *out, struct err *e);
	/* follow: instead of show for files without an end (events): appends the one line that comes after *seen, which is 0 at open,
	 * and moves *seen on. Nothing appended: nothing has come yet, the reader is parked and asked again after vfile_wake(). 1:
	 * nothing will ever come, the reader gets the end of the file. Quick. A read gets one line at most and offsets do not
	 * count: shells and head, which seek back to the end of a line, lose nothing. */
	int (*follow)(struct node *dir, uint64_t *seen, struct buf *out);
	/* waiting: a reader was parked on (true) or left (false) a settled or followed row; may start work (commit, faster polling). Not NULL-safe
	 * context: quick, no network. May be NULL. */
	void (*waiting)(struct node *dir, bool on);
	/* store: each write(2) is the whole value: check and apply it now; quick. -1: the write fails with e->no and the sentence goes
	 * to the directory's room error (mount_fail). A trailing newline is removed before. */
	int (*store)(struct node *dir, const char *text, size_t n, struct err *e);
	/* apply: instead of store where taking the value needs the network: runs as a job, the write waits for it. */
	int (*apply)(struct node *dir, const char *text, size_t n, struct cancel *c, struct err *e);
	/* learn: beside show, where the network may have to be asked before show has it all. false: it has. true: at open, r is given,
	 * and then(r, arg) is called once, when it was learnt or could not be; without r nothing is asked, and stat shows size 4096.
	 * Never blocks. May be NULL. */
	bool (*learn)(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
		      void *arg);
};

/* The operations of any virtual directory and file. A room that adds children or mkdir to a directory copies vdir_ops' members
 * into its own table: e.g. {.lookup = endpoints_lookup, .list = endpoints_list, .getattr = vdir_getattr, .mkdir = ...}. */
extern const struct node_ops vdir_ops;
extern const struct node_ops vfile_ops;

/* rows only; ENOENT otherwise */
void vdir_lookup(struct req *r, struct node *dir, const char *name);
void vdir_getattr(struct req *r, struct node *n, void *h);
void vdir_list(struct req *r, struct node *dir, struct dirfill *f); /* rows, then replies */
/* success without effect for rows (rm -r) */
void vdir_unlink(struct req *r, struct node *dir, const char *name);
void vdir_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set, void *h);

/* For rooms' own lookup/list: */
const struct vfile *vdir_row(const struct node *dir, const char *name); /* or NULL */
int vdir_fill(struct node *dir, struct dirfill *f); /* add the listed rows, no reply */
/* vdir_reply: answer a lookup with a virtual directory (made if needed) of these rows/ops/data. free_data(data) is called when an
 * existing node made data superfluous; may be NULL. */
void vdir_reply(struct req *r, struct node *dir, const char *name, const struct node_make *how,
		void (*free_data)(void *));
/* vdir_stat: attributes of a virtual directory: mode 0755, times. Rooms may set n's times by vdir_times (created, modified: epoch s). */
void vdir_stat(struct mount *m, struct node *n, struct stat *st);
void vdir_times(struct node *n, double created, double modified);

/* The engine's state of one mount. vfiles_stop: parked readers are answered (ESHUTDOWN), later ones at once. */
struct vfiles;
struct vfiles *vfiles_new(void);
void vfiles_stop(struct mount *m);
/* vfiles_close: the handles that the kernel never released; when no request comes any more. */
void vfiles_close(struct mount *m);
void vfiles_free(struct vfiles *v);

/* vfile_wake: something below dir changed: parked readers of its settled rows are asked again, pollers of its rows woken. Any
 * thread, no room lock held. vfile_wake_named: the same for the child called name of dir, if the tree has it. */
void vfile_wake(struct mount *m, struct node *dir);
void vfile_wake_named(struct mount *m, struct node *dir, const char *name);

#endif
