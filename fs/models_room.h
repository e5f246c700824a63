/*
 * models_room.h: what the files of models/ share. Nobody else includes it.
 *
 * A model is seen through one of two views: STAGED, a real directory STATE/staging/NAME that takes every change, or PUBLISHED,
 * the members that its manifest in S3 names, read by ranges (reads.h). A change of a published model copies it up into
 * staging first; a commit publishes what is staged.
 *
 * Locks: models.names (held across one call of the local disk and its change of the tree), models.persist (the order of journal
 * rows; held while SQLite writes), then models.mu (every struct model and the list), then the tree's. models.mu is held across memory and single renames on the local disk, never across the network, the journal
 * or files' contents.
 */
#ifndef FS_MODELS_ROOM_H
#define FS_MODELS_ROOM_H

#include <limits.h>
#include <sys/stat.h>

#include "fs/catalog.h"
#include "fs/events.h"
#include "fs/models.h"
#include "fs/progress.h"
#include "fs/reads.h"
#include "fs/thread.h"
#include "fs/vfile.h"
#include "fs/writers.h"
#include "sagemaker/package.h"
#include "sagemaker/unpack.h"

#define MODEL_QUIET_MS   2000  /* after the last change, the commit by itself */
#define MODEL_RETRY_MS   30000 /* after the service failed one */
#define MODEL_GRACE_MS   200   /* RELEASE is asynchronous: a file just closed may still look open */
#define MODEL_FRESH_MS   1000  /* how long a listing or manifest is believed */
#define MODEL_SIDE       ".sagemaker" /* the directory of a model's own virtual files */
#define MODEL_STAGED_TTL 1.0  /* seconds the kernel may believe a staged name: staging_ttl() */
#define MODEL_TOP_TTL    0.25 /* and models/NAME itself, which another mount may change */

#define MODEL_NAME_RULE "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"

enum known { KNOWN_NOT, KNOWN_ABSENT, KNOWN_PUBLISHED };

enum why {
	COMMIT_QUIET,
	COMMIT_ASKED,
	COMMIT_STOP
}; /* who wants it: nobody, a user or a deploy, the unmount */

struct file; /* an open handle: staging_file.c */
struct sending;

struct model { /* guarded by models.mu but for s; never freed before models_free */
	struct models *s;
	struct model *next;
	char name[64];

	/* staging */
	bool staged;     /* STATE/staging/NAME is what is shown */
	bool dirty;      /* changes are not published; with !staged: only settings changed */
	bool marked;     /* the journal knows that it is dirty */
	uint64_t gen;    /* counts changes */
	int64_t changed; /* now_ms() of the last one */
	unsigned writers;
	struct file *files;      /* open handles */
	struct writers programs; /* that wrote since the last commit */
	uint64_t epoch; /* counts changes of the view: what the kernel cached before is stale */
	char base[48];  /* version that staging began as or was published as, "" none */
	char framework[32], framework_version[32]; /* overrides, "" none */
	struct names gone; /* PUBLISHED view: what rm took away and nothing has confirmed yet */

	/* half an upload of files, which the next commit goes on from; a running one's own */
	cJSON *left;     /* the journal's row, NULL none */
	int64_t left_id; /* of that row */

	/* versions/ */
	char *link;       /* name of the link somebody is about to rename to `current`, NULL none */
	char link_to[64]; /* the version it names */

