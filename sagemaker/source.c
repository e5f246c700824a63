/* source.c: the files of a model's directory, without what editors, file managers and copies in flight leave behind. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sagemaker/plan.h"
#include "sagemaker/settings.h"
#include "sagemaker/sniff.h"

#define MAX_FILES    100000 /* what unpacking allows */
#define MAX_DEPTH    30
#define MAX_LOOKS    10000 /* files whose content is looked into */
#define MAX_PATH_LEN 1000  /* S3 and tar take more; with room for what layouts put in front */

static const struct {
	const char *pattern, *what;
} droppings[] = {
	{".git",								  "version control"  },
	{".hg",								   "version control"  },
	{".svn",								  "version control"  },
	{"__pycache__",							   "cache"            },
	{"*.pyc",								 "cache"            },
	{".cache",								"cache"            },
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

/* Whose presence says that a file is not whole yet, though it may have its size already; none is a model's own. */
static const char *const downloading[] = {"*.aria2", "*.crdownload", "*.filepart", "*.incomplete"};

struct walk {
	struct package_plan *plan;
	struct source *out;
	size_t max;
	char path[MAX_PATH_LEN + 1];

	struct place { /* of the directories that are walked now, the top first */
		dev_t dev;
		ino_t ino;
	} above[MAX_DEPTH + 2];
};

void source_release(struct source *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->files[i].path);
		if (s->files[i].facts)
			sniff_release(s->files[i].facts);
		free(s->files[i].facts);
	}
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

static bool is_downloading(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(downloading); i++)
		if (fnmatch(downloading[i], name, 0) == 0)
			return true;
	return false;
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
	struct source_file *f = &s->files[s->n++];
	*f = (struct source_file){.path = path,
				  .size = (uint64_t)st->st_size,
				  .mode = st->st_mode & 07777,
				  .mtime = st->st_mtime};
	file_key_of(st, &f->key);
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

static int walk_sub(struct walk *w, int sub, size_t len, int depth, struct err *e)
{
	struct stat st;

	if (sub < 0 || fstat(sub, &st)) {
		err_errno(e, "read '%s'", w->path);
		closep(&sub);
		return -1;
	}
	for (int i = 0; i <= depth; i++)
		if (w->above[i].dev == st.st_dev && w->above[i].ino == st.st_ino) {
			plan_fail(w->plan, EINVAL,
				  "the link '%s' leads back to a directory that it stands in",
				  w->path);
			close(sub);
			return 0;
		}
	w->above[depth + 1] = (struct place){st.st_dev, st.st_ino};
	return walk_dir(w, sub, len, depth + 1, e);
}

int source_open(int dirfd, const char *path)
{
	const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	/* a kernel without it: no links at all */
	return fd < 0 && errno == ENOSYS
		       ? openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
		       : (int)fd;
}

static int refuse_link(struct walk *w, struct err *e)
{
	int no = errno;

	if (no == EXDEV || no == ELOOP)
		plan_fail(
			w->plan, EINVAL,
			no == EXDEV
				? "the symbolic link '%s' leaves the model, and archives of models "
				  "hold no links: copy what it points to (cp -L)"
				: "the symbolic link '%s' leads to itself",
			w->path);
	else if (no == ENOENT || no == ENOTDIR)
		plan_fail(w->plan, ENODATA,
			  "incomplete: what the symbolic link '%s' points to is missing", w->path);
	else
		return err_errno(e, "read '%s'", w->path);
	return 0;
}

/* A link is packed as what it points to, which must be inside the model. */
static int walk_link(struct walk *w, size_t len, int depth, struct err *e)
{
	_cleanup_close_ int fd = source_open(w->out->dirfd, w->path);
	struct stat st;

	if (fd < 0)
		return refuse_link(w, e);
	if (fstat(fd, &st))
		return err_errno(e, "read '%s'", w->path);
	if (S_ISREG(st.st_mode))
		return add_file(w, &st, e);
	if (!S_ISDIR(st.st_mode)) {
		plan_note(w->plan, "left out: %s (not a regular file)", w->path);
		return 0;
	}
	if (depth < MAX_DEPTH)
		return walk_sub(w, steal_fd(&fd), len, depth, e);
	plan_fail(w->plan, EINVAL, "'%s' is more than %d directories deep", w->path, MAX_DEPTH);
	return 0;
}

static int walk_entry(struct walk *w, int fd, const char *name, size_t len, int depth,
		      struct err *e)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_errno(e, "read '%s'", w->path);
	if (w->out->n >= MAX_FILES)
		plan_fail(w->plan, EINVAL, "the model has more than %d files", MAX_FILES);
	else if (S_ISREG(st.st_mode))
		return add_file(w, &st, e);
	else if (S_ISLNK(st.st_mode))
		return walk_link(w, len, depth, e);
	else if (!S_ISDIR(st.st_mode))
		plan_note(w->plan, "left out: %s (not a regular file)", w->path);
	else if (depth >= MAX_DEPTH)
		plan_fail(w->plan, EINVAL, "'%s' is more than %d directories deep", w->path,
			  MAX_DEPTH);
	else
		return walk_sub(w,
				openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				len, depth, e);
	return 0;
}

