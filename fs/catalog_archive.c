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

struct archive *archive_known(struct model *md, const struct manifest *man, struct err *e)
{
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

struct archive *archive_learn(struct model *md, const struct manifest *man, struct cancel *c,
			      struct err *e)
{
	(void)c;
	return archive_known(md, man, e);
}
