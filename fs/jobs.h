/*
 * jobs.h: up to 16 threads (made when needed, ended after idling) that run straight-line blocking code: commit, deploy, delete,
 * describe. And timers on the watch thread.
 */
#ifndef FS_JOBS_H
#define FS_JOBS_H

#include "sagemaker/cancel.h"
#include "sagemaker/err.h"

struct jobs;

struct jobs *jobs_new(unsigned max_threads, struct err *e) _must_check_;
/* jobs_run: run(arg, cancel) on a job thread, in order of arrival. cancel is set when the mount ends in a hurry. -1: memory. */
int jobs_run(struct jobs *j, void (*run)(void *arg, struct cancel *cancel), void *arg) _must_check_;
/* jobs_hold: while held, jobs are queued but not begun (the mount is starting). */
void jobs_hold(struct jobs *j, bool held);
/* jobs_stop: waits up to grace_ms for queued and running jobs, then cancels them and joins. jobs_free after it. */
void jobs_stop(struct jobs *j, long grace_ms);
void jobs_free(struct jobs *j);

/* The watch: one thread that runs short functions at their time (never blocking, queue a job for more). */
struct watch;

struct timer { /* embed; zero-initialised; the watch's while armed */
	void (*fn)(struct timer *t);
	void *arg;
	/* below: jobs.c only */
	int64_t due;
	struct timer *next;
	bool armed;
};
struct watch *watch_new(struct err *e) _must_check_;
void watch_stop(struct watch *w);
void watch_free(struct watch *w);
/* timer_arm: fn after ms (re-arming moves it). timer_disarm: true if it was armed and now will not run; when it returns, fn is
 * not running (unless called from fn itself). */
void timer_arm(struct watch *w, struct timer *t, long ms);
bool timer_disarm(struct watch *w, struct timer *t);
/* watch_post: run fn(arg) once, soon, on the watch thread (kernel notifications). */
int watch_post(struct watch *w, void (*fn)(void *arg), void *arg) _must_check_;

/* now_ms: monotonic milliseconds. */
int64_t now_ms(void);

#endif
