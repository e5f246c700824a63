/*
 * writers.h: the programs that have written to a model since its last commit, and whether they ended well. A copy that was
 * interrupted ends for us like one that is complete: its files are closed. Whether the program was killed, or said by its exit
 * status that it failed, is what tells them apart.
 *
 * Linux tells how a process ended to whoever holds a pidfd of it, from 6.15 on (PIDFD_GET_INFO); before that only as long as its
 * parent has not asked. What is not told counts as ended well. A process of a foreign pid namespace is not known at all.
 */
#ifndef FS_WRITERS_H
#define FS_WRITERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "sagemaker/err.h"

#define WRITERS_KEPT 8

struct writer {
	pid_t tid; /* the thread that was seen */
	int pidfd; /* of its process */
	char program[16];
};

struct writers {                       /* the caller's lock; zero-initialised */
	struct writer w[WRITERS_KEPT]; /* by first write */
	unsigned n;
	char broken
		[128]; /* who ended badly, and how; "" nobody, or others have written and ended well since */
};

/* writers_note: thread tid writes. Quick after its first time. */
void writers_note(struct writers *w, pid_t tid);
/* writers_has: the process of thread tid is one of them. writers_opened: the process of thread tid has a file open for writing below the directory
 * whose path dir begins with; false where that cannot be looked up. */
bool writers_has(const struct writers *w, pid_t tid);
bool writers_opened(pid_t tid, const char *dir);
/* writers_judge: looks how those ended that have; true: the last word is that one ended badly (w->broken). */
bool writers_judge(struct writers *w);
/* writers_forget: all of them: what they wrote was published. */
void writers_forget(struct writers *w);

#endif
