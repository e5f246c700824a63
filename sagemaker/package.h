/*
 * package.h: from a directory as some framework wrote it to the model.tar.gz its container expects, in one pass.
 *
 *   plan = package_plan(...)     recognise, check, lay out: reads names and the few bytes that checks need
 *   package_digest(plan, ...)    SHA-256 over the sorted members' paths, exec bits, sizes and contents, and the packer's version
 *   package_write(plan, ...)     tar (sorted, mtime 0) + parallel gzip into a sink
 */
#ifndef SAGEMAKER_PACKAGE_H
#define SAGEMAKER_PACKAGE_H

#include <sys/stat.h>

#include "sagemaker/buf.h"
#include "sagemaker/cancel.h"
#include "sagemaker/err.h"
#include "sagemaker/file_key.h"
#include "sagemaker/hash.h"

/* part of the digest: bump when the same files would give another archive */
#define PACKAGE_LAYOUT_VERSION "1"

struct hash_cache;

/* A receiver of an archive's bytes, in order; -1 with e filled stops everything. */
typedef int gzip_sink(void *arg, const void *p, size_t n, struct err *e);

struct gzip_point {   /* a place where inflating can start: after a full flush */
	uint64_t in;  /* offset in the uncompressed stream */
	uint64_t out; /* offset in the compressed stream */
	uint32_t
		crc; /* CRC-32 of the uncompressed bytes from here to the next point, or to the end */
};

struct package_member {
	/* as the user wrote it, relative to the model's directory; NULL for a generated file */
	char *path;
	char *archive; /* path in the archive */
	uint64_t size;
	mode_t mode;   /* permission bits */
	int64_t mtime; /* seconds; kept in the manifest, 0 in the archive */
	char *content; /* a generated file's bytes (size of them), else NULL */
	size_t order;  /* package_sort_last's */
	bool hashed;
	unsigned char sha256[SHA256_LEN]; /* set by package_digest */
};

struct package_settings { /* sagemaker.json, all optional, "" when absent */
	char framework[32], framework_version[32], py_version[8], image[256], role[512],
		entry_point[256], instance_type[32], packaging[16] /* "archive" or "none" */;
	cJSON *env;          /* object of strings or NULL */
	cJSON *ignore;       /* array of patterns of files that are not packed, or NULL */
	bool generated_code; /* default true */
	char *text;          /* the file as it is, NULL when absent */
};

struct package_plan {
	/* NULL: none matched (then whole is false and why says so) */
	const struct framework *framework;
	struct package_settings settings;
	char made_with[16]; /* framework version that the model's files say, "" unknown */
	struct package_member *members; /* sorted by archive path */
	size_t n_members;
	uint64_t bytes; /* sum of sizes */
	/* publishable: every shard and file that an index names is there, sizes and formats hold */
	bool whole;
	/* when not whole: errno (EINVAL malformed or unknown layout, ENODATA incomplete, ENOENT empty) and the sentence */
	struct err why;
	/* lines for `check`: what was recognised and why, what is not packed, generated code or why none */
	struct buf notes;
	bool has_code; /* the archive has code/ of the user */
	/* the one member is a model.tar.gz made elsewhere: package_write hands its bytes on as they are; its points have in == out */
	bool ready;
	char program[256]; /* SAGEMAKER_PROGRAM to set in the environment, "" none */
	/* more of the Environment that the layout needs; an object or NULL. What the user says wins. */
	cJSON *env;
	int dirfd;               /* own duplicate of the model's directory */
	char digest[SHA256_HEX]; /* "" until package_digest */
};

/* How to plan; all may be zero. */
struct package_how {
	const struct package_settings *overrides; /* win over sagemaker.json */
	struct hash_cache
		*known; /* of which files need not be looked into again, for they are unchanged */
	/* What an archive would hold if the files stayed as they are: those in which nothing is recognised are members where they
	 * will most likely be (framework is NULL, whole false), and no script is checked. */
	bool sketch;
};

/* package_plan: dirfd is borrowed; how may be NULL. -1 only when the directory cannot be read or sagemaker.json is malformed
 * (EINVAL); an unrecognised or broken model is a plan with whole == false and why. */
int package_plan(int dirfd, const char *name, const struct package_how *how,
		 struct package_plan **out, struct err *e) _must_check_;
void package_plan_free(struct package_plan *p);
void package_plan_freep(struct package_plan **p);

/* A cache of content hashes by file_key.h's key, so that a file is read once; thread-safe. May be NULL. A file that changed less
 * than 50 ms ago is not remembered. */
