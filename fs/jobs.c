#include "fs/jobs.h"

#include <errno.h>
#include <time.h>

#include "fs/thread.h"

#define IDLE_MS 5000 /* a thread without work ends after that */

struct job {
	struct job *next;
	void (*run)(void *arg, struct cancel *cancel);
	void *arg;
};

struct jobs {
	pthread_mutex_t mu;   /* guards what follows; a leaf */
	pthread_cond_t work;  /* a job was queued, or stop */
	pthread_cond_t ended; /* a job or a thread ended */
	struct job *first, **last;
	unsigned queued, threads, idle, max;
	bool held;    /* jobs wait */
	bool stopped; /* no job is taken any more, idle threads go */
	struct cancel *cancel;
};

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct timespec thread_deadline(int64_t ms)
{
	return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000};
}

void thread_rwlock_init(pthread_rwlock_t *l)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(l, &a);
	pthread_rwlockattr_destroy(&a);
}

void thread_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

int thread_start(pthread_t *out, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int no = pthread_create(out, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return no;
}

struct jobs *jobs_new(unsigned max_threads, struct err *e)
{
	struct jobs *j = calloc(1, sizeof *j);

	if (j)
		j->cancel = cancel_new();
	if (!j || !j->cancel) {
		free(j);
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&j->mu, NULL);
	thread_cond_init(&j->work);
	thread_cond_init(&j->ended);
	j->max = max_threads;
	j->last = &j->first;
	return j;
}

static struct job *take_locked(struct jobs *j)
{
	struct job *job = j->held ? NULL : j->first;

	if (!job)
		return NULL;
	j->first = job->next;
	if (!j->first)
		j->last = &j->first;
	j->queued--;
	return job;
}

/* Waits for a job; NULL: idle too long, or stopped. */
static struct job *wait_locked(struct jobs *j)
{
	struct timespec until = thread_deadline(now_ms() + IDLE_MS);
	int timed_out = 0;

	j->idle++;
	while ((!j->first || j->held) && !j->stopped && timed_out != ETIMEDOUT)
		timed_out = pthread_cond_timedwait(&j->work, &j->mu, &until);
	j->idle--;
	return take_locked(j);
}

static void *job_thread(void *arg)
{
	struct jobs *j = arg;
	struct job *job;

	pthread_mutex_lock(&j->mu);
	while ((job = wait_locked(j))) {
		pthread_mutex_unlock(&j->mu);
		job->run(job->arg, j->cancel);
		free(job);
		pthread_mutex_lock(&j->mu);
	}
	j->threads--;
	pthread_cond_broadcast(&j->ended);
	pthread_mutex_unlock(&j->mu);
	return NULL;
}

/* A thread more when nobody idles for this job. Without threads at all it is an error; else the others get to it. */
static int spawn_locked(struct jobs *j)
{
	pthread_t t;

	if (j->held || j->idle >= j->queued || j->threads == j->max)
		return 0;
	if (thread_start(&t, job_thread, j))
		return j->threads ? 0 : -1;
	pthread_detach(t);
	j->threads++;
	return 0;
}

int jobs_run(struct jobs *j, void (*run)(void *arg, struct cancel *cancel), void *arg)
{
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return -1;
	*job = (struct job){NULL, run, arg};
	SCOPED_LOCK(&j->mu);
	if (j->stopped) {
		free(job);
		return -1;
	}
	struct job **was = j->last;
	*j->last = job;
	j->last = &job->next;
	j->queued++;
	if (spawn_locked(j) < 0) {
		*was = NULL;
		j->last = was;
		j->queued--;
		free(job);
		return -1;
	}
	pthread_cond_signal(&j->work);
	return 0;
}

void jobs_hold(struct jobs *j, bool held)
{
	SCOPED_LOCK(&j->mu);

	j->held = held;
	for (unsigned i = 0; !held && i < MIN(j->max, j->queued); i++)
		(void)spawn_locked(j);
	pthread_cond_broadcast(&j->work);
}

static bool busy_locked(const struct jobs *j)
{
	return j->first || j->threads > j->idle;
}

void jobs_stop(struct jobs *j, long grace_ms)
{
	int64_t until = now_ms() + grace_ms;

	if (!j)
		return;
	jobs_hold(j, false);
	pthread_mutex_lock(&j->mu);
	/* Idle threads do not announce themselves: look again now and then. */
	while (busy_locked(j) && now_ms() < until) {
		struct timespec ts = thread_deadline(MIN(until, now_ms() + 20));
		pthread_cond_timedwait(&j->ended, &j->mu, &ts);
	}
	pthread_mutex_unlock(&j->mu);
	cancel_set(j->cancel);
	pthread_mutex_lock(&j->mu);
	/* What is still queued runs with the cancel set, so that every request gets its answer. */
	while (busy_locked(j)) {
		struct timespec ts = thread_deadline(now_ms() + 20);
		pthread_cond_timedwait(&j->ended, &j->mu, &ts);
	}
	j->stopped = true;
	pthread_cond_broadcast(&j->work);
	while (j->threads)
		pthread_cond_wait(&j->ended, &j->mu);
	pthread_mutex_unlock(&j->mu);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	cancel_unref(j->cancel);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->ended);
	pthread_mutex_destroy(&j->mu);
	free(j);
}
