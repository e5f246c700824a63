/*
 * commit_files.c: the upload of a version whose files become objects, and what is left of one that broke off: it stays, in the journal and at
 * the service, so that the next commit goes on from it, and goes when that has another way.
 */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/files.h"
#include "sagemaker/s3.h"

#define KIND \
 "files" /* in the journal: {"key", "digest", "files": [[path below key, size, sha256], ...]} */

static cJSON *data_new(const struct commit *c)
{
	cJSON *data = cJSON_CreateObject(), *files;

	cJSON_AddStringToObject(data, "key", c->key);
	cJSON_AddStringToObject(data, "digest", c->plan->digest);
	files = cJSON_AddArrayToObject(data, "files");
	for (size_t i = 0; files && i < c->plan->n_members; i++) {
		const struct package_member *m = &c->plan->members[i];
		char sha[SHA256_HEX];
		cJSON *row = cJSON_CreateArray();

		hex(m->sha256, SHA256_LEN, sha);
		cJSON_AddItemToArray(row, cJSON_CreateString(m->archive));
		cJSON_AddItemToArray(row, cJSON_CreateNumber((double)m->size));
		cJSON_AddItemToArray(row, cJSON_CreateString(sha));
		cJSON_AddItemToArray(files, row);
	}
	if (files && (size_t)cJSON_GetArraySize(files) == c->plan->n_members)
		return data;
	cJSON_Delete(data);
	return NULL;
}

/* The last component of a prefix: the version that the files are to be. */
static void version_of_key(const char *key, char out[48])
{
	size_t n = strlen(key) - 1, from = n;

	while (from && key[from - 1] != '/')
		from--;
	n = MIN(n - from, (size_t)47);
	memcpy(out, key + from, n);
	out[n] = 0;
}

/* Whether what is left is of these very files, and nobody has published it after all: then it is gone on with. */
static bool adopt(struct commit *c)
{
	struct model *md = c->md;
	SCOPED_LOCK(&md->s->mu);
	const char *key = data_key(md->left);

	if (!md->left || !streq(manifest_text(md->left, "digest"), c->plan->digest) ||
	    !ends_with(key, "/") || (c->old && manifest_names_key(c->old, key)))
		return false;
	version_of_key(key, c->version);
	snprintf(c->key, sizeof c->key, "%s", key);
	c->data = steal(md->left);
	c->journal = md->left_id;
	return true;
}

static int begin(struct commit *c, struct err *e)
{
	struct models *s = c->md->s;

	snprintf(c->key, sizeof c->key, "%s/%s/%s/",
		 s->m->config.prefix ? s->m->config.prefix : "model", c->md->name, c->version);
	c->data = data_new(c);
	_cleanup_free_ char *json = c->data ? cJSON_PrintUnformatted(c->data) : NULL;
	if (!json)
		return err_set(e, ENOMEM, "out of memory");
	return journal_begin(s->m->journal, KIND, c->md->name, json, &c->journal, e);
}

/* Where the same bytes are already --------------------------------------------------------- */

struct holder {
	const char *sha256, *prefix, *path;
	double size;
	bool published;
};

struct holders {
	struct holder *v;
	size_t n;
};

static int by_sha(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	int order = strcmp(x->sha256, y->sha256);

	return order ? order : (int)y->published - (int)x->published;
}

static double size_of(const cJSON *j)
{
	return cJSON_IsNumber(j) ? j->valuedouble : -1;
}

static void know_record(struct holders *l, const cJSON *record)
{
	const cJSON *m;

	if (!record_is_files(record))
		return;
	cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(record, "members")) {
		const char *path = manifest_text(m, "archive");

		if (manifest_path_ok(path))
			l->v[l->n++] = (struct holder){
				manifest_text(m, "sha256"), manifest_text(record, "key"), path,
				size_of(cJSON_GetObjectItemCaseSensitive(m, "size")), true};
	}
}

static void know_left(struct holders *l, const cJSON *left)
{
	const cJSON *f;

	cJSON_ArrayForEach(f, cJSON_GetObjectItemCaseSensitive(left, "files")) {
		const char *path = cJSON_GetStringValue(cJSON_GetArrayItem(f, 0));
		const char *sha = cJSON_GetStringValue(cJSON_GetArrayItem(f, 2));

		if (path && sha && manifest_path_ok(path))
			l->v[l->n++] = (struct holder){sha, data_key(left), path,
						       size_of(cJSON_GetArrayItem(f, 1)), false};
	}
}

static size_t most_known(const cJSON *versions, const cJSON *left)
{
	size_t n = (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(left, "files"));
	const cJSON *v;

	cJSON_ArrayForEach(v, versions) {
		n += (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(v, "members"));
	}
	return n;
}

static int choose_copies(const struct commit *c, const struct holders *l,
			 struct files_object *objects)
{
	for (size_t i = 0; i < c->plan->n_members; i++) {
		const struct package_member *m = &c->plan->members[i];
		char sha[SHA256_HEX];
		const struct holder published = {.sha256 = sha, .published = true},
				    half = {.sha256 = sha};

		hex(m->sha256, SHA256_LEN, sha);
		const struct holder *k = bsearch(&published, l->v, l->n, sizeof *l->v, by_sha);
		if (!k)
			k = bsearch(&half, l->v, l->n, sizeof *l->v, by_sha);
		if (!k || !m->size || k->size != (double)m->size)
			continue;
		objects[i].copy = str_printf("%s%s", k->prefix, k->path);
		objects[i].copy_known = k->published;
		if (!objects[i].copy)
			return -1;
	}
	return 0;
}