	/* work in flight */
	bool copying, committing, deleting, fetching, pruning, prune_again;
	/* models_progress.c; have their own locks: called with models.mu or without */
	struct progress work;    /* the commit or copy-up that runs */
	struct progress reads;   /* of published files from S3 */
	struct events events;    /* what readers of .sagemaker/events see */
	char *told;              /* the status line of the newest of them that was one */
	int64_t told_at;         /* atomic: now_ms() of the newest that counts bytes */
	uint64_t woken;          /* the events that readers were woken for */
	struct cancel *cancel;   /* of the running commit or early job, NULL none */
	struct sending *sending; /* sending.h; NULL none, or a job has it */
	struct timer lapse;      /* of it: when nobody goes on with it */
	int64_t restored;        /* the journal's upload that it was made of at start; 0: none */
	/* commit_early.c: files are sent while others are still written */
	bool early, early_armed,
		early_stop; /* the job runs; its timer does; a commit waits for it */
	bool early_failed;  /* the service said no: the commit will say so */
	uint64_t closed;    /* bytes of files that were closed since it last looked */
	uint64_t lying;     /* bytes of closed files that it saw and could not send yet */
	int64_t early_wait; /* ms until it looks once more */
	struct timer early_timer;
	struct timer quiet;
	bool quiet_armed;

	/* the last failure */
	struct err error;    /* no == 0: none */
	struct err untaken;  /* why the last value written to an attribute was not taken */
	uint64_t failed_gen; /* generation it is about */
	int64_t failed_at;   /* now_ms() */
	bool refused;        /* the check said no (not the service) */
	bool waiting;        /* ... to a commit nobody asked for: more files are awaited */
	bool conflict;
	char conflict_with[48]; /* the version that another mount published */
	char conflict_mine[48]; /* the one that was made of what was staged here */

	/* catalog */
	enum known known;
	int64_t seen;    /* now_ms() when known was true, 0 never */
	unsigned asking; /* models_ask.c's jobs */
	bool stale;      /* published, but not as man says */
	struct manifest *man;
	char etag[128];
	struct archive *archive; /* of the version archive_of; NULL: not looked at yet */
	char archive_of[48];
};

struct models {
	struct mount *m;
	struct hash_cache *hashes;
	struct reads *reads; /* of published files */
	struct dirfds *dirs;
	struct model *
		loose; /* owner of the files in models/ that are no model; in no list, never committed */
	long prune_after; /* seconds since a version was superseded */
	long lapse_after; /* seconds since anything was done about a begun upload */

	pthread_rwlock_t
		names; /* a node's name is its backing file's: written by what changes both */
	pthread_mutex_t persist; /* order of what the journal says of models */
	pthread_mutex_t mu;      /* guards what follows and every struct model */
	pthread_cond_t
		changed; /* committing, copying, deleting, fetching went false; a writer closed */
	struct model *list;
	int64_t listed;     /* now_ms() of the last whole listing, 0 never */
	unsigned listing;   /* listings under way */
	int64_t slow_until; /* now_ms(): S3 has just not answered somebody in time */
	bool stopping;

	bool stopped;
	struct timer tick;  /* models_progress.c */
	struct timer again; /* models_remove.c: what removals have left */
	long again_ms;
	unsigned
		nameless; /* atomic: entries with a removed file: the disk has its bytes back when the kernel forgets it */
};

/* data of every node in models/NAME but those below .sagemaker, and of files in models/ itself */
struct entry {
	struct model *md; /* atomic: a file in models/ may become another model's */
	uint64_t epoch;   /* models.mu: the view that the kernel's cached pages are of */
	int removed; /* models.names: O_PATH of the file that has no name any more, -1 it has one or nobody knew it */
};

/* models_state.c */
bool model_name_ok(const char *name);
struct model *model_find_locked(struct models *s, const char *name);
/* model_get: found or made; NULL: memory or a name against the rule (e says which). */
struct model *model_get(struct models *s, const char *name, struct err *e);
bool model_fresh_locked(const struct model *md);
/* model_known_locked: what is published is known, whatever is staged. */
bool model_known_locked(const struct model *md);
bool model_exists_locked(const struct model *md);
/* model_persist: what the next mount must know of md, into the journal. */
int model_persist(struct model *md, struct err *e) _must_check_;
/* model_touch: md is about to change: a mark in the journal before the first change, the generation after. */
int model_touch(struct model *md, struct err *e) _must_check_;
/* model_changed: md did change (again), no handle, quick: the generation and the quiet time. */
void model_changed(struct model *md);
void model_arm_locked(struct model *md, long ms);
/* model_fail: e is md's last failure and the room's. */
void model_fail(struct model *md, const struct err *e);
void model_fail_reply(struct model *md, struct req *r, const struct err *e);
/* model_wake: md's state changed: readers of its wait are asked again, and its events may have one more. No lock held. model_wake_side:
 * readers only. */
