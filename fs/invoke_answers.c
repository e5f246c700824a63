#include "fs/invoke_answers.h"

#include <assert.h>
#include <sys/queue.h>

const struct answers_limits ANSWERS_LIMITS = {
	.per_file = 256, .memory = (size_t)64 << 20, .age_ms = INT64_C(3600000)};

struct entry {
	TAILQ_ENTRY(entry) link;
	struct chain *writer;
	struct answer *answer; /* NULL: expected */
	uint64_t ticket;
	int64_t at;
	size_t cost;
	char file[];
};

TAILQ_HEAD(entries, entry);

struct answers {
	struct answers_limits limits;
	pthread_mutex_t mu;      /* guards what follows */
	struct entries stored;   /* newest arrival first */
	struct entries expected; /* newest first */
	size_t memory;
	uint64_t tickets;
};

struct answer *answer_new(int no, char *data, size_t len)
{
	struct answer *a = malloc(sizeof *a);

	if (!a) {
		free(data);
		return NULL;
	}
	*a = (struct answer){.no = no, .when = time(NULL), .len = data ? len : 0, .data = data};
	atomic_init(&a->refs, 1);
	return a;
}

void answer_fill(struct answer *a, int no, char *data, size_t len)
{
	free(a->data);
	a->no = no;
	a->when = time(NULL);
	a->len = data ? len : 0;
	a->data = data;
}

struct answer *answer_ref(struct answer *a)
{
	if (a)
		atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void answer_unref(struct answer *a)
{
	if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(a->data);
	free(a);
}

void answer_unrefp(struct answer **a)
{
	answer_unref(*a);
}

struct answers *answers_new(const struct answers_limits *limits)
{
	struct answers *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->limits = *limits;
	pthread_mutex_init(&s->mu, NULL);
	TAILQ_INIT(&s->stored);
	TAILQ_INIT(&s->expected);
	return s;
}

static struct entry *entry_new(const char *file, struct chain *writer, uint64_t ticket,
			       struct answer *a)
{
	size_t n = strlen(file) + 1;
	struct entry *x = calloc(1, sizeof *x + n);

