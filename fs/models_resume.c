/* models_resume.c: what the last mount began and did not end: a job for each such operation of the journal. */
#include "fs/models_room.h"

struct resuming {
	struct unfinished u;
	struct models *s;
	struct resume how;
};

static void resuming_free(struct resuming *v)
{
	if (v->u.md && v->how.deletes) {
		SCOPED_LOCK(&v->s->mu);
		v->u.md->deleting = false;
		pthread_cond_broadcast(&v->s->changed);
	}
	cJSON_Delete(v->u.json);
	free(v);
}

static void resume_job(void *arg, struct cancel *cancel)
{
	struct resuming *v = arg;
	struct err e = {0};

	if (v->how.run(&v->u, cancel, &e) < 0)
		log_line(v->s->m->log, LOG_LEVEL_WARNING, "models", "%s of model '%s': %s",
			 v->how.what, v->u.md->name, e.text);
	resuming_free(v);
}

static int resume_one(void *arg, int64_t id, const char *name, const char *json)
{
	const struct resuming *all = arg;
	struct resuming *v = malloc(sizeof *v);
	struct err e;

	if (!v)
		return -1;
	*v = *all;
	v->u = (struct unfinished){model_get(all->s, name, &e), id, cJSON_Parse(json)};
	if (v->u.md && v->how.deletes) {
		SCOPED_LOCK(&v->s->mu);
		v->u.md->deleting = true;
	}
	if (!v->u.md || !v->u.json || jobs_run(v->s->m->jobs, resume_job, v) < 0)
		resuming_free(v);
	return 0;
}

void models_resume(struct models *s, const struct resume *how)
{
	struct resuming all = {.s = s, .how = *how};
	struct err e;

	if (journal_each(s->m->journal, how->kind, resume_one, &all, &e) < 0)
		log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
}
