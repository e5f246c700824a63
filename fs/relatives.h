/*
 * relatives.h: who is whose: the line of processes from a caller up to its session's first one. An answer in invoke/ belongs to
 * the line of its writer; a reader gets the answer of its nearest relative (docs/invoke.md).
 */
#ifndef FS_RELATIVES_H
#define FS_RELATIVES_H

#include <stdatomic.h>
#include <sys/types.h>

#include "sagemaker/util.h"

/* A process (or thread) that cannot be mistaken for a later one with the same number. */
struct kin {
	pid_t pid;
	uint64_t start; /* clock ticks since boot */
};

/* Immutable once made; shared by reference count. */
struct chain {
	atomic_uint refs;
	uid_t uid;
	unsigned
		self; /* the first `self` links are the caller itself: thread (if not the main one), process */
	unsigned n; /* 0: unknown process (foreign pid namespace): only the user counts */
	struct kin link[];
};

/*
 * chain_read: the line of thread tid of user uid: tid, its process, parent, grandparent ... It ends before a `systemd --user` and
 * before the first ancestor of another user; process 1 ends it too and is its last link. tid 0, or one that /proc does not show,
 * gives a chain without links. procfd: a descriptor of /proc. NULL: out of memory. Any thread; some 20 us.
 */
struct chain *chain_read(int procfd, uid_t uid, pid_t tid);
struct chain *chain_ref(struct chain *c); /* NULL stays NULL */
void chain_unref(struct chain *c);
void chain_unrefp(struct chain **c);
#define _cleanup_chain_ _cleanup_(chain_unrefp)

/* chain_distance: how near the writer is to the reader: the index of the reader's first link that is also the writer's, -1 when
 * they are strangers. Process 1 relates nobody (everything descends from it) unless it wrote itself. A reader without links takes
 * every writer of its user for itself. */
int chain_distance(const struct chain *reader, const struct chain *writer);
bool chain_equal(const struct chain *a, const struct chain *b);

#endif
