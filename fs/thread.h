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

#endif
