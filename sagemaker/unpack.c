/* unpack.c: read a tar.gz with libarchive, trust nothing in it. The directory is private to the caller while this runs, so a
 * check followed by an openat beneath it cannot be raced. */
#include "sagemaker/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "sagemaker/hash.h"
#include "sagemaker/utf8_locale.h"

#define PATH_LIMIT      1024 /* bytes, as an S3 key */
#define DEPTH_LIMIT     32
#define READ_BLOCK      ((size_t)1 << 18)
#define DEFAULT_BYTES   ((uint64_t)64 << 30)
#define DEFAULT_ENTRIES 100000

struct reader {
	struct archive *in;
	struct archive_entry *entry; /* the current one, owned by in */
	char path[PATH_LIMIT + 1];   /* its normalised path */
	uint64_t entries, bytes;     /* what is left of the limits */
	uint64_t keep;               /* of the limits; 0: all */
	struct cancel *cancel;
	char block[READ_BLOCK];
};

/* What is done with one checked entry; its path is r->path. */
typedef int visit_fn(void *arg, struct reader *r, struct err *e);

static void reader_freep(struct reader **r)
{
	if (*r)
		archive_read_free((*r)->in);
	free(*r);
}

static int not_whole(struct reader *r, struct err *e)
{
	const char *why = archive_error_string(r->in);

	return err_set(e, EINVAL, "the archive is not a whole tar.gz: %s",
		       why ? why : "cannot read it");
}

static struct reader *reader_empty(const struct unpack_limits *l, struct cancel *cancel,
				   struct err *e)
{
	_cleanup_(reader_freep)
	struct reader *r = calloc(1, sizeof(*r));

	if (!r || !(r->in = archive_read_new())) {
		err_set(e, ENOMEM, "read the archive: out of memory");
		return NULL;
	}
	r->bytes = l && l->bytes ? l->bytes : DEFAULT_BYTES;
	r->entries = l && l->entries ? l->entries : DEFAULT_ENTRIES;
	r->keep = l ? l->keep : 0;
	r->cancel = cancel;
	archive_read_support_format_tar(r->in);
	return steal(r);
}

static struct reader *reader_new(int fd, const struct unpack_limits *l, struct cancel *cancel,
				 struct err *e)
{
	_cleanup_(reader_freep)
	struct reader *r = reader_empty(l, cancel, e);

	if (!r)
		return NULL;
	archive_read_support_filter_gzip(r->in);
	if (archive_read_open_fd(r->in, fd, READ_BLOCK) != ARCHIVE_OK) {
		not_whole(r, e);
		return NULL;
	}
	if (archive_filter_code(r->in, 0) != ARCHIVE_FILTER_GZIP) {
		err_set(e, EINVAL, "the archive is not a tar.gz: it is not compressed with gzip");
		return NULL;
	}
	return steal(r);
}