void model_wake(struct model *md);
void model_wake_side(struct model *md);
/* models_wait_locked: waits for a change of some model, at most ms. */
void models_wait_locked(struct models *s, long ms);
void model_state_load(struct models *s);
/* model_status_locked: the line of .sagemaker/status, without its end. */
void model_status_locked(struct model *md, struct buf *out);
void model_quiet(struct timer *t);

/* models_ask.c: a question about models/NAME that S3 must be asked first, for 2 s at most. The answer is given once, by then. */
struct ask {
	struct model *md;
	struct node *dir;
	char name[NAME_MAX + 1];
	mode_t mode;
	int flags;
	bool published; /* what is published counts, also for a model with changes */
	struct dirfill *fill;
	void (*then)(struct req *r, struct ask *a);
	/* models_ask.c's own */
	struct promise *promise;
	int no;        /* why S3 could not be asked; read once settled */
	bool settled;  /* atomic: S3 answered before the limit */
	bool hurried;  /* the limit says nothing of S3 */
	unsigned refs; /* atomic: the job and the answer */
};

/* model_ask: then(r, copy of q), at once when enough is known. model_asked: the errno for which S3 could not be asked, 0: it was. */
void model_ask(struct req *r, const struct ask *q);
int model_asked(const struct ask *a);
/* models_limit_locked: how many ms S3 may take. Once it let somebody wait in vain, others are spared that for a while; and what is known
 * (an older answer) will do while an upload of ours has the line. */
long models_limit_locked(const struct models *s, bool known);
bool models_uploading_locked(const struct models *s);

/*
 * models_progress.c: who commits or reads says so by md->work and md->reads (progress.h), and readers of progress, events and
 * `sagemakerfs status` see it. model_progress_init: once, when md is made.
 */
void model_progress_init(struct model *md);
void model_progress_release(struct model *md);
/* models_progress_stop: no tick comes any more. */
void models_progress_start(struct models *s);
void models_progress_stop(struct models *s);
/* model_news_locked: the status line of md may be another now: those who follow its events shall hear of it. Quick. */
void model_news_locked(struct model *md);
/* model_events: the row .sagemaker/events (vfile.h, follow). */
int model_events(struct model *md, uint64_t *seen, struct buf *out);
/* model_progress_line: what .sagemaker/progress says, without its end: the commit's line, else the reads', else "idle". */
void model_progress_line(struct model *md, struct buf *out);

/* models_files.c: files in models/ itself (docs/models.md). Each answers r. */
#define MODELS_LOOSE ".files" /* the directory in staging of those that are no model */
int models_files_start(struct models *s, struct err *e) _must_check_;
void models_files_lookup(struct req *r, struct node *dir, const char *name);
void models_files_create(struct req *r, struct node *dir, const char *name, mode_t mode, int flags);
void models_files_unlink(struct req *r, struct node *dir, const char *name);
void models_files_rename(struct req *r, struct node *dir, const char *name, const char *newname,
			 unsigned flags);
void models_files_list(struct models *s, struct dirfill *f);
/* models_is_file: whether dir/name is a file that the kernel has looked up. */
bool models_is_file(struct node *dir, const char *name);

/* models_publish.c. models_uri: of a record's archive; malloc'ed, NULL: the bucket's name is not known yet (or memory). */
char *models_uri(struct models *s, const cJSON *record);
void models_canonical(const char *model, char out[64]);

