#include "sagemaker/local/metrics.h"

#include <errno.h>

#include "sagemaker/local/db.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/request.h"

#define KEPT_MINUTES ((int64_t)3 * 24 * 60)
#define PURGE_EVERY  60 /* minutes */
#define SLOTS        256

#define OF_ENDPOINT "AWS/SageMaker"
#define OF_INSTANCE "/aws/sagemaker/Endpoints"

const struct metric_row metric_rows[N_METRICS] = {
	[METRIC_INVOCATIONS] = {OF_ENDPOINT, "Invocations",            "Count"       },
	[METRIC_PER_INSTANCE] = {OF_ENDPOINT, "InvocationsPerInstance", "None"        },
	[METRIC_4XX] = {OF_ENDPOINT, "Invocation4XXErrors",    "Count"       },
	[METRIC_5XX] = {OF_ENDPOINT, "Invocation5XXErrors",    "Count"       },
	[METRIC_MODEL_ERRORS] = {OF_ENDPOINT, "InvocationModelErrors",  "Count"       },
	[METRIC_MODEL_LATENCY] = {OF_ENDPOINT, "ModelLatency",           "Microseconds"},
	[METRIC_OVERHEAD] = {OF_ENDPOINT, "OverheadLatency",        "Microseconds"},
	[METRIC_CPU] = {OF_INSTANCE, "CPUUtilization",         "Percent"     },
	[METRIC_MEMORY] = {OF_INSTANCE, "MemoryUtilization",      "Percent"     },
	[METRIC_DISK] = {OF_INSTANCE, "DiskUtilization",        "Percent"     },
};

/* One minute of one variant. */
struct series {
	struct series *next;
	int64_t minute;
	char endpoint[64], variant[64];
	struct bucket buckets[N_METRICS];
};

struct metrics {
	struct backend *be;
	pthread_mutex_t
		io; /* the store's table and what memory holds are one: taken before mu and db.mu */
	pthread_mutex_t mu;          /* guards what follows */
	struct series *table[SLOTS]; /* of the minute that runs */
	struct series *full;         /* of minutes before, not kept yet */
	int64_t minute;
	bool writing; /* a job keeps them */
	int64_t purged;
};

static int64_t this_minute(void)
{
	return (int64_t)(time_now() / 60);
}

void bucket_merge(struct bucket *into, const struct bucket *b)
{
	if (b->n <= 0)
		return;
	into->low = into->n > 0 ? MIN(into->low, b->low) : b->low;
	into->high = into->n > 0 ? MAX(into->high, b->high) : b->high;
	into->n += b->n;
	into->sum += b->sum;
}

/* ---- counting ---- */

/* The minute's end: all that there is becomes full. */
static void turn_locked(struct metrics *m, int64_t now)
{
	if (now == m->minute)
		return;
	for (size_t i = 0; i < SLOTS; i++) {
		while (m->table[i]) {
			struct series *s = m->table[i];

			m->table[i] = s->next;
			s->next = m->full;
			m->full = s;
		}
	}
	m->minute = now;
}

static size_t slot_of(const char *endpoint, const char *variant)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *endpoint; endpoint++)
		h = (h ^ (unsigned char)*endpoint) * 16777619u;
	for (; *variant; variant++)
		h = (h ^ (unsigned char)*variant) * 16777619u;
	return h % SLOTS;
}

static struct series *series_locked(struct metrics *m, const char *endpoint, const char *variant)
{
	struct series **slot = &m->table[slot_of(endpoint, variant)], *s;

	for (s = *slot; s; s = s->next) {
		if (streq(s->endpoint, endpoint) && streq(s->variant, variant))
			return s;
	}
	s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	snprintf(s->endpoint, sizeof s->endpoint, "%s", endpoint);
	snprintf(s->variant, sizeof s->variant, "%s", variant);
	s->minute = m->minute;
	s->next = *slot;
	return *slot = s;
}

static void add(struct series *s, enum metric metric, double v)
{
	const struct bucket one = {1, v, v, v};

	bucket_merge(&s->buckets[metric], &one);
}

void metrics_add(struct metrics *m, const char *endpoint, const char *variant, enum metric metric,
		 double value)
{
	int64_t now = this_minute();

	SCOPED_LOCK(&m->mu);
	turn_locked(m, now);
	struct series *s = series_locked(m, endpoint, variant);
	if (s)
		add(s, metric, value);
}

