/*
 * commit_manifest.c: a commit and the manifest: whether there is something to publish, publishing it, and conflicts with other
 * mounts. A conflict keeps both: ours becomes a version that is not current, and staging stays until the user has chosen.
 */
#include <errno.h>

#include "fs/sending.h"
#include "sagemaker/aws_errors.h"

#define PUBLISH_TRIES 4

/* Whether what is published is not what staging began as. */
static bool conflicts(const struct commit *c)
{
	SCOPED_LOCK(&c->md->s->mu);

	return c->old && !streq(c->old->version, c->md->base);
}

/* Ours is a version of the manifest now, and not the current one. */
static int conflict_fail(struct commit *c, struct err *e)
{
	struct model *md = c->md;
	SCOPED_LOCK(&md->s->mu);

	md->conflict = true;
	snprintf(md->conflict_with, sizeof md->conflict_with, "%s", c->old->version);
	snprintf(md->conflict_mine, sizeof md->conflict_mine, "%s", c->version);
	return err_set(
		e, EEXIST,
		"model '%s' was published by another mount as version %s while it was changed here; the files here stay staged "
		"and are kept as version %s, which is not current; write mine or theirs to models/%s/.sagemaker/resolve: "
		"mine publishes the files here over theirs, theirs drops them here",
		md->name, md->conflict_with, md->conflict_mine, md->name);
}

/* What nobody asked for need not be stored after every change, once the user knows of the conflict. */
static bool told(struct commit *c)
{
	SCOPED_LOCK(&c->md->s->mu);

	if (c->why == COMMIT_ASKED || !c->md->conflict ||
	    !streq(c->md->conflict_with, c->old->version))
		return false;
	memcpy(c->version, c->md->conflict_mine, sizeof c->version);
	return true;
}

/* Takes the name of the current version if that says the same already; true when nothing has to be published. */
static bool already(struct commit *c)
{
	if (!c->old || !manifest_same(c->old->current, c->record))
		return false;
	snprintf(c->version, sizeof c->version, "%s", c->old->version);
	cJSON_Delete(steal(c->record));
	return true;
}

/* An older version that says the same: going back to it takes no new one. */
static int take_older(struct commit *c, struct err *e)
{
	const cJSON *same = c->old ? manifest_find_same(c->old, c->record) : NULL;

	if (!same)
		return 0;
	cJSON_Delete(c->record);
	c->record = cJSON_Duplicate(same, true);
	snprintf(c->version, sizeof c->version, "%s", manifest_text(same, "version"));
	return c->record ? 1 : err_set(e, ENOMEM, "out of memory");
}

