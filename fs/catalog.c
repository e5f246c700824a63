/* catalog.c: what S3 says is published, asked by jobs and believed for a second. */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"

#define LIST_KEYS_MAX 200000 /* foreign objects under our prefix must not make ls endless */

void catalog_key(struct models *s, const char *name, const char *version, char out[1100])
{
	const char *prefix = s->m->config.prefix ? s->m->config.prefix : "model";

	if (version)
		snprintf(out, 1100, "%s/%s/%s/model.tar.gz", prefix, name, version);
	else
		snprintf(out, 1100, "%s/%s/manifest.json", prefix, name);
}

/* Nothing is in a bucket that is not made yet; one that was named must be there. */
static bool absent(struct mount *m, const struct err *e)
{
	bool nowhere = e->http == 404 && streq(e->code, "NoSuchBucket");

	if (nowhere)
		mount_bucket_gone(m);
	return e->http == 404 && !(nowhere && m->bucket_strict);
}

/* A manifest read by path: key prefix of the archives it may name. */
static struct manifest *parse(struct models *s, const char *name, const struct buf *text,
			      struct err *e)
{
	char key[1100];

	catalog_key(s, name, NULL, key);
	key[strlen(key) - strlen("manifest.json")] = 0;
	struct manifest *man = manifest_read(buf_cstr(text), text->len, key, e);
	if (!man)
		err_prefix(e, "model '%s'", name);
	return man;
}

int catalog_load(struct model *md, struct manifest **out, char etag[128], struct cancel *c,
		 struct err *e)
{
	struct models *s = md->s;
	_cleanup_buf_ struct buf text = BUF_INIT(MANIFEST_MAX);
	struct s3_object o = {0};
	struct s3_bucket bucket;
	char key[1100];

	*out = NULL;
	etag[0] = 0;
	if (mount_bucket(s->m, &bucket, c, e) < 0)
		return -1;
	catalog_key(s, md->name, NULL, key);
	if (s3_get(s->m->aws, &bucket, key, MANIFEST_MAX, &text, &o, c, e) < 0) {
		if (absent(s->m, e))
			return 0;
		mount_bucket_explain(s->m, &bucket, c, e);
		return err_prefix(e, "cannot read the manifest of model '%s'", md->name);
	}
	*out = parse(s, md->name, &text, e);
	if (!*out)
		return err_append(
			e,
			"put a good 's3://%s/%s' back, or delete that object: the archives beside it stay",
			bucket.name, key);
	snprintf(etag, 128, "%s", o.etag);
	return 0;
}

bool catalog_absent(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return md->known == KNOWN_ABSENT && now_ms() - md->seen < MODEL_FRESH_MS;
}

int catalog_write(struct model *md, const char *text, const char *if_match, struct manifest **made,
		  char etag[128], struct cancel *c, struct err *e)
{
	struct models *s = md->s;
	struct s3_object o = {0};
	struct s3_bucket bucket;
	char key[1100];

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	const struct s3_content content = {text, strlen(text), "application/json", if_match};
	catalog_key(s, md->name, NULL, key);
	if (mount_bucket(s->m, &bucket, c, e) < 0 ||
	    s3_put(s->m->aws, &bucket, key, &content, &o, c, e) < 0)
		return -1;
	key[strlen(key) - strlen("manifest.json")] = 0;
	*made = manifest_read(text, strlen(text), key, e);
	snprintf(etag, 128, "%s", o.etag);
	return *made ? 0 : -1;
}

/* S3 answers 404 to an If-Match on what was deleted meanwhile. */
bool catalog_overtaken(const struct err *e)
{
	return e->http == 412 || (e->http == 404 && !streq(e->code, "NoSuchBucket"));
}

/* Whether a clean staging is not what is published any more. */
static bool outdated_locked(const struct model *md)
{
	return md->staged && !md->dirty && !md->writers && !md->committing && !md->copying &&
	       md->base[0] && (!md->man || !streq(md->base, md->man->version));
}

void catalog_invalidate(struct model *md)
{
	struct mount *m = md->s->m;
	struct node *room = node_child(m->tree, tree_root(m->tree), "models");
	struct node *top = room ? node_child(m->tree, room, md->name) : NULL;

	if (top)
		tree_invalidate_node(m, top);
	if (room)
		tree_invalidate_entry(m, room, md->name);
	if (top)
		node_unref(m->tree, top);
	if (room)
		node_unref(m->tree, room);
}

static bool same_version(const struct manifest *a, const struct manifest *b)
{
	return a == b || (a && b && streq(a->version, b->version));
}

/* Takes in what is published now. true: other files are shown than before; temp as model_drop_locked gives it. */
static bool take_in(struct model *md, struct manifest *man, const char *etag, char temp[32])
{
	SCOPED_LOCK(&md->s->mu);
	bool other = !same_version(md->man, man);

	if (other || !man || !man->unread) { /* else: the same archive, and perhaps its inside */
		manifest_unref(md->man);
		md->man = manifest_ref(man);
	}
	snprintf(md->etag, sizeof md->etag, "%s", etag);
	md->known = man ? KNOWN_PUBLISHED : KNOWN_ABSENT;
	md->stale = false;
	md->seen = now_ms();
	if (other && !md->staged) {
		md->epoch++;
		names_clear(&md->gone);
	}
	if (outdated_locked(md))
		model_drop_locked(md, temp);
	return other && (!man || !md->staged);
}

static void sweep(struct model *md, const char *temp, bool removed)
{
	struct log *l = md->s->m->log;
	struct err e = {0};

	if (remove_tree(md->s->m->staging_fd, temp, &e) < 0)
		log_line(l, LOG_LEVEL_WARNING, "models", "%s", e.text);
	if (model_persist(md, &e) < 0)
		log_line(l, LOG_LEVEL_WARNING, "models", "%s", e.text);
	log_line(l, LOG_LEVEL_INFO, "models",
		 "model '%s': another mount %s; the clean copy here was dropped", md->name,
		 removed ? "removed it" : "published a newer version");
}

