/* catalog_archive.c: how the archive of a published version is read. */
#include <errno.h>

#include "fs/models_room.h"

static struct archive *kept_locked(const struct model *md, const struct manifest *man)
{
	return md->archive && streq(md->archive_of, man->version) ? archive_ref(md->archive) : NULL;
}

static void keep(struct model *md, const struct manifest *man, struct archive *a)
{
	struct archive *before;

	{
		SCOPED_LOCK(&md->s->mu);
		before = md->archive;
		md->archive = archive_ref(a);
		snprintf(md->archive_of, sizeof md->archive_of, "%s", man->version);
	}

	archive_unref(before);
}

struct archive *archive_known(struct model *md, const struct manifest *man,
			      const struct manifest_member *m, struct err *e)
{
	if (record_is_files(man->current))
		return archive_of_file(man->current, m, e);
	{
		SCOPED_LOCK(&md->s->mu);
		struct archive *a = kept_locked(md, man);

		if (a)
			return a;
	}
	struct archive *a = archive_of(man->current, e);
	if (a)
		keep(md, man, a);
	return a;
}

/* One at a time reads an archive of md; the others wait and find its index. */
static int turn(struct model *md, struct cancel *c, struct err *e)
{
	SCOPED_LOCK(&md->s->mu);

	while (md->fetching) {
		if (cancel_is_set(c))
			return err_set(e, ECANCELED, "cancelled");
		models_wait_locked(md->s, 100);
	}
	md->fetching = true;
	return 0;
}

static void turn_over(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	md->fetching = false;
	pthread_cond_broadcast(&md->s->changed);
}

static struct archive *scanned(struct model *md, const struct manifest *man, struct cancel *c,
			       struct err *e)
{
	_cleanup_(archive_unrefp)
	struct archive *a = archive_place(man->current, e);

	if (!a || archive_scan(md, &a, c, e) < 0)
		return NULL;
	keep(md, man, a);
	return steal(a);
}

struct archive *archive_learn(struct model *md, const struct manifest *man,
			      const struct manifest_member *m, struct cancel *c, struct err *e)
{
	struct archive *a = archive_known(md, man, m, e);

	if (a || e->no != ENODATA)
		return a;
	if (turn(md, c, e) < 0)
		return NULL;
	a = archive_known(md, man, m, e);
	if (!a && e->no == ENODATA)
		a = scanned(md, man, c, e);
	turn_over(md);
	return a;
}
