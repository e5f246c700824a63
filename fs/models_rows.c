/* models_rows.c: the rows of models/ and of models/NAME/.sagemaker/. */
#include <errno.h>

#include "fs/endpoints.h"
#include "fs/models_room.h"
#include "sagemaker/framework.h"
#include "sagemaker/images.h"

static int show_room_error(struct node *dir, struct buf *out, struct err *e)
{
	(void)e;
	return mount_show_error(node_mount(dir), ROOM_MODELS, out);
}

const struct vfile models_rows[] = {
	{.name = ".error",        .mode = 0444, .flags = VF_LISTED_ALL, .show = show_room_error},
	{0},
};

static struct model *side_model(const struct node *dir)
{
	return dir->data;
}

static int show_status(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);

	(void)e;
	model_status_locked(md, out);
	return buf_char(out, '\n');
}

static int show_progress(struct node *dir, struct buf *out, struct err *e)
{
	(void)e;
	model_progress_line(side_model(dir), out);
	return buf_char(out, '\n');
}

static int follow_events(struct node *dir, uint64_t *seen, struct buf *out)
{
	return model_events(side_model(dir), seen, out);
}

static int show_error(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);

	(void)e;
	err_show(&md->error, out);
	err_show(&md->untaken, out);
	return 0;
}

/* What the published view shows; NULL when staging says more. */
static struct manifest *shown_manifest(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return md->staged ? NULL : manifest_ref(md->man);
}

static void describe_published(struct model *md, const struct manifest *man, struct buf *out)
{
	buf_printf(out, "published version %s, framework %s %s\n", man->version,
		   manifest_text(man->current, "framework"),
		   manifest_text(man->current, "framework_version"));
	for (size_t i = 0; i < man->n; i++) {
		const struct manifest_member *m = &man->members[i];

		buf_printf(out, "%s -> %s (%llu bytes)\n", m->path,
			   m->content ? "settings, not packed" : m->archive,
			   (unsigned long long)m->size);
	}
	(void)md;
}

static int fetch_check(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	_cleanup_(manifest_unrefp)
	struct manifest *man = shown_manifest(md);
	_cleanup_(package_plan_freep)
	struct package_plan *plan = NULL;

	if (man) {
		describe_published(md, man, out);
		return 0;
	}
	if (model_plan(md, &plan, e) < 0)
		return -1;
	package_describe(plan, out);
	return 0;
}

/* The last commit's failure, for as long as a reader that was parked needs to see it; a later reader starts a new one. */
static bool failed_now(const struct model *md)
{
	return md->error.no && md->failed_gen == md->gen && !md->waiting &&
	       now_ms() - md->failed_at < 1000;
}

static int settled_wait(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);

	if (md->committing || md->copying)
		return 0;
	if (!md->dirty && !md->gone.n) {
		model_status_locked(md, out);
		buf_char(out, '\n');
		return 1;
	}
	if (!failed_now(md))
		return 0;
	buf_printf(out, "failed: %s\n", md->error.text);
	*e = md->error;
	return 1;
}

static void waiting_wait(struct node *dir, bool on)
{
	struct model *md = side_model(dir);
	bool start;

	{
		SCOPED_LOCK(&md->s->mu);
		start = on && !md->committing && (md->dirty || md->gone.n);
	}
	if (start)
		model_commit_start(md);
}

static int show_uri(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);
	_cleanup_free_ char *uri = md->man ? models_uri(md->s, md->man->current) : NULL;

	if (!uri)
		return err_set(e, ENODATA,
			       "model '%s' is not published yet; sync models/%s publishes it",
			       md->name, md->name);
	return buf_printf(out, "%s\n", uri);
}

static int show_digest(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);

	if (!md->man)
		return err_set(e, ENODATA,
			       "model '%s' is not published yet; sync models/%s publishes it",
			       md->name, md->name);
	return buf_printf(out, "%s\n", manifest_text(md->man->current, "digest"));
}

static void put_text(char *out, size_t size, const cJSON *record, const char *key)
{
	snprintf(out, size, "%s", manifest_text(record, key));
}

