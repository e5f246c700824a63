/* endpoints_internal.h: what the files of the endpoints share: endpoints.c (the table), endpoint_life.c (steps of an endpoint and
 * its deployments), instance.c (processes), endpoint_prepare.c (files), dispatch.c. endpoints.mu is held where a name ends in
 * _locked. */
#ifndef SAGEMAKER_LOCAL_ENDPOINTS_INTERNAL_H
#define SAGEMAKER_LOCAL_ENDPOINTS_INTERNAL_H

#include "sagemaker/local/endpoints.h"
#include "sagemaker/local/runtimes.h"

enum status { CREATING, IN_SERVICE, UPDATING, ROLLING_BACK, FAILED, DELETING, N_STATUS };

/* One process of a variant, also while none runs. */
struct instance {
	struct instance *next;
	struct variant *variant;
	char id[20];      /* "i-0123456789abcdef0", as in the names of log streams */
	uint64_t process; /* tag of the last one started; 0: none yet */
	pid_t pid;        /* of it; 0: not known yet */
	bool alive;       /* it has not ended */
	bool ready;       /* it answers pings */
	bool proven;      /* one of its processes did once */
	bool installing; /* its process only installs the packages of the model's requirements.txt */
	bool installed;  /* and has: the next process is the model server */
	bool leaving;    /* gets no more invocations; ends when the last is answered */
	unsigned in_flight, crashes;
	double started, deadline;
	int listen_fd; /* the socket that its processes accept on; -1: none yet */
	unsigned port;
	long long log_from; /* where the log of the last process begins */
};

struct variant {
	struct deployment *dep;
	const cJSON *json; /* ProductionVariant and `Model`; in dep->variants_json */
	char name[64];
	char *base; /* DIR/endpoints/ID/N: model/, and a directory for each instance */
	double weight;
	int count; /* instances wanted */
	/* Of a serverless one, which has a process only while it is used: */
	bool serverless;
	int max_concurrency, provisioned; /* provisioned > 0: its process stays */
	int serving;                      /* invocations, also those that wait for the process */
	double used;                      /* monotonic: when the last one came or went */
	struct instance *first;
	struct runtime runtime;
	char server[512]; /* the model server's program */
};

struct deployment {
	struct endpoint *ep;
	unsigned refs;
	char config[64], id[17]; /* of its directory */
	cJSON *json;             /* the list of variants; owned */
	struct variant *variants;
	size_t n;
	struct deployment *next_old;
	bool retired;  /* its processes end, then its files go */
	bool removing; /* a job removes its files */
	double began;
};

struct endpoint {
	struct endpoint *next;
	struct fleet *all;
	unsigned refs;
	bool listed; /* in the table */
	bool begun;  /* its first step was taken since the backend started */
	char name[64];
	double created;
	/* Guarded by endpoints.mu: */
	enum status status;
	double modified;
	char last_config[64]; /* of what served, once it has begun to go */
	double settles;       /* monotonic: Creating, Updating, Deleting last until then at least */
	char failure[1025];
	struct deployment *live;    /* serves; NULL: not yet */
	struct deployment *next_up; /* takes its place when healthy; NULL: none */
	cJSON *pending; /* an update that a restart interrupted, begun again when live is back */
	struct deployment *old; /* retired ones whose files are not gone yet */
};

/* endpoint_room_locked: whether so many instances more may run. EDQUOT: the account's quota, which counts what is wanted of all endpoints. */
int endpoint_room_locked(const struct fleet *all, const struct deployment *dep, int more,
			 struct err *e) _must_check_;
/* deployment_count: instances that dep wants; none of serverless variants. NULL: 0. */
int deployment_count(const struct deployment *dep);

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

