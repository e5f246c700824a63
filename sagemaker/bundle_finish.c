/* bundle_finish.c: which groups are the archive of a plan, what is missing from them, and the end of the stream. */
#include <errno.h>
#include <zlib.h>

#include "sagemaker/bundle_internal.h"

#define BATCH \
 (2 *         \
  BUNDLE_BIG) /* small files that make a group together: some are done by one thread, some by another */

/* A set of the plan's members, in its order or in that of their packing. */
struct members {
	size_t *at, n;
};

struct finish {
	struct bundle *b;
	struct package_plan *plan;
	struct bundle_work w;
	bool *covered;              /* members that some group holds */
	struct bundle_group *head;  /* of the groups that are used: the one with the header */
	struct members rest;        /* for the last group */
	struct bundle_group **work; /* to be packed */
	size_t n_work, n_groups;
};

static int out_of_memory(struct err *e)
{
	return err_set(e, ENOMEM, "pack the model: out of memory");
}

static int by_archive(const void *key, const void *m)
{
	return strcmp(key, ((const struct package_member *)m)->archive);
}

/* The member of that name, if no group holds it yet; SIZE_MAX: none. */
static size_t find(const struct finish *f, const char *archive)
{
	const struct package_member *m =
		bsearch(archive, f->plan->members, f->plan->n_members, sizeof *m, by_archive);
	size_t i = m ? (size_t)(m - f->plan->members) : SIZE_MAX;

	return m && !f->covered[i] ? i : SIZE_MAX;
}

static bool mode_is(const struct package_member *m, const struct bundle_entry *x)
{
	return x->exec == ((m->mode & 0111) != 0);
}

/* 1: the entry's content is the member's; 0: it is not. */
static int same_content(struct finish *f, size_t i, const struct bundle_entry *x, struct err *e)
{
	struct package_member *m = &f->plan->members[i];

	if (m->size != x->size)
		return 0;
	if (!m->hashed && package_hash(f->plan, i, f->b->hashes, f->w.cancel, e) < 0)
		return -1;
	return memcmp(m->sha256, x->sha256, SHA256_LEN) == 0;
}

/* Groups that are there ------------------------------------------------------------------------ */

static void use(struct finish *f, struct bundle_group *g)
{
	g->used = true;
	if (g->head)
		f->head = g;
	for (size_t i = 0; i < g->n; i++)
		f->covered[g->entries[i].member] = true;
}

/* 1: every entry is a member as it is now. */
static int matches(struct finish *f, struct bundle_group *g, struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		struct bundle_entry *x = &g->entries[i];
		size_t at = find(f, x->archive);

		x->member = at;
		if (at == SIZE_MAX || !mode_is(&f->plan->members[at], x))
			return 0;
		int same = same_content(f, at, x, e);
		if (same <= 0)
			return same;
	}
	return 1;
}

/* The end of an earlier try. Under the same numbers, what has not changed of it need not go out again. */
static void retire_last(struct bundle *b, struct bundle_group *g)
{
	if (g->state == GROUP_DEAD)
		return;
	g->state = GROUP_DEAD;
	if (g->head && g->first == b->low)
		b->low += g->reserved;
	else if (!g->head && g->first + g->reserved == b->high)
		b->high = g->first;
}

static int match_all(struct finish *f, struct err *e)
{
	for (struct bundle_group *g = f->b->groups; g; g = g->next) {
		f->n_groups++;
		g->used = false;
		if (g->last)
			retire_last(f->b, g);
		else if (g->state == GROUP_PACKED && !group_there(g))
			g->state = GROUP_NEW;
		if (g->state != GROUP_PACKED || (g->head && f->head))
			continue;
		int same = matches(f, g, e);
		if (same < 0)
			return -1;
		if (same)
			use(f, g);
	}
	return 0;
}

/* The member that a lone file's group holds under another name or mode. 1: *at; -1: e. */
static int find_renamed(struct finish *f, const struct bundle_group *g, size_t *at, struct err *e)
{
	for (size_t i = 0; i < f->plan->n_members; i++) {
		const struct package_member *m = &f->plan->members[i];

		if (f->covered[i] || m->content || m->size != g->entries[0].size)
			continue;
		int same = same_content(f, i, &g->entries[0], e);
		*at = i;
		if (same)
			return same;
	}
	return 0;
}

