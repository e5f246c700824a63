/* endpoints_internal.h: what endpoints.c (the table), endpoint_life.c (its steps) and endpoint_prepare.c (files and
 * processes) share. endpoints.mu is held where a name ends in _locked. */
#ifndef SAGEMAKER_LOCAL_ENDPOINTS_INTERNAL_H
#define SAGEMAKER_LOCAL_ENDPOINTS_INTERNAL_H

#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/runtimes.h"

enum status { CREATING, IN_SERVICE, FAILED, DELETING, N_STATUS };

struct endpoint {
	struct endpoint *next;
	struct fleet *all;
	unsigned refs;
	bool listed; /* in the table */
	bool begun;  /* its first step was taken since the backend started */
	/* Never change: */
	char name[64], config[64], variant[64], id[17];
	char *base; /* DIR/endpoints/ID */
	cJSON *plan;
	double created;
	/* Guarded by endpoints.mu: */
	enum status status;
	double modified;
	char failure[1025];
	uint64_t process; /* tag of the last one started; 0: none yet */
	bool alive;       /* it has not ended */
	bool ready;       /* it answers pings */
	double started, deadline;
	unsigned crashes;
	int listen_fd; /* the socket that its processes accept on; -1: none yet */
	unsigned port;
	long long log_from; /* where the log of the last process begins */
	struct runtime runtime;
	char server[512]; /* the model server's program */
};

struct fleet {
	struct backend *be;
	int dirfd;          /* DIR/endpoints */
	pthread_mutex_t mu; /* guards what follows and the endpoints' changing members */
	struct endpoint *first;
	uint64_t last_tag;
	struct cancel *ending; /* set with stopping: ends unpacking */
	bool stopping;
};

extern const char *const status_names[N_STATUS];

struct endpoint *endpoint_ref_locked(struct endpoint *ep);
void endpoint_unref(struct endpoint *ep);
/* endpoint_set_locked: a new status, kept in the store and logged. failure: NULL unless FAILED. */
void endpoint_set_locked(struct endpoint *ep, enum status status, const char *failure);

/* endpoint_life.c */
void endpoint_begin_locked(struct endpoint *ep); /* Creating: prepare and start */
void endpoint_end_locked(struct endpoint *ep);   /* Deleting: stop and remove */
/* endpoint_fail: from Creating to Failed with this reason, and its process goes. */
void endpoint_fail(struct endpoint *ep, const char *fmt, ...) _printf_(2, 3);

/* endpoint_prepare.c: blocking; on a worker, without the lock. */
int endpoint_unpack(struct endpoint *ep, struct err *e) _must_check_;
int endpoint_choose(struct endpoint *ep, struct err *e) _must_check_;
int endpoint_listen(struct endpoint *ep, struct err *e) _must_check_;
/* endpoint_spawn: starts a process with the tag; log_from is where it writes. */
int endpoint_spawn(struct endpoint *ep, uint64_t tag, long long *log_from, struct err *e)
	_must_check_;
void endpoint_remove_files(struct endpoint *ep);
/* endpoint_last_lines: the end of what the last process wrote, at most max bytes of it, clean UTF-8. */
void endpoint_last_lines(const struct endpoint *ep, long long from, size_t max, struct buf *out);
/* endpoint_trim_log: keep the log below its limit; true: it was cut. */
bool endpoint_trim_log(const struct endpoint *ep);

#endif
