/* thread.h: threads and timed waits of the file system's own rooms. */
#ifndef FS_THREAD_H
#define FS_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "sagemaker/util.h"

/* thread_start: pthread_create with every signal blocked, so that SIGTERM finds the main thread. 0 or an errno. */
int thread_start(pthread_t *out, void *(*fn)(void *), void *arg) _must_check_;
/* thread_cond_init: a condition whose timed waits use the clock of now_ms(). thread_deadline: now_ms() time as they want it. */
void thread_cond_init(pthread_cond_t *c);
struct timespec thread_deadline(int64_t ms);

/* SCOPED_READ, SCOPED_WRITE: a reader-writer lock until the end of the block. thread_rwlock_init: one whose writers do not starve;
 * a thread that reads may therefore not read again. */
void thread_rwlock_init(pthread_rwlock_t *l);

static inline void rwlock_unlockp(pthread_rwlock_t **l)
{
	pthread_rwlock_unlock(*l);
}

static inline pthread_rwlock_t *rwlock_read(pthread_rwlock_t *l)
{
	pthread_rwlock_rdlock(l);
	return l;
}

static inline pthread_rwlock_t *rwlock_write(pthread_rwlock_t *l)
{
	pthread_rwlock_wrlock(l);
	return l;
}

#define SCOPED_RWLOCK(taken)                                                            \
 _unused_ pthread_rwlock_t *CONCAT(scoped_lock_, __COUNTER__) _cleanup_(rwlock_unlockp) \
 = (taken)
#define SCOPED_READ(lock)  SCOPED_RWLOCK(rwlock_read(lock))
#define SCOPED_WRITE(lock) SCOPED_RWLOCK(rwlock_write(lock))

#endif