/* What decides the image, as a plan without files. */
static struct package_plan *plan_of_record(const cJSON *record)
{
	struct package_plan *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->dirfd = -1;
	p->framework = framework_find(manifest_text(record, "framework"));
	put_text(p->settings.framework, sizeof p->settings.framework, record, "framework");
	put_text(p->settings.framework_version, sizeof p->settings.framework_version, record,
		 "framework_version");
	put_text(p->settings.py_version, sizeof p->settings.py_version, record, "py_version");
	put_text(p->settings.image, sizeof p->settings.image, record, "image");
	put_text(p->settings.instance_type, sizeof p->settings.instance_type, record,
		 "instance_type");
	put_text(p->made_with, sizeof p->made_with, record, "made_with");
	return p;
}

/* The published record with the overrides that no commit has put there yet. */
static struct package_plan *published_plan(struct model *md, const struct manifest *man)
{
	struct package_plan *p = plan_of_record(man->current);
	SCOPED_LOCK(&md->s->mu);

	if (p && md->framework[0])
		p->framework = framework_find(md->framework);
	if (p && md->framework_version[0])
		memcpy(p->settings.framework_version, md->framework_version,
		       sizeof md->framework_version);
	return p;
}

/* A plan of md as it is shown; one whose framework or image is known. */
static int shown_plan(struct model *md, struct package_plan **out, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = shown_manifest(md);
	_cleanup_(package_plan_freep)
	struct package_plan *p = NULL;

	if (man)
		p = published_plan(md, man);
	else if (model_plan(md, &p, e) < 0)
		return -1;
	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	if (!p->framework && !p->settings.image[0])
		return err_set(e, p->why.no ? p->why.no : EINVAL, "%s",
			       p->why.no ? p->why.text : "its framework is not known here");
	*out = steal(p);
	return 0;
}

/* The model's own, else what a plain mkdir in endpoints/ would take now. */
/* What a plain mkdir in endpoints/ would take. */
static void instance_type(const struct mount *m, const struct package_plan *p, char out[32])
{
	if (p->settings.instance_type[0])
		memcpy(out, p->settings.instance_type, sizeof p->settings.instance_type);
	else
		endpoints_default_type(m->endpoints, out);
}

static int shown_image(struct model *md, struct image *out, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = NULL;
	const struct mount *m = md->s->m;
	char type[32];

	if (shown_plan(md, &p, e) < 0)
		return -1;
	instance_type(m, p, type);
	return package_image(p, m->config.region, type, out, e);
}

static int fetch_framework(struct node *dir, struct buf *out, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = NULL;

	char name[32];

	if (shown_plan(side_model(dir), &p, e) < 0)
		return -1;
	package_framework(p, name);
	return buf_printf(out, "%s\n", name);
}

static int fetch_version(struct node *dir, struct buf *out, struct err *e)
{
	struct image image;

	return shown_image(side_model(dir), &image, e) < 0 ? -1
							   : buf_printf(out, "%s\n", image.version);
}

static int fetch_image(struct node *dir, struct buf *out, struct err *e)
{
	struct image image;

	return shown_image(side_model(dir), &image, e) < 0 ? -1
							   : buf_printf(out, "%s\n", image.uri);
}

static int value_copy(char *out, size_t size, const char *what, const char *text, size_t n,
		      struct err *e)
{
	if (n >= size || memchr(text, 0, n))
		return err_set(e, EINVAL, "'%.*s' is no %s", (int)MIN(n, 64), text, what);
	memcpy(out, text, n);
	out[n] = 0;
	return 0;
}

/* An override is a change of the model: the next commit writes a version record with it, without a new upload. */
static int override_set(struct model *md, char *where, const char *value, size_t size,
			struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		if (streq(where, value))
			return 0;
		memcpy(where, value, size);
		if (!md->staged && md->man && md->man->elsewhere)
			return 0;   /* for deploys from here: nothing is published of it */
		md->marked = false; /* the journal's row is to be written again */
	}
	return model_touch(md, e);
}

static int take_framework(struct model *md, const char *text, size_t n, struct err *e)
{
	char value[sizeof md->framework] = "";
	_cleanup_buf_ struct buf names = BUF_INIT(0);

	if (value_copy(value, sizeof value, "framework", text, n, e) < 0)
		return -1;
	if (value[0] && !framework_find(value)) {
		for (const struct framework *f = framework_all; f->name; f++)
			buf_printf(&names, "%s%s", names.len ? ", " : "", f->name);
		return err_set(e, EINVAL, "'%s' is no framework known here; known are %s", value,
			       buf_cstr(&names));
	}
	return override_set(md, md->framework, value, sizeof value, e);
}

