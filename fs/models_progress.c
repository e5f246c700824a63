/* models_progress.c: how far the work on models is, for readers of .sagemaker/progress and for `sagemakerfs status`. */
#include "fs/models_room.h"

#define EVENT_MS 1000 /* between two events that say only how many bytes there are */

/* ------------------------------------------------------------------ events */

static void event_bytes(struct model *md, struct progress *p)
{
	_cleanup_buf_ struct buf text = {0};
	struct progress_view v;

	progress_look(p, &v);
	progress_exact(&v, &text);
	__atomic_store_n(&md->told_at, now_ms(), __ATOMIC_RELAXED);
	events_add(&md->events, buf_cstr(&text));
}

/* While a commit runs its phases are the news. */
static void event_status_locked(struct model *md)
{
	_cleanup_buf_ struct buf text = {0};

	if (md->committing)
		return;
	if (model_exists_locked(md) || md->deleting)
		model_status_locked(md, &text);
	else
		buf_str(&text, "removed");
	if (md->told && streq(md->told, buf_cstr(&text)))
		return;
	events_add(&md->events, buf_cstr(&text));
	free(md->told);
	md->told = buf_steal(&text);
}

void model_news_locked(struct model *md)
{
	event_status_locked(md);
	timer_arm(md->s->m->watch, &md->s->tick, 0);
}

int model_events(struct model *md, uint64_t *seen, struct buf *out)
{
	bool there;

	{
		SCOPED_LOCK(&md->s->mu);
		if (!*seen)
			event_status_locked(md);
		there = model_exists_locked(md) || md->deleting;
	}
	events_next(&md->events, seen, out);
	return !there;
}

/* ------------------------------------------------------------------ the tick */

/* True: some work is under way, and there will have to be another look. */
static bool look_locked(struct model *md, int64_t now)
{
	struct progress *const both[] = {&md->work, &md->reads};
	int64_t told = __atomic_load_n(&md->told_at, __ATOMIC_RELAXED);
	bool active = false;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (!progress_active(both[i]))
			continue;
		active = true;
		progress_sample(both[i], now);
		if (progress_counts(both[i]) && now - told >= EVENT_MS)
			event_bytes(md, both[i]);
	}
	return active;
}

/* The first model after md with events that its readers have not been woken for. */
static struct model *next_unheard(struct models *s, const struct model *md)
{
	SCOPED_LOCK(&s->mu);
	struct model *next = md ? md->next : s->list;

	while (next && next->woken == events_last(&next->events))
		next = next->next;
	if (next)
		next->woken = events_last(&next->events);
	return next;
}

/* Whenever something began or ended, and once in a while as long as something runs. */
static void tick(struct timer *t)
{
	struct models *s = t->arg;
	int64_t now = now_ms();

	{
		bool active = false;
		SCOPED_LOCK(&s->mu);
		for (struct model *md = s->list; md; md = md->next)
			active |= look_locked(md, now);
		if (active && !s->stopped)
			timer_arm(s->m->watch, &s->tick, PROGRESS_SAMPLE_MS);
	}
	for (struct model *md = NULL; (md = next_unheard(s, md));)
		model_wake_side(md);
}

/* A phase began or ended, perhaps with models.mu held. How a commit ended is said by the status line. */
static void work_changed(void *arg, enum progress_phase now)
{
	struct model *md = arg;

	if (now != PROGRESS_IDLE)
		event_bytes(md, &md->work);
	timer_arm(md->s->m->watch, &md->s->tick, 0);
}

static void reads_changed(void *arg, enum progress_phase now)
{
	struct model *md = arg;

	(void)now;
	event_bytes(md, &md->reads);
	timer_arm(md->s->m->watch, &md->s->tick, 0);
}

void model_progress_init(struct model *md)
{
	progress_init(&md->work, work_changed, md);
	progress_init(&md->reads, reads_changed, md);
	events_init(&md->events);
}

void model_progress_release(struct model *md)
{
	progress_release(&md->work);
	progress_release(&md->reads);
	events_release(&md->events);
	free(md->told);
}

void models_progress_start(struct models *s)
{
	s->tick = (struct timer){.fn = tick, .arg = s};
}

void models_progress_stop(struct models *s)
{
	{
		SCOPED_LOCK(&s->mu);
		s->stopped = true;
	}
	timer_disarm(s->m->watch, &s->tick);
}

void model_progress_line(struct model *md, struct buf *out)
{
	struct progress_view v;

	progress_look(&md->work, &v);
	if (v.phase == PROGRESS_IDLE)
		progress_look(&md->reads, &v);
	progress_line(&v, out);
}

int models_upload_percent(struct models *s, const char *model)
{
	struct progress_view v;
	SCOPED_LOCK(&s->mu);
	struct model *md = model_find_locked(s, model);

	if (!md || !md->committing)
		return -1;
	progress_look(&md->work, &v);
	return v.phase == PROGRESS_UPLOADING ? MAX(v.percent, 0) : 0;
}

/* ------------------------------------------------------------------ the lines of `sagemakerfs status` */

/* What several do at once, as one. */
struct sum {
	struct progress_view v;
	int n;
};

static void sum_add(struct sum *t, const struct progress_view *v)
{
	t->v.phase = v->phase;
	t->v.done += v->done;
	t->v.total += v->total;
	t->v.rate = (t->n ? MAX(t->v.rate, 0) : 0) + MAX(v->rate, 0);
	t->n++;
}

static void sum_line(struct sum *t, struct buf *out)
{
	if (t->n < 2 || !t->v.total)
		return;
	t->v.percent = (int)MIN((double)t->v.done * 100 / (double)t->v.total, 99);
	t->v.left = t->v.rate >= 1 && t->v.done < t->v.total
			    ? (long)((double)(t->v.total - t->v.done) / t->v.rate + 0.999)
			    : -1;
	if (t->v.rate <= 0)
		t->v.rate = -1;
	buf_printf(out, "total of %d models  ", t->n);
	progress_line(&t->v, out);
	buf_char(out, '\n');
}

static void work_line(const struct model *md, struct progress *p, enum progress_phase summed,
		      struct sum *t, struct buf *out)
{
	struct progress_view v;

	progress_look(p, &v);
	if (v.phase == PROGRESS_IDLE)
		return;
	buf_printf(out, "models/%s  ", md->name);
	progress_line(&v, out);
	buf_char(out, '\n');
	if (v.phase == summed)
		sum_add(t, &v);
}

void models_status(struct models *s, struct buf *out)
{
	struct sum uploads = {0}, reads = {0};
	SCOPED_LOCK(&s->mu);

	for (struct model *md = s->list; md; md = md->next) {
		if (progress_active(&md->work)) {
			work_line(md, &md->work, PROGRESS_UPLOADING, &uploads, out);
		} else if (md->dirty || md->deleting) {
			buf_printf(out, "models/%s  ", md->name);
			model_status_locked(md, out);
			buf_char(out, '\n');
		}
	}
	sum_line(&uploads, out);
	for (struct model *md = s->list; md; md = md->next)
		work_line(md, &md->reads, PROGRESS_READING, &reads, out);
	sum_line(&reads, out);
}
