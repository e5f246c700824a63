/* bundle: whatever went out early, and whatever became of it since, the parts that are listed are one archive of exactly the plan's
 * files, and no more is sent again than had to be. */
#include "model.h"

#include <zlib.h>

#include "sagemaker/bundle.h"
#include "sagemaker/pack.h"
#include "sagemaker/plan.h"

#define MIB ((size_t)1 << 20)

/* A service in memory. */
struct depot {
	struct buf *parts[S3_MAX_PARTS + 1]; /* by number */
	struct s3_part rows[S3_MAX_PARTS + 1];
	struct buf whole;
	size_t sent, kept;    /* bytes that came, and that were there already */
	int lent, fail_after; /* parts until the line is cut; -1: never */
	cJSON *journal;
	pthread_mutex_t mu;
};

static int lend(void *arg, size_t size, size_t max, void **room, struct err *e)
{
	struct depot *s = arg;

	(void)size;
	(void)e;
	__atomic_add_fetch(&s->lent, 1, __ATOMIC_RELAXED);
	*room = malloc(max);
	return 0;
}

static void drop(void *arg, void *room)
{
	struct depot *s = arg;

	__atomic_sub_fetch(&s->lent, 1, __ATOMIC_RELAXED);
	free(room);
}

static int take(void *arg, struct s3_part *p, void *room, struct err *e)
{
	struct depot *s = arg;
	SCOPED_LOCK(&s->mu);
	struct s3_part *row = &s->rows[p->number];

	assert_in_range(p->number, 1, S3_MAX_PARTS);
	assert_int_equal(p->crc, crc32c(0, room, p->size));
	if (row->size == p->size && row->crc == p->crc && s->parts[p->number]) {
		s->kept += p->size;
	} else if (s->fail_after == 0) {
		drop(s, room);
		return err_set(e, EIO, "the line was cut");
	} else {
		if (!s->parts[p->number])
			s->parts[p->number] = calloc(1, sizeof(struct buf));
		s->parts[p->number]->max = 64 * MIB;
		buf_reset(s->parts[p->number]);
		assert_int_equal(buf_add(s->parts[p->number], room, p->size), 0);
		s->sent += p->size;
		s->fail_after -= s->fail_after > 0;
	}
	snprintf(p->etag, sizeof p->etag, "e%d", p->number);
	*row = *p;
	drop(s, room);
	return 0;
}

static int take_whole(void *arg, void *room, size_t n, struct err *e)
{
	struct depot *s = arg;

	(void)e;
	buf_reset(&s->whole);
	buf_add(&s->whole, room, n);
	s->sent += n;
	drop(s, room);
	return 0;
}

static int settle(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	return 0;
}

/* As a journal has it. */
static int began(void *arg, const struct bundle_group *g, struct err *e)
{
	struct depot *s = arg;
	SCOPED_LOCK(&s->mu);
	cJSON *row = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(row, "files");

	(void)e;
	cJSON_AddNumberToObject(row, "first", g->first);
	cJSON_AddNumberToObject(row, "reserved", g->reserved);
	cJSON_AddBoolToObject(row, "head", g->head);
	for (size_t i = 0; i < g->n; i++)
		cJSON_AddItemToArray(files, cJSON_CreateString(g->entries[i].archive));
	cJSON_AddItemToArray(s->journal, row);
	return 0;
}

struct world {
	struct scratch s;
	struct depot *at;
	struct bundle *b;
	struct package_plan *plan;
	struct hash_cache *hashes;
};

static struct bundle *open_bundle(struct world *w)
{
	const struct bundle_store store = {.arg = w->at,
					   .room = lend,
					   .drop = drop,
					   .part = take,
					   .settle = settle,
					   .whole = take_whole,
					   .began = began};

	return bundle_new(&store, w->hashes, 2);
}

static void begin(struct world *w)
{
	scratch_make(&w->s);
	model_mxnet(&w->s, "");
	w->at = calloc(1, sizeof *w->at);
	w->at->fail_after = -1;
	w->at->whole.max = 64 * MIB;
	w->at->journal = cJSON_CreateArray();
	pthread_mutex_init(&w->at->mu, NULL);
	w->hashes = hash_cache_new(100);
	w->b = open_bundle(w);
	w->plan = NULL;
}