/* elsewhere.c: archives that others put under PREFIX without a manifest. */
/* elsewhere_key: whether what is at PREFIX/rest is one; name: the model that it is shown as. */
bool elsewhere_key(const char *rest, char name[64]);
/* elsewhere_find: what stands in for a manifest of md; NULL: there is none. Job thread. */
int elsewhere_find(struct model *md, struct manifest **out, struct cancel *c, struct err *e)
	_must_check_;
/* elsewhere_unread: nobody has looked inside yet, so its files are not known. elsewhere_read: they are when it returns 0. Job thread,
 * may take long. */
bool elsewhere_unread(struct model *md);
int elsewhere_read(struct model *md, struct cancel *c, struct err *e) _must_check_;
/* elsewhere_record: of an archive that was read: members, digest, and what it was recognised as. NULL: memory. */
cJSON *elsewhere_record(struct model *md, struct archive *a, struct cancel *c);
/* elsewhere_refuse_locked: EROFS and the sentence when md is not ours to change. */
int elsewhere_refuse_locked(const struct model *md, struct err *e);
/* elsewhere_keep_locked: EPERM and the sentence when it is not ours to remove, either. */
int elsewhere_keep_locked(const struct model *md, struct err *e);

/* models_links.c: ln -s s3://BUCKET/KEY models/NAME */
/* model_linked_locked: md is one. model_link: makes one. model_link_reply: a lookup's answer: the link. */
bool model_linked_locked(const struct model *md);
void model_link(struct req *r, struct node *dir, const char *name, const char *uri);
void model_link_reply(struct req *r, struct node *dir, const char *name, struct model *md);
/* model_way: whether this name in models/ begins the path that links lead along; model_way_lookup: the next name of it.
 * model_way_length: how much of "s3:/BUCKET/KEY/..." is before what is inside of md; 0: it is no such path. */
bool model_way(const char *name);
void model_way_lookup(struct req *r, struct node *dir, const char *name);
size_t model_way_length(struct model *md, const char *path);

/* models_remove.c */
void models_rmdir(struct req *r, struct node *dir, const char *name);
/* models_forget: rm of a link: its manifest goes, the object stays. */
void models_forget(struct req *r, struct node *dir, const char *name);
void models_resume_deletions(struct models *s);

/* models_resume.c: an operation that the last mount's journal holds. */
struct unfinished {
	struct model *md;
	int64_t id;
	cJSON *json;
};

struct resume {
	const char *kind; /* in the journal */
	const char *what; /* "WHAT of model 'NAME': ..." in the log, when it fails */
	int (*run)(const struct unfinished *u, struct cancel *c, struct err *e);
	bool deletes; /* the model counts as going meanwhile */
};

/* models_resume: a job for each operation of that kind; run ends the journal's row. */
void models_resume(struct models *s, const struct resume *how);

/* models_archives.c: data_delete: all objects of one record_data; those that are not there are not missed. Job thread. */
int data_delete(struct models *s, const struct s3_bucket *bucket, const cJSON *data,
		struct cancel *c, struct err *e) _must_check_;
/* archives_delete: of keys (a JSON array of record_data), those that man (NULL: none) does not name. 1: some stay, a model that
 * was made lately uses them; -1: not all could be deleted. Job thread. */
int archives_delete(struct models *s, const cJSON *keys, const struct manifest *man,
		    struct cancel *c, struct err *e) _must_check_;

/* models_prune.c: model_prune: a version was published: old ones may go, as a job. */
#define MODEL_PRUNE_AFTER 86400 /* seconds; SAGEMAKERFS_PRUNE_AFTER, for tests */
void model_prune(struct model *md);
void models_resume_prunes(struct models *s);

/* models_rows.c */
extern const struct vfile models_rows[], model_rows[];
void model_side_reply(struct req *r, struct node *dir, struct model *md);
/* model_took: rc is whether a value that was written was taken; why not is in `error` until one is. Returns rc. */
int model_took(struct model *md, int rc, const struct err *e);

/* models_versions.c, models_version_rows.c: .sagemaker/versions/ */
struct version_ref { /* data of the node of versions/VERSION */
	struct model *md;
	char version[48];
};

