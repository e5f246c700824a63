/*
 * models_links.c: `ln -s s3://BUCKET/KEY models/NAME`: an archive that is in S3 already becomes a model, read-only. What makes it one is a
 * manifest like any, whose version says "uri" instead of "key": every mount sees it, and the object stays its owner's.
 *
 * models/NAME is a symbolic link with the URI as its text. The kernel looks that up as the path "s3:", BUCKET, and so on, below
 * models/: hidden directories, which exist as far as links lead through them; the last one is the model.
 */
#include <errno.h>

#include "fs/models_room.h"
#include "sagemaker/s3.h"

#define SCHEME "s3:"

static const char *uri_of(const struct manifest *man)
{
	return man ? manifest_text(man->current, "uri") : "";
}

bool model_linked_locked(const struct model *md)
{
	return !md->staged && *uri_of(md->man);
}

/* --- the link itself */

static void link_readlink(struct req *r, struct node *n)
{
	struct model *md = model_of(n);
	_cleanup_free_ char *uri = NULL;

	{
		SCOPED_LOCK(&md->s->mu);
		uri = strdup(uri_of(md->man));
	}
	if (uri && *uri)
		reply_readlink(r, uri);
	else
		reply_err(r, uri ? ENOENT : ENOMEM);
}

static void link_stat_locked(const struct model *md, struct stat *st)
{
	const struct mount *m = md->s->m;

	*st = (struct stat){
		.st_mode = S_IFLNK | 0777, .st_nlink = 1, .st_uid = m->uid, .st_gid = m->gid};
	st->st_size = (off_t)strlen(uri_of(md->man));
	st->st_mtim.tv_sec = md->man ? (time_t)md->man->created : m->started;
	st->st_atim = st->st_ctim = st->st_mtim;
}

static void link_getattr(struct req *r, struct node *n, void *h)
{
	struct model *md = model_of(n);
	struct stat st;

	(void)h;
	{
		SCOPED_LOCK(&md->s->mu);
		link_stat_locked(md, &st);
	}

	reply_attr(r, &st, MODEL_TOP_TTL);
}

static void link_free(struct node *n)
{
	free(n->data);
}

static const struct node_ops link_ops = {
	.getattr = link_getattr,
	.readlink = link_readlink,
	.free = link_free,
};

void model_link_reply(struct req *r, struct node *dir, const char *name, struct model *md)
{
	struct entry *data = calloc(1, sizeof *data);
	struct node_make how = {.ops = &link_ops, .data = data, .type = S_IFLNK};
	struct tree *t = md->s->m->tree;
	struct stat st;
	bool made = false;

	if (data)
		*data = (struct entry){.md = md, .removed = -1};
	struct node *n = data ? node_child(t, dir, name) : NULL;
	if (n && n->type != S_IFLNK)
		node_detach(t, dir, name);
	node_unref(t, n);
	n = data ? node_make(t, dir, name, &how, &made) : NULL;
	if (!made)
		free(data);
	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	{
		SCOPED_LOCK(&md->s->mu);
		link_stat_locked(md, &st);
	}
	reply_entry(r, n, &st, MODEL_TOP_TTL);
	node_unref(t, n);
}

/* --- the directories that lead to it */

static const struct node_ops way_ops;

/* "s3:/BUCKET/KEY", as the kernel has walked it. */
static int way_path(struct node *dir, const char *name, struct buf *out)
{
	if (node_path(dir->tree, dir, NULL, out) < 0)
		return -1;
	const char *slash = strchr(buf_cstr(out), '/');
	buf_remove(out, slash ? (size_t)(slash - out->data) + 1 : out->len);
	if (out->len)
		buf_char(out, '/');
	buf_str(out, name);
	return out->failed ? -1 : 0;
}

