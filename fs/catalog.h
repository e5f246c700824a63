/*
 * catalog.h: what is published: PREFIX/NAME/manifest.json, read and written (pure), refreshed and fetched (catalog*.c).
 */
#ifndef FS_CATALOG_H
#define FS_CATALOG_H

#include "sagemaker/cancel.h"
#include "sagemaker/err.h"
#include "sagemaker/hash.h"
#include "sagemaker/package.h"

#define MANIFEST_MAX    ((size_t)64 << 20) /* bytes of one manifest */
#define MANIFEST_FORMAT 1

struct manifest_member {
	const char *path;    /* the user's, relative to the model's directory */
	const char *archive; /* in the archive */
	uint64_t size;
	mode_t mode; /* permission bits */
	int64_t mtime;
	uint64_t offset;     /* of its bytes in the tar stream, OFFSET_UNKNOWN: not said */
	const cJSON *json;   /* all of it, NULL: of content */
	const char *content; /* sagemaker.json: its bytes, which are in no archive; else NULL */
};

#define OFFSET_UNKNOWN UINT64_MAX

/* A manifest that was read: immutable, counted. Strings live as long as it does. */
struct manifest {
	unsigned refs; /* atomic */
	cJSON *json;
	struct manifest *of;  /* whose json it is; NULL: its own */
	const cJSON *current; /* the current version's record in json */
	char version[48];     /* its name */
	double created;       /* epoch seconds */
	bool elsewhere;       /* somebody else's archive: only read */
	bool unread;          /* ... of which nobody has looked inside yet */
	struct manifest_member
		*members; /* of the current version, the user's only, sorted by path */
	size_t n;
};

/* manifest_read: text of NAME's manifest under key prefix "PREFIX/NAME/". EBADMSG with the reason for anything that is not one:
 * paths that leave the model, keys of other models, missing or mistyped fields. */
struct manifest *manifest_read(const char *text, size_t n, const char *key_prefix, struct err *e)
	_must_check_;
/* manifest_at: the same manifest as if that version were the current one. ENOENT: it has none of that name. */
struct manifest *manifest_at(struct manifest *m, const char *version, struct err *e);
struct manifest *manifest_ref(struct manifest *m);
void manifest_unref(struct manifest *m);
void manifest_unrefp(struct manifest **m);
/* manifest_path_ok: a path that stays inside: no empty component, no "." or "..", of a length that file systems take. */
bool manifest_path_ok(const char *path);
/* manifest_text: a string of a version's record, "" when absent. */
const char *manifest_text(const cJSON *record, const char *key);
/* manifest_with: text of old (NULL: none) with record (NULL: none) added, or replacing the version of its name, and the version
 * called current made the current one, which is the last; every other version that says not yet when it was superseded is told: now. */
char *manifest_with(const struct manifest *old, const char *name, const cJSON *record,
		    const char *current);
/* manifest_dropped: text of old without the versions for which gone(arg, record) says so; never the current one. */
char *manifest_dropped(const struct manifest *old, bool (*gone)(void *arg, const cJSON *record),
		       void *arg);
/* manifest_find_digest: newest version with this record's digest and packaging, or NULL. */
const cJSON *manifest_find_digest(const struct manifest *m, const cJSON *record);
/* manifest_find_same: the newest version that says the same as record (manifest_same), or NULL. */
const cJSON *manifest_find_same(const struct manifest *m, const cJSON *record);
/* manifest_find_version: the record called version, or NULL. */
const cJSON *manifest_find_version(const struct manifest *m, const char *version);
/* manifest_names_key: whether some version's archive is key. */
bool manifest_names_key(const struct manifest *m, const char *key);
/* manifest_same: whether two records say the same but for version, time, place and times of files. */
bool manifest_same(const cJSON *a, const cJSON *b);

/* record_new: the record of a plan that has its digest; version, key, size and offsets come later. NULL: memory. */
cJSON *record_new(const struct package_plan *p);
/* record_stored: where its archive is and what was learned writing it. */
int record_stored(cJSON *record, const char *key, uint64_t size, const char *crc32c);
int record_offsets(cJSON *record, const uint64_t *offsets, const struct gzip_point *points,
		   size_t n_points);
