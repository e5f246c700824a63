/* A model's manifest, which anyone with the bucket may write: what is accepted stays in the model, makes a tree, and is accepted
 * again with the record that is current put in once more. */
#include <sys/stat.h>

#include "fs/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct manifest *m)
{
	const struct names none = {0};
	const struct manifest_member *member;

	for (size_t i = 0; i < m->n; i++) {
		const char *path = m->members[i].path;

		if (*path == '/' || streq(path, "..") || starts_with(path, "../") ||
		    strstr(path, "/../") || ends_with(path, "/.."))
			abort();
		if (catalog_find(m, &none, path, &member) != S_IFREG || !streq(member->path, path))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = {0};
	struct manifest *m = manifest_read((const char *)p, n, "model/iris/", &e);

	if (!m) {
		if (!e.no)
			abort();
		return 0;
	}
	check(m);
	_cleanup_free_ char *text = manifest_with(m, "iris", m->current, m->version);
	struct manifest *again = text ? manifest_read(text, strlen(text), "model/iris/", &e) : NULL;
	if (!again || again->n != m->n || !streq(again->version, m->version))
		abort();
	manifest_unref(again);
	manifest_unref(m);
	return 0;
}