static void end(struct world *w)
{
	assert_int_equal(w->at->lent, 0); /* all room was given back */
	for (size_t i = 0; i <= S3_MAX_PARTS; i++) {
		if (w->at->parts[i])
			buf_release(w->at->parts[i]);
		free(w->at->parts[i]);
	}
	buf_release(&w->at->whole);
	cJSON_Delete(w->at->journal);
	free(w->at);
	bundle_free(w->b);
	hash_cache_free(w->hashes);
	package_plan_free(w->plan);
	scratch_drop(&w->s);
}

/* n bytes that no other seed has; text shrinks to a few percent. */
static void put(struct world *w, const char *name, size_t n, uint64_t seed, bool text)
{
	unsigned char *p = malloc(n + 1);
	uint64_t x = seed * 88172645463325252ULL + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = text ? (unsigned char)('a' + (i / 100 + seed) % 20)
			    : (unsigned char)(x >> 24);
	}
	scratch_file(&w->s, name, p, n);
	free(p);
}

static void plan(struct world *w)
{
	package_plan_free(w->plan);
	w->plan = model_plan(&w->s);
	assert_true(w->plan->whole);
}

static size_t member(const struct world *w, const char *archive)
{
	const struct package_member *m = plan_find(w->plan, archive);

	assert_non_null(m);
	return (size_t)(m - w->plan->members);
}

/* Sends these files (by their places in the archive, NULL-terminated) while the rest is not known yet. */
static void early(struct world *w, const char *const *names)
{
	size_t set[64], n = 0;
	struct err e = {0};

	plan(w);
	while (names[n]) {
		set[n] = member(w, names[n]);
		n++;
	}
	if (bundle_pack(w->b, w->plan, set, n, NULL, NULL, &e))
		fail_msg("%s", e.text);
}

/* The listed parts, one behind the other. */
static void assemble(const struct world *w, const struct bundle_output *o, struct buf *out)
{
	if (o->whole)
		buf_add(out, w->at->whole.data, w->at->whole.len);
	for (size_t i = 0; !o->whole && i < o->n_parts; i++) {
		const struct buf *b = w->at->parts[o->parts[i]->number];

		if (i)
			assert_true(o->parts[i]->number > o->parts[i - 1]->number);
		if (i + 1 < o->n_parts)
			assert_true(o->parts[i]->size >= S3_PART_MIN);
		assert_int_equal(b->len, o->parts[i]->size);
		buf_add(out, b->data, b->len);
	}
	assert_int_equal(out->len, o->size);
	assert_false(out->failed);
}

/* One gzip member, all of it. */
static void gunzip(const struct buf *z, struct buf *out, size_t most)
{
	_cleanup_free_ unsigned char *p = malloc(most);
	z_stream s = {.next_in = (unsigned char *)(uintptr_t)z->data,
		      .avail_in = (unsigned)z->len,
		      .next_out = p,
		      .avail_out = (unsigned)most};

	assert_int_equal(inflateInit2(&s, 31), Z_OK);
	assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
	assert_int_equal(s.avail_in, 0);
	buf_add(out, p, s.total_out);
	inflateEnd(&s);
}

static void check_points(const struct bundle_output *o, const struct buf *z, const struct buf *tar)
{
	_cleanup_free_ unsigned char *p = malloc(PACK_CHUNK);

	for (size_t i = 0; i < o->n_points; i++) {
		const struct gzip_point *at = &o->points[i];
		uint64_t next = i + 1 < o->n_points ? at[1].in : tar->len;
		z_stream s = {.next_in = (unsigned char *)(uintptr_t)z->data + at->out,
			      .avail_in = (unsigned)(z->len - at->out),
			      .next_out = p,
			      .avail_out = (unsigned)(next - at->in)};

		assert_in_range(next - at->in, 1, PACK_CHUNK);
		assert_int_equal(inflateInit2(&s, -15), Z_OK);
		assert_true(inflate(&s, Z_SYNC_FLUSH) >= 0);
		assert_int_equal(s.avail_out, 0);
		inflateEnd(&s);
		assert_memory_equal(p, tar->data + at->in, next - at->in);
		assert_int_equal(crc32(0, p, (unsigned)(next - at->in)), at->crc);
	}
}