extern const struct vfile versions_rows[], version_rows[];
void model_versions_reply(struct req *r, struct node *dir, struct model *md);
/* model_manifest: what is known to be published, referenced; NULL: nothing. */
struct manifest *model_manifest(struct model *md);
/* version_spelled: the version that somebody means: a path to it, or a slash behind it. */
void version_spelled(const char *text, char out[64]);

/* models_version_files.c: answers a lookup of versions/VERSION/files, dir being versions/VERSION. */
#define VERSION_FILES "files"
void version_files_reply(struct req *r, struct node *dir, const struct version_ref *v);

/* models_choose.c: model_choose: version becomes the current one, in the manifest and here. EBUSY: files here are in no version.
 * model_resolve: "mine" or "theirs". Job threads. model_conflict_locked: what `resolve` shows. */
int model_choose(struct model *md, const char *version, struct cancel *c, struct err *e)
	_must_check_;
int model_resolve(struct model *md, const char *whose, struct cancel *c, struct err *e)
	_must_check_;
void model_conflict_locked(const struct model *md, struct buf *out);

/* staging.c: the operations of a model's own directories and files */
extern const struct node_ops model_dir_ops, model_file_ops;
/* A call of the kernel, so that it can be made again after a copy-up. Strings are borrowed; a deferred copy has
 * its own in its block of memory, which free() releases. */
struct call;
typedef void call_fn(struct call *c);

struct call {
	call_fn *fn;
	bool dirties;
	struct req *r;
	struct model *md;
	struct node *n, *n2;
	const char *name, *name2;
	mode_t mode;
	int flags;
	unsigned set;
	struct stat st;
	const void *value;
	size_t size;
};

/* model_change: runs fn once the model is staged, marked dirty first when dirties; answers c->r itself when that fails. */
void model_change(struct call *c, call_fn *fn, bool dirties);
/* model_reply_node: answers a lookup or mkdir with the node dir/name of these attributes. */
void model_reply_node(struct req *r, struct node *dir, const char *name, struct model *md,
		      const struct stat *st, double ttl);
/* model_child: that node, referenced; NULL: memory. */
struct node *model_child(struct mount *m, struct node *dir, const char *name, struct model *md,
			 const struct stat *st);
struct entry *entry_of(const struct node *n);
/* entry_forget: its removed file, if it has one, is closed: the disk has its room back. */
void entry_forget(struct node *n);
struct model *model_of(const struct node *n);
/* model_fail_room: e is the failure of models/, and r's answer. */
void model_fail_room(struct req *r, const struct err *e);
/* model_make: an empty staged directory for a model that is not there. */
int model_make(struct model *md, mode_t mode, struct err *e) _must_check_;
/* call_defer: fn(copy of c) on a job thread; answers ENOMEM itself. */
void call_defer(struct call *c, void (*run)(void *arg, struct cancel *cancel));
void model_published_stat(struct model *md, const struct manifest_member *f, struct stat *st);

/* staging_child_path: path of dir/name (NULL: of dir) inside its model. staging_is_side: whether it is the model's .sagemaker. */
int staging_child_path(struct node *dir, const char *name, struct buf *out) _must_check_;
bool staging_is_side(struct node *dir, const char *name);

/* staging_ttl: for how many seconds the kernel may believe what it knows of the file dir/name: not at all when the file may have
 * two names, models/iris.joblib and models/iris/iris.joblib. staging_node_ttl: the same of n. */
double staging_ttl(struct node *dir, const char *name);
double staging_node_ttl(struct node *n);

/* staging_names.c. staging_remove_one: of the file or (flags AT_REMOVEDIR) directory c->n/c->name of c->md, whose path in it this
 * is. staging_rename_held (models.names written): renameat2 between two open directories and the nodes' change with it; -1 with errno. */
