/* source.c: the files of a model's directory, without what editors, file managers and copies in flight leave behind. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "sagemaker/plan.h"
#include "sagemaker/settings.h"

#define MAX_FILES    100000 /* what unpacking allows */
#define MAX_DEPTH    30
#define MAX_PATH_LEN 1000 /* S3 and tar take more; with room for what layouts put in front */

static const struct {
	const char *pattern, *what;
} droppings[] = {
	{".git",								  "version control"  },
	{".hg",								   "version control"  },
	{".svn",								  "version control"  },
	{"__pycache__",							   "cache"            },
	{"*.pyc",								 "cache"            },
	{".ipynb_checkpoints",						    "notebook's copies"},
	{".DS_Store",							     "file manager's"   },
	{"._*",								   "file manager's"   },
	{"Thumbs.db",							     "file manager's"   },
	{".directory",							    "file manager's"   },
	{".*.sw[a-p]",							    "editor's"         },
	{"*~",								    "editor's"         },
	{".#*",								   "editor's"         },
	{"#*#",								   "editor's"         },
	{".~lock.*",							      "editor's"         },
	{".*.tmp",								"unfinished copy"  },
	{".*.[a-zA-Z0-9][a-zA-Z0-9][a-zA-Z0-9][a-zA-Z0-9][a-zA-Z0-9][a-zA-Z0-9]",
	 "unfinished copy"									   },
	{".nfs*",								 "deleted file"     },
	{".fuse_hidden*",							 "deleted file"     },
	{"temp-[0-9]*",							   "unfinished export"},
};

struct walk {
	struct package_plan *plan;
	struct source *out;
	size_t max;
	char path[MAX_PATH_LEN + 1];
};

void source_release(struct source *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->files[i].path);
	free(s->files);
	s->files = NULL;
	s->n = 0;
}

static const char *dropping(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(droppings); i++)
		if (fnmatch(droppings[i].pattern, name, 0) == 0)
			return droppings[i].what;
	return NULL;
}

static int add_file(struct walk *w, const struct stat *st, struct err *e)
{
	struct source *s = w->out;

	if (s->n == w->max) {
		size_t max = w->max ? w->max * 2 : 64;
		struct source_file *f = reallocarray(s->files, max, sizeof(*f));

		if (!f)
			return err_set(e, ENOMEM, "read the model: out of memory");
		s->files = f;
		w->max = max;
	}
	char *path = strdup(w->path);
	if (!path)
		return err_set(e, ENOMEM, "read the model: out of memory");
	s->files[s->n++] = (struct source_file){path, (uint64_t)st->st_size, st->st_mode & 07777,
						st->st_mtime};
	return 0;
}

static bool unusable_name(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == 0x7f)
			return true;
	return false;
}

static int walk_dir(struct walk *w, int fd, size_t len, int depth, struct err *e);

static int walk_entry(struct walk *w, int fd, const char *name, size_t len, int depth,
		      struct err *e)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_errno(e, "read '%s'", w->path);
	if (S_ISREG(st.st_mode) && w->out->n < MAX_FILES)
		return add_file(w, &st, e);
	if (S_ISREG(st.st_mode)) {
		plan_fail(w->plan, EINVAL, "the model has more than %d files", MAX_FILES);
	} else if (S_ISLNK(st.st_mode)) {
		plan_fail(
			w->plan, EINVAL,
			"'%s' is a symbolic link, which archives of models cannot hold: copy what "
			"it points to (cp -L)",
			w->path);
	} else if (!S_ISDIR(st.st_mode)) {
		plan_note(w->plan, "left out: %s (not a regular file)", w->path);
	} else if (depth >= MAX_DEPTH) {
		plan_fail(w->plan, EINVAL, "'%s' is more than %d directories deep", w->path,
			  MAX_DEPTH);
	} else {
		int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (sub < 0)
			return err_errno(e, "read '%s'", w->path);
		return walk_dir(w, sub, len, depth + 1, e);
	}
	return 0;
}

/* Put name behind the directory's path; 0 when it is not to be walked. */
static size_t enter_name(struct walk *w, size_t len, const char *name)
{
	const char *what = dropping(name);
	size_t n = strlen(name);

	if (len + n + 2 > sizeof(w->path)) {
		plan_fail(w->plan, EINVAL, "a path of more than %d bytes begins with '%.80s'",
			  MAX_PATH_LEN, w->path);
		return 0;
	}
	if (unusable_name(name)) {
		plan_fail(w->plan, EINVAL, "a file name in '%s' holds control characters",
			  len ? w->path : ".");
		return 0;
	}
	size_t end = len ? len + 1 + n : n;
	if (len)
		w->path[len] = '/';
	memcpy(w->path + end - n, name, n + 1);
	if (what)
		plan_note(w->plan, "left out: %s (%s)", w->path, what);
	return what ? 0 : end;
}

/* Directory entries that are no files of the model: ".", "..", and the settings at the top. */
static bool is_ours(const char *name, size_t len)
{
	return streq(name, ".") || streq(name, "..") || (len == 0 && streq(name, SETTINGS_FILE));
}

/* Every entry of fd, which is closed. */
static int walk_dir(struct walk *w, int fd, size_t len, int depth, struct err *e)
{
	_cleanup_closedir_ DIR *d = fdopendir(fd);

	if (!d) {
		err_errno(e, "read '%s'", len ? w->path : ".");
		close(fd);
		return -1;
	}
	for (;;) {
		w->path[len] = '\0';
		errno = 0;
		const struct dirent *de = readdir(d);

		if (!de)
			return errno ? err_errno(e, "read '%s'", len ? w->path : ".") : 0;
		if (is_ours(de->d_name, len))
			continue;
		size_t end = enter_name(w, len, de->d_name);
		if (end && walk_entry(w, fd, de->d_name, end, depth, e))
			return -1;
	}
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct source_file *)a)->path, ((const struct source_file *)b)->path);
}

int source_walk(int dirfd, struct package_plan *p, struct source *out, struct err *e)
{
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* an offset of its own */

	*out = (struct source){dirfd, NULL, 0};
	if (fd < 0 || !w) {
		err_errno(e, "read the model's directory");
		closep(&fd);
		return -1;
	}
	w->plan = p;
	w->out = out;
	if (walk_dir(w, fd, 0, 0, e)) {
		source_release(out);
		return -1;
	}
	if (out->n)
		qsort(out->files, out->n, sizeof(*out->files), by_path);
	return 0;
}

static int path_is(const void *path, const void *file)
{
	return strcmp(path, ((const struct source_file *)file)->path);
}

const struct source_file *source_find(const struct source *s, const char *path)
{
	return s->n ? bsearch(path, s->files, s->n, sizeof(*s->files), path_is) : NULL;
}

const char *source_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
