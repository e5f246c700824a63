#include "fs/vfile_private.h"

#include <errno.h>
#include <fcntl.h>

#define FETCH_MAX ((size_t)64 << 20)

struct vhandle *vhandle_new(struct mount *m, struct node *n)
{
	struct vhandle *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->node = node_ref(m->tree, n);
	h->dir = node_parent(m->tree, n);
	h->row = n->row;
	h->text.max = n->row->fetch ? FETCH_MAX : BUF_DEFAULT_MAX;
	h->refs = 1;
	vhandle_link(m, h);
	return h;
}

/* Snapshot of a row's text. */
static int take(struct vhandle *h, int (*make)(struct node *, struct buf *, struct err *),
		struct err *e)
{
	if (make(h->dir, &h->text, e) < 0)
		return -1;
	if (h->text.failed)
		return err_set(e, EFBIG, "'%s' is longer than %zu bytes", h->row->name,
			       h->text.max);
	h->ready = true;
	return 0;
}

static void answer_open(struct req *r, struct vhandle *h)
{
	struct mount *m = req_mount(r);

	if (reply_open(r, h, OPEN_DIRECT_IO) < 0)
		vhandle_close(m, h);
}

static void refuse_open(struct req *r, struct vhandle *h, const struct err *e)
{
	struct mount *m = req_mount(r);

	mount_fail(m, node_room(h->dir), e);
	vhandle_close(m, h);
	reply_err(r, e->no ? e->no : EIO);
}

struct fetch {
	struct req *req;
	struct vhandle *handle;
};

static void fetch_job(void *arg, struct cancel *cancel)
{
	struct fetch *f = arg;
	struct err e = {0};

	(void)cancel;
	if (take(f->handle, f->handle->row->fetch, &e) < 0)
		refuse_open(f->req, f->handle, &e);
	else
		answer_open(f->req, f->handle);
	free(f);
}

static void start_fetch(struct req *r, struct vhandle *h)
{
	struct mount *m = req_mount(r);
	struct fetch *f = malloc(sizeof *f);

	if (f) {
		*f = (struct fetch){r, h};
		if (jobs_run(m->jobs, fetch_job, f) == 0)
			return;
	}
	free(f);
	vhandle_close(m, h);
	reply_err(r, ENOMEM);
}

/* Reading: by what the row has. Opened to read and write with O_TRUNC it still reads what the row says: a value is never
 * empty on the way. */
static void open_shown(struct req *r, void *arg)
{
	struct vhandle *h = arg;
	struct err e = {0};

	if (h->row->show && take(h, h->row->show, &e) < 0) {
		refuse_open(r, h, &e);
		return;
	}
	h->ready |= !h->row->settled;
	answer_open(r, h);
}

static void open_for_reading(struct req *r, struct vhandle *h)
{
	if (h->row->fetch)
		start_fetch(r, h);
	else if (!h->row->learn || !h->row->learn(h->dir, r, open_shown, h))
		open_shown(r, h);
}

static bool is_writable(const struct vfile *row)
{
	return row->store || row->apply;
}

static void file_open(struct req *r, struct node *n, int flags)
{
	bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;

	if ((writes || flags & O_TRUNC) && !is_writable(n->row)) {
		reply_err(r, EACCES);
		return;
	}
	struct vhandle *h = vhandle_new(req_mount(r), n);
	if (!h) {
		reply_err(r, ENOMEM);
		return;
	}
	if (reads) {
		open_for_reading(r, h);
		return;
	}
	h->ready = true;
	answer_open(r, h);
}

void vhandle_slice(struct req *r, const struct vhandle *h, size_t size, off_t off)
{
	size_t len = h->text.len;

	if (off < 0) {
		reply_err(r, EINVAL);
		return;
	}
	if ((uint64_t)off < len) {
		reply_data(r, h->text.data + off, MIN(size, len - (size_t)off));
		return;
	}
	if (h->no) {
		reply_err(r, h->no);
		return;
	}
	reply_data(r, "", 0);
}

static void file_read(struct req *r, struct node *n, void *handle, size_t size, off_t off)
{
	struct vhandle *h = handle;

	(void)n;
	if (h->row->settled || h->row->follow)
		vhandle_await(r, h, size, off);
	else
		vhandle_slice(r, h, size, off);
}

/* A value that was written. */
struct storing {
	struct req *r;
	struct vhandle *h; /* open until the write is answered */
	size_t size;       /* as it was written */
	char *text;        /* the whole value, without the newline that echo adds */
	size_t n;
};