static int rename_all(struct finish *f, struct err *e)
{
	for (struct bundle_group *g = f->b->groups; g; g = g->next) {
		size_t at = 0;

		if (g->used || g->state != GROUP_PACKED || g->n != 1 || g->n_parts < 2 ||
		    (g->head && f->head))
			continue;
		int found = find_renamed(f, g, &at, e);
		if (found < 0 || (found && group_rename(&f->w, g, at, e) < 0))
			return -1;
		if (found)
			use(f, g);
	}
	return 0;
}

/* Groups to be packed ---------------------------------------------------------------------- */

static void add_work(struct finish *f, struct bundle_group *g)
{
	f->work[f->n_work++] = g;
	use(f, g);
}

/* A group that was begun: its parts may be there already, under these numbers. */
static bool revive(struct finish *f, struct bundle_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct bundle_entry *x = &g->entries[i];
		size_t at = find(f, x->archive);

		if (at == SIZE_MAX)
			return false;
		x->member = at;
		x->size = f->plan->members[at].size;
		x->exec = f->plan->members[at].mode & 0111;
	}
	return bundle_numbers_do(g);
}

static void revive_all(struct finish *f)
{
	for (struct bundle_group *g = f->b->groups; g; g = g->next) {
		if (g->state != GROUP_NEW)
			continue;
		if ((g->head && f->head) || !revive(f, g))
			g->state = GROUP_DEAD;
		else
			add_work(f, g);
	}
}

static int group_of(struct finish *f, const size_t *members, size_t n, struct err *e)
{
	struct bundle_group *g = group_new(f->plan, members, n);

	if (!g)
		return out_of_memory(e);
	if (group_number(f->b, g, !f->head, e) < 0) {
		group_free(g);
		return -1;
	}
	add_work(f, g);
	return 0;
}

static uint64_t uncovered(const struct finish *f)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < f->plan->n_members; i++)
		bytes += f->covered[i] ? 0 : f->plan->members[i].size;
	return bytes;
}

/* Small files in groups of some size; the last ones go to the rest. */
static int group_small(struct finish *f, struct err *e)
{
	_cleanup_free_ size_t *set = calloc(f->plan->n_members + 1, sizeof *set);
	size_t n = 0;
	uint64_t bytes = 0;

	if (!set)
		return out_of_memory(e);
	for (size_t i = 0; i < f->plan->n_members; i++) {
		if (f->covered[i])
			continue;
		set[n++] = i;
		bytes += f->plan->members[i].size;
		if (bytes < BATCH)
			continue;
		if (group_of(f, set, n, e) < 0)
			return -1;
		n = 0;
		bytes = 0;
	}
	return 0;
}

/* Too little for a group of its own is left to the end. */
static int group_missing(struct finish *f, struct err *e)
{
	if (!f->b->threads || uncovered(f) < BATCH)
		return 0;
	for (size_t i = 0; i < f->plan->n_members; i++)
		if (!f->covered[i] && f->plan->members[i].size >= BUNDLE_BIG &&
		    group_of(f, &i, 1, e) < 0)
			return -1;
	return group_small(f, e);
}

/* What was too short for a group is missing again. */
static void let_go(struct finish *f, struct bundle_group *g)
{
	g->used = false;
	if (f->head == g)
		f->head = NULL;
	for (size_t i = 0; i < g->n; i++)
		f->covered[g->entries[i].member] = false;
}