void staging_remove_one(struct call *c, const char *path);
int staging_rename_held(struct call *c, int from, int to);
void staging_unlink(struct req *r, struct node *dir, const char *name);
void staging_rmdir(struct req *r, struct node *dir, const char *name);
void staging_rename(struct req *r, struct node *dir, const char *name, struct node *newdir,
		    const char *newname, unsigned flags);

/* staging_path.c: from nodes to descriptors */
struct dirfds *dirfds_new(void);
void dirfds_free(struct dirfds *d);
/* staging_path: path of n inside its model, "" for models/NAME itself. -1: detached. */
int staging_path(struct node *n, struct buf *out) _must_check_;
/* staging_dir: a new O_PATH descriptor of directory n's backing directory, -1 with errno. staging_dir_held: of who holds
 * models.names. */
int staging_dir(struct node *n);
int staging_dir_held(struct node *n);
/* staging_parent: the same of n's parent, and n's name; models.names held until both are used. */
int staging_parent(struct node *n, char name[NAME_MAX + 1]);
/* staging_top: models/NAME's backing directory. */
int staging_top(struct model *md);
/* walk: dirfd/path component by component, never through a symlink; O_PATH descriptor of the directory, -1 with errno. */
int walk(int dirfd, const char *path);
/* dir_open: opendir of dirfd/name, not through a symlink. */
DIR *dir_open(int dirfd, const char *name);

/* staging_file.c: handles */
struct file {
	struct file *next;
	struct model *md; /* atomic: see struct entry */
	struct node *n;
	int fd;                /* -1: of a published file */
	struct published *pub; /* reads.h; NULL: of a staged one */
	bool writer;
	/* A map is written back in many writes at once. */
	atomic_bool wrote, failed; /* failed: the file will hardly be kept */
};

struct model *file_model(const struct file *f);
/* file_move: the open handles of n become md's. file_create_call: a call_fn that makes and opens the file c->name. */
void file_move(struct node *n, struct model *md);
void file_create_call(struct call *c);
void file_open(struct req *r, struct node *n, int flags);
void file_create(struct req *r, struct node *dir, const char *name, mode_t mode, int flags);
void file_read(struct req *r, struct node *n, void *h, size_t size, off_t off);
void file_write(struct req *r, struct node *n, void *h, const void *p, size_t size, off_t off);
void file_release(struct req *r, struct node *n, void *h);
void file_fsync(struct req *r, struct node *n, void *h, bool datasync);
/* file_to_disk: answers r once what fd (taken, -1: errno) is of is on the disk. */
void file_to_disk(struct req *r, int fd, bool datasync);
void file_fallocate(struct req *r, struct node *n, void *h, int mode, off_t off, off_t len);
void file_lseek(struct req *r, struct node *n, void *h, off_t off, int whence);
/* file_nameless: a new descriptor of n's file when it has no name any more, of an open handle or as it was kept by what took its
 * name; -1 none, ENOENT. models.names held. */
int file_nameless(struct node *n);
/* file_writer: path of some file of md that is open for writing; false: none. */
bool file_writer_locked(struct model *md, struct buf *path);

/* staging_own (staging.c): dirfd/name was just made for r's caller. */
int staging_own(struct req *r, int dirfd, const char *name) _must_check_;
/* staging_went (staging.c): whether a change succeeded (r >= 0); else answers c->r with errno, with the sentence when the disk is in trouble. */
bool staging_went(struct call *c, int r);
void staging_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set, void *h);
void staging_setxattr(struct req *r, struct node *n, const char *name, const void *p, size_t size,
		      int flags);
void staging_getxattr(struct req *r, struct node *n, const char *name, size_t size);
void staging_listxattr(struct req *r, struct node *n, size_t size);
void staging_removexattr(struct req *r, struct node *n, const char *name);