/* Whether AWS has an image of that version for this model. */
static int version_exists(struct model *md, const char *version, struct err *e)
{
	_cleanup_(package_plan_freep)
	struct package_plan *p = NULL;
	const struct mount *m = md->s->m;
	struct image image;
	char type[32];

	if (shown_plan(md, &p, e) < 0)
		return err_prefix(e, "cannot check version '%s'", version);
	if (p->settings.image[0])
		return err_set(e, EINVAL,
			       "the version is that of the image '%s', which sagemaker.json names",
			       p->settings.image);
	if (!p->framework)
		return 0;
	instance_type(m, p, type);
	return images_uri(p->framework->images, version, p->settings.py_version, m->config.region,
			  type, &image, e);
}

static int take_version(struct model *md, const char *text, size_t n, struct err *e)
{
	char value[sizeof md->framework_version] = "";

	if (value_copy(value, sizeof value, "framework version", text, n, e) < 0)
		return -1;
	if (value[0] && version_exists(md, value, e) < 0)
		return -1;
	return override_set(md, md->framework_version, value, sizeof value, e);
}

int model_took(struct model *md, int rc, const struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	if (rc < 0 && !streq(e->text, md->error.text))
		md->untaken = *e;
	else
		err_clear(&md->untaken);
	return rc;
}

static int store_framework(struct node *dir, const char *text, size_t n, struct err *e)
{
	return model_took(side_model(dir), take_framework(side_model(dir), text, n, e), e);
}

static int store_version(struct node *dir, const char *text, size_t n, struct err *e)
{
	return model_took(side_model(dir), take_version(side_model(dir), text, n, e), e);
}

static int show_resolve(struct node *dir, struct buf *out, struct err *e)
{
	struct model *md = side_model(dir);
	SCOPED_LOCK(&md->s->mu);

	(void)e;
	model_conflict_locked(md, out);
	return 0;
}

static int apply_resolve(struct node *dir, const char *text, size_t n, struct cancel *c,
			 struct err *e)
{
	(void)n;
	return model_took(side_model(dir), model_resolve(side_model(dir), text, c, e), e);
}

/* Nothing here is listed by its parent; wait and events block, so they are not even listed here. */
const struct vfile model_rows[] = {
	{.name = "status",        .mode = 0444, .show = show_status},
	{.name = "progress",    .mode = 0444, .show = show_progress},
	{.name = "check",      .mode = 0444, .fetch = fetch_check},
	{.name = "error",  .mode = 0444, .show = show_error},
	{.name = "wait",
	 .mode = 0444,
	 .flags = VF_HIDDEN,
	 .settled = settled_wait,
	 .waiting = waiting_wait},
	{.name = "events",   .mode = 0444, .flags = VF_HIDDEN, .follow = follow_events},
	{.name = "uri",         .mode = 0444, .show = show_uri},
	{.name = "framework",
	 .mode = 0644,
	 .max_write = 64,
	 .fetch = fetch_framework,
	 .store = store_framework},
	{.name = "framework_version",
	 .mode = 0644,
	 .max_write = 64,
	 .fetch = fetch_version,
	 .store = store_version},
	{.name = "image",      .mode = 0444, .fetch = fetch_image},
	{.name = "digest", .mode = 0444, .show = show_digest},
	{.name = "resolve",
	 .mode = 0644,
	 .max_write = 64,
	 .show = show_resolve,
	 .apply = apply_resolve},
	{0    },
};

static void side_lookup(struct req *r, struct node *dir, const char *name)
{
	if (streq(name, "versions"))
		model_versions_reply(r, dir, side_model(dir));
	else
		vdir_lookup(r, dir, name);
}

static void side_list(struct req *r, struct node *dir, struct dirfill *f)
{
	if (vdir_fill(dir, f) < 0 || dirfill_add(f, "versions", 0, S_IFDIR) < 0)
		reply_err(r, ENOMEM);
	else
		reply_dir(r, f);
}

static const struct node_ops side_ops = {
	.lookup = side_lookup,
	.getattr = vdir_getattr,
	.setattr = vdir_setattr,
	.list = side_list,
	.unlink = vdir_unlink,
};

void model_side_reply(struct req *r, struct node *dir, struct model *md)
{
	const struct node_make how = {
		.ops = &side_ops, .rows = model_rows, .data = md, .type = S_IFDIR};

	vdir_reply(r, dir, MODEL_SIDE, &how, NULL);
}
