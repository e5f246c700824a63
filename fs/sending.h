/*
 * sending.h: a version of one model on its way to S3, from before anybody knows what will be in it until it is published or given up: a
 * bundle (sagemaker/bundle.h), the upload that its parts go to, and what the journal has of both. Nobody but models/ includes this.
 *
 * A model has one at most (model.sending). One job at a time works with it: the commit, or while files still come, the early one
 * (commit_early.c): model.committing and model.early exclude each other. It outlives commits that fail: the next one goes on with what is there. Only a kill
 * or an unmount parts it from its process, and the next mount goes on (sending_restore). One that nobody goes on with, while its model does not
 * change either, is aborted after an hour.
 */
#ifndef FS_SENDING_H
#define FS_SENDING_H

#include "fs/models_room.h"
#include "sagemaker/bundle.h"

struct sending {
	struct model *md;
	char version[48], key[1100];
	char *id; /* of the multipart upload; NULL: not begun. Set once, by the upload's own thread; read when nothing is under way */
	int64_t journal; /* its operation there */
	bool journaled;  /* atomic: so are groups */
	int64_t begun;   /* epoch seconds */
	int64_t touched; /* now_ms(): a job last had it; guarded by models.mu */
	struct s3_bucket bucket;
	struct bundle *bundle;
	struct s3_upload *upload;   /* NULL: is to be (re)opened */
	struct cancel *cancel;      /* of that upload; whoever works chains its own to it */
	struct progress_count done; /* atomics: for progress_resume */
	struct s3_object object;    /* what a single PUT made */
	bool whole;                 /* object: parts sent early are of no use */
	bool maybe_there;           /* the object may exist: it was tried to make it */
};

/* sending_open: md's, ready to take parts: the one it has, or a new one. *at is the caller's until sending_close; an s3 upload that was
 * cut off is gone on with. Job thread. */
int sending_open(struct model *md, struct cancel *c, struct sending **at, struct err *e)
	_must_check_;
/* sending_close: nothing is done with it any more for now; failed: parts may be missing. */
void sending_close(struct sending *s, struct cancel *c, bool failed);
/* sending_finish: the archive of the plan becomes the object, unless may_go_on says no at the last moment (EBUSY). */
int sending_finish(struct sending *s, struct package_plan *plan, struct cancel *c,
		   bool (*may_go_on)(void *arg), void *arg, struct bundle_output *out,
		   struct s3_object *object, struct err *e) _must_check_;
/* sending_forget: nobody knows whether a manifest names it: the journal's row stays, and the next mount looks. */
void sending_forget(struct model *md);
/* sending_published: a manifest names it, or the object was taken away: nothing is left to be undone. */
void sending_published(struct model *md);
/* sending_abandon: md's, if it has one, is not wanted any more: nothing of it stays at the service, or else in the journal. Neither a
 * commit nor the early job runs. Job thread. sending_drop: the same as a job. */
int sending_abandon(struct model *md, struct cancel *c, struct err *e);
void sending_drop(struct model *md);
/* sending_take_away: what was begun under a key that no manifest names, and what it may have become. id: of the upload, if it is known. */
int sending_take_away(struct models *s, const struct s3_bucket *bucket, const char *key,
		      const char *id, struct cancel *cancel, struct err *e) _must_check_;
/* sending_restore: at start: one of the journal's. false: it is not wanted any more or a week old, the caller takes it away. */
bool sending_restore(struct model *md, int64_t id, const cJSON *json);
/* sending_free: at the end: what is at the service stays there. */
void sending_free(struct model *md);

#endif
