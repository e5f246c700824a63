/*
 * models.h: models/: staging, commit, publication. (models.c rows and directory; staging*.c the files; commit*.c check, pack,
 * upload, publish; catalog*.c manifests in S3.)
 */
#ifndef FS_MODELS_H
#define FS_MODELS_H

#include "fs/mount.h"

/* models_start: state from staging and journal (resumes commits); quick, no network. models_stop: commits what is pending, at most
 * grace_ms, else journals it; called once at unmount, before jobs_stop. */
struct models *models_start(struct mount *m, struct err *e) _must_check_;
void models_stop(struct models *s, long grace_ms);
void models_free(struct models *s);
/* models_entry: how the root makes the node "models". */
void models_entry(struct models *s, struct node_make *how);

/* For endpoints/: the model that a plain `mkdir endpoints/NAME` means: models/NAME, else the only model equal to it after
 * [._]+ -> '-'. Quick (what is known locally: staging and the last listing). found: 1 yes, 0 no (ENOENT sentence in e), -2 not
 * sure: the listing is unknown or old: call models_resolve (job thread). */
int models_resolve_quick(struct models *s, const char *endpoint, char model[64], struct err *e);
int models_resolve(struct models *s, const char *endpoint, char model[64], struct cancel *c,
		   struct err *e) _must_check_;

/* A published version, as a deploy needs it. */
struct model_version {
	char model[64], version[64], digest[65];
	char uri[1100]; /* s3://BUCKET/PREFIX/NAME/VERSION/model.tar.gz, or s3://BUCKET/PREFIX/NAME/VERSION/: its files */
	char framework[32], framework_version[32], py_version[8],
		image[256] /* "" unless the model names one */, role[512], instance_type[32];
	char content_type[64]; /* of plain invoke/NAME */
	char made_with[16];    /* "" also when it is newer than every image: the newest serves */
	cJSON *environment; /* CreateModel's Environment, object or NULL; model_version_release */
};

void model_version_release(struct model_version *v);

/* models_publish: commits models/NAME if it has changes (waiting for a running commit) and gives the current version. Job thread;
 * may take long. EBUSY while a file is open for writing (after 200 ms of grace). progress as in `status`. */
int models_publish(struct models *s, const char *model, struct model_version *out, struct cancel *c,
		   struct err *e) _must_check_;
/* models_confirm: whether v is still published; asked once something at the service names its archive: from then on nobody deletes
 * it, and before that somebody may have. ENOENT: it is not. Job thread. */
int models_confirm(struct models *s, const struct model_version *v, struct cancel *c, struct err *e)
	_must_check_;
/* models_published: whether models_publish would be quick: no changes staged and the manifest known. Quick. */
bool models_published(struct models *s, const char *model);
/* models_upload_percent: 0..100 of the running commit of model, -1 when none runs. Quick. */
int models_upload_percent(struct models *s, const char *model);
/* models_of_uri: the model name whose published archive this s3:// URI is, "" when none of ours. Quick, by the URI's form. */
void models_of_uri(struct models *s, const char *uri, char model[64]);
/* models_status: lines for `sagemakerfs status` (uploads with progress). */
void models_status(struct models *s, struct buf *out);

#endif
