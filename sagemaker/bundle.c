/* bundle.c: groups, their numbers, and the threads that pack them. */
#include "sagemaker/bundle.h"

#include <errno.h>
#include <fcntl.h>

#include "sagemaker/bundle_internal.h"
#include "sagemaker/each.h"

/* Groups ----------------------------------------------------------------------------------- */

void group_free(struct bundle_group *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		free(g->entries[i].archive);
	free(g->entries);
	free(g->parts);
	free(g->points);
	free(g);
}

struct bundle_group *group_new(const struct package_plan *plan, const size_t *members, size_t n)
{
	struct bundle_group *g = calloc(1, sizeof *g);

	if (!g)
		return NULL;
	g->entries = calloc(n + 1, sizeof *g->entries);
	for (; g->entries && g->n < n; g->n++) {
		const struct package_member *m = &plan->members[members[g->n]];
		struct bundle_entry *x = &g->entries[g->n];

		*x = (struct bundle_entry){
			.exec = m->mode & 0111, .size = m->size, .member = members[g->n]};
		x->archive = strdup(m->archive);
		if (!x->archive)
			break;
	}
	if (g->n == n && g->entries)
		return g;
	group_free(g);
	return NULL;
}

/* As many parts as the members can make, uncompressed. */
static uint64_t parts_needed(const struct bundle_group *g)
{
	uint64_t raw = 0;

	for (size_t i = 0; i < g->n; i++)
		raw += g->entries[i].size + 5120; /* headers and padding */
	return PACK_BOUND(raw) / group_part_size(g) + 2;
}

bool bundle_numbers_do(const struct bundle_group *g)
{
	return parts_needed(g) <= (uint64_t)g->reserved;
}

bool bundle_head(const struct bundle *b)
{
	for (const struct bundle_group *g = b->groups; g; g = g->next)
		if (g->head && g->state != GROUP_DEAD)
			return true;
	return false;
}

static void append(struct bundle *b, struct bundle_group *g)
{
	struct bundle_group **at = &b->groups;

	while (*at)
		at = &(*at)->next;
	*at = g;
}

int group_number(struct bundle *b, struct bundle_group *g, bool head, struct err *e)
{
	g->head = head;
	g->first = head ? 1 : b->high;
	uint64_t need = parts_needed(g);
	int room = head ? b->low - 1 : S3_MAX_PARTS + 1 - b->high;

	if (need > (uint64_t)MAX(room, 0))
		return err_set(e, EFBIG, "pack the model: its parts have no numbers left");
	g->reserved = (int)need;
	g->parts = calloc((size_t)need + 1, sizeof *g->parts);
	if (!g->parts)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	if (head)
		b->low = g->first = b->low - g->reserved;
	else
		b->high += g->reserved;
	append(b, g);
	return 0;
}

bool group_there(const struct bundle_group *g)
{
	for (int i = 0; i < g->n_parts; i++)
		if (!g->parts[i].s3.etag[0])
			return false;
	return g->n_parts > 0;
}

struct bundle *bundle_new(const struct bundle_store *store, struct hash_cache *hashes,
			  unsigned threads)
{
	struct bundle *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	*b = (struct bundle){.store = *store,
			     .hashes = hashes,
			     .threads = threads,
			     .low = BUNDLE_FRONT + 1,
			     .high = BUNDLE_FRONT + 1};
	return b;
}

void bundle_free(struct bundle *b)
{
	while (b && b->groups) {
		struct bundle_group *g = b->groups;

		b->groups = g->next;
		group_free(g);
	}
	free(b);
}

int bundle_restored(struct bundle *b, const struct bundle_group *row, struct err *e)
{
	struct bundle_group *g = calloc(1, sizeof *g);

	if (!g)
		return err_set(e, ENOMEM, "out of memory");
	g->entries = calloc(row->n + 1, sizeof *g->entries);
	g->parts = calloc((size_t)row->reserved + 1, sizeof *g->parts);
	for (; g->entries && g->n < row->n; g->n++) {
		g->entries[g->n].archive = strdup(row->entries[g->n].archive);
		if (!g->entries[g->n].archive)
			break;
	}
	if (!g->parts || g->n != row->n) {
		group_free(g);
		return err_set(e, ENOMEM, "out of memory");
	}
	g->first = row->first;
	g->reserved = row->reserved;
	g->head = row->head;
	b->low = MIN(b->low, g->head ? g->first : b->low);
	b->high = MAX(b->high, g->head ? b->high : g->first + g->reserved);
	append(b, g);
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct file_key *x = a, *y = b;

	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : memcmp(x, y, sizeof *x);
}

struct file_key *bundle_keys(const struct bundle *b, size_t *n)
{
	size_t max = 0;
	struct file_key *keys;

	*n = 0;
	for (const struct bundle_group *g = b->groups; g; g = g->next)
		max += g->state == GROUP_PACKED ? g->n : 0;
	keys = max ? calloc(max, sizeof *keys) : NULL;
	for (const struct bundle_group *g = b->groups; keys && g; g = g->next)
		for (size_t i = 0; g->state == GROUP_PACKED && i < g->n; i++)
			keys[(*n)++] = g->entries[i].key;
	if (keys)
		qsort(keys, *n, sizeof *keys, by_inode);
	return keys;
}

bool file_key_find(const struct file_key *keys, size_t n, const struct file_key *key)
{
	return n && bsearch(key, keys, n, sizeof *key, by_inode);
}

void bundle_lost(struct bundle *b)
{
	for (struct bundle_group *g = b->groups; g; g = g->next)
		if (g->state == GROUP_PACKED && !group_there(g))
			g->state = GROUP_NEW;
}

/* Threads ---------------------------------------------------------------------------------- */

struct crew {
	struct bundle *b;
	struct package_plan *plan;
	struct cancel *cancel;
	struct bundle_group **groups;
	bool strict;
};

static int pack_one(void *arg, size_t i, struct err *e)
{
	const struct crew *c = arg;
	const struct bundle_work w = {c->b, c->plan, c->cancel, deflater_new()};
	struct err own = {0};

	if (!w.deflater)
		return err_set(e, ENOMEM, "pack the model: out of memory");
	int rc = group_pack(&w, c->groups[i], NULL, NULL, &own);
	deflater_free(w.deflater);
	if (rc < 0 && (c->strict || own.no != EBUSY)) {
		*e = own;
		return -1;
	}
	return 0;
}

int groups_pack(struct bundle *b, struct package_plan *plan, struct bundle_group **groups, size_t n,
		bool strict, struct cancel *cancel, struct err *e)
{
	struct crew c = {b, plan, cancel, groups, strict};

	return each_parallel(n, b->threads, pack_one, &c, cancel, e);
}