/* 2: path is md's; 1: it leads there; 0: neither. */
static int leads_locked(const struct model *md, const char *path)
{
	const char *uri = uri_of(md->man) + strlen(SCHEME);
	size_t n = strlen(path), scheme = strlen(SCHEME);

	if (!model_linked_locked(md) || md->deleting || strncmp(path, SCHEME, scheme) != 0)
		return 0;
	if (n == scheme)
		return 1;
	/* the URI has two slashes where the path has one */
	if (strncmp(path + scheme, uri + 1, n - scheme) != 0)
		return 0;
	char after = uri[1 + n - scheme];
	return after == '/' ? 1 : after == 0 ? 2 : 0;
}

static int leads(struct models *s, const char *path, struct model **to)
{
	SCOPED_LOCK(&s->mu);
	int best = 0;

	for (struct model *md = s->list; md && best < 2; md = md->next) {
		int r = leads_locked(md, path);

		if (r > best) {
			best = r;
			*to = md;
		}
	}
	return best;
}

void model_way_lookup(struct req *r, struct node *dir, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	struct models *s = req_mount(r)->models;
	struct model *md = NULL;
	struct stat st;
	int found = way_path(dir, name, &path) < 0 ? 0 : leads(s, buf_cstr(&path), &md);

	if (!found) {
		reply_err(r, ENOENT);
	} else if (found == 1) {
		vdir_reply(r, dir, name, &(struct node_make){.ops = &way_ops, .type = S_IFDIR},
			   NULL);
	} else {
		{
			SCOPED_LOCK(&s->mu);
			model_published_stat(md, NULL, &st);
		}
		model_reply_node(r, dir, name, md, &st, MODEL_TOP_TTL);
	}
}

static void way_list(struct req *r, struct node *dir, struct dirfill *f)
{
	(void)dir;
	reply_dir(r, f);
}

static const struct node_ops way_ops = {
	.lookup = model_way_lookup,
	.getattr = vdir_getattr,
	.list = way_list,
};

bool model_way(const char *name)
{
	return streq(name, SCHEME);
}

size_t model_way_length(struct model *md, const char *path)
{
	SCOPED_LOCK(&md->s->mu);
	const char *uri = uri_of(md->man);
	size_t n = strlen(uri), scheme = strlen(SCHEME);

	if (!n || strlen(path) < n - 1 || strncmp(path, SCHEME, scheme) != 0 ||
	    strncmp(path + scheme, uri + scheme + 1, n - 1 - scheme) != 0)
		return 0;
	return path[n - 1] == '/' ? n : n - 1;
}

/* --- making one */

struct linking {
	struct model *md;
	struct node *dir;
	char name[64], *uri;
	struct promise *promise;
	unsigned refs; /* atomic: the job and the answer */
};

static void linking_unref(struct linking *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(l->uri);
	free(l);
}

static void answer_link(struct req *r, void *arg, int no)
{
	struct linking *l = arg;

	if (no)
		reply_err(r, no);
	else
		model_link_reply(r, l->dir, l->name, l->md);
	linking_unref(l);
}