/* --- endpoints.c */
struct endpoint *endpoint_find_locked(struct fleet *all, const char *name, size_t len);
struct endpoint *endpoint_ref_locked(struct endpoint *ep);
void endpoint_unref(struct endpoint *ep);
/* endpoint_note_locked: before a change: what DescribeEndpoint answers now goes into the history. */
void endpoint_note_locked(const struct endpoint *ep);
/* endpoint_set_locked: a new status, kept in the store and logged. failure: NULL for none. */
void endpoint_set_locked(struct endpoint *ep, enum status status, const char *failure);
/* endpoint_save_locked: the row as it would be with that status. */
int endpoint_save_locked(struct endpoint *ep, enum status status, struct err *e) _must_check_;
/* endpoint_unlist_locked: out of the table, its row is gone. */
void endpoint_unlist_locked(struct endpoint *ep);

/* --- deployment.c */
/* deployment_new: takes over variants. NULL: damaged, or memory is out. deployment_free: its files stay. */
struct deployment *deployment_new(struct endpoint *ep, const char *config, const char *id,
				  cJSON *variants);
/* deployment_of: of what deployment_json gave. */
struct deployment *deployment_of(struct endpoint *ep, const cJSON *json);
struct deployment *deployment_ref_locked(struct deployment *dep);
void deployment_unref_locked(struct deployment *dep);
/* deployment_json: {EndpointConfigName, Id, Variants} of it as it is now. */
cJSON *deployment_json(const struct deployment *dep);
bool deployment_healthy(const struct deployment *dep);
/* variant_find: by name, NULL: none. variant_ready: instances that answer. */
struct variant *variant_find(struct deployment *dep, const char *name);
unsigned variant_ready(const struct variant *v);
/* variant_describe: a ProductionVariantSummary. */
cJSON *variant_describe(const struct variant *v);
struct instance *instance_new(struct variant *v);
void instance_drop_locked(struct instance *i); /* not alive */
/* instance_find: by its process's tag, in whatever deployment; NULL: none. */
struct instance *instance_find(struct endpoint *ep, uint64_t process);

/* --- endpoint_life.c */
void endpoint_begin_locked(struct endpoint *ep); /* prepare and start next_up */
void endpoint_end_locked(struct endpoint *ep);   /* Deleting: stop and remove */
/* endpoint_delay_locked: what begins now does not end before so many seconds. */
void endpoint_delay_locked(struct endpoint *ep, double seconds);
/* endpoint_check_locked: instances got ready or ended: whatever that means. */
void endpoint_check_locked(struct endpoint *ep);
/* deployment_fail_locked: what was being done to it cannot be done: Failed, or back to what was. */
void deployment_fail_locked(struct deployment *dep, const char *reason);
/* deployment_quiet_locked: a process of a retired one has ended: removes its files when none is left. */
void deployment_quiet_locked(struct deployment *dep);
/* run_locked: job(dep) on a worker, with a reference to dep. */
void run_locked(struct deployment *dep, void (*job)(void *dep));

/* --- instance.c */
void instances_start_locked(struct variant *v); /* as many as are wanted */
/* variant_rest_locked: a serverless one that was not used for so many seconds has no process any more. */
void variant_rest_locked(struct variant *v, double seconds);
/* instance_end_locked: now: no more invocations; those in flight may end first unless at once. */
void instance_end_locked(struct instance *i, bool at_once);
void instance_released_locked(struct instance *i); /* one invocation less */

/* --- endpoint_prepare.c: blocking; on a worker, without the lock. */
int variant_unpack(struct variant *v, struct err *e) _must_check_;
int variant_choose(struct variant *v, struct err *e) _must_check_;
/* instance_listen: a socket on a port of its own. */
int instance_listen(int *out, unsigned *port, struct err *e) _must_check_;

struct launch {         /* what a start needs of an instance, copied under the lock */
	bool installed; /* packages are in its scratch directory */
	bool installs;  /* instance_spawn says: the process is the one that installs them */
	struct variant *variant;
	char id[20];
	uint64_t process;
	int listen_fd;
	unsigned port;
	pid_t pid; /* set by instance_spawn */
};

/* instance_spawn: starts a process; log_from is where it writes. */
int instance_spawn(struct launch *l, long long *log_from, struct err *e) _must_check_;
void deployment_remove_files(struct deployment *dep);
/* instance_last_lines: the end of what its last process wrote, at most max bytes of it, clean UTF-8. */
void instance_last_lines(const struct instance *i, size_t max, struct buf *out);

#endif
