/*
 * endpoints_room.h: inside endpoints/. Other rooms include endpoints.h.
 *
 *   endpoints.c         the room's life, the answers to other rooms
 *   endpoints_table.c   what is known of each endpoint, and how news of it come in
 *   endpoints_ask.c     asking the service: one endpoint, all of them
 *   endpoints_poll.c    asking again while something is in transition
 *   endpoints_dir.c     the directories: lookup, mkdir, rmdir      endpoints_stream.c  listings, as pages come in
 *   endpoints_rows.c    the attribute files
 *   endpoints_deploy.c  mkdir's work        endpoints_delete.c  rmdir's work
 *   endpoints_sweep.c   what other mounts left: wishes to delete, orphans
 *   endpoints_orphans.c .orphans/
 *   endpoints_recover.c what a crash or a silent service left of mkdir's work
 *
 * News may overtake each other: every answer carries the time it was asked for, and one asked for before the entry's last local
 * step (stamp: created, deleted) is dropped.
 */
#ifndef FS_ENDPOINTS_ROOM_H
#define FS_ENDPOINTS_ROOM_H

#include "fs/endpoints.h"
#include "fs/models.h"
#include "fs/vfile.h"
#include "sagemaker/deploy.h"
#include "sagemaker/orphans.h"

#define FRESH_MS       1000  /* younger knowledge is used without asking */
#define LISTING_LAG_MS 60000 /* a listing may miss an endpoint for so long after it was made */
#define VISIBLE_MS     10000 /* and a description, for so long */
#define TOMBSTONE_MS   60000 /* that an endpoint is gone is remembered for so long */

/* What an endpoint's configuration and model say; immutable at the service, so asked once per configuration name. */
struct parts {
	char config[64]; /* "": not known */
	char model[64], data_url[1100], image[256], instance_type[32];
	int instance_count;
	char *text; /* of endpoints/NAME/config, may be NULL */
};

/* One mkdir. Made by the FUSE worker, then worked on by one job at a time; members that others read change under endpoints.mu. */
enum attempt_phase { ATTEMPT_PUBLISHING, ATTEMPT_CREATING, ATTEMPT_FAILED };

struct attempt {
	struct endpoints *s;
	char name[64], suffix[DEPLOY_SUFFIX];
	char model[64];         /* "" until resolved */
	char instance_type[32]; /* "" until known */
	int instance_count;
	enum attempt_phase phase;
	enum deploy_step step;   /* the last one journaled */
	bool running;            /* a job has it */
	bool hidden;             /* mkdir is just failing: not to be seen */
	bool untagged;           /* tags were not permitted */
	bool leftovers;          /* ended without knowing whether all is undone: to be recovered */
	struct err why;          /* ATTEMPT_FAILED */
	int64_t journal;         /* id; 0: none */
	int64_t again;           /* recovery is not tried before */
	struct promise *promise; /* of its mkdir, until settled; the job's */
};

/* One rmdir, until the endpoint is gone and its parts with it. */
struct deletion {
	struct endpoints *s;
	char name[64];
	char config[64], model[64]; /* "" until known */
	double created; /* of the endpoint that is meant: another one of its name is not; 0 until known */
	bool known;     /* config and model are known, and that we may delete it */
	bool running;   /* a job has it */
	bool accepted;  /* DeleteEndpoint was */
	bool released;  /* configuration and model are gone */
	bool theirs;    /* another mount was asked to, and is given time */
	bool withdrawn; /* rmdir is just failing: the endpoint is back */
	struct err why; /* why it is not done yet */
	int64_t journal;
	int64_t again; /* not asked again before */
	unsigned tries;
	struct promise *promise; /* of its rmdir, until settled; the job's */
};

