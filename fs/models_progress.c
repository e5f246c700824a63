/* models_progress.c: how far the work on models is, for readers of .sagemaker/progress and for `sagemakerfs status`. */
#include "fs/models_room.h"

/* While something runs, once in a while: samples for the rates. Then it rests until somebody begins. */
static void tick(struct timer *t)
{
	struct models *s = t->arg;
	int64_t now = now_ms();
	bool active = false;
	SCOPED_LOCK(&s->mu);

	for (struct model *md = s->list; md; md = md->next) {
		struct progress *const both[] = {&md->work, &md->reads};

		for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
			if (!progress_active(both[i]))
				continue;
			progress_sample(both[i], now);
			active = true;
		}
	}
	if (active && !s->stopped)
		timer_arm(s->m->watch, &s->tick, PROGRESS_SAMPLE_MS);
}

/* A phase began or ended; perhaps with models.mu held. */
static void changed(void *arg, enum progress_phase now)
{
	struct model *md = arg;

	(void)now;
	timer_arm(md->s->m->watch, &md->s->tick, 0);
}

void model_progress_init(struct model *md)
{
	progress_init(&md->work, changed, md);
	progress_init(&md->reads, changed, md);
}

void model_progress_release(struct model *md)
{
	progress_release(&md->work);
	progress_release(&md->reads);
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

/* One line of `sagemakerfs status`: a bar where bytes are counted. */
static void status_line(const struct model *md, struct progress *p, struct buf *out)
{
	struct progress_view v;

	progress_look(p, &v);
	buf_printf(out, "models/%s  ", md->name);
	if (v.percent >= 0) {
		progress_bar(v.percent, 20, out);
		buf_str(out, "  ");
	}
	progress_line(&v, out);
	buf_char(out, '\n');
}

void models_status(struct models *s, struct buf *out)
{
	SCOPED_LOCK(&s->mu);

	for (struct model *md = s->list; md; md = md->next) {
		if (progress_active(&md->work)) {
			status_line(md, &md->work, out);
		} else if (md->dirty || md->deleting) {
			buf_printf(out, "models/%s  ", md->name);
			model_status_locked(md, out);
			buf_char(out, '\n');
		}
		if (progress_active(&md->reads))
			status_line(md, &md->reads, out);
	}
}
