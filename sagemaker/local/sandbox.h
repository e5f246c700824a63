/*
 * sandbox.h: what a model server's process gives up before it runs the model's code (docs/isolation.md). Only in processes
 * without threads.
 *
 * sandbox_probe() finds out once what the system allows; sandbox_fork() makes a process with it; in that process
 * sandbox_enter() shuts the rest of the machine out and, in a process below it, sandbox_drop() gives up what rights are left.
 */
#ifndef SAGEMAKER_LOCAL_SANDBOX_H
#define SAGEMAKER_LOCAL_SANDBOX_H

#include "sagemaker/err.h"

#define SANDBOX_TEXT 256

struct sandbox {
	unsigned
		namespaces; /* CLONE_NEW* that processes are made with; 0: the system allows none */
	int landlock; /* the kernel's version of Landlock, 0: it has none; used for what namespaces do not do */
	unsigned user, group; /* who we are outside */
	struct err why;       /* of what is not in force */
	/* of one process: */
	const char *python, *script; /* programs; the runtime is the directory two above python */
	const char *base;            /* BASE/model is the model, BASE/code its code */
	const char *scratch;         /* the only directory that it writes */
	bool network;                /* it keeps the machine's network: for pip only */
	bool root;     /* its files are all that it sees, the model's at /opt/ml/model */
	unsigned uid;  /* of its own; 0: the backend's user */
	unsigned port; /* on which it may connect to itself, when it is in the machine's network */
};

/* sandbox_probe: fills the first rows, and `root`, by trying. */
void sandbox_probe(struct sandbox *s);
/* sandbox_describe: one line of what is in force, for logs and doctor; before sandbox_enter(): of what will be. */
void sandbox_describe(const struct sandbox *s, char out[SANDBOX_TEXT]);
/* sandbox_fork: as fork(2), in the namespaces; the process is the first of its process namespace. */
pid_t sandbox_fork(const struct sandbox *s);
/* sandbox_enter: its own files and network. What the system refuses is left out: `root`, `uid` say what came of it. */
void sandbox_enter(struct sandbox *s);
/* sandbox_drop: limits, own user, no capabilities, no new privileges, Landlock where namespaces do not do, the first to be
 * killed when memory is out, dies with its parent. */
void sandbox_drop(struct sandbox *s);

/* landlock_version: 0: none. landlock_enter: no file but the programs, the model and the scratch directory, which alone is
 * written; TCP on s->port only when !own_network; no signals and abstract sockets of others (Landlock 6). After no_new_privs. */
int landlock_version(void);
int landlock_enter(const struct sandbox *s, bool own_network) _must_check_;

/* sandbox_root: the process sees a small file system of its own. -1: nothing has changed. In a mount namespace. */
int sandbox_root(const struct sandbox *s, struct err *e) _must_check_;
/* sandbox_prefix: where the files of PYTHON's installation are: the directory two above the program itself, "" when that is
 * a part of the system or all of it. */
void sandbox_prefix(const char *python, char *out, size_t size);

/* sandbox_plain: without a root directory of its own: BASE/model and code lose their write permissions. */
void sandbox_plain(const char *base);
/* tree_writable: below dirfd/name its owner may write, or not; everybody may read. */
void tree_writable(int dirfd, const char *name, bool writable);

#endif