/* What sagemaker.json says is not packed. A pattern without '/' is for names at any depth, one with '/' for paths from the top;
 * what matches a directory matches all in it. */
static bool ignored(const struct walk *w, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, w->plan->settings.ignore) {
		const char *pattern = item->valuestring;
		size_t n = strlen(pattern);
		_cleanup_free_ char *plain =
			strndup(pattern, n && pattern[n - 1] == '/' ? n - 1 : n);

		if (!plain)
			continue;
		if (strchr(plain, '/') ? fnmatch(plain + (*plain == '/'), w->path, 0) == 0
				       : fnmatch(plain, name, 0) == 0)
			return true;
	}
	return false;
}

/* huggingface_hub's cache has each file twice: models--ORG--NAME/blobs/HASH, and a link to it in snapshots/, which is packed. */
static bool hub_blobs(const struct walk *w, const char *name)
{
	size_t dir = strlen(w->path) - strlen(name);

	if (!streq(name, "blobs") || (fnmatch("models--*/blobs", w->path, 0) != 0 &&
				      fnmatch("*/models--*/blobs", w->path, 0) != 0))
		return false;
	_cleanup_free_ char *beside = str_printf("%.*ssnapshots", (int)dir, w->path);
	return beside && faccessat(w->out->dirfd, beside, F_OK, 0) == 0;
}

/* Put name behind the directory's path; 0 when it is not to be walked. */
static size_t enter_name(struct walk *w, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len + n + 2 > sizeof(w->path)) {
		plan_fail(w->plan, EINVAL, "a path of more than %d bytes begins with '%.80s'",
			  MAX_PATH_LEN, w->path);
		return 0;
	}
	if (unusable_name(name)) {
		plan_fail(w->plan, EINVAL,
			  "the name of a file in '%s' holds a line break or another control "
			  "character: rename it (ls -b shows it)",
			  len ? w->path : ".");
		return 0;
	}
	size_t end = len ? len + 1 + n : n;
	if (len)
		w->path[len] = '/';
	memcpy(w->path + end - n, name, n + 1);
	const char *what = ignored(w, name)     ? "as sagemaker.json says"
			   : hub_blobs(w, name) ? "what snapshots/ links to is packed there"
						: dropping(name);
	if (what)
		plan_note(w->plan, "left out: %s (%s)", w->path, what);
	else if (is_downloading(name))
		plan_fail(
			w->plan, ENODATA,
			"incomplete: '%s' is of a download that has not ended; let it end, or remove it",
			w->path);
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

static bool in_code_dir(const char *path)
{
	return starts_with(path, "code/") || strstr(path, "/code/");
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct source_file *)a)->path, ((const struct source_file *)b)->path);
}

/* A look costs as much as all else that a plan does for a file: a large model is looked at often while it is copied. */
static int look_at(const struct source *s, struct source_file *f, struct err *e)
{
	const char *name = source_base_name(f->path);

	f->facts = calloc(1, sizeof(*f->facts));
	if (!f->facts)
		return err_set(e, ENOMEM, "read the model: out of memory");
	f->facts->form = "";
	if (hash_cache_plain(s->known, &f->key, name))
		return 0;
	if (sniff_file(s->dirfd, f->path, f->facts, e))
		return -1;
	if (f->facts->kind == KIND_NONE && !f->facts->no)
		hash_cache_plain_keep(s->known, &f->key, name);
	return 0;
}

/* What the files are whose names may be those of models. */
static int look_into(struct source *s, struct err *e)
{
	size_t looked = 0;

	if (s->n)
		qsort(s->files, s->n, sizeof(*s->files), by_path);
	for (size_t i = 0; i < s->n; i++) {
		struct source_file *f = &s->files[i];

		if (!sniff_wanted(source_base_name(f->path)) || in_code_dir(f->path) ||
		    looked++ >= MAX_LOOKS)
			continue;
		if (look_at(s, f, e))
			return -1;
	}
	return 0;
}

int source_walk(int dirfd, struct package_plan *p, struct hash_cache *known, struct source *out,
		struct err *e)
{
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* an offset of its own */

	*out = (struct source){.dirfd = dirfd, .known = known};
	if (fd < 0 || !w) {
		err_errno(e, "read the model's directory");
		closep(&fd);
		return -1;
	}
	w->plan = p;
	w->out = out;
	struct stat st;
	if (fstat(fd, &st) == 0)
		w->above[0] = (struct place){st.st_dev, st.st_ino};
	if (walk_dir(w, fd, 0, 0, e) || look_into(out, e)) {
		source_release(out);
		return -1;
	}
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