/* Every file of the plan where the output says, and nothing else in the archive. */
static void check_members(const struct world *w, const struct bundle_output *o,
			  const struct buf *tar)
{
	for (size_t i = 0; i < w->plan->n_members; i++) {
		const struct package_member *m = &w->plan->members[i];
		_cleanup_buf_ struct buf b = BUF_INIT(128 * MIB);
		unsigned char sum[SHA256_LEN];
		char name[101];

		if (m->path)
			assert_int_equal(buf_read_file(&b, w->s.fd, m->path), 0);
		else
			buf_add(&b, m->content, m->size);
		assert_int_equal(b.len, m->size);
		assert_true(o->member_offsets[i] + m->size <= tar->len);
		assert_memory_equal(tar->data + o->member_offsets[i], buf_cstr(&b), m->size);
		memcpy(name, tar->data + o->member_offsets[i] - 512, 100);
		name[100] = '\0';
		assert_string_equal(name, m->archive);
		sha256(buf_cstr(&b), b.len, sum);
		assert_true(m->hashed);
		assert_memory_equal(m->sha256, sum, sizeof sum);
	}
}

static int count_one(void *arg, const char *path, uint64_t size, mode_t mode)
{
	(void)path;
	(void)size;
	(void)mode;
	++*(size_t *)arg;
	return 0;
}

/* Finishes; how many bytes that took. */
static size_t finish(struct world *w)
{
	_cleanup_buf_ struct buf z = BUF_INIT(256 * MIB), tar = BUF_INIT(256 * MIB);
	struct bundle_output o;
	size_t before = w->at->sent, n = 0;
	struct err e = {0};

	plan(w);
	if (bundle_finish(w->b, w->plan, NULL, &o, &e))
		fail_msg("%s", e.text);
	assemble(w, &o, &z);
	gunzip(&z, &tar, 256 * MIB);
	check_points(&o, &z, &tar);
	check_members(w, &o, &tar);
	scratch_file(&w->s, ".z.tmp", z.data, z.len);
	_cleanup_close_ int fd = openat(w->s.fd, ".z.tmp", O_RDONLY);
	assert_int_equal(unpack_list(fd, NULL, count_one, &n, &e), 0);
	assert_int_equal(n, w->plan->n_members);
	assert_int_equal(unlinkat(w->s.fd, ".z.tmp", 0), 0);
	bundle_output_release(&o);
	return w->at->sent - before;
}

#define EARLY(w, ...) early(w, (const char *const[]){__VA_ARGS__, NULL})

static void small_is_one_piece(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	assert_in_range(finish(&w), 100, 10000);
	assert_int_equal(cJSON_GetArraySize(w.at->journal),
			 0); /* the end follows from what is there */
	end(&w);
}

/* What was sent while the copy ran is not sent again. */
static void early_stays(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	put(&w, "a.bin", 20 * MIB, 1, false);
	put(&w, "b.bin", 30 * MIB, 2, false);
	EARLY(&w, "a.bin", "b.bin");
	assert_in_range(w.at->sent, 50 * MIB, 50 * MIB + 20000);
	put(&w, "c.bin", MIB, 3, false);
	assert_in_range(finish(&w), MIB, MIB + 20000);
	assert_int_equal(finish(&w), 0); /* the end is there, under the same number */
	end(&w);
}

static void changed_file(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	put(&w, "a.bin", 20 * MIB, 1, false);
	put(&w, "b.bin", 30 * MIB, 2, false);
	put(&w, "c.bin", 40 * MIB, 3, false);
	EARLY(&w, "a.bin", "b.bin", "c.bin");
	put(&w, "b.bin", 30 * MIB, 4, false); /* as long as it was */
	assert_in_range(finish(&w), 30 * MIB, 30 * MIB + 20000);
	end(&w);
}