void metrics_invoked(struct metrics *m, const struct invoked *i)
{
	int64_t now = this_minute();

	SCOPED_LOCK(&m->mu);
	turn_locked(m, now);
	struct series *s = series_locked(m, i->endpoint, i->variant);
	if (!s)
		return;
	add(s, METRIC_INVOCATIONS, 1);
	add(s, METRIC_PER_INSTANCE, 1.0 / MAX(i->instances, 1u));
	add(s, METRIC_4XX, i->status >= 400 && i->status < 500);
	add(s, METRIC_5XX, i->status >= 500);
	add(s, METRIC_MODEL_ERRORS, i->status < 200 || i->status > 299);
	add(s, METRIC_MODEL_LATENCY, i->model * 1e6);
	add(s, METRIC_OVERHEAD, i->overhead * 1e6);
}

/* ---- keeping ---- */

static int write_bucket(struct metrics *m, const struct series *s, size_t metric, struct err *e)
{
	const struct bucket *b = &s->buckets[metric];
	const char *name = metric_rows[metric].name;

	if (b->n <= 0)
		return 0;
	if (db_run(m->be->db, e,
		   "INSERT INTO metric(endpoint, variant, name, minute, n, sum, low, high) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
		   " ON CONFLICT DO UPDATE SET n=n+excluded.n, sum=sum+excluded.sum, low=min(low, excluded.low),"
		   " high=max(high, excluded.high)",
		   "sssidddd", s->endpoint, s->variant, name, s->minute, b->n, b->sum, b->low,
		   b->high) < 0)
		return -1;
	return db_run(
		m->be->db, e,
		"INSERT OR REPLACE INTO metric_seen(endpoint, variant, name, minute) VALUES(?, ?, ?, ?)",
		"sssi", s->endpoint, s->variant, name, s->minute);
}

static int purge(struct metrics *m, struct err *e)
{
	int64_t now = this_minute();

	if (now - m->purged < PURGE_EVERY)
		return 0;
	m->purged = now;
	if (db_run(m->be->db, e, "DELETE FROM metric WHERE minute < ?", "i", now - KEPT_MINUTES) <
	    0)
		return -1;
	return db_run(m->be->db, e, "DELETE FROM metric_seen WHERE minute < ?", "i",
		      now - KEPT_MINUTES);
}

static int write_all(struct metrics *m, const struct series *list, struct err *e)
{
	_cleanup_change_ struct db_change change = {NULL};

	SCOPED_LOCK(db_lock(m->be->db));
	if (db_begin(m->be->db, &change, e) < 0)
		return -1;
	for (const struct series *s = list; s; s = s->next) {
		for (size_t i = 0; i < N_METRICS; i++) {
			if (write_bucket(m, s, i, e) < 0)
				return -1;
		}
	}
	return purge(m, e) < 0 ? -1 : db_commit(&change, e);
}

static void free_series(struct series *list)
{
	while (list) {
		struct series *s = list;

		list = s->next;
		free(s);
	}
}

static void keep(struct metrics *m)
{
	struct err e;

	SCOPED_LOCK(&m->io);
	pthread_mutex_lock(&m->mu);
	struct series *list = steal(m->full);
	pthread_mutex_unlock(&m->mu);
	if (list && write_all(m, list, &e) < 0)
		logger_error(m->be->log, "metrics of a minute are lost: %s", e.text);
	free_series(list);
	pthread_mutex_lock(&m->mu);
	m->writing = false;
	pthread_mutex_unlock(&m->mu);
}

static void keep_job(void *m)
{
	keep(m);
}

void metrics_tick(struct metrics *m)
{
	SCOPED_LOCK(&m->mu);
	turn_locked(m, this_minute());
	if (!m->full || m->writing)
		return;
	m->writing = pool_run(m->be->quick, keep_job, m) == 0;
}

struct metrics *metrics_new(struct backend *be, struct err *e)
{
	struct metrics *m = calloc(1, sizeof *m);

	if (!m) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	m->be = be;
	m->minute = this_minute();
	pthread_mutex_init(&m->io, NULL);
	pthread_mutex_init(&m->mu, NULL);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	turn_locked(m, -1);
	keep(m);
	pthread_mutex_destroy(&m->io);
	pthread_mutex_destroy(&m->mu);
	free(m);
}

/* ---- asking ---- */

struct points {
	struct point *rows;
	size_t n, cap;
};