	if (!x)
		return NULL;
	memcpy(x->file, file, n);
	x->writer = chain_ref(writer);
	x->answer = answer_ref(a);
	x->ticket = ticket;
	x->cost = sizeof *x + n + sizeof *writer + writer->n * sizeof writer->link[0] +
		  (a ? sizeof *a + a->len : 0);
	return x;
}

static void entry_free(struct entry *x)
{
	chain_unref(x->writer);
	answer_unref(x->answer);
	free(x);
}

static void drop_stored_locked(struct answers *s, struct entry *x)
{
	TAILQ_REMOVE(&s->stored, x, link);
	s->memory -= x->cost;
	entry_free(x);
}

static void drop_expected_locked(struct answers *s, uint64_t ticket)
{
	struct entry *x;

	TAILQ_FOREACH(x, &s->expected, link)
	{
		if (x->ticket != ticket)
			continue;
		TAILQ_REMOVE(&s->expected, x, link);
		entry_free(x);
		return;
	}
}

void answers_free(struct answers *s)
{
	struct entry *x;

	if (!s)
		return;
	while ((x = TAILQ_FIRST(&s->stored)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it has left the list */
		drop_stored_locked(s, x);
	while ((x = TAILQ_FIRST(&s->expected)))
		drop_expected_locked(s, x->ticket);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

uint64_t answers_ticket(struct answers *s)
{
	SCOPED_LOCK(&s->mu);
	return ++s->tickets;
}

/* Make room for x among the others of its file: the writer's older answer goes (nobody can get it any more), and the oldest when
 * there are too many. False: the writer has a newer one, x is not wanted. */
static bool make_place_locked(struct answers *s, const struct entry *x)
{
	struct entry *y, *next, *oldest = NULL;
	unsigned n = 0;

	for (y = TAILQ_FIRST(&s->stored); y; y = next) {
		next = TAILQ_NEXT(y, link);
		if (!streq(y->file, x->file))
			continue;
		if (chain_equal(y->writer, x->writer)) {
			if (y->ticket > x->ticket)
				return false;
			drop_stored_locked(s, y);
			continue;
		}
		oldest = y;
		n++;
	}
	if (oldest && n >= s->limits.per_file)
		drop_stored_locked(s, oldest);
	return true;
}

static void shrink_locked(struct answers *s)
{
	struct entry *newest = TAILQ_FIRST(&s->stored), *x;

	while (s->memory > s->limits.memory && (x = TAILQ_LAST(&s->stored, entries)) && x != newest)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it has left the list */
		drop_stored_locked(s, x);
}

static void expire_locked(struct answers *s, int64_t now)
{
	struct entry *x;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it has left the list */
	while ((x = TAILQ_LAST(&s->stored, entries)) && now - x->at > s->limits.age_ms)
		drop_stored_locked(s, x);
}

void answers_put(struct answers *s, const char *file, struct chain *writer, uint64_t ticket,
		 struct answer *a, int64_t now)
{
	struct entry *x = entry_new(file, writer, ticket, a);

	assert(a);
	SCOPED_LOCK(&s->mu);
	drop_expected_locked(s, ticket);
	if (!x)
		return;
	x->at = now;
	if (!make_place_locked(s, x)) {
		entry_free(x);
		return;
	}
	TAILQ_INSERT_HEAD(&s->stored, x, link);
	s->memory += x->cost;
	expire_locked(s, now);
	shrink_locked(s);
}

/* The entry of the reader's nearest relative, the newest request on ties. */
static struct entry *nearest_locked(const struct entries *list, const char *file,
				    const struct chain *reader, int *distance)
{
	struct entry *x, *best = NULL;

	TAILQ_FOREACH(x, list, link)
	{
		int d = streq(x->file, file) ? chain_distance(reader, x->writer) : -1;
		if (d < 0 ||
		    (best && (d > *distance || (d == *distance && x->ticket < best->ticket))))
			continue;
		best = x;
		*distance = d;
	}
	return best;
}

struct answer *answers_get(struct answers *s, const char *file, const struct chain *reader,
			   int64_t now)
{
	int distance = -1;

	SCOPED_LOCK(&s->mu);
	expire_locked(s, now);
	const struct entry *x = nearest_locked(&s->stored, file, reader, &distance);
	return x ? answer_ref(x->answer) : NULL;
}

void answers_expect(struct answers *s, const char *file, struct chain *writer, uint64_t ticket)
{
	struct entry *x = entry_new(file, writer, ticket, NULL);

	if (!x)
		return; /* relatives do not wait: the answer comes all the same */
	SCOPED_LOCK(&s->mu);
	TAILQ_INSERT_HEAD(&s->expected, x, link);
}

void answers_give_up(struct answers *s, uint64_t ticket)
{
	SCOPED_LOCK(&s->mu);
	drop_expected_locked(s, ticket);
}

bool answers_awaited(struct answers *s, const char *file, const struct chain *reader, int64_t now)
{
	int near = -1, have = -1;

	SCOPED_LOCK(&s->mu);
	const struct entry *x = nearest_locked(&s->expected, file, reader, &near);
	if (!x)
		return false;
	expire_locked(s, now);
	const struct entry *y = nearest_locked(&s->stored, file, reader, &have);
	return !y || near < have || (near == have && x->ticket > y->ticket);
}

void answers_forget(struct answers *s, const char *endpoint)
{
	struct entry *x, *next;
	size_t n = strlen(endpoint);

	SCOPED_LOCK(&s->mu);
	for (x = TAILQ_FIRST(&s->stored); x; x = next) {
		next = TAILQ_NEXT(x, link);
		if (strncmp(x->file, endpoint, n) == 0 && (x->file[n] == '\0' || x->file[n] == '.'))
			drop_stored_locked(s, x);
	}
}

bool answers_expire(struct answers *s, int64_t now)
{
	SCOPED_LOCK(&s->mu);
	expire_locked(s, now);
	return !TAILQ_EMPTY(&s->stored);
}