/* What some version, or half an upload, has of these files: S3 copies it. */
static int find_copies(const struct commit *c, struct files_object *objects)
{
	const cJSON *v,
		*versions =
			c->old ? cJSON_GetObjectItemCaseSensitive(c->old->json, "versions") : NULL;
	const cJSON *left = c->md->left; /* a commit's own while it runs */
	struct holders l = {calloc(most_known(versions, left) + 1, sizeof *l.v), 0};
	int r = l.v ? 0 : -1;

	if (l.v) {
		cJSON_ArrayForEach(v, versions) {
			know_record(&l, v);
		}
		know_left(&l, left);
		qsort(l.v, l.n, sizeof *l.v, by_sha);
		r = choose_copies(c, &l, objects);
	}
	free(l.v);
	return r;
}

/* The upload ------------------------------------------------------------------------------- */

static void sent(void *arg, uint64_t bytes)
{
	progress_add(&((struct commit *)arg)->md->work, bytes);
}

static int upload(struct commit *c, struct files_object *objects, struct err *e)
{
	const struct files f = {.aws = c->md->s->m->aws,
				.bucket = &c->bucket,
				.prefix = c->key,
				.plan = c->plan,
				.objects = objects,
				.sent = sent,
				.arg = c,
				.cancel = c->cancel};

	c->uploaded = true;
	progress_phase(&c->md->work, PROGRESS_UPLOADING, c->plan->bytes);
	if (files_upload(&f, e) < 0)
		return e->no == EBUSY ? -1 : err_prefix(e, "cannot upload model '%s'", c->md->name);
	if (record_files_stored(c->record, c->key, objects) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

int commit_upload_files(struct commit *c, struct err *e)
{
	size_t n = c->plan->n_members;
	struct files_object *objects = calloc(n + 1, sizeof *objects);
	int r = objects ? mount_bucket_make(c->md->s->m, &c->bucket, c->cancel, e)
			: err_set(e, ENOMEM, "out of memory");

	if (r == 0 && adopt(c)) {
		for (size_t i = 0; i < n; i++)
			objects[i].look = true;
	} else if (r == 0) {
		r = begin(c, e);
	}
	if (r == 0 && find_copies(c, objects) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = upload(c, objects, e);
	files_free(objects, n);
	return r;
}

/* What is left of one ----------------------------------------------------------------------- */

/* Takes half an upload away, unless it was published after all. Its row of the journal ends with it. */
static int take_away(struct model *md, int64_t id, const cJSON *data, struct cancel *c,
		     struct err *e)
{
	struct models *s = md->s;
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	struct s3_bucket bucket;
	char etag[128];

	if (mount_bucket(s->m, &bucket, c, e) < 0 || catalog_load(md, &man, etag, c, e) < 0)
		return -1;
	if (!man || !manifest_names_key(man, data_key(data))) {
		if (s3_multipart_sweep(s->m->aws, &bucket, data_key(data), NULL, c, e) < 0)
			log_line(s->m->log, LOG_LEVEL_WARNING, "models", "%s", e->text);
		if (data_delete(s, &bucket, data, c, e) < 0)
			return -1;
		log_line(s->m->log, LOG_LEVEL_INFO, "models",
			 "undid the upload of %s that never ended", data_key(data));
	}
	return journal_end(s->m->journal, id, e);
}

static void take_away_left(struct model *md)
{
	_cleanup_json_ cJSON *left = NULL;
	struct err e = {0};
	int64_t id;

	{
		SCOPED_LOCK(&md->s->mu);
		left = steal(md->left);
		id = md->left_id;
	}
	if (left && take_away(md, id, left, NULL, &e) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models",
			 "model '%s': half an upload, %s, is left to the next mount: %s", md->name,
			 data_key(left), e.text);
}

/* The commit ends as r says, and nobody stops the mount. */
void commit_files_finish(struct commit *c, int r)
{
	struct model *md = c->md;
	struct err e = {0};
	bool half = c->data && c->uploaded;

	if (r >= 0 || half)
		take_away_left(md); /* of an older one */
	if (half) {
		SCOPED_LOCK(&md->s->mu);
		md->left = steal(c->data);
		md->left_id = c->journal;
	} else if (c->data && journal_end(md->s->m->journal, c->journal, &e) < 0) {
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
	}
	if (half && r >= 0)
		take_away_left(md);
}

void commit_files_forget(struct model *md)
{
	take_away_left(md);
}

static int resume(const struct unfinished *u, struct cancel *c, struct err *e)
{
	struct model *md = u->md;

	{
		SCOPED_LOCK(&md->s->mu);
		if (md->dirty && !md->left && !md->committing) {
			md->left = cJSON_Duplicate(u->json, true);
			md->left_id = u->id;
			return md->left ? 0 : err_set(e, ENOMEM, "out of memory");
		}
	}

	return take_away(md, u->id, u->json, c, e);
}

void commit_files_resume(struct models *s)
{
	models_resume(s, &(const struct resume){KIND, "unfinished upload", resume, false});
}
