/*
 * staging_file.c: open files. One backing descriptor per handle; writers are counted, because a model with one open is not
 * committed. Backing files are opened O_RDWR for writers (the kernel's cache reads what it rewrites) and without O_APPEND (the
 * kernel gives offsets).
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

#define ROOM_MS      500 /* a write waits that long at most for the room of removed files */
#define ROOM_STEP_MS 5

struct model *file_model(const struct file *f)
{
	return __atomic_load_n(&f->md, __ATOMIC_RELAXED);
}

static void handle_add(struct file *f)
{
	SCOPED_LOCK(&f->md->s->mu);

	f->next = f->md->files;
	f->md->files = f;
	f->md->writers += f->writer;
}

static void handle_remove(struct file *f)
{
	struct models *s = file_model(f)->s;
	SCOPED_LOCK(&s->mu);
	struct model *md = f->md;

	for (struct file **p = &md->files; *p; p = &(*p)->next) {
		if (*p == f) {
			*p = f->next;
			break;
		}
	}
	if (!f->writer)
		return;
	md->writers--;
	md->changed = now_ms();
	if (!md->writers && md->dirty)
		model_arm_locked(md, MODEL_QUIET_MS);
	pthread_cond_broadcast(&md->s->changed);
}

static void handle_free(struct file *f)
{
	if (!f)
		return;
	closep(&f->fd);
	published_free(f->pub);
	free(f);
}

static void handle_freep(struct file **f)
{
	handle_free(*f);
}

/* The handle of a fresh descriptor, which is taken in every case. */
static struct file *handle_new(struct model *md, struct node *n, int fd, bool writer)
{
	struct file *f = calloc(1, sizeof *f);

	if (!f) {
		close(fd);
		return NULL;
	}
	*f = (struct file){.md = md, .n = n, .fd = fd, .writer = writer};
	return f;
}

