/*
 * models_prune.c: after a publication, old versions that nothing uses go: all but the newest five. Why nobody can be about to use
 * one of them: docs/models.md.
 */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"
#include "sagemaker/users.h"

#define KIND "prune" /* in the journal: {"keys": archives that no manifest is to name} */

/* One pruning under way. */
struct pruning {
	struct model *md;
	struct manifest *man;
	char etag[128];
	struct s3_bucket bucket;
	struct prune *rows;
	size_t n;
	struct cancel *cancel;
};

static void pruning_release(struct pruning *p)
{
	manifest_unref(p->man);
	free(p->rows);
}

/* What the models of the account say; those made before any of the archives was stored cannot name one. */
static int ask_uses(struct pruning *p, struct err *e)
{
	struct archive_use *uses = calloc(p->n + 1, sizeof *uses);
	double oldest = (double)time(NULL);
	bool memory = uses;

	for (size_t i = 0; memory && i < p->n; i++) {
		const cJSON *record = p->rows[i].record;

		oldest = MIN(oldest, record_when(manifest_text(record, "stored")));
		uses[i].uri =
			str_printf("s3://%s/%s", p->bucket.name, manifest_text(record, "key"));
		memory = uses[i].uri;
	}
	int r = memory ? users_of_archives(p->md->s->m->aws, uses, p->n, MAX(oldest - 86400, 0),
					   p->cancel, e)
		       : err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; uses && i < p->n; i++) {
		p->rows[i].used = uses[i].used;
		free(uses[i].uri);
	}
	free(uses);
	return r;
}

static char *keys_json(const struct pruning *p)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *keys = prune_keys(p->man, p->rows, p->n);

	if (!keys || !cJSON_AddItemToObject(j, "keys", keys))
		return NULL;
	return cJSON_PrintUnformatted(j);
}

/* The manifest without them, if it is still the one that was looked at. */
static int put(struct pruning *p, struct err *e)
{
	_cleanup_free_ char *text = prune_text(p->man, p->rows, p->n);
	_cleanup_(manifest_unrefp)
	struct manifest *made = NULL;
	char etag[128];

	if (catalog_write(p->md, text, p->etag, &made, etag, p->cancel, e) < 0)
		return -1;
	catalog_learn(p->md, made, etag);
	return 0;
}

/* What the journal says is unnamed goes; what a manifest names (again, or still) stays. */
static int finish(struct model *md, const cJSON *keys, int64_t id, struct cancel *c, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	char etag[128];

	if (catalog_load(md, &man, etag, c, e) < 0)
		return -1;
	int r = archives_delete(md->s, keys, man, c, e);
	return r ? r : journal_end(md->s->m->journal, id, e);
}

/* Manifest first, then what it named. */
static int drop(struct pruning *p, size_t going, struct err *e)
{
	struct mount *m = p->md->s->m;
	_cleanup_free_ char *json = keys_json(p);
	_cleanup_json_ cJSON *j = json ? cJSON_Parse(json) : NULL;
	int64_t id;

	if (!j)
		return err_set(e, ENOMEM, "out of memory");
	if (journal_begin(m->journal, KIND, p->md->name, json, &id, e) < 0)
		return -1;
	if (put(p, e) < 0) {
		if (catalog_overtaken(e)) /* somebody published: the next publication prunes */
			return journal_end(m->journal, id, e);
		return -1; /* nobody knows: the next mount looks */
	}
	int r = finish(p->md, cJSON_GetObjectItemCaseSensitive(j, "keys"), id, p->cancel, e);
	if (r == 0)
		log_line(m->log, LOG_LEVEL_INFO, "models",
			 "model '%s': %zu old versions that nothing uses were removed", p->md->name,
			 going);
	return r < 0 ? -1 : 0;
}

static int prune(struct pruning *p, struct err *e)
{
	struct models *s = p->md->s;

	if (mount_bucket(s->m, &p->bucket, p->cancel, e) < 0 ||
	    catalog_load(p->md, &p->man, p->etag, p->cancel, e) < 0)
		return -1;
	if (!p->man)
		return 0;
	if (prune_list(p->man, (double)time(NULL), (double)s->prune_after, &p->rows, &p->n) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (!prune_choose(p->rows, p->n)) /* not even if none of them were used */
		return 0;
	if (ask_uses(p, e) < 0)
		return -1;
	size_t going = prune_choose(p->rows, p->n);
	return going ? drop(p, going, e) : 0;
}

static void prune_once(struct model *md, struct cancel *cancel)
{
	struct pruning p = {.md = md, .cancel = cancel};
	struct err e = {0};

	if (prune(&p, &e) < 0 && !cancel_is_set(cancel))
		log_line(md->s->m->log, LOG_LEVEL_INFO, "models",
			 "model '%s': old versions are kept: %s", md->name, e.text);
	pruning_release(&p);
}

/* Whether there was another publication meanwhile; else the job is over. */
static bool again(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);
	bool more = md->prune_again && !md->s->stopping;

	md->prune_again = false;
	md->pruning = more;
	return more;
}

static void prune_job(void *arg, struct cancel *cancel)
{
	do
		prune_once(arg, cancel);
	while (again(arg));
}

void model_prune(struct model *md)
{
	struct models *s = md->s;

	{
		SCOPED_LOCK(&s->mu);
		int n = md->man ? cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(md->man->json,
										      "versions"))
				: 0;
		md->prune_again = md->pruning;
		if (s->stopping || md->pruning || n <= PRUNE_KEEP + 1)
			return;
		md->pruning = true;
	}

	if (jobs_run(s->m->jobs, prune_job, md) == 0)
		return;
	SCOPED_LOCK(&s->mu);
	md->pruning = false;
}

/* A pruning that the last mount did not end. */
static int resume(const struct unfinished *u, struct cancel *c, struct err *e)
{
	return finish(u->md, cJSON_GetObjectItemCaseSensitive(u->json, "keys"), u->id, c, e);
}

void models_resume_prunes(struct models *s)
{
	models_resume(s, &(const struct resume){KIND, "old versions", resume, false});
}
