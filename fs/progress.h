/*
 * progress.h: how far one piece of work on a model is. Who does the work counts bytes, from any thread and without a lock; who
 * looks gets a phase, how much of how much, a rate and the time that is left. Knows no model: models_progress.c does.
 *
 *   progress_phase(p, PROGRESS_UPLOADING, bytes of the model's files, or 0 as long as nobody knows)
 *   progress_add(p, n)         n bytes of the files were worked on (read, hashed, packed)
 *   progress_made(p, n)        phases that send: they became n more bytes to send
 *   progress_sent(p, bytes)    of which so many, in all, are at the service
 *   progress_phase(p, PROGRESS_IDLE, 0)
 *
 * or, where several threads work at once:
 *
 *   progress_join(p, PROGRESS_READING, n), progress_add(p, ...) as bytes come, progress_leave(p)
 *
 * All bytes shown are bytes of the model's own files, as ls -l has them. What is packed but not yet sent is not done: with
 * anything made, done is the part of it that was sent, so that a compressor running ahead of a slow line is not taken for progress.
 */
#ifndef FS_PROGRESS_H
#define FS_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "sagemaker/buf.h"

enum progress_phase {
	PROGRESS_IDLE,
	PROGRESS_CHECKING,   /* recognition; no bytes */
	PROGRESS_HASHING,    /* the digest */
	PROGRESS_PACKING,    /* without sending */
	PROGRESS_UPLOADING,  /* packing and sending */
	PROGRESS_PUBLISHING, /* the manifest; no bytes */
	PROGRESS_COPYING,    /* a published model's files into staging */
	PROGRESS_READING,    /* published files from S3 */
	PROGRESS_VERIFYING,  /* what was read against its checksums */
	PROGRESS_PHASES
};

#define PROGRESS_SAMPLES   24
#define PROGRESS_LINGER_MS 1000
#define PROGRESS_SAMPLE_MS 250 /* between samples; so the rate is that of the last 6 s */

struct progress_count {
	uint64_t added, made, sent; /* as the three functions count */
};

struct progress {
	/* atomics */
	unsigned phase; /* enum progress_phase */
	uint64_t total;
	struct progress_count count;
	/* told of every change of phase, from the thread that made it, with no lock of this file's held; NULL: nobody */
	void (*changed)(void *arg, enum progress_phase now);
	void *arg;

	pthread_mutex_t mu; /* guards what follows; a leaf */

	struct {
		int64_t at; /* now_ms() */
		uint64_t done;
	} sample[PROGRESS_SAMPLES]; /* a ring: sample[n % PROGRESS_SAMPLES] is next */

	unsigned n;
	unsigned joined; /* threads between join and leave */
	bool lingers;    /* nobody has joined since resting, in a phase that was joined */
	int64_t resting; /* now_ms() of the first sample that found nobody, 0: somebody was there */
	uint64_t high;   /* done never goes back within a phase */
};

/* What a look at it says. */
struct progress_view {
	enum progress_phase phase;
	uint64_t done, total; /* total 0: not known */
	int percent;          /* 0..99 (100 is said by the next phase), -1: not known */
	double rate;          /* bytes a second over the last seconds, -1: not known yet */
	long left; /* seconds, rounded up, -1: not known: nothing moves, or only an answer is awaited */
};

void progress_init(struct progress *p, void (*changed)(void *arg, enum progress_phase now),
		   void *arg);
void progress_release(struct progress *p);

/* progress_phase: a new phase, whose bytes count from 0. The same phase again begins anew, too (another attempt). Any thread, but
 * one at a time. Quick. */
void progress_phase(struct progress *p, enum progress_phase phase, uint64_t total);
/* progress_resume: the same where some of it was done earlier: sent while the copy still ran, or by the mount before this one. That
 * counts as done, but not for the rate. */
void progress_resume(struct progress *p, enum progress_phase phase, uint64_t total,
		     const struct progress_count *earlier);
/* Hot paths: any number of threads at once, no lock. */
void progress_add(struct progress *p, uint64_t n);
void progress_made(struct progress *p, uint64_t n);
/* progress_sent: absolute; a smaller number than before (a part that is sent again) is no news. */
void progress_sent(struct progress *p, uint64_t bytes);
enum progress_phase progress_now(const struct progress *p);
bool progress_active(const struct progress *p);
/* progress_counts: whether the phase is one in which bytes are counted. */
bool progress_counts(const struct progress *p);
/* progress_join: work that several threads do at once, each its own n bytes (reads of one model): the first begins the phase, the
 * others' bytes are added to its total, which is what was asked for so far. progress_leave: each one's end, also after a failure. The phase
 * ends PROGRESS_LINGER_MS after the last one's, by progress_sample: a reader asks for one piece after the other. */
void progress_join(struct progress *p, enum progress_phase phase, uint64_t n);
void progress_leave(struct progress *p);

/* progress_sample: for the rate; to be called every PROGRESS_SAMPLE_MS while active (sooner is ignored). now: now_ms(). */
void progress_sample(struct progress *p, int64_t now);
void progress_look(struct progress *p, struct progress_view *out);

/* progress_word: "uploading". progress_line: "uploading 43 % 430 MiB of 1.0 GiB, 120 MiB/s, 5 s left", without an end of line: what
 * is not known is left out. progress_exact: "uploading done=450887680 total=1073741824 percent=41 rate=125829120 left=5". */
const char *progress_word(enum progress_phase phase);
void progress_line(const struct progress_view *v, struct buf *out);
void progress_exact(const struct progress_view *v, struct buf *out);
/* progress_bar: "########............" of width characters; percent < 0: all dots. */
void progress_bar(int percent, int width, struct buf *out);
/* progress_bytes: "430 MiB", "1.0 GiB", "512 B"; progress_time: "5 s", "3 min 20 s", "2 h 5 min". */
void progress_bytes(double bytes, struct buf *out);
void progress_time(long seconds, struct buf *out);

#endif