void catalog_learn(struct model *md, struct manifest *man, const char *etag)
{
	char temp[32] = "";
	bool other = take_in(md, man, etag, temp);

	if (temp[0])
		sweep(md, temp, !man);
	if (other) /* only then: who has its working directory in there would find it gone for a moment */
		catalog_invalidate(md);
}

/* 1: the manifest is still the one we have. */
static int unchanged(struct model *md, const char *etag, struct cancel *c, struct err *e)
{
	struct s3_object o = {0};
	struct s3_bucket bucket;
	char key[1100];

	if (mount_bucket(md->s->m, &bucket, c, e) < 0)
		return -1;
	catalog_key(md->s, md->name, NULL, key);
	if (s3_head(md->s->m->aws, &bucket, key, &o, c, e) < 0)
		return absent(md->s->m, e) ? 0 : -1;
	return streq(o.etag, etag);
}

int catalog_refresh(struct model *md, struct cancel *c, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL;
	char etag[128];

	{
		SCOPED_LOCK(&md->s->mu);
		if (md->man && !md->stale)
			man = manifest_ref(md->man);
		snprintf(etag, sizeof etag, "%s", md->etag);
	}
	if (man) {
		int same = unchanged(md, etag, c, e);

		if (same < 0)
			return -1;
		manifest_unref(man);
		man = NULL;
		SCOPED_LOCK(&md->s->mu);
		if (same && md->man && streq(md->etag, etag)) {
			md->seen = now_ms();
			return 0;
		}
	}
	if (catalog_load(md, &man, etag, c, e) < 0 || (!man && elsewhere_find(md, &man, c, e) < 0))
		return -1;
	catalog_learn(md, man, etag);
	return 0;
}

struct listing {
	struct models *s;
	size_t prefix; /* length of "PREFIX/" */
	size_t keys;
	int64_t began;
};

/* The model whose manifest an object is: PREFIX/NAME/manifest.json. */
static bool manifest_key(const char *rest, char name[64])
{
	const char *slash = strchr(rest, '/');

	if (!slash || !streq(slash, "/manifest.json") || slash - rest >= 64)
		return false;
	memcpy(name, rest, (size_t)(slash - rest));
	name[slash - rest] = 0;
	return true;
}

/* One key: a manifest, or an archive of somebody else's, which a manifest of the same name hides. */
static int listed(void *arg, const struct s3_item *item)
{
	struct listing *l = arg;
	const char *rest = item->key + l->prefix;
	char name[64];
	struct err e;

	if (++l->keys > LIST_KEYS_MAX)
		return 1;
	bool ours = manifest_key(rest, name);
	if (!ours && !elsewhere_key(rest, name))
		return 0;
	struct model *md = model_get(l->s, name, &e);
	if (!md)
		return 0;
	SCOPED_LOCK(&l->s->mu);
	bool known = md->man && item->etag &&
		     streq(md->man->elsewhere ? manifest_text(md->man->current, "etag") : md->etag,
			   item->etag);
	/* of several archives one is shown: once that one was listed, the others change nothing */
	if (known || ours || md->seen < l->began || !md->man)
		md->stale = !known;
	md->known = KNOWN_PUBLISHED;
	md->seen = now_ms();
	return 0;
}

/* Models that the listing did not name are gone. */
static void unlisted(struct models *s, int64_t began)
{
	SCOPED_LOCK(&s->mu);

	for (struct model *md = s->list; md; md = md->next) {
		if (md->known == KNOWN_PUBLISHED && md->seen < began) {
			md->known = KNOWN_NOT;
			md->stale = true;
		}
	}
	s->listed = now_ms();
}

/* A clean copy of such a model goes only after its manifest was looked for by name. */
static struct model *to_confirm(struct models *s)
{
	SCOPED_LOCK(&s->mu);

	for (struct model *md = s->list; md; md = md->next) {
		if (md->staged && !md->dirty && md->base[0] && md->known == KNOWN_NOT)
			return md;
	}
	return NULL;
}

static void confirm(struct models *s, struct cancel *c)
{
	struct model *md;
	struct err e = {0};

	while ((md = to_confirm(s)) && catalog_refresh(md, c, &e) == 0)
		; /* each is known now */
}

int catalog_list_all(struct models *s, struct cancel *c, struct err *e)
{
	struct listing l = {.s = s, .began = now_ms()};
	_cleanup_free_ char *prefix =
		str_printf("%s/", s->m->config.prefix ? s->m->config.prefix : "model");
	struct s3_bucket bucket;

	if (!prefix)
		return err_set(e, ENOMEM, "out of memory");
	l.prefix = strlen(prefix);
	if (mount_bucket(s->m, &bucket, c, e) < 0)
		return err_prefix(e, "cannot list the models");
	if (s3_list(s->m->aws, &bucket, prefix, NULL, listed, &l, c, e) < 0 && !absent(s->m, e)) {
		mount_bucket_explain(s->m, &bucket, c, e);
		return err_prefix(e, "cannot list the models");
	}
	if (l.keys > LIST_KEYS_MAX)
		log_line(
			s->m->log, LOG_LEVEL_WARNING, "models",
			"more than %d objects under %s in bucket %s: only the first were looked at",
			LIST_KEYS_MAX, prefix, bucket.name);
	else
		unlisted(s, l.began);
	confirm(s, c);
	SCOPED_LOCK(&s->mu);
	s->listed = now_ms();
	return 0;
}