static int storing_take(struct storing *s, const char *p, struct err *e)
{
	const struct vfile *row = s->h->row;

	s->n = s->size;
	if (s->n > row->max_write)
		return err_set(e, EFBIG, "'%s' takes at most %zu bytes", row->name, row->max_write);
	if (s->n && p[s->n - 1] == '\n')
		s->n--;
	if (memchr(p, '\0', s->n))
		return err_set(e, EINVAL, "'%s' takes text, not NUL bytes", row->name);
	s->text = strndup(p, s->n);
	return s->text ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* rc: whether the row took it. */
static void answer_write(struct storing *s, int rc, const struct err *e)
{
	struct mount *m = req_mount(s->r);

	free(s->text);
	if (rc < 0) {
		mount_fail(m, node_room(s->h->dir), e);
		reply_err(s->r, e->no ? e->no : EIO);
		return;
	}
	vfile_wake(m, s->h->dir);
	reply_write(s->r, s->size);
}

static void apply_job(void *arg, struct cancel *cancel)
{
	struct storing *s = arg;
	struct err e = {0};

	answer_write(s, s->h->row->apply(s->h->dir, s->text, s->n, cancel, &e), &e);
	free(s);
}

static void start_apply(const struct storing *what)
{
	struct storing *s = malloc(sizeof *s), whole = *what;
	struct err e = {0};

	if (s) {
		*s = *what;
		if (jobs_run(req_mount(s->r)->jobs, apply_job, s) == 0)
			return;
	}
	free(s);
	answer_write(&whole, err_set(&e, ENOMEM, "out of memory"), &e);
}

static void file_write(struct req *r, struct node *n, void *handle, const void *p, size_t size,
		       off_t off)
{
	struct storing s = {.r = r, .h = handle, .size = size};
	const struct vfile *row = s.h->row;
	struct err e = {0};

	(void)n;
	(void)off;
	if (!is_writable(row))
		reply_err(r, EBADF);
	else if (storing_take(&s, p, &e) < 0)
		answer_write(&s, -1, &e);
	else if (row->apply)
		start_apply(&s);
	else
		answer_write(&s, row->store(s.h->dir, s.text, s.n, &e), &e);
}

static void file_release(struct req *r, struct node *n, void *handle)
{
	(void)n;
	vhandle_close(req_mount(r), handle);
	reply_err(r, 0);
}

static void file_poll(struct req *r, struct node *n, void *handle, struct pollwake *w)
{
	(void)n;
	vhandle_poll(r, handle, w);
}

static void file_readlink(struct req *r, struct node *n)
{
	struct mount *m = req_mount(r);
	struct node *dir = node_parent(m->tree, n);
	_cleanup_buf_ struct buf target = BUF_INIT(4095);
	struct err e = {0};

	int failed = n->row->show(dir, &target, &e) < 0;
	node_unref(m->tree, dir);
	if (failed || target.failed) {
		reply_err(r, failed && e.no ? e.no : EIO);
		return;
	}
	reply_readlink(r, buf_cstr(&target));
}

static off_t shown_size(struct node *dir, const struct vfile *row, struct err *e)
{
	_cleanup_buf_ struct buf text = {0};

	if (!row->show || (row->learn && row->learn(dir, NULL, NULL, NULL)))
		return VFILE_UNKNOWN_SIZE;
	return row->show(dir, &text, e) < 0 ? -1 : (off_t)text.len;
}

int vfile_stat(struct mount *m, struct node *dir, const struct node *n, const struct vfile *row,
	       struct stat *st)
{
	struct err e = {0};
	off_t size = shown_size(dir, row, &e);

	if (size < 0 && e.no == ENOENT) {
		errno = ENOENT;
		return -1;
	}
	vdir_stat(m, dir, st); /* owner and times are the directory's */
	st->st_ino = n->ino;
	st->st_nlink = 1;
	st->st_mode = row->flags & VF_LINK ? S_IFLNK | 0777 : S_IFREG | row->mode;
	st->st_size = MAX(size, 0); /* another failure is told by open */
	st->st_blocks = (st->st_size + 511) / 512;
	return 0;
}

static void file_getattr(struct req *r, struct node *n, void *handle)
{
	struct mount *m = req_mount(r);
	const struct vhandle *h = handle;
	struct node *dir = node_parent(m->tree, n);
	struct stat st;

	int absent = vfile_stat(m, dir, n, n->row, &st) < 0;
	node_unref(m->tree, dir);
	if (absent && !h) {
		reply_err(r, ENOENT);
		return;
	}
	if (absent)
		vdir_stat(m, n, &st);
	reply_attr(r, &st, 0);
}

static void file_setattr(struct req *r, struct node *n, const struct stat *st, unsigned set,
			 void *h)
{
	const struct mount *m = req_mount(r);

	if (set & SET_SIZE && !is_writable(n->row)) {
		reply_err(r, EACCES);
		return;
	}
	if ((set & SET_UID && st->st_uid != m->uid) || (set & SET_GID && st->st_gid != m->gid) ||
	    (set & SET_MODE && (st->st_mode & 07777) != n->row->mode)) {
		reply_err(r, EPERM);
		return;
	}
	file_getattr(r, n, h);
}

const struct node_ops vfile_ops = {
	.getattr = file_getattr,
	.setattr = file_setattr,
	.readlink = file_readlink,
	.open = file_open,
	.read = file_read,
	.write = file_write,
	.release = file_release,
	.poll = file_poll,
};
