/* leftover.c: the journals of mounts that have ended. */
#include "fs/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/dirs.h"
#include "fs/journal.h"
#include "fs/mount_linger.h"

/* Rows: a kind of the journal, as users are told of it. */
static const struct {
	const char *kind, *what;
} kinds[] = {
	{"upload",       "upload of"       },
	{"deploy",       "deploy of"       },
	{"delete",       "delete of"       },
	{"delete-model", "removal of model"},
};

struct rest {
	struct buf *out;
	const char *what, *how;
	int n;
};

static int add_operation(void *arg, int64_t id, const char *name, const char *json)
{
	struct rest *r = arg;

	(void)id;
	(void)json;
	buf_printf(r->out, "not finished: %s '%s' (%s)\n", r->what, name, r->how);
	r->n++;
	return 0;
}

/* What models_state.c has written of a model. */
static int add_changes(void *arg, int64_t id, const char *key, const char *value)
{
	const struct rest *r = arg;
	_cleanup_json_ cJSON *j = cJSON_Parse(value);

	(void)id;
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "dirty")))
		buf_printf(
			r->out,
			"not published: changes of model '%s' (they are staged; the next mount has them)\n",
			strchr(key, ':') + 1);
	return 0;
}

int leftover_lines(int state, const char *how, struct buf *out, struct err *e)
{
	struct rest rest = {.out = out, .how = how};
	struct journal *j = journal_look(state, e);
	int rc = j ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(kinds); i++) {
		rest.what = kinds[i].what;
		rc = journal_each(j, kinds[i].kind, add_operation, &rest, e);
	}
	if (rc == 0)
		rc = journal_settings(j, "model:", add_changes, &rest, e);
	journal_close(j);
	return rc < 0 ? -1 : rest.n;
}

/* Whether a process holds dir/lock, by the kernel's list: to try the lock would be to take it from a mount that starts just now. */
static bool is_held(int dir, const char *locks)
{
	struct stat st;
	char inode[32];

	if (fstatat(dir, "lock", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	snprintf(inode, sizeof inode, ":%llu ", (unsigned long long)st.st_ino);
	return strstr(locks, inode) != NULL;
}

static void add_source(int dir, struct buf *out)
{
	struct err e;
	struct journal *j = journal_look(dir, &e);
	_cleanup_free_ char *source = NULL;

	if (j && journal_get(j, "source", &source, &e) == 0 && source)
		buf_printf(out, "%s ", source);
	journal_close(j);
}

static void add_dir(int base, const char *name, const char *locks, struct buf *out)
{
	_cleanup_buf_ struct buf lines = {0};
	_cleanup_close_ int dir =
		openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct err e;

	if (dir < 0 || faccessat(dir, "journal", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	bool held = is_held(dir, locks), lingers = faccessat(dir, LINGERING, F_OK, 0) == 0;
	if (held && !lingers)
		return;
	int n = leftover_lines(
		dir, held ? "goes on in the background" : "goes on when the same is mounted again",
		&lines, &e);
	if (n < 0)
		buf_printf(&lines, "what is not finished is not known: %s\n", e.text);
	if (!lines.len)
		return;
	buf_str(out, "\nleft by a mount of ");
	add_source(dir, out);
	buf_printf(out, "in %s\n%s", name, buf_cstr(&lines));
}

void leftover_all(struct buf *out)
{
	struct err e;
	_cleanup_free_ char *path = dirs_path(DIRS_STATE, &e);
	_cleanup_closedir_ DIR *d = path ? opendir(path) : NULL;
	_cleanup_buf_ struct buf locks = BUF_INIT((size_t)8 << 20);
	struct dirent *de;

	if (!d || buf_read_file(&locks, AT_FDCWD, "/proc/locks") < 0)
		return;
	while ((de = readdir(d))) {
		if (de->d_name[0] != '.')
			add_dir(dirfd(d), de->d_name, buf_cstr(&locks), out);
	}
}
