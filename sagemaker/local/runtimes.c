#include "sagemaker/local/runtimes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "build_config.h"
#include "sagemaker/buf.h"
#include "sagemaker/images.h"
#include "sagemaker/local/local.h"

#define SYSTEM_RUNTIMES "/usr/local/lib/sagemakerfs/runtimes"

typedef void visit_fn(void *arg, const struct runtime *rt);

/* "tensorflow-2.20.0" in dir, if it is whole: runtime.json is written last. */
static bool read_runtime(const char *dir, const char *name, struct runtime *rt)
{
	const char *dash = strrchr(name, '-');
	char python[640], json[640];

	if (!dash || dash == name || !isdigit((unsigned char)dash[1]) ||
	    (size_t)(dash - name) >= sizeof rt->framework || strlen(dash + 1) >= sizeof rt->version)
		return false;
	snprintf(rt->framework, sizeof rt->framework, "%.*s", (int)(dash - name), name);
	snprintf(rt->version, sizeof rt->version, "%s", dash + 1);
	int n = snprintf(rt->dir, sizeof rt->dir, "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof rt->dir)
		return false;
	snprintf(python, sizeof python, "%s/bin/python", rt->dir);
	snprintf(json, sizeof json, "%s/runtime.json", rt->dir);
	return access(python, X_OK) == 0 && access(json, R_OK) == 0;
}

static void visit_dir(const char *dir, visit_fn *fn, void *arg)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct runtime rt;

	for (struct dirent *t = d ? readdir(d) : NULL; t; t = readdir(d)) {
		if (t->d_name[0] != '.' && read_runtime(dir, t->d_name, &rt))
			fn(arg, &rt);
	}
}

static void visit_all(visit_fn *fn, void *arg)
{
	const char *list = getenv("SAGEMAKERFS_RUNTIMES"), *data = getenv("XDG_DATA_HOME"),
		   *home = getenv("HOME");
	char dir[512];

	for (const char *p = list ? list : ""; *p;) {
		const char *end = strchrnul(p, ':');
		if (end > p && end - p < (ptrdiff_t)sizeof dir) {
			memcpy(dir, p, (size_t)(end - p));
			dir[end - p] = '\0';
			visit_dir(dir, fn, arg);
		}
		p = *end ? end + 1 : end;
	}
	if (data && *data)
		snprintf(dir, sizeof dir, "%s/sagemakerfs/runtimes", data);
	else
		snprintf(dir, sizeof dir, "%s/.local/share/sagemakerfs/runtimes", home ? home : "");
	visit_dir(dir, fn, arg);
	visit_dir(SYSTEM_RUNTIMES, fn, arg);
}

static long part(const char *version, int i)
{
	while (i-- && version)
		version = strchr(version, '.') ? strchr(version, '.') + 1 : NULL;
	return version ? strtol(version, NULL, 10) : 0;
}

/* How near a runtime is to the wish: first what matters most; smaller is nearer. */
static long distance(const char *have, const char *wish)
{
	if (part(have, 0) != part(wish, 0))
		return 1000000;
	return labs(part(have, 1) - part(wish, 1));
}

struct choice {
	const char *framework, *version;
	struct runtime best;
	bool found;
};

static void consider(void *arg, const struct runtime *rt)
{
	struct choice *c = arg;

	if (!streq(rt->framework, c->framework))
		return;
	long d = distance(rt->version, c->version),
	     best = c->found ? distance(c->best.version, c->version) : 0;
	bool newer = c->found && version_compare(rt->version, c->best.version) > 0;
	bool exact = streq(rt->version, c->version),
	     has_exact = c->found && streq(c->best.version, c->version);
	if (!c->found || d < best || (d == best && !has_exact && (exact || newer))) {
		c->best = *rt;
		c->found = true;
	}
}

int runtime_choose(const char *framework, const char *version, bool strict, struct runtime *out,
		   struct err *e)
{
	struct choice c = {.framework = framework, .version = version};

	visit_all(consider, &c);
	if (!c.found)
		return err_set(
			e, ENOENT,
			"no runtime for %s is installed; run 'scripts/runtimes %s' of the source tree to install one, then "
			"deploy again",
			framework, framework);
	if (strict && distance(c.best.version, version) != 0)
		return err_set(
			e, ENOENT,
			"no runtime for %s %s is installed and strict_runtimes is set (the nearest is %s); run "
			"'scripts/runtimes %s==%s', then deploy again",
			framework, version, c.best.version, framework, version);
	*out = c.best;
	return 0;
}

int runtime_server(const char *framework, char out[512], struct err *e)
{
	const char *dirs[] = {getenv("SAGEMAKERFS_SERVE_DIR"), SMFS_SERVE_DIR,
			      SMFS_SERVE_DIR_BUILD};
	size_t n = dirs[0] && *dirs[0]
			   ? 1
			   : ARRAY_SIZE(dirs); /* who names a directory means that one */

	for (size_t i = n == 1 ? 0 : 1; i < n; i++) {
		int len = snprintf(out, 512, "%s/%s_server.py", dirs[i], framework);
		if (len > 0 && len < 512 && access(out, R_OK) == 0)
			return 0;
	}
	return err_set(
		e, ENOENT,
		"the local backend has no model server for '%s' ('%s_server.py' is not in '%s')",
		framework, framework, dirs[n == 1 ? 0 : 1]);
}

struct shown {
	struct buf *out;
	int n;
};

static void show(void *arg, const struct runtime *rt)
{
	struct shown *s = arg;

	buf_printf(s->out, "%s %s  %s\n", rt->framework, rt->version, rt->dir);
	s->n++;
}

int local_runtimes(struct buf *out)
{
	struct shown s = {out, 0};

	visit_all(show, &s);
	return s.n;
}
