/* packaging.c: an archive, or the files as they are. */
#include <errno.h>

#include "sagemaker/old_code.h"
#include "sagemaker/plan.h"
#include "sagemaker/settings.h"

#define KEY_ROOM 800 /* bytes of a path: a key has 1024, and the prefix comes before it */

/* Containers that take code only from an archive in S3 need one. */
static bool needs_archive(const struct package_plan *p)
{
	char framework[32];

	package_framework(p, framework);
	return p->ready || old_code_wanted(p, framework);
}

bool package_as_files(const struct package_plan *p, uint64_t above)
{
	if (p->settings.packaging[0])
		return streq(p->settings.packaging, "none");
	return above && p->bytes >= above && !needs_archive(p);
}

/* What cannot be without an archive, and what is lost then. */
void packaging_check(struct package_plan *p)
{
	size_t executable = 0;

	if (!streq(p->settings.packaging, "none"))
		return;
	if (p->ready)
		plan_fail(p, EINVAL,
			  "'model.tar.gz' is an archive already: \"packaging\" in " SETTINGS_FILE
			  " cannot be \"none\"; unpack it here, or take that out");
	else if (needs_archive(p))
		plan_fail(
			p, EINVAL,
			"the container of this framework version takes code only from an archive in S3: "
			"\"packaging\" in " SETTINGS_FILE " cannot be \"none\"");
	for (size_t i = 0; i < p->n_members; i++) {
		executable += p->members[i].path && p->members[i].mode & 0111;
		if (strlen(p->members[i].archive) > KEY_ROOM)
			plan_fail(p, ENAMETOOLONG, "'%s' is too long to be part of an object's key",
				  p->members[i].archive);
	}
	plan_note(p, "packaging: none: each file becomes an object, there is no archive");
	if (executable)
		plan_note(
			p,
			"%zu files are executable here and will not be in the container: objects have no modes",
			executable);
}