/* staging_copy.c */
/* model_copy_up: md is staged when it returns 0. Job thread. ENOENT: nothing to copy. */
int model_copy_up(struct model *md, struct cancel *c, struct err *e) _must_check_;
/* staging_make_file: a new file, and its directories, below top; -1 with errno. staging_put: reads_copy's way into one (arg: its int). */
int staging_make_file(int top, const char *path);
int staging_put(void *arg, const void *p, size_t n, struct err *e);
/* model_drop_locked: md's clean staging goes out of sight, the published view is shown. temp: the name in staging that the caller
 * gives to remove_tree once the lock is released, "" none. */
void model_drop_locked(struct model *md, char temp[32]);

/* commit.c */
int model_commit(struct model *md, enum why why, struct cancel *c, struct err *e) _must_check_;
/* model_commit_start: COMMIT_ASKED, as a job. */
void model_commit_start(struct model *md);
/* model_plan: what a commit of the staged files would do. model_sketch: what its archive would hold (package.h's sketch). */
int model_plan(struct model *md, struct package_plan **out, struct err *e) _must_check_;
int model_sketch(struct model *md, struct package_plan **out, struct err *e) _must_check_;
void staging_fsyncdir(struct req *r, struct node *dir, bool datasync);

/* commit_early.c: early_closed: a file of that many bytes was written and closed. early_again_locked: what kept the job from looking is over.
 * early_timer: of md->early_timer. */
void early_closed(struct model *md, uint64_t bytes);
void early_again_locked(struct model *md);
void early_timer(struct timer *t);

/* sending.c: an upload that was begun and that nobody goes on with is aborted: its parts are billed. */
#define MODEL_ABANDON_AFTER 3600 /* seconds; SAGEMAKERFS_ABANDON_AFTER, for tests */
void sending_lapse_timer(struct timer *t);

/* One commit under way (commit.c, commit_publish.c). */
struct commit {
	struct model *md;
	enum why why;
	uint64_t gen;
	struct package_plan *plan;
	struct s3_bucket bucket;
	char version[48], key[1100];
	struct manifest *old; /* what is published, NULL nothing */
	char etag[128];
	bool sent;       /* this commit made the archive of md->sending */
	bool uploaded;   /* ... and no manifest names it yet */
	bool unsure;     /* ... as far as is known: whether it does, the service has not said */
	bool conflict;   /* another version was published: ours is not to be the current one */
	bool files;      /* no archive: key is a prefix */
	cJSON *data;     /* of an upload of files: the journal's row */
	int64_t journal; /* of that row */
	cJSON *record;   /* the version to publish */
	struct cancel *cancel;
};

/* commit_stands: whether the files are those that were checked. */
bool commit_stands(const struct commit *c);
/* commit_store: uploads unless a version with this digest is there; c->record is what to publish, NULL: it is published. */
int commit_store(struct commit *c, struct err *e) _must_check_;
/* commit_describe: c->record, of the plan with its digest. */
int commit_describe(struct commit *c, struct err *e) _must_check_;
/* commit_look: reads the manifest. 1: to be uploaded first (c->record NULL: and then described); 0: c->record is what to publish, NULL: it is published. */
int commit_look(struct commit *c, struct err *e) _must_check_;
/* commit_publish: the manifest. EEXIST: another mount published meanwhile; ours is a version, but not current. EBUSY: again. */
int commit_publish(struct commit *c, struct err *e) _must_check_;
/* commit_files.c: commit_upload_files: the same for c->files. commit_files_finish: what commit_finish does about them; half an upload stays
 * for the next commit of md (md->left). commit_files_forget: takes that away. Job threads. */
int commit_upload_files(struct commit *c, struct err *e) _must_check_;
void commit_files_finish(struct commit *c, int r);
void commit_files_forget(struct model *md);
void commit_files_resume(struct models *s);
/* commit_finish: what was published is no upload any more; an archive that was made and not published is taken away again (r < 0). What
 * has not become an archive yet stays for the next try. */
void commit_finish(struct commit *c, int r);
void commit_resume_uploads(struct models *s);

/* models_sweep.c: what others left unfinished under our prefix goes, once a day at most; a job of its own. */
void models_sweep(struct models *s);

#endif
