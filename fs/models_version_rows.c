/* models_version_rows.c: the rows of models/NAME/.sagemaker/versions/ and of a version in it, and who uses one. */
#include <errno.h>

#include "fs/endpoints.h"
#include "fs/models_room.h"
#include "sagemaker/users.h"

struct manifest *model_manifest(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return manifest_ref(md->man);
}

/* --- a version's rows */

/* A line of the version's record, made by put. */
static int show_record(struct node *dir, struct buf *out, struct err *e,
		       void (*put)(struct buf *out, const struct manifest *m, const cJSON *record))
{
	const struct version_ref *v = dir->data;
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(v->md);
	const cJSON *record = man ? manifest_find_version(man, v->version) : NULL;

	if (!record)
		return err_set(e, ENOENT, "model '%s' has no version '%s' any more", v->md->name,
			       v->version);
	put(out, man, record);
	return buf_char(out, '\n');
}

#define TEXT_ROW(NAME)                                                                  \
 static void put_##NAME(struct buf *out, const struct manifest *m, const cJSON *record) \
 {                                                                                      \
  (void)m;                                                                              \
  buf_str(out, manifest_text(record, #NAME));                                           \
 }                                                                                      \
 static int show_##NAME(struct node *dir, struct buf *out, struct err *e)               \
 {                                                                                      \
  return show_record(dir, out, e, put_##NAME);                                          \
 }

TEXT_ROW(created)
TEXT_ROW(digest)
TEXT_ROW(framework)
TEXT_ROW(framework_version)

static double record_size(const cJSON *record)
{
	const cJSON *size = cJSON_GetObjectItemCaseSensitive(record, "size");

	return cJSON_IsNumber(size) ? size->valuedouble : 0;
}

static void put_size(struct buf *out, const struct manifest *m, const cJSON *record)
{
	(void)m;
	buf_printf(out, "%.0f", record_size(record));
}

static int show_size(struct node *dir, struct buf *out, struct err *e)
{
	return show_record(dir, out, e, put_size);
}

static void put_status(struct buf *out, const struct manifest *m, const cJSON *record)
{
	buf_str(out, record == m->current ? "current" : "kept");
}

static int show_status(struct node *dir, struct buf *out, struct err *e)
{
	return show_record(dir, out, e, put_status);
}

static int show_uri(struct node *dir, struct buf *out, struct err *e)
{
	const struct version_ref *v = dir->data;
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(v->md);
	const cJSON *record = man ? manifest_find_version(man, v->version) : NULL;
	_cleanup_free_ char *uri = record ? models_uri(v->md->s, record) : NULL;

	return uri ? buf_printf(out, "%s\n", uri)
		   : err_set(e, ENODATA, "the bucket of model '%s' is not known yet", v->md->name);
}

/* --- who uses them: asked when the file is opened, never by a listing */

struct use {
	const cJSON *record; /* of the version */
	struct archive_use archive;
	struct buf models, endpoints;
};

static void uses_free(struct use *u, size_t n)
{
	for (size_t i = 0; u && i < n; i++) {
		free(u[i].archive.uri);
		buf_release(&u[i].models);
		buf_release(&u[i].endpoints);
	}
	free(u);
}

/* Appends a name to a list of words. */
static void word(struct buf *out, const char *kind, const char *name)
{
	buf_printf(out, "%s%s %s", out->len ? ", " : "", kind, name);
}

struct naming {
	struct use *uses;
	size_t n;
};

static void named_by_endpoint(void *arg, const char *endpoint, const char *uri)
{
	const struct naming *all = arg;

	for (size_t i = 0; i < all->n; i++) {
		if (streq(all->uses[i].archive.uri, uri))
			word(&all->uses[i].endpoints, "endpoint", endpoint);
	}
}

static void named_by_model(void *arg, const char *model, size_t which)
{
	const struct naming *all = arg;

	word(&all->uses[which].models, "model", model);
}

/* u: n rows whose records are set. */
static int ask_uses(struct model *md, struct use *u, size_t n, struct err *e)
{
	struct models *s = md->s;
	_cleanup_free_ struct archive_use *archives = calloc(n + 1, sizeof *archives);
	struct naming all = {u, n};
	double oldest = (double)time(NULL);

	if (!archives)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		oldest = MIN(oldest, record_when(manifest_text(u[i].record, "stored")));
		u[i].archive.uri = archives[i].uri = models_uri(s, u[i].record);
		if (!archives[i].uri)
			return err_set(e, ENODATA, "the bucket of model '%s' is not known yet",
				       md->name);
	}
	endpoints_each_archive(s->m->endpoints, named_by_endpoint, &all, NULL);
	return users_of_archives_named(s->m->aws, archives, n, MAX(oldest - 86400, 0),
				       named_by_model, &all, NULL, e);
}

static void put_uses(const struct use *u, struct buf *out)
{
	buf_add(out, u->endpoints.data, u->endpoints.len);
	if (u->endpoints.len && u->models.len)
		buf_str(out, ", ");
	buf_add(out, u->models.data, u->models.len);
}

static int fetch_used_by(struct node *dir, struct buf *out, struct err *e)
{
	const struct version_ref *v = dir->data;
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(v->md);
	const cJSON *record = man ? manifest_find_version(man, v->version) : NULL;
	struct use *u = calloc(1, sizeof *u);
	int r = u ? 0 : err_set(e, ENOMEM, "out of memory");

	if (u)
		u->record = record;
	if (!record)
		r = err_set(e, ENOENT, "model '%s' has no version '%s' any more", v->md->name,
			    v->version);
	if (r == 0 && (r = ask_uses(v->md, u, 1, e)) == 0)
		put_uses(u, out);
	uses_free(u, 1);
	return r < 0 ? -1 : buf_char(out, '\n');
}

const struct vfile version_rows[] = {
	{.name = "status",      .mode = 0444, .show = show_status},
	{.name = "created",  .mode = 0444, .show = show_created},
	{.name = "digest",     .mode = 0444, .show = show_digest},
	{.name = "size", .mode = 0444, .show = show_size},
	{.name = "framework",      .mode = 0444, .show = show_framework},
	{.name = "framework_version",  .mode = 0444, .show = show_framework_version},
	{.name = "uri",        .mode = 0444, .show = show_uri},
	{.name = "used_by",    .mode = 0444, .fetch = fetch_used_by},
	{0  },
};

/* --- rows of versions/ */

static int show_current(struct node *dir, struct buf *out, struct err *e)
{
	const struct model *md = dir->data;
	SCOPED_LOCK(&md->s->mu);

	if (!md->man)
		return err_set(e, ENOENT, "model '%s' has no version yet", md->name);
	return buf_printf(out, "%s\n", md->man->version);
}

void version_spelled(const char *text, char out[64])
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '/')
		n--;
	size_t at = n;
	while (at && text[at - 1] != '/')
		at--;
	n = MIN(n - at, (size_t)63);
	memcpy(out, text + at, n);
	out[n] = 0;
}

