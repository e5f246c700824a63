/*
 * metrics.h: what endpoints do, counted by the minute, as CloudWatch has it.
 *
 * The minute that runs is in memory; those before are rows in the store's table `metric`, written once a minute, so a crash costs the
 * last minute at most. Kept for three days.
 */
#ifndef SAGEMAKER_LOCAL_METRICS_H
#define SAGEMAKER_LOCAL_METRICS_H

#include "sagemaker/local/backend.h"

enum metric {
	METRIC_INVOCATIONS,
	METRIC_PER_INSTANCE,
	METRIC_4XX,
	METRIC_5XX,
	METRIC_MODEL_ERRORS,
	METRIC_MODEL_LATENCY,
	METRIC_OVERHEAD,
	METRIC_CPU,
	METRIC_MEMORY,
	METRIC_DISK,
	N_METRICS
};

struct metric_row {
	const char *namespace, *name, *unit;
};

extern const struct metric_row metric_rows[N_METRICS];

/* One statistic set: of a minute, or of several. */
struct bucket {
	double n, sum, low, high;
};

void bucket_merge(struct bucket *into, const struct bucket *b);

struct metrics *metrics_new(struct backend *be, struct err *e) _must_check_;
/* metrics_free: keeps what there is first. */
void metrics_free(struct metrics *m);

/* metrics_add: one value, now. Any thread; a short lock. */
void metrics_add(struct metrics *m, const char *endpoint, const char *variant, enum metric metric,
		 double value);

/* An invocation that a model server was asked. */
struct invoked {
	const char *endpoint, *variant;
	unsigned instances;     /* of the variant */
	long status;            /* the container's; 0: it gave no whole answer */
	double model, overhead; /* seconds: until the container had answered; all else */
};

void metrics_invoked(struct metrics *m, const struct invoked *i);

/* metrics_tick: once a second: what is due is kept (on a worker). */
void metrics_tick(struct metrics *m);

struct point {
	int64_t minute; /* the first of its period, since the epoch */
	struct bucket bucket;
};

struct metric_query {
	const char *endpoint, *variant;
	enum metric metric;
	int64_t from, to, period; /* minutes [from, to) in periods of so many (>= 1) */
};

/* metrics_points: by time, without empty ones. malloc'ed; NULL with *n 0: none; NULL with *n SIZE_MAX: e. Blocks. */
struct point *metrics_points(struct metrics *m, const struct metric_query *q, size_t *n,
			     struct err *e);

/* metrics_each: every metric that got a value in `since` (a minute) or later; some twice. */
int metrics_each(struct metrics *m, int64_t since,
		 void (*fn)(void *arg, const char *endpoint, const char *variant,
			    enum metric metric),
		 void *arg, struct err *e) _must_check_;

/* usage.c: usage_sample: CPU, memory and disk of every model server, every few seconds; from the main loop. */
struct usage;
struct usage *usage_new(struct backend *be, struct err *e) _must_check_;
void usage_free(struct usage *u);
void usage_sample(struct usage *u);

#endif
