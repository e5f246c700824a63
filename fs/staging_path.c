/*
 * staging_path.c: from nodes to descriptors of the backing directories. Paths are walked by component with openat, never through
 * a symlink, so depth and length have no limit here. A few directories' descriptors are kept: a node stays the same inode through
 * every rename, so only a change of the model's view (epoch) makes one stale.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

#define SLOTS 64

struct dirfds {
	pthread_mutex_t mu; /* guards the slots; no other lock is taken under it */

	struct {
		uint64_t id, epoch;
		int fd;
	} slots[SLOTS];
};

struct dirfds *dirfds_new(void)
{
	struct dirfds *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	pthread_mutex_init(&d->mu, NULL);
	for (size_t i = 0; i < SLOTS; i++)
		d->slots[i].fd = -1;
	return d;
}

void dirfds_free(struct dirfds *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		closep(&d->slots[i].fd);
	pthread_mutex_destroy(&d->mu);
	free(d);
}

static int dirfds_get(struct dirfds *d, uint64_t id, uint64_t epoch)
{
	size_t i = id % SLOTS;
	SCOPED_LOCK(&d->mu);

	if (d->slots[i].fd < 0 || d->slots[i].id != id || d->slots[i].epoch != epoch)
		return -1;
	return fcntl(d->slots[i].fd, F_DUPFD_CLOEXEC, 0);
}

static void dirfds_put(struct dirfds *d, uint64_t id, uint64_t epoch, int fd)
{
	size_t i = id % SLOTS;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return;
	SCOPED_LOCK(&d->mu);
	closep(&d->slots[i].fd);
	d->slots[i].id = id;
	d->slots[i].epoch = epoch;
	d->slots[i].fd = copy;
}

static int enter(int dirfd, const char *name)
{
	return openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int walk(int dirfd, const char *path)
{
	_cleanup_close_ int fd = enter(dirfd, ".");
	char name[NAME_MAX + 1];

	while (fd >= 0 && *path) {
		size_t n = strcspn(path, "/");

		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		snprintf(name, sizeof name, "%.*s", (int)n, path);
		int next = enter(fd, name);
		if (next < 0)
			return -1;
		close(fd);
		fd = next;
		path += n + (path[n] == '/');
	}
	return steal_fd(&fd);
}

/* "models/NAME/a/b" -> "a/b"; "models/a", a file in models/ itself -> "a" */
int staging_path(struct node *n, struct buf *out)
{
	if (node_path(model_of(n)->s->m->tree, n, NULL, out) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		const char *slash = strchr(buf_cstr(out), '/');
		size_t way = i == 1 ? model_way_length(model_of(n), buf_cstr(out)) : 0;

		if (way) { /* reached through a link */
			buf_remove(out, MIN(way, out->len));
			break;
		}

		if (i == 1 && !slash && n->type != S_IFDIR)
			break;
		buf_remove(out, slash ? (size_t)(slash - out->data) + 1 : out->len);
	}
	return 0;
}

int staging_top(struct model *md)
{
	char name[sizeof md->name];

	{
		SCOPED_LOCK(&md->s->mu);
		memcpy(name, md->name, sizeof name);
	}
	return enter(md->s->m->staging_fd, name);
}

int staging_dir_held(struct node *n)
{
	struct model *md = model_of(n);
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	uint64_t epoch;

	{
		SCOPED_LOCK(&md->s->mu);
		epoch = md->epoch;
	}
	int fd = dirfds_get(md->s->dirs, n->id, epoch);
	if (fd >= 0)
		return fd;
	if (staging_path(n, &path) < 0) {
		errno = ENOENT;
		return -1;
	}
	_cleanup_close_ int top = staging_top(md);
	fd = top >= 0 ? walk(top, buf_cstr(&path)) : -1;
	if (fd >= 0)
		dirfds_put(md->s->dirs, n->id, epoch, fd);
	return fd;
}

int staging_dir(struct node *n)
{
	SCOPED_READ(&model_of(n)->s->names);

	return staging_dir_held(n);
}

/* Whether dir still knows n by this name (it may be unlinked and open). */
static bool still_there(struct tree *t, struct node *dir, const char *name, const struct node *n)
{
	struct node *found = node_child(t, dir, name);

	if (found)
		node_unref(t, found);
	return found == n;
}

int staging_parent(struct node *n, char name[NAME_MAX + 1])
{
	struct tree *t = model_of(n)->s->m->tree;
	struct node *dir = node_parent(t, n);

	node_name(t, n, name, NAME_MAX + 1);
	errno = ENOENT;
	int fd = -1;
	if (still_there(t, dir, name, n)) /* no data: models/ itself */
		fd = dir->data ? staging_dir_held(dir) : staging_top(model_of(n));
	int no = errno;
	node_unref(t, dir);
	errno = no;
	return fd;
}

DIR *dir_open(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}
