/*
 * tree.h: inodes. A node is one name in one directory that the kernel or a room knows.
 *
 * nodeid: a counter, never reused. A node lives while the kernel's lookup count or a reference is above zero. A node holds a
 * reference on its parent. tree.mu guards parent/child links, names, counts; rooms keep their own state in n->data under their
 * own locks. Lock order: docs/architecture.md (rooms' locks before tree.mu; never call out with tree.mu held).
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "fs/req.h"

struct vfile;

struct node {
	uint64_t id;                /* FUSE nodeid */
	ino_t ino;                  /* stable st_ino */
	const struct node_ops *ops; /* never NULL */
	const struct vfile *row;    /* a virtual file's row, else NULL (vfile.h) */
	const struct vfile *rows;   /* a virtual directory's rows, else NULL */
	void *data;                 /* the room's; released by ops->free */
	mode_t type;                /* S_IFDIR, S_IFREG, S_IFLNK */
	/* below: tree.c only */
	struct node *parent;
	char *name;
	uint64_t nlookup;
	unsigned refs;
	bool detached;                    /* unlinked or replaced: no longer found by name */
	struct node *next_id, *next_name; /* chains of the tree's two tables */
	struct tree *tree;
	double created, modified; /* vdir_times(); epoch seconds, 0: unknown */
};

struct tree;

struct tree *tree_new(const struct node_ops *root_ops, const struct vfile *root_rows,
		      void *root_data);
void tree_free(struct tree *t);
struct node *tree_root(struct tree *t);

/* node_child: the child called name if the tree has it, referenced (node_unref), else NULL. */
struct node *node_child(struct tree *t, struct node *dir, const char *name);

/* node_make: the child called name; made with these properties if the tree does not have it. Referenced. *made tells which; when
 * false, data was not taken. NULL: memory. ino 0: a tagged hash of the path. */
struct node_make {
	const struct node_ops *ops;
	const struct vfile *row, *rows;
	void *data;
	mode_t type;
	ino_t ino;
};
struct node *node_make(struct tree *t, struct node *dir, const char *name,
		       const struct node_make *how, bool *made);

struct node *node_ref(struct tree *t, struct node *n);
void node_unref(struct tree *t, struct node *n);
/* node_detach: dir/name is gone (unlink, rmdir, endpoint deleted elsewhere): later lookups make a new node. */
void node_detach(struct tree *t, struct node *dir, const char *name);
/* node_move: rename; an existing target is detached. */
void node_move(struct tree *t, struct node *dir, const char *name, struct node *newdir,
	       const char *newname);
/* node_exchange: rename with RENAME_EXCHANGE. */
void node_exchange(struct tree *t, struct node *dir, const char *name, struct node *newdir,
		   const char *newname);
/* node_path: path of n relative to `top` (an ancestor, or NULL for the root), "" for itself; -1 when detached or too long. */
int node_path(struct tree *t, struct node *n, const struct node *top, struct buf *out) _must_check_;
/* node_by_id: the node of a nodeid, referenced; NULL: unknown. */
struct node *node_by_id(struct tree *t, uint64_t id);
/* node_remember: the kernel holds one more lookup. node_forget: n fewer. */
void node_remember(struct tree *t, struct node *n);
void node_forget(struct tree *t, uint64_t id, uint64_t nlookup);
/* node_within: whether n is top or below it (detached nodes still know where they were). */
bool node_within(struct tree *t, struct node *n, const struct node *top);
/* node_is: whether n is (or, detached, was) called name in dir. */
bool node_is(struct tree *t, const struct node *n, const struct node *dir, const char *name);
/* node_top_name: name of the root's entry that n lies in or is, "" for the root. */
void node_top_name(struct tree *t, const struct node *n, char *out, size_t size);
/* node_set_times, node_times: vdir_times()' storage. */
void node_set_times(struct node *n, double created, double modified);
void node_times(struct node *n, double *created, double *modified);
/* tree_ino: the st_ino of a name in dir that has no inode of its own: a hash with the top bit set, the same at every mount. */
ino_t tree_ino(const struct node *dir, const char *name);
/* tree_count: nodes alive (tests, leaks). */
size_t tree_count(struct tree *t);
/* node_name: copy of the name; node_parent: referenced. */
void node_name(struct tree *t, struct node *n, char *out, size_t size);
struct node *node_parent(struct tree *t, struct node *n);

/* tree_invalidate: tell the kernel to forget dir/name or n's attributes/content; queued to the watch thread, never from a FUSE
 * request's thread (facts/fuse.md). */
void tree_invalidate_entry(struct mount *m, struct node *dir, const char *name);
void tree_invalidate_node(struct mount *m, struct node *n);
/* tree_expire_attributes: the kernel asks again for n's attributes before it believes a size. At once, and from a request's thread, too: no lock
 * of a page or a directory is taken for it. n: one that the kernel is just opening. */
void tree_expire_attributes(struct mount *m, const struct node *n);

#endif