static void dropped_file(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	put(&w, "a.bin", 20 * MIB, 1, false);
	put(&w, "b.bin", 30 * MIB, 2, false);
	EARLY(&w, "a.bin", "b.bin");
	assert_int_equal(unlinkat(w.s.fd, "b.bin", 0), 0);
	assert_in_range(finish(&w), 1, 20000);
	end(&w);
}

/* The group with gzip's header goes: what is missing takes its place; when that is too short for a part, the smallest group that is
 * there goes with it. */
static void header_is_replaced(void **state)
{
	static const struct {
		size_t again; /* MiB of another file that comes, 0: none */
		size_t sent;  /* MiB */
	} rows[] = {
		{0,  30},
		{2,  32},
		{20, 20},
		{40, 40},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;

		begin(&w);
		put(&w, "a.bin", 20 * MIB, 1, false);
		EARLY(&w, "a.bin");
		put(&w, "b.bin", 30 * MIB, 2, false);
		put(&w, "c.bin", 40 * MIB, 3, false);
		EARLY(&w, "b.bin", "c.bin");
		assert_int_equal(unlinkat(w.s.fd, "a.bin", 0), 0);
		if (rows[i].again)
			put(&w, "d.bin", rows[i].again * MIB, 4, false);
		size_t sent = finish(&w);
		if (sent < rows[i].sent * MIB || sent > rows[i].sent * MIB + 30000)
			fail_msg("%zu MiB: %zu bytes were sent again", rows[i].again, sent);
		end(&w);
	}
}

/* All but small files are gone: one piece again. */
static void nothing_is_left(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	put(&w, "a.bin", 20 * MIB, 1, false);
	EARLY(&w, "a.bin");
	assert_int_equal(unlinkat(w.s.fd, "a.bin", 0), 0);
	assert_in_range(finish(&w), 100, 20000);
	end(&w);
}

/* A place in the archive that was guessed wrong costs the part with the name in it. */
static void wrong_guess(void **state)
{
	static const char *const guesses[] = {
		"wrong/a.bin",
		"ein/sehr/langer/Name/der/nicht/in/einen/ustar-Kopf/passt/weil/er/mehr/als/hundert/Zeichen/hat/und/keinen/guten/Schnitt/hat.bin",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guesses); i++) {
		struct world w;
		struct err e = {0};

		begin(&w);
		put(&w, "a.bin", 50 * MIB, 1, false);
		plan(&w);
		size_t at = member(&w, "a.bin");
		assert_int_equal(plan_rename(&w.plan->members[at], guesses[i], &e), 0);
		assert_int_equal(bundle_pack(w.b, w.plan, &at, 1, NULL, NULL, &e), 0);
		assert_in_range(finish(&w), 8 * MIB, 13 * MIB);
		assert_int_equal(finish(&w), 0); /* and it is right from then on */
		end(&w);
	}
}

/* What shrinks to less than a part waits for company; many small files are company. */
static void shrinking_and_small(void **state)
{
	struct world w;
	char name[32];

	(void)state;
	begin(&w);
	put(&w, "text.txt", 40 * MIB, 1, true);
	EARLY(&w, "text.txt");
	assert_int_equal(w.at->sent, 0);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "s/%02u.bin", i);
		put(&w, name, MIB, i + 5, false);
	}
	EARLY(&w, "s/00.bin", "s/01.bin", "s/02.bin", "s/03.bin", "s/04.bin", "s/05.bin",
	      "s/06.bin", "s/07.bin", "s/08.bin", "s/09.bin", "s/10.bin", "s/11.bin", "s/12.bin",
	      "s/13.bin", "s/14.bin", "s/15.bin", "s/16.bin");
	assert_in_range(w.at->sent, 16 * MIB, 16 * MIB + 50000);
	assert_in_range(finish(&w), 24 * MIB, 26 * MIB);
	end(&w);
}