static int apply_current(struct node *dir, const char *text, size_t n, struct cancel *c,
			 struct err *e)
{
	char version[64];

	(void)n;
	version_spelled(text, version);
	return model_took(dir->data, model_choose(dir->data, version, c, e), e);
}

static void put_row(const struct manifest *man, const cJSON *record, const struct use *u,
		    struct buf *out)
{
	buf_printf(out, "%c %-25s %-20s %12.0f  %-12s %-12.12s  ",
		   record == man->current ? '*' : ' ', manifest_text(record, "version"),
		   manifest_text(record, "created"), record_size(record),
		   manifest_text(record, "framework"), manifest_text(record, "digest"));
	put_uses(u, out);
	buf_char(out, '\n');
}

/* A row for each version of man, in its order. */
static struct use *rows_of(const struct manifest *man, size_t *n)
{
	const cJSON *v, *all = cJSON_GetObjectItemCaseSensitive(man->json, "versions");
	struct use *u = calloc((size_t)cJSON_GetArraySize(all) + 1, sizeof *u);

	*n = 0;
	cJSON_ArrayForEach(v, all) {
		if (u)
			u[(*n)++].record = v;
	}
	return u;
}

static int fetch_table(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = dir->data;
	_cleanup_(manifest_unrefp)
	struct manifest *man = model_manifest(md);
	size_t n = 0;
	struct use *u = man ? rows_of(man, &n) : NULL;
	int r = man && !u ? err_set(e, ENOMEM, "out of memory") : 0;

	if (u && (r = ask_uses(md, u, n, e)) == 0) {
		buf_printf(out, "  %-25s %-20s %12s  %-12s %-12s  %s\n", "version", "created",
			   "size", "framework", "digest", "used by");
		for (size_t i = n; i-- > 0;)
			put_row(man, u[i].record, &u[i], out);
	}
	uses_free(u, n);
	return r;
}

const struct vfile versions_rows[] = {
	{.name = "current",
	 .mode = 0644,
	 .max_write = 4096,
	 .show = show_current,
	 .apply = apply_current},
	{.name = "table",      .mode = 0444, .fetch = fetch_table},
	{0},
};