struct ep {
	struct ep *next; /* in the list of all, newest first: seq falls */
	struct ep *same; /* in its bucket */
	uint64_t seq;    /* when it came to be shown; what streams go by */
	uint64_t round;  /* the last listing that named it */
	char name[64];
	struct endpoint_state seen; /* status "": never heard of, or gone */
	int64_t seen_at;            /* when that was asked for, now_ms; 0: never */
	int64_t stamp;              /* news asked for before this are too old */
	int64_t since;              /* of the present status */
	double created;             /* as described, listings may round; 0: not known */
	bool gone;                  /* the service has said that it does not exist (any more) */
	bool missed;                /* made a moment ago, and a Describe has not found it */
	bool stale;                 /* its status changed in a listing: to be described */
	bool tags_wanted;           /* it changes, or has just done so: has a mount marked it? */
	char tags_status[32];       /* they were read when this was its status, */
	double tags_modified;       /* and this its last change */
	bool untagged;              /* we made it, and tags were not permitted */
	struct parts parts;
	char content_type[64]; /* "": not known */
	char *invoke;          /* text of the last failed invocation, or NULL */
	struct err *kept;      /* why a deletion that rmdir had taken was given up, or NULL */
	struct err *asking;    /* why the last describe failed, for those who wait, or NULL */
	unsigned waiters;      /* parked readers of its wait files */
	unsigned followers;    /* of its events */
	int64_t waiting_since;
	struct attempt *attempt;   /* owned */
	struct deletion *deletion; /* owned */
};

/* The listing that readers of the directories wait for; poller and others ask for lists of their own. */
struct listing {
	bool running;    /* a job is at it */
	int64_t ended;   /* 0: never */
	int64_t took_ms; /* the last whole one, and its pages */
	size_t pages;
	struct err why; /* of the last one */
};

struct allowance {
	int64_t at; /* of left */
	double left;
};

#define EP_BUCKETS 4096 /* SageMaker's accounts have some thousand endpoints at most */

struct endpoints {
	struct mount *m;
	pthread_mutex_t
		mu; /* guards all below and every struct ep; never held across the network, replies or other rooms */
	pthread_cond_t quiet; /* a deletion got further */
	struct ep *all;
	struct ep *buckets[EP_BUCKETS]; /* by name, regardless of case */
	uint64_t seq, round;            /* the last ones given */
	int64_t listed_at;              /* of the last whole listing; 0: never */
	bool listed_ever;
	int64_t slow_until; /* now_ms(): the service has just not answered somebody in time */
	bool unlisted;      /* listing is not permitted: endpoints are asked after one by one */
	struct listing listing;
	struct parked *parked;
	struct allowance asks; /* single questions that looking around may cost */
	int64_t looked_at,
		crowd_at; /* when the last known name was looked up; when another one was just before */
	const struct ep *looked; /* and which; to compare with */
	char default_type[32];
	int default_count;
	void (*listener)(void *arg, const char *name);
	void *listener_arg;
	bool stopping;
	bool polling; /* a job is asking */
	bool armed;
	int64_t due;
	long backoff_ms;
	struct timer timer;
	bool no_tags;  /* reading tags is not permitted */
	bool sweeping; /* a job is */
	struct timer sweep;
	int64_t swept_at; /* 0: never */
	struct orphan *orphans;
	size_t n_orphans;
};

/* --- endpoints_table.c; _locked: with s->mu */
/* ep_keep: the error of an entry becomes e (NULL: none). Most have none. */
void ep_keep(struct err **at, const struct err *e);
/* ep_invoked_well: forgets the last failed invocation. */
void ep_invoked_well(struct ep *ep);
struct ep *ep_find_locked(struct endpoints *s, const char *name);
struct ep *ep_get_locked(struct endpoints *s,
			 const char *name); /* made when missing; NULL: memory */
/* ep_renew_locked: it is shown again: streams that have passed it are to see it. */
void ep_renew_locked(struct endpoints *s, struct ep *ep);
/* ep_rival_locked: the entry whose name differs only in case, or NULL. */
struct ep *ep_rival_locked(struct endpoints *s, const char *name);
bool ep_exists(const struct ep *ep); /* the service has it */
/* ep_trying: the attempt that is shown in place of what the service says; NULL: none, or only one whose end is cleared up: that
 * hides nothing which others make under its name. */