/* The line is cut, at any part: what is there stays. */
static void line_is_cut(void **state)
{
	(void)state;
	for (int at = 0; at < 9; at += 4) {
		struct world w;
		struct bundle_output o;
		struct err e = {0};

		begin(&w);
		put(&w, "a.bin", 20 * MIB, 1, false);
		put(&w, "b.bin", 40 * MIB, 2, false);
		plan(&w);
		w.at->fail_after = at;
		if (bundle_finish(w.b, w.plan, NULL, &o, &e) == 0) {
			bundle_output_release(&o);
		} else {
			assert_string_equal(e.text, "the line was cut");
			bundle_lost(w.b);
		}
		w.at->fail_after = -1;
		size_t there = w.at->sent;
		assert_in_range(there + finish(&w), 60 * MIB, 60 * MIB + 60000);
		end(&w);
	}
}

/* Another process goes on with what the journal says. */
static void restore(struct world *w)
{
	const cJSON *row, *f;
	struct err e = {0};

	bundle_free(w->b);
	w->b = open_bundle(w);
	cJSON *rows = w->at->journal;
	w->at->journal = cJSON_CreateArray();
	cJSON_ArrayForEach(row, rows) {
		struct bundle_entry entries[64] = {0};
		struct bundle_group g = {
			.first = cJSON_GetObjectItem(row, "first")->valueint,
			.reserved = cJSON_GetObjectItem(row, "reserved")->valueint,
			.head = cJSON_IsTrue(cJSON_GetObjectItem(row, "head")),
			.entries = entries,
		};

		cJSON_ArrayForEach(f, cJSON_GetObjectItem(row, "files"))
			entries[g.n++].archive = f->valuestring;
		assert_int_equal(bundle_restored(w->b, &g, &e), 0);
	}
	cJSON_Delete(rows);
}

static void killed_and_restored(void **state)
{
	static const struct {
		int fail_after; /* -1: all of it was there */
		bool change;
		size_t most; /* bytes that may be sent afterwards, in MiB */
	} rows[] = {
		{-1, false, 1 },
		{5,  false, 25},
		{-1, true,  22},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;
		struct bundle_output o;
		struct err e = {0};

		begin(&w);
		put(&w, "a.bin", 20 * MIB, 1, false);
		put(&w, "b.bin", 40 * MIB, 2, false);
		plan(&w);
		w.at->fail_after = rows[i].fail_after;
		if (bundle_finish(w.b, w.plan, NULL, &o, &e) == 0)
			bundle_output_release(&o);
		w.at->fail_after = -1;
		restore(&w);
		if (rows[i].change)
			put(&w, "a.bin", 20 * MIB, 7, false);
		size_t sent = finish(&w);
		if (sent > rows[i].most * MIB)
			fail_msg("row %zu: %zu bytes", i, sent);
		end(&w);
	}
}

/* A file that changes while it is packed spoils its group, never the archive. */
static void changed_while_packed(void **state)
{
	struct world w;
	struct bundle_output o;
	struct err e = {0};

	(void)state;
	begin(&w);
	put(&w, "a.bin", 20 * MIB, 1, false);
	put(&w, "b.bin", 40 * MIB, 2, false);
	plan(&w);
	put(&w, "b.bin", 41 * MIB, 2, false);
	assert_int_equal(bundle_finish(w.b, w.plan, NULL, &o, &e), -1);
	assert_int_equal(e.no, EBUSY);
	size_t at[2] = {member(&w, "a.bin"), member(&w, "b.bin")};
	assert_int_equal(bundle_pack(w.b, w.plan, at, 2, NULL, NULL, &e), 0);
	(void)finish(&w);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_is_one_piece),   cmocka_unit_test(early_stays),
		cmocka_unit_test(changed_file),         cmocka_unit_test(dropped_file),
		cmocka_unit_test(header_is_replaced),   cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(wrong_guess),          cmocka_unit_test(shrinking_and_small),
		cmocka_unit_test(line_is_cut),          cmocka_unit_test(killed_and_restored),
		cmocka_unit_test(changed_while_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
