/* catalog_tree.c: the directories that a manifest's paths make, less what was removed here. Pure. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "fs/catalog.h"

/* Index of the first name >= path. */
static size_t names_at(const struct names *s, const char *path)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->v[mid], path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool names_has(const struct names *s, const char *path)
{
	size_t i = names_at(s, path);

	return i < s->n && streq(s->v[i], path);
}

int names_add(struct names *s, const char *path)
{
	size_t i = names_at(s, path);

	if (i < s->n && streq(s->v[i], path))
		return 0;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		char **v = realloc(s->v, cap * sizeof *v);

		if (!v)
			return -1;
		s->v = v;
		s->cap = cap;
	}
	char *copy = strdup(path);
	if (!copy)
		return -1;
	memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof *s->v);
	s->v[i] = copy;
	s->n++;
	return 0;
}

void names_clear(struct names *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct names){0};
}

/* Index of the first member whose path is >= path. */
static size_t member_at(const struct manifest *m, const char *path)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->members[mid].path, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

mode_t catalog_find(const struct manifest *m, const struct names *gone, const char *path,
		    const struct manifest_member **member)
{
	_cleanup_free_ char *dir = NULL;

	if (!*path)
		return S_IFDIR;
	if (names_has(gone, path))
		return 0;
	size_t i = member_at(m, path);
	if (i < m->n && streq(m->members[i].path, path)) {
		*member = &m->members[i];
		return S_IFREG;
	}
	dir = str_printf("%s/", path);
	if (!dir)
		return 0;
	i = member_at(m, dir);
	return i < m->n && starts_with(m->members[i].path, dir) ? S_IFDIR : 0;
}

/* The name below directory prefix (ending in '/' or "") that path leads through, cut into name. */
static void component(const char *path, size_t prefix, char name[NAME_MAX + 1], mode_t *type)
{
	size_t n = MIN(strcspn(path + prefix, "/"), NAME_MAX);

	memcpy(name, path + prefix, n);
	name[n] = 0;
	*type = path[prefix + n] ? S_IFDIR : S_IFREG;
}

static bool is_gone(const struct names *gone, const char *path, size_t n)
{
	_cleanup_free_ char *copy = gone->n ? strndup(path, n) : NULL;

	return copy && names_has(gone, copy);
}

int catalog_list(const struct manifest *m, const struct names *gone, const char *path,
		 int (*fn)(void *arg, const char *name, mode_t type), void *arg)
{
	_cleanup_free_ char *dir = str_printf("%s%s", path, *path ? "/" : "");
	char name[NAME_MAX + 1], last[NAME_MAX + 1] = "";
	mode_t type;

	if (!dir)
		return -1;
	size_t prefix = strlen(dir);
	for (size_t i = member_at(m, dir); i < m->n && starts_with(m->members[i].path, dir); i++) {
		component(m->members[i].path, prefix, name, &type);
		/* Paths that share a component are neighbours: they share everything up to its '/'. */
		if (streq(name, last) || is_gone(gone, m->members[i].path, prefix + strlen(name)))
			continue;
		snprintf(last, sizeof last, "%s", name);
		int r = fn(arg, name, type);
		if (r)
			return r;
	}
	return 0;
}
