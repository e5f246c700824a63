/* reads_internal.h: what the files of reads.h share. */
#ifndef FS_READS_INTERNAL_H
#define FS_READS_INTERNAL_H

#include "fs/models_room.h"
#include "fs/reads.h"

/* A read that is not answered yet. Its bytes come from one chunk or more, in order. */
struct wait {
	struct wait *next;
	struct req *r;
	struct model *md;
	struct manifest *man;
	const struct manifest_member *member;
	struct archive *a;
	uint64_t pos, end; /* in the tar stream: what is missing */
	char *bytes;       /* what is there, when it does not come from one block */
	size_t n;
	bool at_once; /* on the FUSE worker that asked: replies may be spliced (libfuse's pipes are a thread's, and stay) */
	bool answered; /* atomic: by us or by the interrupt */
};

struct fetch; /* reads_queue.c */

struct reads {
	struct models *s;
	struct blocks *blocks;
	pthread_mutex_t
		mu; /* guards what follows, fetches, archives' last and streak; before blocks.mu */
	pthread_cond_t changed; /* a fetch ended */
	struct fetch *list;
	unsigned workers;
};

/* reads.c: wait_go_on: a chunk that w waits for has come. wait_fail: it cannot come. */
void wait_go_on(struct reads *q, struct wait *w);
void wait_fail(struct wait *w, const struct err *e);

/* reads_queue.c */
enum queued { LATER, NOW, NEVER };

/* reads_enqueue: w waits for chunk i of its archive (LATER), unless that has just come (NOW). NEVER: memory. */
enum queued reads_enqueue(struct reads *q, struct wait *w, size_t i);
/* reads_ahead: somebody is at chunk i; what he will want soon is fetched. on: he reads from front to back. */
void reads_ahead(struct reads *q, struct model *md, struct archive *a, size_t i, bool on);
/* reads_block: chunk i, fetched by this job's thread unless another one is at it. */
struct block *reads_block(struct reads *q, struct model *md, struct archive *a, size_t i,
			  struct cancel *c, struct err *e);

#endif