/* Into the row of its period; rows are by time. */
static int add_point(struct points *l, int64_t minute, const struct bucket *b)
{
	size_t i = l->n;

	while (i && l->rows[i - 1].minute > minute)
		i--;
	if (i && l->rows[i - 1].minute == minute) {
		bucket_merge(&l->rows[i - 1].bucket, b);
		return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct point *more = realloc(l->rows, cap * sizeof *more);

		if (!more)
			return -1;
		l->rows = more;
		l->cap = cap;
	}
	memmove(&l->rows[i + 1], &l->rows[i], (l->n - i) * sizeof *l->rows);
	l->rows[i] = (struct point){minute, *b};
	l->n++;
	return 0;
}

static int64_t floor_to(int64_t v, int64_t period)
{
	return v - v % period;
}

static int from_store(struct metrics *m, const struct metric_query *q, struct points *l,
		      struct err *e)
{
	int r;

	SCOPED_LOCK(db_lock(m->be->db));
	_cleanup_stmt_ sqlite3_stmt *s = db_prepare(
		m->be->db, e,
		"SELECT minute - minute % ?, total(n), total(sum), min(low), max(high) FROM metric WHERE endpoint=? AND variant=?"
		" AND name=? AND minute>=? AND minute<? GROUP BY 1 ORDER BY 1",
		"isssii", q->period, q->endpoint, q->variant, metric_rows[q->metric].name, q->from,
		q->to);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0) {
		const struct bucket b = {sqlite3_column_double(s, 1), sqlite3_column_double(s, 2),
					 sqlite3_column_double(s, 3), sqlite3_column_double(s, 4)};

		if (add_point(l, sqlite3_column_int64(s, 0), &b) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static int from_series(const struct series *s, const struct metric_query *q, struct points *l)
{
	for (; s; s = s->next) {
		if (s->minute >= q->from && s->minute < q->to && s->buckets[q->metric].n > 0 &&
		    streq(s->endpoint, q->endpoint) && streq(s->variant, q->variant) &&
		    add_point(l, floor_to(s->minute, q->period), &s->buckets[q->metric]) < 0)
			return -1;
	}
	return 0;
}

static int from_memory(struct metrics *m, const struct metric_query *q, struct points *l,
		       struct err *e)
{
	SCOPED_LOCK(&m->mu);
	if (from_series(m->full, q, l) < 0 ||
	    from_series(m->table[slot_of(q->endpoint, q->variant)], q, l) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

struct point *metrics_points(struct metrics *m, const struct metric_query *q, size_t *n,
			     struct err *e)
{
	struct points l = {0};

	SCOPED_LOCK(&m->io);
	if (from_store(m, q, &l, e) < 0 || from_memory(m, q, &l, e) < 0) {
		free(l.rows);
		*n = SIZE_MAX;
		return NULL;
	}
	*n = l.n;
	return l.rows;
}

static enum metric metric_of(const char *name)
{
	enum metric i = METRIC_INVOCATIONS;

	while (i < N_METRICS && !streq(metric_rows[i].name, name))
		i++;
	return i;
}

typedef void seen_fn(void *arg, const char *endpoint, const char *variant, enum metric metric);

static void each_seen(const struct series *s, seen_fn *fn, void *arg)
{
	for (; s; s = s->next) {
		for (size_t i = 0; i < N_METRICS; i++) {
			if (s->buckets[i].n > 0)
				fn(arg, s->endpoint, s->variant, (enum metric)i);
		}
	}
}

static void each_in_memory(struct metrics *m, seen_fn *fn, void *arg)
{
	SCOPED_LOCK(&m->mu);
	each_seen(m->full, fn, arg);
	for (size_t i = 0; i < SLOTS; i++)
		each_seen(m->table[i], fn, arg);
}

int metrics_each(struct metrics *m, int64_t since, seen_fn *fn, void *arg, struct err *e)
{
	int r;

	SCOPED_LOCK(&m->io);
	each_in_memory(m, fn, arg);
	SCOPED_LOCK(db_lock(m->be->db));
	_cleanup_stmt_ sqlite3_stmt *s =
		db_prepare(m->be->db, e,
			   "SELECT endpoint, variant, name FROM metric_seen WHERE minute>=?", "i",
			   since);
	if (!s)
		return -1;
	while ((r = db_step(s, e)) > 0) {
		enum metric metric = metric_of(db_text(s, 2));

		if (metric < N_METRICS)
			fn(arg, db_text(s, 0), db_text(s, 1), metric);
	}
	return r;
}
