/* progress.c: counters, a moving average, and how both are said. */
#include "fs/progress.h"

#include <string.h>

#include "sagemaker/util.h"

#define RATE_MIN_MS 1000 /* a rate of less time than this would be a guess */

/* Rows: a phase, its word, and whether bytes are counted in it. */
static const struct {
	const char *word;
	bool counts;
} phases[PROGRESS_PHASES] = {
	[PROGRESS_IDLE] = {"idle",       false},
          [PROGRESS_CHECKING] = {"checking",   false},
	[PROGRESS_HASHING] = {"hashing",    true },
          [PROGRESS_PACKING] = {"packing",    true },
	[PROGRESS_UPLOADING] = {"uploading",  true },
          [PROGRESS_PUBLISHING] = {"publishing", false},
	[PROGRESS_COPYING] = {"copying",    true },
          [PROGRESS_READING] = {"reading",    true },
	[PROGRESS_VERIFYING] = {"verifying",  true },
};

static const struct progress_count nothing = {0};

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

void progress_init(struct progress *p, void (*changed)(void *arg, enum progress_phase now),
		   void *arg)
{
	memset(p, 0, sizeof *p);
	pthread_mutex_init(&p->mu, NULL);
	p->changed = changed;
	p->arg = arg;
}

void progress_release(struct progress *p)
{
	pthread_mutex_destroy(&p->mu);
}

enum progress_phase progress_now(const struct progress *p)
{
	return __atomic_load_n(&p->phase, __ATOMIC_RELAXED);
}

static void begin_locked(struct progress *p, enum progress_phase phase, uint64_t total,
			 const struct progress_count *from)
{
	__atomic_store_n(&p->phase, phase, __ATOMIC_RELAXED);
	__atomic_store_n(&p->total, total, __ATOMIC_RELAXED);
	__atomic_store_n(&p->count.added, from->added, __ATOMIC_RELAXED);
	__atomic_store_n(&p->count.made, from->made, __ATOMIC_RELAXED);
	__atomic_store_n(&p->count.sent, from->sent, __ATOMIC_RELAXED);
	p->n = 0;
	p->high = 0;
}

static void tell(struct progress *p, enum progress_phase phase)
{
	if (p->changed)
		p->changed(p->arg, phase);
}

void progress_resume(struct progress *p, enum progress_phase phase, uint64_t total,
		     const struct progress_count *earlier)
{
	bool same;

	{
		SCOPED_LOCK(&p->mu);
		same = progress_now(p) == phase && !phases[phase].counts;
		begin_locked(p, phase, total, earlier);
	}
	if (!same)
		tell(p, phase);
}

void progress_phase(struct progress *p, enum progress_phase phase, uint64_t total)
{
	progress_resume(p, phase, total, &nothing);
}

void progress_join(struct progress *p, enum progress_phase phase, uint64_t n)
{
	bool first;

	{
		SCOPED_LOCK(&p->mu);
		first = p->joined++ == 0 && !p->lingers;
		p->lingers = false;
		p->resting = 0;
		if (first)
			begin_locked(p, phase, n, &nothing);
		else
			__atomic_fetch_add(&p->total, n, __ATOMIC_RELAXED);
	}
	if (first)
		tell(p, phase);
}

void progress_leave(struct progress *p)
{
	SCOPED_LOCK(&p->mu);

	p->lingers = --p->joined == 0;
}

/* Whether a phase that was joined is over now. */
static bool rested_locked(struct progress *p, int64_t now)
{
	if (!p->lingers)
		return false;
	if (!p->resting)
		p->resting = MAX(now, 1);
	if (now - p->resting < PROGRESS_LINGER_MS)
		return false;
	p->lingers = false;
	p->resting = 0;
	begin_locked(p, PROGRESS_IDLE, 0, &nothing);
	return true;
}

void progress_add(struct progress *p, uint64_t n)
{
	__atomic_fetch_add(&p->count.added, n, __ATOMIC_RELAXED);
}

void progress_made(struct progress *p, uint64_t n)
{
	__atomic_fetch_add(&p->count.made, n, __ATOMIC_RELAXED);
}