struct hash_cache *hash_cache_new(size_t max_rows);
void hash_cache_free(struct hash_cache *c);
/* hash_cache_file: hash of the open file fd, from the cache or by reading it. */
int hash_cache_file(struct hash_cache *c, int fd, struct cancel *cancel,
		    unsigned char out[SHA256_LEN], struct err *e) _must_check_;

/* hash_cache_keep: the file of these attributes was read while they were the same, and has this hash. c may be NULL. */
void hash_cache_keep(struct hash_cache *c, const struct stat *st,
		     const unsigned char sha256[SHA256_LEN]);

/* hash_cache_plain_keep: nothing that sniff.h knows was found in the file of that key, which is called name (without directory).
 * hash_cache_plain: whether that is known. c may be NULL. */
void hash_cache_plain_keep(struct hash_cache *c, const struct file_key *k, const char *name);
bool hash_cache_plain(struct hash_cache *c, const struct file_key *k, const char *name);

/* package_hash: the hash of one member, set in the plan. EBUSY: it is another file than the plan's. */
int package_hash(struct package_plan *p, size_t member, struct hash_cache *cache,
		 struct cancel *cancel, struct err *e) _must_check_;
/* package_digest_known: the same of members that are all hashed already. package_sort_last: members by archive path; of two of one
 * path only the last stays. */
int package_digest_known(struct package_plan *p);
void package_sort_last(struct package_plan *p);
/* package_digest: the digest, after the hashes of those members that have none yet. */
int package_digest(struct package_plan *p, struct hash_cache *cache, struct cancel *cancel,
		   struct err *e) _must_check_;

/* package_write: the archive into sink, its members sorted; sets their hashes. A file that changed size or vanished since the plan: EBUSY.
 * progress (may be NULL) counts uncompressed bytes. (An upload makes the same archive of pieces that are done when they can be, in
 * whatever order: bundle.h.) */
struct package_output {
	gzip_sink *sink;
	void *arg;
	void (*progress)(void *arg, uint64_t bytes);
	struct gzip_point *points; /* out: malloc'ed for the caller */
	size_t n_points;           /* out */
	/* out: offset of each member's data in the tar stream, malloc'ed */
	uint64_t *member_offsets;
};

int package_write(struct package_plan *p, struct package_output *o, struct cancel *cancel,
		  struct err *e) _must_check_;

/* package_as_files: whether the model goes up as the files it consists of (files.h) and not as an archive: as sagemaker.json says, else
 * from so many bytes on (0: never), if its container can do without one. */
bool package_as_files(const struct package_plan *p, uint64_t above);

/* package_open: a descriptor of a member's file (one with a path). package_unchanged: whether it still is the file that was planned.
 * EBUSY: it is another one. */
int package_open(const struct package_plan *p, const struct package_member *m, struct err *e)
	_must_check_;
int package_unchanged(int fd, const struct package_member *m, struct err *e) _must_check_;

/* package_file_model: what a single file directly in models/ would be by its name: true for the endings of one-file models
 * ("iris.tar.gz", "iris.joblib"), with the model's name, the file's without that ending, in model (n bytes, cut to it). What
 * the file really is decides package_plan, on a directory that holds nothing but it. */
bool package_file_model(const char *file, char *model, size_t n);

/* package_describe: the text of `check` and of `sagemakerfs pack`: framework and evidence, image version it would take, each
 * member with size, what is left out and why, generated code, problems. */
void package_describe(const struct package_plan *p, struct buf *out);

/* package_image: the image for this plan: settings.image, or images.h by framework, version (settings, else not older than
 * made_with) for region and instance type. */
struct image;
int package_image(const struct package_plan *p, const char *region, const char *instance_type,
		  struct image *out, struct err *e) _must_check_;

/* package_framework: the name of what serves the model: its layout's, else its image's, else what the settings say, which may be
 * "". */
void package_framework(const struct package_plan *p, char out[32]);

/* package_adopt: of an archive that goes, or lies, as it is: what seen, the plan of its inside, was recognised as: framework, program,
 * environment, what it was made with. Not its members and settings. */
int package_adopt(struct package_plan *p, const struct package_plan *seen, struct err *e)
	_must_check_;

/* package_environment: the CreateModel Environment this plan needs (SAGEMAKER_PROGRAM, settings.env, ...); a new cJSON object. */
cJSON *package_environment(const struct package_plan *p);

#endif