static bool has_control(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

/* One component of a path, n bytes at s: "" and "." vanish. */
static int add_component(struct reader *r, size_t *len, const char *s, size_t n, struct err *e)
{
	if (n == 0 || (n == 1 && s[0] == '.'))
		return 0;
	if (n == 2 && s[0] == '.' && s[1] == '.')
		return err_set(e, EINVAL, "the archive holds a path with '..'");
	if (n > NAME_MAX || *len + n + 1 > PATH_LIMIT)
		return err_set(e, EINVAL, "the archive holds a path that is too long");
	if (has_control(s, n))
		return err_set(e, EINVAL, "the archive holds a file name with control characters");
	if (*len)
		r->path[(*len)++] = '/';
	memcpy(r->path + *len, s, n);
	*len += n;
	return 0;
}

/* Into r->path: relative, no ".", "..", "//". "" is the directory itself. */
static int normalise(struct reader *r, const char *s, struct err *e)
{
	size_t len = 0;
	int depth = 0;

	/* "/" alone is how Python's tarfile writes the top directory, and so how the SageMaker SDK packs a model. */
	if (*s == '/' && s[strspn(s, "/")])
		return err_set(e, EINVAL, "the archive holds an absolute path");
	while (*s) {
		size_t n = strcspn(s, "/");
		size_t before = len;

		if (add_component(r, &len, s, n, e))
			return -1;
		if (len > before && ++depth > DEPTH_LIMIT)
			return err_set(e, EINVAL,
				       "the archive holds a path more than %d directories deep",
				       DEPTH_LIMIT);
		s += n + (s[n] == '/');
	}
	r->path[len] = '\0';
	return 0;
}

static int check_type(const struct reader *r, struct err *e)
{
	mode_t type = archive_entry_filetype(r->entry);

	if (archive_entry_hardlink(r->entry) || type == AE_IFLNK)
		return err_set(e, EINVAL,
			       "the archive holds the link '%s': only files and directories are "
			       "taken",
			       r->path);
	if (type != AE_IFREG && type != AE_IFDIR)
		return err_set(e, EINVAL,
			       "the archive holds the special file '%s': only files and "
			       "directories are taken",
			       r->path);
	return 0;
}

/* Count the entry against the limits by what it says of itself: no reading or writing before that. */
static int check_limits(struct reader *r, struct err *e)
{
	int64_t size = archive_entry_size(r->entry);

	if (r->entries-- == 0)
		return err_set(e, EFBIG, "the archive holds too many files");
	if (size < 0)
		return err_set(e, EINVAL, "the archive holds '%s' with a negative size", r->path);
	if ((uint64_t)size > r->bytes)
		return err_set(e, EFBIG, "the archive unpacks to more bytes than allowed, at '%s'",
			       r->path);
	return 0;
}

static int check_entry(struct reader *r, struct err *e)
{
	const char *path = archive_entry_pathname(r->entry);

	if (!path)
		path = archive_entry_pathname_utf8(r->entry);
	if (!path)
		return err_set(e, EINVAL, "the archive holds a file without a readable name");
	if (normalise(r, path, e) || check_type(r, e) || check_limits(r, e))
		return -1;
	if (!r->path[0] && archive_entry_filetype(r->entry) != AE_IFDIR)
		return err_set(e, EINVAL, "the archive holds a file without a name");
	return 0;
}

static int each_entry(struct reader *r, visit_fn *visit, void *arg, struct err *e)
{
	for (;;) {
		int rc = archive_read_next_header(r->in, &r->entry);

		if (rc == ARCHIVE_EOF)
			return 0;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return not_whole(r, e);
		if (cancel_is_set(r->cancel))
			return err_set(e, ECANCELED, "unpacking was cancelled");
		if (check_entry(r, e) || (r->path[0] && visit(arg, r, e)))
			return -1;
	}
}

/* The directory `name` in fd, made if missing. */
static int enter(int fd, const char *name, struct err *e)
{
	int d;

	if (mkdirat(fd, name, 0755) && errno != EEXIST)
		return err_errno(e, "create directory '%s'", name);
	d = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (d < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(e, EINVAL, "the archive holds '%s' as a file and as a directory",
			       name);
	return d < 0 ? err_errno(e, "open directory '%s'", name) : d;
}

/* The directory that holds path's last component, every directory on the way made. */
static int open_parent(int dirfd, char *path, struct err *e)
{
	_cleanup_close_ int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);

	if (at < 0)
		return err_errno(e, "open directory");
	for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		*slash = '\0';
		int next = enter(at, path, e);

		*slash = '/';
		if (next < 0)
			return -1;
		close(at);
		at = next;
	}
	return steal_fd(&at);
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Whether n bytes at `at` may stay a hole. */
static bool is_middle(const struct reader *r, uint64_t at, size_t n)
{
	uint64_t size = (uint64_t)archive_entry_size(r->entry);

	return r->keep && at >= r->keep && at + n + r->keep <= size &&
	       !ends_with(r->path, ".params");
}

/* archive_read_data fills holes with zeros, so a sparse bomb meets the limit like any other. */
static int copy_data(struct reader *r, int fd, struct err *e)
{
	for (uint64_t at = 0;;) {
		ssize_t n = archive_read_data(r->in, r->block, sizeof(r->block));

		if (n == 0)
			return 0;
		if (n < 0)
			return not_whole(r, e);
		if ((uint64_t)n > r->bytes)
			return err_set(e, EFBIG,
				       "the archive unpacks to more bytes than allowed, at '%s'",
				       r->path);
		if (cancel_is_set(r->cancel))
			return err_set(e, ECANCELED, "unpacking was cancelled");
		if (is_middle(r, at, (size_t)n) ? lseek(fd, n, SEEK_CUR) < 0
						: write_all(fd, r->block, (size_t)n))
			return err_errno(e, "write '%s'", r->path);
		r->bytes -= (uint64_t)n;
		at += (uint64_t)n;
	}
}

static int make_file(int parent, const char *leaf, struct reader *r, struct err *e)
{
	mode_t mode = archive_entry_mode(r->entry) & 0111 ? 0755 : 0644;
	_cleanup_close_ int fd = -1;

	/* A name that comes twice: the later one wins, as with tar. */
	if (unlinkat(parent, leaf, 0) && errno != ENOENT)
		return errno == EISDIR
			       ? err_set(e, EINVAL,
					 "the archive holds '%s' as a file and as a directory",
					 r->path)
			       : err_errno(e, "replace '%s'", r->path);
	fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return err_errno(e, "create '%s'", r->path);
	if (fchmod(fd, mode)) /* past the umask */
		return err_errno(e, "create '%s'", r->path);
	return copy_data(r, fd, e);
}

static int visit_unpack(void *arg, struct reader *r, struct err *e)
{
	int dirfd = *(int *)arg;
	const char *slash = strrchr(r->path, '/');
	const char *leaf = slash ? slash + 1 : r->path;
	_cleanup_close_ int parent = open_parent(dirfd, r->path, e);

	if (parent < 0)
		return -1;
	if (archive_entry_filetype(r->entry) == AE_IFREG)
		return make_file(parent, leaf, r, e);
	int d = enter(parent, leaf, e);
	if (d < 0)
		return -1;
	close(d);
	return 0;
}

int unpack(int archive, int dirfd, const struct unpack_limits *limits, struct cancel *cancel,
	   struct err *e)
{
	_unused_ _cleanup_(utf8_leave)
	locale_t before = utf8_enter();
	_cleanup_(reader_freep)
	struct reader *r = reader_new(archive, limits, cancel, e);

	return r ? each_entry(r, visit_unpack, &dirfd, e) : -1;
}

struct lister {
	int (*fn)(void *arg, const char *path, uint64_t size, mode_t mode);
	void *arg;
};

static int visit_list(void *arg, struct reader *r, struct err *e)
{
	const struct lister *l = arg;
	uint64_t size = (uint64_t)archive_entry_size(r->entry);

	r->bytes -= size;
	if (l->fn(l->arg, r->path, size, archive_entry_mode(r->entry)))
		return err_set(e, ECANCELED, "listing was stopped at '%s'", r->path);
	return 0;
}

int unpack_list(int archive, const struct unpack_limits *limits,
		int (*fn)(void *arg, const char *path, uint64_t size, mode_t mode), void *arg,
		struct err *e)
{
	_unused_ _cleanup_(utf8_leave)
	locale_t before = utf8_enter();
	_cleanup_(reader_freep)
	struct reader *r = reader_new(archive, limits, NULL, e);
	struct lister l = {fn, arg};

	return r ? each_entry(r, visit_list, &l, e) : -1;
}

/* A stream that somebody else reads and inflates, and what libarchive cannot carry: why it failed. */
struct walking {
	unpack_source *source;
	int (*fn)(void *arg, const struct unpack_file *f);
	void *arg;
	struct err why;
};

static la_ssize_t walk_read(struct archive *in, void *arg, const void **p)
{
	struct walking *w = arg;
	ssize_t n = w->source(w->arg, p, &w->why);

	if (n < 0)
		archive_set_error(in, w->why.no, "%s", w->why.text);
	return n;
}

static int hash_data(struct reader *r, struct unpack_file *f, struct err *e)
{
	struct sha256 *h = sha256_new();
	uint64_t at = 0;
	const void *p;
	size_t n;
	la_int64_t off;
	int rc;

	if (!h)
		return err_set(e, ENOMEM, "read the archive: out of memory");
	while ((rc = archive_read_data_block(r->in, &p, &n, &off)) == ARCHIVE_OK) {
		if ((uint64_t)off != at || n > f->size - at || cancel_is_set(r->cancel))
			break;
		sha256_update(h, p, n);
		at += n;
	}
	sha256_final(h, f->sha256);
	if (cancel_is_set(r->cancel))
		return err_set(e, ECANCELED, "reading the archive was cancelled");
	return rc == ARCHIVE_EOF && at == f->size ? 0 : not_whole(r, e);
}

static int visit_walk(void *arg, struct reader *r, struct err *e)
{
	struct walking *w = arg;
	struct unpack_file f = {.path = r->path,
				.size = (uint64_t)archive_entry_size(r->entry),
				.mode = archive_entry_mode(r->entry) & 0777,
				.mtime = archive_entry_mtime(r->entry)};

	if (archive_entry_filetype(r->entry) != AE_IFREG)
		return 0;
	if (archive_entry_sparse_count(r->entry) > 0)
		return err_set(e, EINVAL, "the archive holds the sparse file '%s'", r->path);
	f.from = (uint64_t)archive_filter_bytes(r->in, 0);
	r->bytes -= f.size;
	if (hash_data(r, &f, e) < 0)
		return -1;
	return w->fn(w->arg, &f) ? err_set(e, ENOMEM, "read the archive: out of memory") : 0;
}

static struct reader *walker_new(struct walking *w, const struct unpack_limits *l,
				 struct cancel *cancel, struct err *e)
{
	_cleanup_(reader_freep)
	struct reader *r = reader_empty(l, cancel, e);

	if (!r)
		return NULL;
	if (archive_read_open(r->in, w, NULL, walk_read, NULL) != ARCHIVE_OK) {
		not_whole(r, e);
		return NULL;
	}
	return steal(r);
}

int unpack_walk(unpack_source *source, void *arg, const struct unpack_limits *limits,
		int (*fn)(void *arg, const struct unpack_file *f), struct cancel *cancel,
		struct err *e)
{
	SCOPED_UTF8();
	struct walking w = {source, fn, arg, {0}};
	_cleanup_(reader_freep)
	struct reader *r = walker_new(&w, limits, cancel, e);
	int rc = r ? each_entry(r, visit_walk, &w, e) : -1;

	if (rc < 0 && w.why.no)
		*e = w.why;
	return rc;
}

static int remove_contents(int fd, struct err *e);

/* Open a directory to empty it, lifting missing permissions of its owner first. */
static int open_doomed(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == EACCES && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode) && fchmodat(dirfd, name, 0700, 0) == 0)
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700);
	return fd;
}

int remove_tree(int dirfd, const char *name, struct err *e)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(e, "remove '%s'", name);
	int fd = open_doomed(dirfd, name);
	if (fd < 0)
		return err_errno(e, "remove '%s'", name);
	if (remove_contents(fd, e)) /* closes fd */
		return -1;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) && errno != ENOENT)
		return err_errno(e, "remove '%s'", name);
	return 0;
}

static int remove_contents(int fd, struct err *e)
{
	_cleanup_closedir_ DIR *d = fdopendir(fd);

	if (!d) {
		err_errno(e, "read directory");
		close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		const struct dirent *de = readdir(d);

		if (!de)
			return errno ? err_errno(e, "read directory") : 0;
		if (streq(de->d_name, ".") || streq(de->d_name, ".."))
			continue;
		if (remove_tree(fd, de->d_name, e))
			return -1;
	}
}
