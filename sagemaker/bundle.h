/*
 * bundle.h: an archive that is sent in parts before anybody knows what all of it will be.
 *
 * The archive is a series of groups: each a few whole members of the tar stream, packed for itself (pack.h) into parts that nothing else is in.
 * So groups may be made in any order and by several threads, while the model is still being written; a file that changes makes its own
 * group useless and no other; and when the model is whole, bundle_finish lists the groups that hold exactly what the plan says, packs what
 * is missing, and ends the stream. Part numbers need not be consecutive: what is not listed is dropped by the service.
 *
 * The stream of groups is one gzip member: CRCs are combined, its header is in front of the first group that is listed (a group with the
 * header has numbers below 5001, and lower ones than every group before it; all others are above), its trailer ends the last.
 *
 * docs/packaging.md, "Sent while it is written". One thread at a time calls; the store's functions are called by several.
 */
#ifndef SAGEMAKER_BUNDLE_H
#define SAGEMAKER_BUNDLE_H

#include "sagemaker/file_key.h"
#include "sagemaker/package.h"
#include "sagemaker/s3.h"

#define BUNDLE_BIG ((uint64_t)16 << 20) /* bytes of a file that is a group of its own */

struct bundle_entry {
	char *archive;
	bool exec;
	struct file_key key; /* of the file it was packed from; zero: a generated one */
	uint64_t size;
	unsigned char sha256[SHA256_LEN];
	uint64_t offset; /* of its content in the group's tar bytes */
	size_t member;   /* while it is packed: index in the plan */
};

struct bundle_part {
	struct s3_part s3;
	uint64_t in;     /* bytes of the tar stream */
	uint32_t crc;    /* CRC-32 of them */
	size_t n_points; /* chunks */
};

enum bundle_state {
	GROUP_NEW,    /* is to be packed; of a restored one, parts may be there already */
	GROUP_PACKED, /* its parts are there, or on their way */
	GROUP_DEAD,   /* too short for a part, or its files changed meanwhile */
};

struct bundle_group {
	struct bundle_group *next;
	enum bundle_state state;
	int first, reserved; /* part numbers: first to first + reserved - 1 */
	bool head;           /* begins with the gzip header */
	bool last;           /* ends with the trailer */
	bool restored;       /* another process began it */
	bool used;           /* bundle_finish: is part of the archive */
	struct bundle_entry *entries;
	size_t n;
	struct bundle_part *parts;
	int n_parts;
	struct gzip_point *points; /* counted from the group's beginning */
	size_t n_points;
	uint64_t in, out; /* bytes of the tar stream, and what they became */
	uint32_t crc;     /* CRC-32 of the former */
};

/* Where parts go: s3.h's upload, or a test's memory. */
struct bundle_store {
	void *arg;
	/* as s3_upload_room, s3_upload_drop, s3_upload_send, s3_upload_settle; any thread */
	int (*room)(void *arg, size_t size, size_t max, void **room, struct err *e);
	void (*drop)(void *arg, void *room);
	int (*part)(void *arg, struct s3_part *p, void *room, struct err *e);
	int (*settle)(void *arg, struct err *e);
	/* the archive is these n bytes and no parts; takes room in any case */
	int (*whole)(void *arg, void *room, size_t n, struct err *e);
	/* g's numbers and members are decided, no part of it is sent yet: for the journal; NULL: nobody keeps one. Any thread.
	 * Not of the last group, which follows from the others. */
	int (*began)(void *arg, const struct bundle_group *g, struct err *e);
	/* bytes of files that were read, and what has become of them since the last call; NULL ok. Any thread. */
	void (*packed)(void *arg, uint64_t files, uint64_t made);
};

struct bundle;

/* threads: that pack at once; 0: one by one in the order of the plan, nothing ahead of anything. hashes may be NULL. */
struct bundle *bundle_new(const struct bundle_store *store, struct hash_cache *hashes,
			  unsigned threads);
void bundle_free(struct bundle *b);
/* bundle_restored: a group as `began` was told of it by another process: it is packed again, and the store leaves out what is there. */
int bundle_restored(struct bundle *b, const struct bundle_group *row, struct err *e) _must_check_;

/* bundle_keys: of the files that are in some group; malloc'ed, for file_key_find; NULL: none, or no memory. */
struct file_key *bundle_keys(const struct bundle *b, size_t *n);
bool file_key_find(const struct file_key *keys, size_t n, const struct file_key *key);
/* bundle_pack: those n of the plan's members go out now, if that is worth it: those of which no group comes about stay for the end,
 * *left bytes in all (NULL: not asked). A member that changes meanwhile is no failure. */
int bundle_pack(struct bundle *b, struct package_plan *plan, const size_t *members, size_t n,
		uint64_t *left, struct cancel *cancel, struct err *e) _must_check_;

/* bundle_finish: the archive of exactly the plan's members, of what is there and what is not. EBUSY: a file changed meanwhile.
 * Sets every member's hash. On failure everything that is there stays for another try. */
struct bundle_output {
	bool whole; /* it went to the store in one piece */
	const struct s3_part *
		*parts; /* by number; in b, until it is freed; the array is the caller's (free) */
	size_t n_parts;
	uint64_t size;             /* of the archive */
	struct gzip_point *points; /* malloc'ed for the caller, as is what follows */
	size_t n_points;
	uint64_t *member_offsets; /* of each member's content in the tar stream */
};

int bundle_finish(struct bundle *b, struct package_plan *plan, struct cancel *cancel,
		  struct bundle_output *out, struct err *e) _must_check_;
void bundle_output_release(struct bundle_output *out);

/* bundle_lost: parts under way did not arrive: groups that miss some are to be packed again. */
void bundle_lost(struct bundle *b);

#endif