void progress_sent(struct progress *p, uint64_t bytes)
{
	uint64_t before = load(&p->count.sent);

	while (before < bytes && !__atomic_compare_exchange_n(&p->count.sent, &before, bytes, true,
							      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

bool progress_active(const struct progress *p)
{
	return progress_now(p) != PROGRESS_IDLE;
}

bool progress_counts(const struct progress *p)
{
	return phases[progress_now(p)].counts;
}

/* What is done of what was added: all of it, or the part that was sent. */
static uint64_t done_locked(struct progress *p)
{
	uint64_t added = load(&p->count.added), made = load(&p->count.made),
		 sent = load(&p->count.sent);
	uint64_t total = load(&p->total);
	double part = made ? (double)MIN(sent, made) / (double)made : 1;
	bool waits = progress_now(p) == PROGRESS_UPLOADING && !made;
	uint64_t done = waits ? 0 : (uint64_t)((double)added * part);

	p->high = MAX(p->high, done);
	return total ? MIN(p->high, total) : p->high;
}

static void sample_locked(struct progress *p, int64_t now)
{
	unsigned last = (p->n + PROGRESS_SAMPLES - 1) % PROGRESS_SAMPLES;

	if (p->n && now - p->sample[last].at < PROGRESS_SAMPLE_MS / 2)
		return;
	p->sample[p->n % PROGRESS_SAMPLES].at = now;
	p->sample[p->n % PROGRESS_SAMPLES].done = done_locked(p);
	p->n++;
}

void progress_sample(struct progress *p, int64_t now)
{
	bool over;

	{
		SCOPED_LOCK(&p->mu);
		over = rested_locked(p, now);
		if (!over)
			sample_locked(p, now);
	}
	if (over)
		tell(p, PROGRESS_IDLE);
}

static double rate_locked(const struct progress *p)
{
	if (p->n < 2)
		return -1;
	unsigned last = (p->n - 1) % PROGRESS_SAMPLES;
	unsigned first = p->n > PROGRESS_SAMPLES ? p->n % PROGRESS_SAMPLES : 0;
	int64_t ms = p->sample[last].at - p->sample[first].at;

	if (ms < RATE_MIN_MS)
		return -1;
	return (double)(p->sample[last].done - p->sample[first].done) * 1000 / (double)ms;
}

void progress_look(struct progress *p, struct progress_view *out)
{
	SCOPED_LOCK(&p->mu);

	*out = (struct progress_view){
		.phase = progress_now(p), .percent = -1, .rate = -1, .left = -1};
	if (!phases[out->phase].counts)
		return;
	out->done = done_locked(p);
	out->total = load(&p->total);
	out->rate = rate_locked(p);
	if (!out->total)
		return;
	out->percent = (int)MIN((double)out->done * 100 / (double)out->total, 99);
	if (out->rate >= 1 && out->done < out->total)
		out->left = (long)((double)(out->total - out->done) / out->rate + 0.999);
}

/* ------------------------------------------------------------------ in words */

const char *progress_word(enum progress_phase phase)
{
	return phases[phase].word;
}

void progress_bytes(double bytes, struct buf *out)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t i = 0;

	while (bytes >= 1023.5 && i + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		i++;
	}
	buf_printf(out, i && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, units[i]);
}

void progress_time(long seconds, struct buf *out)
{
	if (seconds < 60)
		buf_printf(out, "%ld s", seconds);
	else if (seconds < 3600)
		buf_printf(out, "%ld min %ld s", seconds / 60, seconds % 60);
	else
		buf_printf(out, "%ld h %ld min", seconds / 3600, seconds % 3600 / 60);
}

static bool has_bytes(const struct progress_view *v)
{
	return v->done || v->total;
}

void progress_line(const struct progress_view *v, struct buf *out)
{
	buf_str(out, progress_word(v->phase));
	if (!has_bytes(v))
		return;
	if (v->percent >= 0)
		buf_printf(out, " %d %%", v->percent);
	buf_char(out, ' ');
	progress_bytes((double)v->done, out);
	if (v->total) {
		buf_str(out, " of ");
		progress_bytes((double)v->total, out);
	}
	if (v->rate >= 0) {
		buf_str(out, ", ");
		progress_bytes(v->rate, out);
		buf_str(out, "/s");
	}
	if (v->left >= 0) {
		buf_str(out, ", ");
		progress_time(v->left, out);
		buf_str(out, " left");
	}
}

void progress_exact(const struct progress_view *v, struct buf *out)
{
	buf_str(out, progress_word(v->phase));
	if (!has_bytes(v))
		return;
	buf_printf(out, " done=%llu", (unsigned long long)v->done);
	if (v->total)
		buf_printf(out, " total=%llu percent=%d", (unsigned long long)v->total, v->percent);
	if (v->rate >= 0)
		buf_printf(out, " rate=%.0f", v->rate);
	if (v->left >= 0)
		buf_printf(out, " left=%ld", v->left);
}

void progress_bar(int percent, int width, struct buf *out)
{
	for (int i = 0; i < width; i++)
		buf_char(out, i * 100 < percent * width ? '#' : '.');
}
