/* models_sweep.c: uploads under our prefix that somebody else's mount, or another program, has left behind: parts are billed until
 * they are aborted. Our own are in the journal. */
#include "fs/models_room.h"
#include "sagemaker/s3.h"

#define SWEPT   "swept" /* the journal's setting: when, epoch seconds */
#define EVERY_S 86400
#define LEFT_S  (7 * 86400.0)

static bool is_due(struct models *s)
{
	_cleanup_free_ char *last = NULL;
	char now[32];
	struct err e;

	if (journal_get(s->m->journal, SWEPT, &last, &e) < 0 ||
	    (last && time(NULL) - (time_t)strtoll(last, NULL, 10) < EVERY_S))
		return false;
	snprintf(now, sizeof now, "%lld", (long long)time(NULL));
	return journal_set(s->m->journal, SWEPT, now, &e) == 0;
}

static void sweep_job(void *arg, struct cancel *cancel)
{
	struct models *s = arg;
	struct mount *m = s->m;
	_cleanup_free_ char *prefix = str_printf("%s/", m->config.prefix);
	struct s3_bucket bucket;
	struct err e = {0};
	unsigned n = 0;

	if (!prefix || mount_bucket(m, &bucket, cancel, &e) < 0)
		return;
	/* Not being permitted to is no failure: then others see to their own. */
	if (s3_multipart_sweep_old(m->aws, &bucket, prefix, LEFT_S, &n, cancel, &e) < 0)
		log_line(m->log, LOG_LEVEL_DEBUG, "models", "%s", e.text);
	if (n)
		log_line(m->log, LOG_LEVEL_INFO, "models",
			 "aborted %u uploads under s3://%s/%s that were left unfinished a week ago",
			 n, bucket.name, prefix);
}

void models_sweep(struct models *s)
{
	if (is_due(s) && jobs_run(s->m->jobs, sweep_job, s) < 0)
		log_line(s->m->log, LOG_LEVEL_DEBUG, "models",
			 "no thread to look for unfinished uploads");
}