int commit_describe(struct commit *c, struct err *e)
{
	if (package_digest(c->plan, c->md->s->hashes, c->cancel, e) < 0)
		return -1;
	c->record = record_new(c->plan);
	if (!c->record || (c->files && record_as_files(c->record) < 0))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* A commit that was killed between its publication and its word to the journal. */
static void forget_published(struct commit *c)
{
	const char *key = c->md->sending ? c->md->sending->key : NULL;

	if (key && c->old && manifest_names_key(c->old, key))
		sending_published(c->md);
}

/* A first version is not looked for once more right after cp did: a round trip less, and the condition of the write tells. */
static int read_manifest(struct commit *c, struct err *e)
{
	if (mount_bucket(c->md->s->m, &c->bucket, c->cancel, e) < 0)
		return -1;
	if (catalog_absent(c->md))
		return 0;
	if (catalog_load(c->md, &c->old, c->etag, c->cancel, e) < 0)
		return -1;
	catalog_learn(c->md, c->old, c->etag);
	forget_published(c);
	return 0;
}

/* What is published, and what is to be; c->record NULL: that is published. */
static int read_both(struct commit *c, struct err *e)
{
	if (read_manifest(c, e) < 0)
		return -1;
	c->files = package_as_files(c->plan, c->md->s->m->opt->files_above);
	if (!c->old &&
	    !c->files) /* nothing that the digest could be compared with: it is made of what the upload reads */
		return 0;
	progress_phase(&c->md->work, PROGRESS_HASHING, 0);
	if (commit_describe(c, e) < 0)
		return -1;
	if (!already(c))
		c->conflict = conflicts(c);
	return 0;
}

/* 1: no version has this content. */
static int share_archive(struct commit *c, struct err *e)
{
	const cJSON *same = c->old ? manifest_find_digest(c->old, c->record) : NULL;

	if (!same)
		return 1;
	return record_stored_as(c->record, same) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int commit_look(struct commit *c, struct err *e)
{
	version_name(
		c->version); /* unless it is one that is there; and an archive's upload brings its own */
	if (read_both(c, e) < 0)
		return -1;
	if (!c->old || !c->record)
		return !c->old;
	if (c->conflict && told(c))
		return conflict_fail(c, e);
	int older = take_older(c, e);
	if (older > 0 && c->conflict)
		return conflict_fail(c, e);
	return older ? MIN(older, 0) : share_archive(c, e);
}

static int put(struct commit *c, struct manifest **made, char etag[128], struct err *e)
{
	_cleanup_free_ char *text = manifest_with(c->old, c->md->name, c->record,
						  c->conflict ? c->old->version : c->version);

	return catalog_write(c->md, text, c->old ? c->etag : S3_IF_NONE, made, etag, c->cancel, e);
}

/* What is to be done about a manifest that is another one than was read. 1: nothing more. */
static int judge(struct commit *c, struct err *e)
{
	const char *key = manifest_text(c->record, "key");
	bool there = c->old && manifest_find_version(c->old, c->version);

	if (there)
		c->uploaded =
			false; /* our own writing, whose reply was lost, or an older version */
	if (there && streq(c->old->version, c->version))
		return 1;
	if (already(c)) /* somebody else's upload of the same files; ours goes again */
		return 1;
	/* The archive was to be shared with an older version, which has been pruned meanwhile. */
	if (!there && !c->uploaded && !(c->old && manifest_names_key(c->old, key)))
		return err_set(e, EBUSY, "model '%s' was published elsewhere at the same time",
			       c->md->name);
	c->conflict = conflicts(c);
	return there && c->conflict ? conflict_fail(c, e) : 0;
}

/* The manifest was changed by somebody else (or by our own put, whose reply was lost), or removed. */
static int reread(struct commit *c, struct err *e)
{
	manifest_unref(steal(c->old));
	if (catalog_load(c->md, &c->old, c->etag, c->cancel, e) < 0)
		return -1;
	int r = judge(c, e);
	if (r > 0)
		catalog_learn(c->md, c->old, c->etag);
	return r;
}

static int published(struct commit *c, struct manifest *made, const char *etag, struct err *e)
{
	c->uploaded = false;
	catalog_learn(c->md, made, etag);
	model_prune(c->md);
	return c->conflict ? conflict_fail(c, e) : 0;
}

/* A write that was not answered, or refused only when it was sent again, may have been done: an archive that the manifest names now
 * must stay. 0: it is published. */
static int look_after(struct commit *c, struct err *e)
{
	struct err late = {0};
	int r = aws_may_have_acted(e) ? reread(c, &late) : 0;

	if (r > 0) {
		err_clear(e);
		return 0;
	}
	c->unsure = r < 0 || e->http == 0;
	return err_prefix(e, "cannot publish model '%s'", c->md->name);
}

int commit_publish(struct commit *c, struct err *e)
{
	char etag[128] = "";

	if (!*manifest_text(c->record, "version") && record_named(c->record, c->version) < 0)
		return err_set(e, ENOMEM, "out of memory");
	progress_phase(&c->md->work, PROGRESS_PUBLISHING, 0);
	for (int i = 0; i < PUBLISH_TRIES; i++) {
		_cleanup_(manifest_unrefp)
		struct manifest *made = NULL;

		if (put(c, &made, etag, e) == 0)
			return published(c, made, etag, e);
		if (!catalog_overtaken(e))
			return look_after(c, e);
		int r = reread(c, e);
		if (r)
			return r < 0 ? -1 : 0;
	}
	return err_set(
		e, EBUSY,
		"cannot publish model '%s': other mounts keep changing its manifest; try again",
		c->md->name);
}
