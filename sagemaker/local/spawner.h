/*
 * spawner.h: a small process of one thread, forked before the backend has any other, that starts, signals and reaps the
 * model servers: its children may use all of libc between fork and exec, and their parent-death signal is tied to it.
 * It dies with the backend, and they with it, however the backend dies.
 */
#ifndef SAGEMAKER_LOCAL_SPAWNER_H
#define SAGEMAKER_LOCAL_SPAWNER_H

#include "sagemaker/local/sandbox.h"

struct spawner;

/* spawner_new: forks. Call it with SIGTERM and SIGINT blocked and before any thread. */
struct spawner *spawner_new(struct err *e) _must_check_;
void spawner_free(struct spawner *s); /* the process ends, and all it started */

struct spawn {
	uint64_t tag; /* the caller's name for the process, never used twice */
	const char *python, *script;
	const char *base;       /* has model/ */
	const char *home;       /* has tmp/, its scratch and working directory */
	const char *const *env; /* NULL-ended "NAME=value"; SAGEMAKER_BASE_DIR is added */
	int listen_fd, log_fd;
	bool network; /* it keeps the machine's network: to install packages */
};

/* spawner_start: 0 when the process was forked, *pid is its (and its session's); what goes wrong later is in its log and its exit. Any thread. */
int spawner_start(struct spawner *s, const struct spawn *p, pid_t *pid, struct err *e) _must_check_;
/* spawner_kill: signal the process and its group; nothing when it has ended. */
void spawner_kill(struct spawner *s, uint64_t tag, int signal);

/* spawner_sandbox: what keeps model servers in, as sandbox_describe() has it. */
void spawner_sandbox(const struct spawner *s, char out[SANDBOX_TEXT]);

/* spawner_events: readable when a process has ended; then spawner_next gives (1) tag and wait status, 0: none, -1: the
 * spawner is gone. */
int spawner_events(const struct spawner *s);
int spawner_next(struct spawner *s, uint64_t *tag, int *status);

#endif
