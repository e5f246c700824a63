/* staging_attr.c: modes, owners, times, sizes and extended attributes of a model's files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "fs/models_room.h"

#define XATTR_LIST_MAX 65536

/* An O_PATH descriptor of n itself, also of one that is open but has no name any more. */
static int open_path(struct node *n)
{
	char name[NAME_MAX + 1];

	SCOPED_READ(&model_of(n)->s->names);
	if (n->type == S_IFDIR)
		return staging_dir_held(n);
	_cleanup_close_ int dir = staging_parent(n, name);
	return dir >= 0 ? openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : file_nameless(n);
}

/* The calls below take no descriptor that is O_PATH, but this name of it. */
struct fd_name {
	char text[32];
};

static struct fd_name fd_name(int fd)
{
	struct fd_name n;

	snprintf(n.text, sizeof n.text, "/proc/self/fd/%d", fd);
	return n;
}

static struct timespec time_of(unsigned set, unsigned given, unsigned now, struct timespec value)
{
	if (set & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return set & given ? value : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_owner(int fd, const struct stat *st, unsigned set)
{
	uid_t uid = set & SET_UID ? st->st_uid : (uid_t)-1;
	gid_t gid = set & SET_GID ? st->st_gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

static int set_times(int fd, const struct stat *st, unsigned set)
{
	const struct timespec ts[2] = {
		time_of(set, SET_ATIME, SET_ATIME_NOW, st->st_atim),
		time_of(set, SET_MTIME, SET_MTIME_NOW, st->st_mtim),
	};

	return utimensat(fd, "", ts, AT_EMPTY_PATH);
}

static int apply(int fd, const struct stat *st, unsigned set)
{
	const struct fd_name path = fd_name(fd);

	if (set & (SET_UID | SET_GID) && set_owner(fd, st, set) < 0)
		return -1;
	if (set & SET_MODE && chmod(path.text, st->st_mode & 07777) < 0)
		return -1;
	if (set & SET_SIZE && truncate(path.text, st->st_size) < 0)
		return -1;
	if (set & (SET_ATIME | SET_MTIME | SET_ATIME_NOW | SET_MTIME_NOW) &&
	    set_times(fd, st, set) < 0)
		return -1;
	return 0;
}

static void do_setattr(struct call *c)
{
	_cleanup_close_ int fd = open_path(c->n);
	struct stat st;

	if (!staging_went(c, fd < 0 ? -1 : apply(fd, &c->st, c->set)))
		return;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		reply_err(c->r, errno);
	else
		reply_attr(c->r, &st, staging_node_ttl(c->n));
}

void staging_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set, void *h)
{
	struct call c = {.r = r, .md = model_of(n), .n = n, .st = *st, .set = set};

	(void)h;
	/* whether a file may be run is in the archive; what else chmod can change is not, and the digest will say so */
	model_change(&c, do_setattr, set & SET_SIZE || (set & SET_MODE && n->type == S_IFREG));
}

/* Only user.* is kept: the rest (capabilities, ACLs) has no meaning in an archive. */
static bool kept(const char *name)
{
	return starts_with(name, "user.");
}

static bool is_staged(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return md->staged;
}

static void do_setxattr(struct call *c)
{
	_cleanup_close_ int fd = open_path(c->n);

	if (staging_went(c,
			 fd < 0 ? -1
				: setxattr(fd_name(fd).text, c->name, c->value, c->size, c->flags)))
		reply_err(c->r, 0);
}

void staging_setxattr(struct req *r, struct node *n, const char *name, const void *p, size_t size,
		      int flags)
{
	struct call c = {.r = r,
			 .md = model_of(n),
			 .n = n,
			 .name = name,
			 .value = p,
			 .size = size,
			 .flags = flags};

	if (!kept(name))
		reply_err(r, ENOTSUP);
	else
		model_change(&c, do_setxattr, false);
}

void staging_getxattr(struct req *r, struct node *n, const char *name, size_t size)
{
	_cleanup_free_ char *value = NULL;

	if (!kept(name) || !is_staged(model_of(n))) {
		reply_err(r, ENODATA);
		return;
	}
	_cleanup_close_ int fd = open_path(n);
	value = malloc(size + 1);
	ssize_t k = fd < 0 || !value ? -1 : getxattr(fd_name(fd).text, name, value, size);
	if (k < 0)
		reply_err(r, errno);
	else if (size)
		reply_data(r, value, (size_t)k);
	else
		reply_xattr_size(r, (size_t)k);
}

/* Keeps the user.* names of a list, in place. */
static size_t kept_names(char *list, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n;) {
		size_t len = strlen(list + i) + 1;

		if (kept(list + i)) {
			memmove(list + out, list + i, len);
			out += len;
		}
		i += len;
	}
	return out;
}

void staging_listxattr(struct req *r, struct node *n, size_t size)
{
	_cleanup_free_ char *list = calloc(1, XATTR_LIST_MAX + 1);
	_cleanup_close_ int fd = -1;
	ssize_t k = 0;

	if (!list) {
		reply_err(r, ENOMEM);
		return;
	}
	if (is_staged(model_of(n))) {
		fd = open_path(n);
		k = fd < 0 ? -1 : listxattr(fd_name(fd).text, list, XATTR_LIST_MAX);
	}
	size_t kept_n = k > 0 ? kept_names(list, (size_t)k) : 0;
	if (k < 0)
		reply_err(r, errno);
	else if (!size)
		reply_xattr_size(r, kept_n);
	else if (kept_n > size)
		reply_err(r, ERANGE);
	else
		reply_data(r, list, kept_n);
}

static void do_removexattr(struct call *c)
{
	_cleanup_close_ int fd = open_path(c->n);

	if (staging_went(c, fd < 0 ? -1 : removexattr(fd_name(fd).text, c->name)))
		reply_err(c->r, 0);
}

void staging_removexattr(struct req *r, struct node *n, const char *name)
{
	struct call c = {.r = r, .md = model_of(n), .n = n, .name = name};

	if (!kept(name) || !is_staged(c.md))
		reply_err(r, ENODATA);
	else
		model_change(&c, do_removexattr, false);
}