struct attempt *ep_trying(const struct ep *ep);
bool ep_shown(const struct ep *ep);    /* found in endpoints/ */
bool ep_deleting(const struct ep *ep); /* found in endpoints/.deleting/ */
bool ep_in_transition(const struct ep *ep);
/* ep_in_progress: the service would refuse a deletion. */
bool ep_in_progress(const struct ep *ep);
/* deletion_over: what was deleted is gone, or another endpoint has its name by now. */
bool deletion_over(const struct ep *ep);
/* ep_settled: the service has said, lately or since somebody waits, that nothing is in transition. */
bool ep_settled(const struct ep *ep);
enum endpoint_phase ep_phase(const struct ep *ep);
enum endpoint_phase status_phase(const char *status);
/* ep_hear_locked: the service described it at asked_at; true when what is shown changed. */
bool ep_hear_locked(struct ep *ep, const struct endpoint_state *state, int64_t asked_at);
bool ep_hear_summary_locked(struct ep *ep, const struct endpoint_summary *sum, int64_t asked_at);
/* believed_locked: whether a lookup of ep, which is shown, is answered by what is known though that is not fresh. */
bool believed_locked(struct endpoints *s, const struct ep *ep);
/* may_ask_locked: takes one of the allowance for questions that nobody asked explicitly: 16 at once, then 2 a second. */
bool may_ask_locked(struct endpoints *s);
bool ep_hear_gone_locked(struct endpoints *s, struct ep *ep, int64_t asked_at);
void ep_sweep_locked(struct endpoints *s); /* forget old tombstones */
void ep_free_all(struct endpoints *s);
/* ep_tell: an entry changed: wakes readers, drops nodes that are no more, tells invoke/. No lock held. */
void ep_tell(struct endpoints *s, const char *name);
/* ep_status: the text of `status`. ep_model: the model's name in models/, "" when it is none of ours. No lock held. */
void ep_status(struct endpoints *s, const char *name, char out[64]);
void ep_model(struct endpoints *s, const char *name, char out[64]);
void parts_release(struct parts *p);
/* age_text: "3 d", of epoch seconds. */
void age_text(double since, char out[32]);

/* --- endpoints_ask.c: job threads */
int ask_one(struct endpoints *s, const char *name, struct cancel *c, struct err *e) _must_check_;
int ask_all(struct endpoints *s, struct cancel *c, struct err *e) _must_check_;
/* ask_parts: what configuration and model say. p is filled with what could be learnt; released by the caller on failure too. */
int ask_parts(struct endpoints *s, const char *config, struct parts *p, struct cancel *c,
	      struct err *e) _must_check_;
bool is_transient(const struct err *e);

/* may_pass: that, or the keys have expired or are no good any more, or something in between has refused, which knows no codes: for
 * work that waits until that is over. */
bool may_pass(const struct err *e);

/* --- endpoints_stream.c */
/* stream_news: pages came in, or the listing ended: readers get what is new. No lock held. */
void stream_news(struct endpoints *s);
/* stream_refresh_locked: starts a listing in the background unless one runs or one has just ended. */
void stream_refresh_locked(struct endpoints *s);

/* --- endpoints_poll.c */
void poll_fire(struct timer *t);
void poll_kick(struct endpoints *s, long ms);
void poll_kick_locked(struct endpoints *s, long ms);

/* --- endpoints_deploy.c, endpoints_delete.c */
void deploy_begin(struct endpoints *s, struct req *r, const char *name);
#define DEPLOY_KIND "deploy" /* in the journal */
#define RECOVER_MS  5000     /* between tries of attempt_recover */
int attempt_journal(struct attempt *t, struct err *e) _must_check_;
/* attempt_accepted: its endpoint is the service's now; what is known of it goes into the table. Frees it. p may be NULL. */
void attempt_accepted(struct attempt *t, const char *arn, const struct parts *p);
/* attempt_vanish: takes it out of table and journal and frees it; a deletion that waited for it goes on. */
void attempt_vanish(struct attempt *t);
void attempt_free(struct attempt *t);
/* attempt_clear: ends it in the journal too; it is in no entry any more. */
void attempt_clear(struct attempt *t);
void delete_begin(struct endpoints *s, struct req *r, const char *name);
void deletion_run(struct deletion *d); /* running is set; queues its job */
/* delete_permitted: by -o delete; EPERM with the sentence. */
bool delete_permitted(const struct endpoints *s, const char *name, const char *config,
		      struct err *e);
