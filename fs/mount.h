/*
 * mount.h: everything one mount owns. Members are set while the mount starts and constant after, unless said; each has its own
 * locks inside.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/jobs.h"
#include "fs/journal.h"
#include "fs/log.h"
#include "fs/options.h"
#include "fs/tree.h"
#include "sagemaker/aws.h"
#include "sagemaker/s3.h"
#include "sagemaker/sts.h"

/* Rooms of the mount: each has an error file. */
enum room { ROOM_ROOT, ROOM_MODELS, ROOM_ENDPOINTS, ROOM_INVOKE, ROOMS };

struct mount {
	const struct options *opt;
	struct config config; /* of aws: region, bucket, prefix ("model"), endpoint URL ... */
	struct aws *aws;
	struct tree *tree;
	struct jobs *jobs;
	struct watch *watch;
	struct journal *journal;
	struct vfiles *vfiles; /* vfile.c's parked readers and pollers */
	struct log *log;
	struct models *models;
	struct endpoints *endpoints;
	struct invoke *invoke;
	int state_fd;       /* the mount's locked state directory */
	int staging_fd;     /* STATE/staging: models' bytes */
	char *state_path;   /* for messages only */
	bool bucket_strict; /* a bucket that was named has to be there: making one by a slip of the pen would be nobody's wish */
	char *source;       /* "local:/home/me/.local/share/sagemakerfs/local", "aws:eu-west-1" */
	char *mountpoint;   /* absolute; for messages only: never opened by the daemon */
	uid_t uid;          /* owner of everything shown */
	gid_t gid;
	time_t started;

	pthread_mutex_t mu;       /* guards what follows */
	struct identity identity; /* account, arn; "" until known */
	char bound[16];           /* the account whose files state_fd holds; "" none yet */
	struct err unreachable;   /* why AWS could not be asked who we are, at unreachable_at */
	int64_t unreachable_at;   /* ms of the monotonic clock */
	char role[512];           /* "" until known: mount_role() */
	bool bucket_ready;        /* looked at, or made */
	bool bucket_described;    /* its notes are made */
	bool bucket_versioned;    /* as far as it told */
	char notes[2048];         /* lines of what is to be known about this mount: mount_note() */
	struct err last[ROOMS];   /* last failure of each room; ROOM_ROOT has the newest of all */
	void *fuse;               /* ops.c's session */
};

/* The following may use the network: job threads only. */
int mount_identity(struct mount *m, struct identity *out, struct cancel *c, struct err *e)
	_must_check_;
/* mount_network_failed: whether an error says that AWS was not reached: nothing is wrong with keys or settings then. */
bool mount_network_failed(const struct err *e);
/* account_learnt: AWS said whose the keys are. EACCES: the mount's state is another account's. */
int account_learnt(struct mount *m, const char *account, struct err *e) _must_check_;
/* mount_bucket: to read and delete in, without a look whether it is there: what is not there has nothing in it. But one that was
 * named must be (mount_bucket_look). out->kms_key lives as long as m. */
int mount_bucket(struct mount *m, struct s3_bucket *out, struct cancel *c, struct err *e)
	_must_check_;
/* mount_bucket_make: to write to: the default bucket is made when it is missing; what is to be said about it becomes notes. */
int mount_bucket_make(struct mount *m, struct s3_bucket *out, struct cancel *c, struct err *e)
	_must_check_;
/* mount_bucket_look: whether a bucket that was named is there, in our region and its owner's; once. 0 without a name. */
int mount_bucket_look(struct mount *m, struct cancel *c, struct err *e) _must_check_;
/* mount_bucket_gone: somebody has deleted it, or it was never made: the next mount_bucket_make looks again. */
void mount_bucket_gone(struct mount *m);
/* mount_bucket_explain: a call on it was refused: *e says so if that is because it is another account's, or in another region. */
void mount_bucket_explain(struct mount *m, const struct s3_bucket *b, struct cancel *c,
			  struct err *e);
/* mount_bucket_versioned: whether what is deleted in it stays billed; false also where that is not told. */
bool mount_bucket_versioned(struct mount *m, struct cancel *c);
/* mount_role: the execution role: -o role, else the model's own (own, "" for none), else as role.h says. */
int mount_role(struct mount *m, const char *own, char out[512], struct cancel *c, struct err *e)
	_must_check_;

/* mount_bucket_name: as far as it is known without the network. */
bool mount_bucket_name(struct mount *m, char out[64]);

/* mount_note: a line that users should see once: in the log as a warning, and where mount_where shows. */
void mount_note(struct mount *m, const char *fmt, ...) _printf_(2, 3);
/* mount_fail: remember *e as the room's last failure (and the root's), log one line "what: text". */
void mount_fail(struct mount *m, enum room room, const struct err *e);
/* mount_last: copy of it; no == 0: none yet. */
void mount_last(struct mount *m, enum room room, struct err *out);
/* mount_error_row: the `.error` row of a room's directory (show); the room's table names it:
 * {".error", 0444, VF_LISTED_ALL, 0, models_error_show, ...} with show calling mount_show_error(m, ROOM_MODELS, out). */
int mount_show_error(struct mount *m, enum room room, struct buf *out);

/* mount_where: "backend ...\naccount ...\n...": where this mount is, as README, status and config begin. */
void mount_where(struct mount *m, struct buf *out);

/* mount_place: the region, and what leads elsewhere than to AWS's usual hosts, each with where it was set: lines of mount_where.
 * mount_settings: the other settings in force, every endpoint too; no secrets. Members that are constant alone are read. */
void mount_place(const struct mount *m, struct buf *out);
void mount_settings(struct mount *m, struct buf *out);

/* node_room: the room a node lies in (ROOM_ROOT: none). */
enum room node_room(struct node *n);
/* node_mount: the mount of a node (one process may have only one; kept in the tree's root data). */
struct mount *node_mount(const struct node *n);

#endif