/* Its object is there and may be read. */
static int look(struct linking *l, struct archive **a, struct cancel *c, struct err *e)
{
	char name[64];
	const char *key = archive_uri(l->uri, name);
	_cleanup_(archive_unrefp)
	struct archive *place = archive_new(name, key, "");
	struct s3_bucket bucket;
	struct s3_object o = {0};

	if (!place)
		return err_set(e, ENOMEM, "out of memory");
	if (archive_bucket(l->md, place, &bucket, c, e) < 0 ||
	    s3_head(l->md->s->m->aws, &bucket, key, &o, c, e) < 0)
		return -1;
	*a = archive_new(name, key, o.etag);
	return *a ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* The version that says where it is and what is in it. */
static cJSON *record(struct linking *l, struct archive *a, struct cancel *c)
{
	cJSON *j = elsewhere_record(l->md, a, c);
	char version[48];

	version_name(version);
	if (j && cJSON_AddTrueToObject(j, "elsewhere") &&
	    cJSON_AddStringToObject(j, "uri", l->uri) &&
	    cJSON_AddStringToObject(j, "etag", a->etag) &&
	    cJSON_AddNumberToObject(j, "size", (double)a->index.size) &&
	    record_named(j, version) == 0)
		return j;
	cJSON_Delete(j);
	return NULL;
}

static int publish(struct linking *l, const cJSON *j, struct cancel *c, struct err *e)
{
	_cleanup_free_ char *text = manifest_with(NULL, l->name, j, manifest_text(j, "version"));
	_cleanup_(manifest_unrefp)
	struct manifest *made = NULL;
	struct s3_bucket bucket;
	char etag[128];

	if (mount_bucket_make(l->md->s->m, &bucket, c, e) < 0 ||
	    catalog_write(l->md, text, S3_IF_NONE, &made, etag, c, e) < 0)
		return -1;
	catalog_learn(l->md, made, etag);
	return 0;
}

static int link_all(struct linking *l, struct cancel *c, struct err *e)
{
	_cleanup_(archive_unrefp)
	struct archive *a = NULL;

	if (catalog_refresh(l->md, c, e) < 0)
		return -1;
	{
		SCOPED_LOCK(&l->md->s->mu);
		if (model_exists_locked(l->md))
			return err_set(e, EEXIST, "there is a model '%s' already", l->name);
	}
	if (look(l, &a, c, e) < 0 || archive_scan(l->md, &a, c, e) < 0)
		return -1;
	_cleanup_json_ cJSON *j = record(l, a, c);
	return j ? publish(l, j, c, e) : err_set(e, ENOMEM, "out of memory");
}

static void link_job(void *arg, struct cancel *cancel)
{
	struct linking *l = arg;
	struct err e = {0};
	int r = link_all(l, cancel, &e);

	if (r < 0) {
		err_prefix(&e, "cannot bring in '%s' as model '%s'", l->uri, l->name);
		model_fail(l->md, &e);
	}
	if (!promise_settle(l->promise, r < 0 ? (e.no ? e.no : EIO) : 0))
		catalog_invalidate(l->md);
	linking_unref(l);
}

/* EINVAL with the reason for what cannot be a model. */
static int check_uri(const char *uri, struct err *e)
{
	char bucket[64];
	const char *key = archive_uri(uri, bucket);

	if (!key)
		return err_set(e, EINVAL, "'%s' is no s3://BUCKET/KEY", uri);
	if (ends_with(key, "/"))
		return err_set(
			e, EINVAL,
			"'%s' names a prefix: only an archive can be brought in (s3://BUCKET/KEY/model.tar.gz), uncompressed models cannot yet",
			uri);
	if (!manifest_path_ok(key))
		return err_set(
			e, EINVAL,
			"the key of '%s' has empty components, '.' or '..': copy the object to another key",
			uri);
	return 0;
}

static struct linking *linking_new(struct model *md, struct node *dir, const char *uri)
{
	struct linking *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	*l = (struct linking){.md = md, .dir = dir, .uri = strdup(uri), .refs = 2};
	snprintf(l->name, sizeof l->name, "%s", md->name);
	if (l->uri)
		return l;
	free(l);
	return NULL;
}

void model_link(struct req *r, struct node *dir, const char *name, const char *uri)
{
	struct models *s = req_mount(r)->models;
	struct err e = {0};
	struct model *md = check_uri(uri, &e) < 0 ? NULL : model_get(s, name, &e);
	struct linking *l = md ? linking_new(md, dir, uri) : NULL;

	if (!md) {
		model_fail_room(r, &e);
		return;
	}
	if (!l) {
		reply_err(r, ENOMEM);
		return;
	}
	l->promise = promise_new(r, PROMISE_LIMIT_MS, answer_link, l);
	if (l->promise && jobs_run(s->m->jobs, link_job, l) == 0)
		return;
	if (l->promise)
		promise_settle(l->promise, ENOMEM);
	else
		reply_err(r, ENOMEM);
	linking_unref(l);
}