static int pack_missing(struct finish *f, struct err *e)
{
	size_t n;

	f->work = calloc(f->n_groups + f->plan->n_members + 1, sizeof(struct bundle_group *));
	if (!f->work)
		return out_of_memory(e);
	revive_all(f);
	if (group_missing(f, e) < 0)
		return -1;
	n = f->n_work;
	if (groups_pack(f->b, f->plan, f->work, n, true, f->w.cancel, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (f->work[i]->state != GROUP_PACKED)
			let_go(f, f->work[i]);
	return 0;
}

/* The two ends ----------------------------------------------------------------------------- */

static void gather_rest(struct finish *f)
{
	f->rest.n = 0;
	for (size_t i = 0; i < f->plan->n_members; i++)
		if (!f->covered[i])
			f->rest.at[f->rest.n++] = i;
}

static struct bundle_group *smallest_used(const struct finish *f)
{
	struct bundle_group *least = NULL;

	for (struct bundle_group *g = f->b->groups; g; g = g->next)
		if (g->used && (!least || g->out < least->out))
			least = g;
	return least;
}

/* The groups are there, but the one with the header is not the archive's any more: what is missing goes to the front, with as much
 * of what is there as it takes to make a part. */
static int make_front(struct finish *f, struct err *e)
{
	struct bundle_group *least;

	while (!f->head && (least = smallest_used(f))) {
		gather_rest(f);
		struct bundle_group *g =
			f->rest.n ? group_new(f->plan, f->rest.at, f->rest.n) : NULL;

		if (f->rest.n && !g)
			return out_of_memory(e);
		if (g && group_number(f->b, g, true, e) < 0) {
			group_free(g);
			return -1;
		}
		if (g && group_pack(&f->w, g, NULL, NULL, e) < 0)
			return -1;
		if (g && g->state == GROUP_PACKED)
			use(f, g);
		else
			let_go(f, least);
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct bundle_group *const *x = a, *const *y = b;

	return (*x)->first < (*y)->first ? -1 : 1;
}

/* The used groups in the archive's order; malloc'ed. */
static struct bundle_group **used_groups(const struct finish *f, size_t *n)
{
	struct bundle_group **all =
		calloc(f->n_groups + f->plan->n_members + 64, sizeof(struct bundle_group *));

	*n = 0;
	for (struct bundle_group *g = f->b->groups; all && g; g = g->next)
		if (g->used)
			all[(*n)++] = g;
	if (all)
		qsort(all, *n, sizeof(struct bundle_group *), by_number);
	return all;
}

static int make_last(struct finish *f, bool *whole, struct err *e)
{
	size_t n = 0;
	_cleanup_free_ struct bundle_group **before = used_groups(f, &n);
	struct bundle_before b = {.alone = !n};

	gather_rest(f);
	struct bundle_group *g = before ? group_new(f->plan, f->rest.at, f->rest.n) : NULL;
	if (!g)
		return out_of_memory(e);
	g->last = true;
	if (group_number(f->b, g, b.alone, e) < 0) {
		group_free(g);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		b.crc = (uint32_t)crc32_combine(b.crc, before[i]->crc, (z_off_t)before[i]->in);
		b.in += before[i]->in;
	}
	if (group_pack(&f->w, g, &b, whole, e) < 0)
		return -1;
	use(f, g);
	return 0;
}

/* What it came to ---------------------------------------------------------------------------- */

static void count(const struct finish *f, struct bundle_output *out)
{
	for (const struct bundle_group *g = f->b->groups; g; g = g->next) {
		if (!g->used)
			continue;
		out->n_points += g->n_points;
		out->n_parts += (size_t)g->n_parts;
	}
}

/* One group's share of the output, which begins at these offsets. */
static void put_group(const struct finish *f, const struct bundle_group *g, uint64_t in,
		      struct bundle_output *out)
{
	for (int i = 0; i < g->n_parts; i++)
		out->parts[out->n_parts++] = &g->parts[i].s3;
	for (size_t i = 0; i < g->n_points; i++)
		out->points[out->n_points++] = (struct gzip_point){
			g->points[i].in + in, g->points[i].out + out->size, g->points[i].crc};
	for (size_t i = 0; i < g->n; i++) {
		const struct bundle_entry *x = &g->entries[i];
		struct package_member *m = &f->plan->members[x->member];

		out->member_offsets[x->member] = x->offset + in;
		memcpy(m->sha256, x->sha256, SHA256_LEN);
		m->hashed = true;
	}
	out->size += g->out;
}

static int put_output(const struct finish *f, struct bundle_output *out, struct err *e)
{
	size_t n = 0;
	_cleanup_free_ struct bundle_group **all = used_groups(f, &n);
	uint64_t in = 0;

	count(f, out);
	out->parts = calloc(out->n_parts + 1, sizeof(const struct s3_part *));
	out->points = calloc(out->n_points + 1, sizeof *out->points);
	out->member_offsets = calloc(f->plan->n_members + 1, sizeof *out->member_offsets);
	if (!all || !out->parts || !out->points || !out->member_offsets)
		return out_of_memory(e);
	out->n_parts = out->n_points = 0;
	for (size_t i = 0; i < n; i++) {
		if (!out->whole && !group_there(all[i]))
			return err_set(e, EIO, "pack the model: a part did not arrive");
		put_group(f, all[i], in, out);
		in += all[i]->in;
	}
	return 0;
}

/* A group under the numbers of an earlier try, whose parts may be there. */
static struct bundle_group *ready_group(struct finish *f, struct err *e)
{
	const size_t only = 0;
	struct bundle_group *g = group_new(f->plan, &only, 1), *old = f->b->groups;

	if (!g) {
		out_of_memory(e);
		return NULL;
	}
	while (old && !(old->n == 1 && streq(old->entries[0].archive, g->entries[0].archive)))
		old = old->next;
	if (old) {
		f->b->high = MIN(f->b->high, old->first);
		old->state = GROUP_DEAD;
	}
	if (group_number(f->b, g, false, e) == 0)
		return g;
	group_free(g);
	return NULL;
}

static int finish_ready(struct finish *f, struct bundle_output *out, struct err *e)
{
	const struct bundle_store *s = &f->b->store;
	struct bundle_group *g = s->settle(s->arg, e) < 0 ? NULL : ready_group(f, e);

	for (struct bundle_group *old = f->b->groups; g && old; old = old->next) {
		f->n_groups++;
		old->used = false;
	}
	if (!g || group_send_ready(&f->w, g, &out->whole, e) < 0 || s->settle(s->arg, e) < 0)
		return -1;
	use(f, g);
	return put_output(f, out, e);
}

static int finish(struct finish *f, struct bundle_output *out, struct err *e)
{
	const struct bundle_store *s = &f->b->store;

	if (f->plan->ready)
		return finish_ready(f, out, e);
	/* parts on their way count: a group is there when they are */
	if (s->settle(s->arg, e) < 0 || match_all(f, e) < 0 || rename_all(f, e) < 0 ||
	    pack_missing(f, e) < 0 || make_front(f, e) < 0 || make_last(f, &out->whole, e) < 0 ||
	    s->settle(s->arg, e) < 0)
		return -1;
	return put_output(f, out, e);
}

int bundle_finish(struct bundle *b, struct package_plan *plan, struct cancel *cancel,
		  struct bundle_output *out, struct err *e)
{
	struct finish f = {
		.b = b, .plan = plan, .w = {b, plan, cancel, deflater_new()}
        };

	*out = (struct bundle_output){0};
	f.covered = calloc(plan->n_members + 1, sizeof *f.covered);
	f.rest.at = calloc(plan->n_members + 1, sizeof *f.rest.at);
	int rc = f.covered && f.rest.at && f.w.deflater ? finish(&f, out, e) : out_of_memory(e);
	free(f.covered);
	free(f.rest.at);
	free(f.work);
	deflater_free(f.w.deflater);
	if (rc < 0)
		bundle_output_release(out);
	return rc;
}

void bundle_output_release(struct bundle_output *out)
{
	free(out->parts);
	free(out->points);
	free(out->member_offsets);
	*out = (struct bundle_output){0};
}

/* Early ------------------------------------------------------------------------------------ */

/* Big files make groups of their own, small ones in batches; what is left over waits. */
static size_t early_groups(struct bundle *b, const struct package_plan *plan, const size_t *members,
			   size_t n, struct bundle_group **groups, uint64_t *left)
{
	_cleanup_free_ size_t *small = calloc(n + 1, sizeof *small);
	size_t made = 0, k = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; small && i < n; i++) {
		bool big = plan->members[members[i]].size >= BUNDLE_BIG;

		if (!big) {
			small[k++] = members[i];
			bytes += plan->members[members[i]].size;
		}
		if (!big && bytes < BUNDLE_BIG)
			continue;
		groups[made] = big ? group_new(plan, &members[i], 1) : group_new(plan, small, k);
		if (!groups[made] || group_number(b, groups[made], !bundle_head(b), NULL) < 0) {
			group_free(groups[made]);
			break;
		}
		made++;
		k = big ? k : 0;
		bytes = big ? bytes : 0;
	}
	*left = bytes;
	return made;
}

int bundle_pack(struct bundle *b, struct package_plan *plan, const size_t *members, size_t n,
		uint64_t *left, struct cancel *cancel, struct err *e)
{
	_cleanup_free_ struct bundle_group **groups = calloc(n + 1, sizeof(struct bundle_group *));

	if (!groups)
		return out_of_memory(e);
	uint64_t ignored;
	size_t made = early_groups(b, plan, members, n, groups, left ? left : &ignored);
	return groups_pack(b, plan, groups, made, false, cancel, e);
}