/* record_stored_as: the same from another record of the same digest. */
int record_stored_as(cJSON *record, const cJSON *other);
/* Versions without an archive ("packaging": "none", catalog_files.c): their key ends in '/', and each member is an object below it. */
bool record_is_files(const cJSON *record);
/* record_as_files: this one will be; before record_files_stored, which is record_stored with what is known of each object. */
int record_as_files(cJSON *record);
struct files_object;
int record_files_stored(cJSON *record, const char *key, const struct files_object *objects);
/* record_data: what a version keeps in S3, as lists of what is to be deleted have it: its key; of files {"key", "files": [paths below
 * it]}, where a file may also be [path, ...]. NULL: memory. data_key: its key, "" for nonsense. data_each: calls fn with the key of each
 * object; those that would lead elsewhere are left out. fn returning non-zero stops and is returned. */
cJSON *record_data(const cJSON *record);
const char *data_key(const cJSON *data);
int data_each(const cJSON *data, int (*fn)(void *arg, const char *key), void *arg);
int record_named(cJSON *record, const char *version);
/* record_time: now, as records say it. record_when: the other way, epoch seconds; 0: no time. */
void record_time(char out[32]);
double record_when(const char *text);
/* version_name: UTC yyyymmddThhmmssZ-xxxxxx. */
void version_name(char out[48]);

/* Pruning (catalog_prune.c, pure; why it is safe: docs/models.md). The versions that are not current, newest first. */
#define PRUNE_KEEP 5 /* unused versions stay */

struct prune {
	const cJSON *record;
	bool old;  /* superseded long enough ago */
	bool used; /* by the caller: something uses its archive */
	bool goes;
};

/* prune_list: *out is malloc'ed, n rows; -1: memory. now, after: epoch seconds, seconds since a version was superseded. */
int prune_list(const struct manifest *m, double now, double after, struct prune **out, size_t *n);
/* prune_choose: marks what goes: unused, old, and PRUNE_KEEP newer ones are unused, too. The number. */
size_t prune_choose(struct prune *rows, size_t n);
/* prune_keys: the data that only versions that go name, a JSON array of record_data. NULL: memory. */
cJSON *prune_keys(const struct manifest *m, const struct prune *rows, size_t n);
/* prune_text: the manifest without what goes. */
char *prune_text(const struct manifest *m, struct prune *rows, size_t n);

/* A sorted set of paths. */
struct names {
	char **v;
	size_t n, cap;
};

int names_add(struct names *s, const char *path);
bool names_has(const struct names *s, const char *path);
void names_clear(struct names *s);

/* The tree that a manifest's members make, less what is gone. */
/* catalog_find: S_IFREG (and *member), S_IFDIR, or 0: no such path. "" is the top. */
mode_t catalog_find(const struct manifest *m, const struct names *gone, const char *path,
		    const struct manifest_member **member);
/* catalog_list: fn for each name in directory path. fn returning non-zero stops and is returned. */
int catalog_list(const struct manifest *m, const struct names *gone, const char *path,
		 int (*fn)(void *arg, const char *name, mode_t type), void *arg);

struct models;
struct model;
/* catalog_key: PREFIX/NAME/manifest.json, or a version's archive. */
void catalog_key(struct models *s, const char *name, const char *version, char out[1100]);
/* catalog_load: the manifest as it is now; *out NULL and "" when there is none. Job thread. */
int catalog_load(struct model *md, struct manifest **out, char etag[128], struct cancel *c,
		 struct err *e) _must_check_;
/* catalog_absent: that there is no manifest was asked a moment ago. Who writes one all the same is told by S3_IF_NONE. */
bool catalog_absent(struct model *md);
/* catalog_write: text (NULL: memory ran out) as the manifest, if that is still the one with if_match (or S3_IF_NONE); *made and etag
 * are what is there then. Job thread. catalog_overtaken: whether *e says that it was not: somebody has written or removed it. */
int catalog_write(struct model *md, const char *text, const char *if_match, struct manifest **made,
		  char etag[128], struct cancel *c, struct err *e) _must_check_;
bool catalog_overtaken(const struct err *e);
/* catalog_refresh: md's known, man, etag are true now; a clean staging that is not current any more goes. Job thread. */
int catalog_refresh(struct model *md, struct cancel *c, struct err *e) _must_check_;
/* catalog_list_all: the same (but for man) for every model there is. Job thread. */
int catalog_list_all(struct models *s, struct cancel *c, struct err *e) _must_check_;
/* catalog_learn: a manifest was read or written (man NULL: there is none). */
void catalog_learn(struct model *md, struct manifest *man, const char *etag);
/* catalog_invalidate: the kernel forgets what it was shown of md. */
void catalog_invalidate(struct model *md);

#endif