void file_move(struct node *n, struct model *md)
{
	struct model *old = model_of(n);
	SCOPED_LOCK(&md->s->mu);

	for (struct file **p = &old->files, *f; (f = *p);) {
		if (f->n != n) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		f->next = md->files;
		md->files = f;
		old->writers -= f->writer;
		md->writers += f->writer;
		__atomic_store_n(&f->md, md, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&entry_of(n)->md, md, __ATOMIC_RELAXED);
}

int file_nameless(struct node *n)
{
	struct model *md = model_of(n);
	int removed = entry_of(n)->removed;
	SCOPED_LOCK(&md->s->mu);

	for (struct file *f = md->files; f; f = f->next) {
		if (f->n == n && f->fd >= 0)
			return fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	}
	if (removed >= 0)
		return fcntl(removed, F_DUPFD_CLOEXEC, 0);
	errno = ENOENT;
	return -1;
}

bool file_writer_locked(struct model *md, struct buf *path)
{
	for (struct file *f = md->files; f; f = f->next) {
		if (!f->writer)
			continue;
		if (node_path(md->s->m->tree, f->n, NULL, path) < 0)
			buf_str(path, "a removed file");
		return true;
	}
	return false;
}

static bool view_is_same(struct node *n)
{
	struct entry *en = entry_of(n);
	const struct model *md = model_of(n);
	SCOPED_LOCK(&md->s->mu);
	bool same = en->epoch == md->epoch;

	en->epoch = md->epoch;
	return same;
}

/* What the kernel cached of n is still true when the model's view has not changed since. Else it must not cut what is read from
 * now on at the size that it knew. */
static unsigned keep_cache(struct node *n)
{
	if (view_is_same(n))
		return OPEN_KEEP_CACHE;
	tree_expire_attributes(model_of(n)->s->m, n);
	return 0;
}

/* f: NULL: no memory for one */
static void answer_handle(struct req *r, struct node *n, struct file *f)
{
	if (!f) {
		reply_err(r, ENOMEM);
		return;
	}
	handle_add(f);
	if (reply_open(r, f, keep_cache(n) | OPEN_NOFLUSH) < 0) {
		handle_remove(f);
		handle_free(f);
	}
}

static void answer_open(struct req *r, struct node *n, int fd, bool writer)
{
	answer_handle(r, n, handle_new(model_of(n), n, fd, writer));
}

/* openat for a handle; n may have lost its name while open. */
static int open_staged(struct node *n, int flags)
{
	char name[NAME_MAX + 1], path[64];
	SCOPED_READ(&model_of(n)->s->names);
	_cleanup_close_ int dir = staging_parent(n, name);

	if (dir >= 0)
		return openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	_cleanup_close_ int other = file_nameless(n);
	if (other < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", other);
	return open(path, flags | O_CLOEXEC);
}

static bool is_writer(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void do_open(struct call *c)
{
	bool writer = is_writer(c->flags);
	int keep = c->flags & O_TRUNC;
	int fd = open_staged(c->n, (writer ? O_RDWR : O_RDONLY) | keep);

	if (fd < 0 && errno == EACCES && (c->flags & O_ACCMODE) == O_WRONLY)
		fd = open_staged(c->n, O_WRONLY | keep);
	if (staging_went(c, fd))
		answer_open(c->r, c->n, fd, writer);
}

static struct manifest *published(struct model *md)
{
	SCOPED_LOCK(&md->s->mu);

	return md->staged ? NULL : manifest_ref(md->man);
}

static void open_published(struct req *r, struct node *n, struct manifest *man)
{
	const struct manifest_member *member = NULL;
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	struct model *md = model_of(n);
	bool found = false;

	if (staging_path(n, &path) == 0) {
		SCOPED_LOCK(&md->s->mu);
		found = catalog_find(man, &md->gone, buf_cstr(&path), &member) == S_IFREG;
	}
	if (!found) {
		reply_err(r, ESTALE);
		return;
	}
	struct published *pub = published_new(man, member);
	struct file *f = pub ? handle_new(md, n, -1, false) : NULL;
	if (f)
		f->pub = pub;
	else
		published_free(pub);
	answer_handle(r, n, f);
}

void file_open(struct req *r, struct node *n, int flags)
{
	struct call c = {.r = r, .md = model_of(n), .n = n, .flags = flags};
	_cleanup_(manifest_unrefp)
	struct manifest *man = published(c.md);

	if (!man || is_writer(flags) || (flags & O_TRUNC))
		model_change(&c, do_open, flags & O_TRUNC);
	else
		open_published(r, n, man);
}

static void answer_create(struct call *c, int fd)
{
	_cleanup_(handle_freep)
	struct file *f = handle_new(c->md, NULL, fd, true);
	struct stat st;

	if (!f || fstat(f->fd, &st) < 0) {
		reply_err(c->r, f ? errno : ENOMEM);
		return;
	}
	struct node *n = model_child(c->md->s->m, c->n, c->name, c->md, &st);
	if (!n) {
		reply_err(c->r, ENOMEM);
		return;
	}
	f->n = n;
	handle_add(f);
	if (reply_create(c->r, n, &st, staging_ttl(c->n, c->name), f,
			 (view_is_same(n) ? OPEN_KEEP_CACHE : 0) | OPEN_NOFLUSH) < 0)
		handle_remove(f);
	else
		f = NULL;
	node_unref(c->md->s->m->tree, n);
}

void file_create_call(struct call *c)
{
	_cleanup_close_ int dir =
		c->n->data ? staging_dir(c->n) : staging_top(c->md); /* no data: models/ */
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
		    (c->flags & (O_EXCL | O_TRUNC));
	int fd = dir < 0 ? -1 : openat(dir, c->name, flags | O_EXCL, c->mode & 07777);
	bool made = fd >= 0;

	if (dir >= 0 && fd < 0 && errno == EEXIST && !(c->flags & O_EXCL))
		fd = openat(dir, c->name, flags, c->mode & 07777);
	if (!staging_went(c, fd))
		return;
	if (made && staging_own(c->r, dir, c->name) < 0) {
		reply_err(c->r, errno);
		close(fd);
		return;
	}
	answer_create(c, fd);
}

void file_create(struct req *r, struct node *dir, const char *name, mode_t mode, int flags)
{
	struct call c = {
		.r = r, .md = model_of(dir), .n = dir, .name = name, .mode = mode, .flags = flags};

	model_change(&c, file_create_call, true);
}

void file_read(struct req *r, struct node *n, void *h, size_t size, off_t off)
{
	const struct file *f = h;

	(void)n;
	if (f->pub)
		published_read(r, f->md, f->pub, size, off);
	else
		reply_fd(r, f->fd, off, size);
}

/*
 * The disk is full. Whoever has just removed a file, and is told that it went, has room again only when the kernel's release of it
 * and its forget are here, which come after the answer: a write that is next waits for them, a little.
 */
static bool room_comes(const struct models *s, unsigned *waited)
{
	if (!__atomic_load_n(&s->nameless, __ATOMIC_RELAXED) || *waited >= ROOM_MS)
		return false;
	*waited += ROOM_STEP_MS;
	usleep(ROOM_STEP_MS * 1000);
	return true;
}

static ssize_t write_all(const struct models *s, int fd, const char *p, size_t size, off_t off)
{
	unsigned waited = 0;
	size_t done = 0;

	while (done < size) {
		ssize_t k = pwrite(fd, p + done, size - done, off + (off_t)done);

		if (k < 0 && (errno == EINTR || (errno == ENOSPC && room_comes(s, &waited))))
			continue;
		if (k < 0)
			return done ? (ssize_t)done : -1;
		done += (size_t)k;
	}
	return (ssize_t)done;
}

void file_write(struct req *r, struct node *n, void *h, const void *p, size_t size, off_t off)
{
	struct file *f = h;
	struct call c = {.r = r, .md = file_model(f), .n = n, .dirties = true};
	struct err e = {0};

	if (model_touch(c.md, &e) < 0) {
		model_fail_reply(c.md, r, &e);
		return;
	}
	f->wrote = true;
	ssize_t k = write_all(c.md->s, f->fd, p, size, off);
	if (k < 0)
		f->failed = true;
	if (staging_went(&c, k < 0 ? -1 : 0))
		reply_write(r, (size_t)k);
}

/* What is written is ready to be sent. */
static void closed(const struct file *f)
{
	struct stat st;

	if (f->wrote && !f->failed && fstat(f->fd, &st) == 0 && st.st_nlink)
		early_closed(file_model(f), (uint64_t)st.st_size);
}

void file_release(struct req *r, struct node *n, void *h)
{
	struct file *f = h;

	(void)n;
	handle_remove(f);
	closed(f);
	handle_free(f);
	reply_err(r, 0);
}

struct syncing {
	struct req *r;
	int fd;
	bool datasync;
};

/* The disk may take its time: not on a FUSE worker. */
static void fsync_job(void *arg, struct cancel *cancel)
{
	struct syncing *s = arg;

	(void)cancel;
	int rc = s->datasync ? fdatasync(s->fd) : fsync(s->fd);
	reply_err(s->r, rc < 0 ? errno : 0);
	close(s->fd);
	free(s);
}

void file_to_disk(struct req *r, int fd, bool datasync)
{
	struct syncing *s = fd < 0 ? NULL : malloc(sizeof *s);
	int no = fd < 0 ? errno : ENOMEM;

	if (s)
		*s = (struct syncing){r, fd, datasync};
	if (s && jobs_run(req_mount(r)->jobs, fsync_job, s) == 0)
		return;
	closep(&fd);
	free(s);
	reply_err(r, no);
}

void file_fsync(struct req *r, struct node *n, void *h, bool datasync)
{
	const struct file *f = h;

	(void)n;
	if (f->pub) /* only read */
		reply_err(r, 0);
	else
		file_to_disk(r, fcntl(f->fd, F_DUPFD_CLOEXEC, 0), datasync);
}

void file_fallocate(struct req *r, struct node *n, void *h, int mode, off_t off, off_t len)
{
	const struct file *f = h;
	struct call c = {.r = r, .md = file_model(f), .n = n, .dirties = true};
	struct err e = {0};

	if (model_touch(c.md, &e) < 0)
		model_fail_reply(c.md, r, &e);
	else if (staging_went(&c, fallocate(f->fd, mode, off, len)))
		reply_err(r, 0);
}

/* No holes. */
static off_t seek_published(const struct published *p, off_t off, int whence)
{
	off_t size = (off_t)p->member->size;

	if (off < 0 || off >= size) {
		errno = ENXIO;
		return -1;
	}
	return whence == SEEK_DATA ? off : size;
}

void file_lseek(struct req *r, struct node *n, void *h, off_t off, int whence)
{
	const struct file *f = h;
	off_t at = f->pub ? seek_published(f->pub, off, whence) : lseek(f->fd, off, whence);

	(void)n;
	if (at < 0)
		reply_err(r, errno);
	else
		reply_lseek(r, at);
}