/* delete_marked: another mount was asked to delete the endpoint that `seen` describes; shown in .deleting/ from now on. */
void delete_marked(struct endpoints *s, const char *name, const struct endpoint_state *seen);
int delete_resume(struct endpoints *s, struct err *e) _must_check_;
void deletion_free(struct deletion *d);

/* --- endpoints_recover.c. attempt_recover: running is set */
void attempt_recover(struct attempt *t);
int deploy_resume(struct endpoints *s, struct err *e) _must_check_;

/* --- endpoints_sweep.c. tags_due_locked: its tags are to be read. tags_read: reads those that are due; job thread. */
bool tags_due_locked(const struct endpoints *s, const struct ep *ep);
void tags_read(struct endpoints *s, struct cancel *c);
void sweep_fire(struct timer *t);
/* sweep_orphans: looks for them anew. Job thread. */
int sweep_orphans(struct endpoints *s, struct cancel *c, struct err *e) _must_check_;
#define SWEEP_FIRST_MS 10000
#define SWEEP_EVERY_MS 3600000

/* --- endpoints_orphans.c */
extern const struct node_ops orphans_ops;
void orphans_status(struct endpoints *s, struct buf *out);

/* --- endpoints_dir.c, endpoints_rows.c */
struct endpoint_ref { /* data of the nodes endpoints/NAME and .deleting/NAME */
	struct endpoints *s;
	char name[64];
};
extern const struct node_ops endpoints_ops;
/* endpoint_ref_ops: a directory of rows about one name; its data is an endpoint_ref of its own. */
extern const struct node_ops endpoint_ref_ops;
extern const struct vfile endpoints_files[], endpoint_files[], deleting_files[], default_files[];

/* What goes on when a row's text can be shown. */
struct learning {
	void (*then)(struct req *r, void *arg);
	void *arg;
};

/* A question to the service, or work there, on behalf of a request; the request is answered from what is known then. */
struct question {
	struct endpoints *s;
	struct node *dir; /* good as long as the request is not answered */
	char name[64];
	char row[64];
	struct dirfill *fill;
	struct learning learning;
	int (*ask)(const struct question *q, struct cancel *c, struct err *e); /* a job */
	void (*answer)(struct req *r, struct question *q, int no);
	struct promise *promise;
	bool answered; /* s->mu: the service has */
	unsigned refs; /* s->mu: the request's answer and the job */
};

/* limit_ms_locked: how many ms the service may take for an answer. Once it let somebody wait in vain (in_vain_locked), others are
 * spared that for a while: an ls -l is many questions. */
#define SLOW_LIMIT_MS 200
#define SLOW_FOR_MS   5000
long limit_ms_locked(const struct endpoints *s);
void in_vain_locked(struct endpoints *s);
/* ask_for: what is copied; ask's failure is the room's last one, too. */
void ask_for(struct req *r, const struct question *what);
/* endpoint_learn, endpoint_learn_status: the rows' learn (vfile.h): by what a description says; by the status. */
bool endpoint_learn(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
		    void *arg);
bool endpoint_learn_status(struct node *dir, struct req *r, void (*then)(struct req *r, void *arg),
			   void *arg);
/* dir_answer: answers a lookup or mkdir with endpoints/NAME. */
void dir_answer(struct endpoints *s, struct req *r, struct node *dir, const char *name);
int defaults_load(struct endpoints *s, struct err *e) _must_check_;

#define ep_log(s, level, ...) log_line((s)->m->log, level, "endpoints", __VA_ARGS__)

#endif
