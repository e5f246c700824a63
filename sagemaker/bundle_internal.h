/* bundle_internal.h: what the files of bundle share: bundle.c (groups and their numbers), package_group.c (packing one), bundle_finish.c
 * (which of them make the archive). */
#ifndef SAGEMAKER_BUNDLE_INTERNAL_H
#define SAGEMAKER_BUNDLE_INTERNAL_H

#include "sagemaker/bundle.h"
#include "sagemaker/pack.h"
#include "sagemaker/s3_internal.h"

#define BUNDLE_FRONT 5000 /* numbers up to here are for groups with the header */

struct bundle {
	struct bundle_store store;
	struct hash_cache *hashes;
	unsigned threads;
	struct bundle_group *groups; /* in the order in which they were made */
	int low, high; /* the next header group ends before low; others begin at high */
};

/* Packing one: who does it, of what. */
struct bundle_work {
	struct bundle *b;
	struct package_plan *plan;
	struct cancel *cancel;
	struct deflater *deflater; /* the thread's own */
};

/* What is in front of the last group, and whether anything is. */
struct bundle_before {
	uint64_t in;
	uint32_t crc;
	bool alone; /* nothing is: one part is the whole archive */
};

/* group_new: of the plan's members; numbers later. group_free. */
struct bundle_group *group_new(const struct package_plan *plan, const size_t *members, size_t n);
void group_free(struct bundle_group *g);
/* group_number: gives g its numbers (head: as the first of the archive) and adds it to b. EFBIG: there are none left. */
int group_number(struct bundle *b, struct bundle_group *g, bool head, struct err *e) _must_check_;
uint64_t group_part_size(const struct bundle_group *g);

/* group_pack: packs g, which becomes PACKED, or DEAD (0, too) when it is too short to stand for itself. before: of a last group.
 * EBUSY: a file changed; g is DEAD. *whole: it went out as a whole. */
int group_pack(const struct bundle_work *w, struct bundle_group *g,
	       const struct bundle_before *before, bool *whole, struct err *e) _must_check_;
/* group_send_ready: of a plan that is ready: g, its only group, is the file as it is. */
int group_send_ready(const struct bundle_work *w, struct bundle_group *g, bool *whole,
		     struct err *e) _must_check_;
/* group_rename: g's only member has another name, or another mode: its first part again, under the same number. 1: it has no more than
 * that, nothing is done. */
int group_rename(const struct bundle_work *w, struct bundle_group *g, size_t member, struct err *e)
	_must_check_;
/* groups_pack: all of them, by several threads. A changed file ends all when strict, else its own group only. */
int groups_pack(struct bundle *b, struct package_plan *plan, struct bundle_group **groups, size_t n,
		bool strict, struct cancel *cancel, struct err *e) _must_check_;

/* bundle_numbers_do: whether g's numbers are enough for its members as they are now. bundle_head: whether some group may still become the
 * archive's first. */
bool bundle_numbers_do(const struct bundle_group *g);
bool bundle_head(const struct bundle *b);
/* group_there: whether all its parts have arrived. */
bool group_there(const struct bundle_group *g);

#endif
