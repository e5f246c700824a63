/*
 * models_choose.c: what the user decides about versions: which one is current, and whose files a conflict ends with. Both are one
 * conditional write of the manifest at most; no archive moves.
 */
#include <errno.h>

#include "fs/models_room.h"

#define CHOOSE_TRIES 4

static int busy(const struct model *md, const char *why, struct err *e)
{
	return err_set(e, EBUSY, "model '%s' %s", md->name, why);
}

/* Whether nothing of the user's would vanish with the files that are shown. */
static int may_leave_locked(struct model *md, struct err *e)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);

	if (md->deleting)
		return err_set(e, ENOENT, "model '%s' is being removed", md->name);
	if (elsewhere_refuse_locked(md, e) < 0)
		return -1;
	if (md->conflict)
		return err_set(
			e, EBUSY,
			"model '%s' has changes that are in conflict with another mount's; write mine or theirs to "
			"models/%s/.sagemaker/resolve first",
			md->name, md->name);
	if (file_writer_locked(md, &path))
		return err_set(e, EBUSY, "'%s' of model '%s' is open for writing; close it first",
			       buf_cstr(&path), md->name);
	if (md->committing || md->copying)
		return busy(md, "is being committed; try again once it is", e);
	if (md->dirty || md->gone.n)
		return err_set(
			e, EBUSY,
			"model '%s' has changes that are in no version yet; sync models/%s makes one of them, then choose again",
			md->name, md->name);
	return 0;
}

static int may_leave(struct model *md, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	return may_leave_locked(md, e);
}

/* The framework that was written here was for the version that is left. */
static void settle(struct model *md)
{
	struct err e;

	{
		SCOPED_LOCK(&md->s->mu);
		md->framework[0] = md->framework_version[0] = 0;
		err_clear(&md->error);
	}

	if (model_persist(md, &e) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models", "%s", e.text);
	model_wake(md);
}

/* One try: 1: somebody else has written the manifest meanwhile. */
static int choose_once(struct model *md, const char *version, struct cancel *c, struct err *e)
{
	_cleanup_(manifest_unrefp)
	struct manifest *man = NULL, *made = NULL;
	char etag[128];

	if (catalog_load(md, &man, etag, c, e) < 0)
		return -1;
	if (!man || !manifest_find_version(man, version))
		return err_set(
			e, ENOENT,
			"model '%s' has no version '%s'; models/%s/.sagemaker/versions/ lists those it has",
			md->name, version, md->name);
	if (may_leave(md, e) < 0)
		return -1;
	if (!streq(man->version, version)) {
		_cleanup_free_ char *text = manifest_with(man, md->name, NULL, version);

		if (catalog_write(md, text, etag, &made, etag, c, e) < 0)
			return catalog_overtaken(e) ? 1 : -1;
	}
	catalog_learn(md, made ? made : man, etag);
	settle(md);
	return 0;
}

int model_choose(struct model *md, const char *version, struct cancel *c, struct err *e)
{
	int r = may_leave(md, e) < 0 ? -1 : 1;

	for (int i = 0; i < CHOOSE_TRIES && r > 0; i++)
		r = choose_once(md, version, c, e);
	if (r > 0)
		err_set(e, EBUSY,
			"other mounts keep changing the manifest of model '%s'; try again",
			md->name);
	return r ? err_prefix(e, "cannot choose version '%s'", version) : 0;
}

static int no_conflict(const struct model *md, struct err *e)
{
	return err_set(e, EINVAL, "model '%s' has no conflict that could be resolved", md->name);
}

/* Ours over theirs: from now on staging counts as begun from theirs, so the commit finds no conflict with that version. */
static int mine(struct model *md, struct cancel *c, struct err *e)
{
	{
		SCOPED_LOCK(&md->s->mu);
		if (!md->conflict)
			return no_conflict(md, e);
		memcpy(md->base, md->conflict_with, sizeof md->base);
		md->conflict = false;
	}

	return model_persist(md, e) < 0 ? -1 : model_commit(md, COMMIT_ASKED, c, e);
}

static int drop_locked(struct model *md, char temp[32], struct err *e)
{
	if (!md->conflict)
		return no_conflict(md, e);
	if (!md->man)
		return err_set(
			e, ENOENT,
			"nothing of model '%s' is published any more; sync models/%s publishes the files here",
			md->name, md->name);
	md->conflict =
		false; /* of may_leave's reasons this one is being dealt with, and the changes are not wanted */
	bool dirty = md->dirty;
	md->dirty = false;
	if (may_leave_locked(md, e) < 0) {
		md->conflict = true;
		md->dirty = dirty;
		return -1;
	}
	names_clear(&md->gone);
	model_drop_locked(md, temp);
	return 0;
}

/* Theirs: what is staged here goes; what of it was committed is a version still. */
static int theirs(struct model *md, struct cancel *c, struct err *e)
{
	char temp[32] = "";
	struct err late;

	if (catalog_refresh(md, c, e) < 0)
		return -1;
	{
		SCOPED_LOCK(&md->s->mu);
		if (drop_locked(md, temp, e) < 0)
			return -1;
	}
	if (temp[0] && remove_tree(md->s->m->staging_fd, temp, &late) < 0)
		log_line(md->s->m->log, LOG_LEVEL_WARNING, "models", "%s", late.text);
	catalog_invalidate(md);
	settle(md);
	return 0;
}

int model_resolve(struct model *md, const char *whose, struct cancel *c, struct err *e)
{
	if (streq(whose, "mine"))
		return mine(md, c, e);
	if (streq(whose, "theirs"))
		return theirs(md, c, e);
	return err_set(
		e, EINVAL,
		"'%s' resolves nothing: write mine to publish the files here over theirs, or theirs to drop them here",
		whose);
}

void model_conflict_locked(const struct model *md, struct buf *out)
{
	if (!md->conflict) {
		buf_str(out, "no conflict\n");
		return;
	}
	buf_printf(
		out,
		"conflict: version %s was published while the files here changed; they are staged, and kept as version %s\n"
		"write mine to publish the files here over it, or theirs to drop them here\n",
		md->conflict_with, md->conflict_mine);
}
