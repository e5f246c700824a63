/*
 * staging.c: a model's directories: lookup, listing, attributes, and every change of the tree. Changes run on what is staged; a
 * model that is only published is copied up first, on a job.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/models_room.h"

struct entry *entry_of(const struct node *n)
{
	return n->data;
}

struct model *model_of(const struct node *n)
{
	return __atomic_load_n(&entry_of(n)->md, __ATOMIC_RELAXED);
}

static void entry_free(struct node *n)
{
	entry_forget(n);
	free(n->data);
}

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* Copies n bytes to *at and steps over them. */
static const void *put(char **at, const void *p, size_t n)
{
	char *copy = *at;

	if (!p)
		return NULL;
	memcpy(copy, p, n);
	*at += n;
	return copy;
}

void call_defer(struct call *c, void (*run)(void *arg, struct cancel *cancel))
{
	size_t name = text_size(c->name), name2 = text_size(c->name2),
	       value = c->value ? c->size : 0;
	struct call *d = malloc(sizeof *d + name + name2 + value);

	if (!d) {
		reply_err(c->r, ENOMEM);
		return;
	}
	char *at = (char *)(d + 1);
	*d = *c;
	d->name = put(&at, c->name, name);
	d->name2 = put(&at, c->name2, name2);
	d->value = put(&at, c->value, value);
	if (jobs_run(c->md->s->m->jobs, run, d) == 0)
		return;
	free(d);
	reply_err(c->r, ENOMEM);
}

static void staged_call(struct call *c)
{
	struct err e = {0};

	if (c->dirties && model_touch(c->md, &e) < 0) {
		model_fail_reply(c->md, c->r, &e);
		return;
	}
	c->fn(c);
}

static void change_job(void *arg, struct cancel *cancel)
{
	struct call *c = arg;
	struct err e = {0};

	if (model_copy_up(c->md, cancel, &e) < 0)
		model_fail_reply(c->md, c->r, &e);
	else
		staged_call(c);
	free(c);
}

void model_change(struct call *c, call_fn *fn, bool dirties)
{
	bool staged;

	{
		SCOPED_LOCK(&c->md->s->mu);
		staged = c->md->staged;
		writers_note(&c->md->programs, req_caller(c->r).tid);
	}
	c->fn = fn;
	c->dirties = dirties;
	if (staged)
		staged_call(c);
	else
		call_defer(c, change_job);
}

/* The answer to a change that went as `r` says: 0, or -1 with errno. Trouble of the disk becomes the model's error. */
bool staging_went(struct call *c, int r)
{
	struct err e = {0};

	if (r >= 0) {
		if (c->dirties)
			model_changed(c->md);
		return true;
	}
	int no = errno;
	if (no == ENOSPC || no == EDQUOT || no == EIO || no == EROFS) {
		err_errno(&e, "cannot change the staged files of model '%s' (in %s/staging)",
			  c->md->name, c->md->s->m->state_path);
		model_fail(c->md, &e);
	}
	reply_err(c->r, no);
	return false;
}

struct node *model_child(struct mount *m, struct node *dir, const char *name, struct model *md,
			 const struct stat *st)
{
	mode_t type = st->st_mode & S_IFMT;
	struct node *n = node_child(m->tree, dir, name);
	bool made = false;

	/* replaced behind our back, by another version, or by another model's file of that name */
	if (n && (n->type != type || model_of(n) != md)) {
		node_unref(m->tree, n);
		node_detach(m->tree, dir, name);
		n = NULL;
	}
	if (n)
		return n;
	struct entry *data = calloc(1, sizeof *data);
	if (!data)
		return NULL;
	*data = (struct entry){.md = md, .removed = -1};
	const struct node_make how = {.ops = S_ISDIR(type) ? &model_dir_ops : &model_file_ops,
				      .data = data,
				      .type = type,
				      .ino = st->st_ino};
	n = node_make(m->tree, dir, name, &how, &made);
	if (!made)
		free(data);
	return n;
}

void model_reply_node(struct req *r, struct node *dir, const char *name, struct model *md,
		      const struct stat *st, double ttl)
{
	struct mount *m = md->s->m;
	struct node *n = model_child(m, dir, name, md, st);

	if (!n) {
		reply_err(r, ENOMEM);
		return;
	}
	reply_entry(r, n, st, ttl);
	node_unref(m->tree, n);
}

void model_published_stat(struct model *md, const struct manifest_member *f, struct stat *st)
{
	const struct mount *m = md->s->m;

	*st = (struct stat){.st_uid = m->uid, .st_gid = m->gid, .st_blksize = 4096};
	st->st_mode = f ? S_IFREG | (f->mode & 0777) : S_IFDIR | 0755;
	st->st_nlink = f ? 1 : 2;
	st->st_size = f ? (off_t)f->size : 4096;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_mtim.tv_sec = f ? f->mtime : md->man ? (time_t)md->man->created : m->started;
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* Attributes of path in the published view. -1: not published; 0: no such path. */
static int published_find(struct model *md, const char *path, struct stat *st)
{
	const struct manifest_member *f = NULL;
	SCOPED_LOCK(&md->s->mu);

	if (md->staged || !md->man || md->deleting)
		return -1;
	if (!catalog_find(md->man, &md->gone, path, &f))
		return 0;
	model_published_stat(md, f, st);
	return 1;
}

int staging_child_path(struct node *dir, const char *name, struct buf *out)
{
	if (staging_path(dir, out) < 0)
		return -1;
	if (name && out->len)
		buf_char(out, '/');
	if (name)
		buf_str(out, name);
	return out->failed ? -1 : 0;
}

double staging_ttl(struct node *dir, const char *name)
{
	char model[NAME_MAX + 1];

	if (!dir->data)
		return 0;
	if (!package_file_model(name, model, sizeof model))
		return MODEL_STAGED_TTL;
	struct node *up = node_parent(dir->tree, dir);
	bool top = !up->data;
	node_unref(dir->tree, up);
	return top ? 0 : MODEL_STAGED_TTL;
}

double staging_node_ttl(struct node *n)
{
	char name[NAME_MAX + 1];

	if (n->type == S_IFDIR)
		return MODEL_STAGED_TTL;
	node_name(n->tree, n, name, sizeof name);
	struct node *dir = node_parent(n->tree, n);
	double ttl = staging_ttl(dir, name);
	node_unref(n->tree, dir);
	return ttl;
}

static void staging_list(struct req *r, struct node *dir, struct dirfill *f);
static void staging_lookup(struct req *r, struct node *dir, const char *name);

/* A lookup or a listing that waits for somebody else's archive to be read. */
struct looking {
	struct req *r;
	struct model *md;
	struct node *dir;
	char name[NAME_MAX + 1];
	struct dirfill *fill; /* of a listing, else NULL */
	bool answered;        /* atomic: by the job or by the interrupt */
};

static bool claim(struct looking *l)
{
	return !__atomic_exchange_n(&l->answered, true, __ATOMIC_ACQ_REL);
}

static void interrupted(void *arg)
{
	struct looking *l = arg;
	struct req *r = l->r;

	if (claim(l))
		reply_err(r, EINTR); /* the reading goes on: the next one finds it done */
}

static void looking_job(void *arg, struct cancel *cancel)
{
	_cleanup_free_ struct looking *l = arg;
	struct err e = {0};
	int rc = elsewhere_read(l->md, cancel, &e);

	if (!claim(l))
		return;
	if (rc < 0)
		model_fail_reply(l->md, l->r, &e);
	else if (l->fill)
		staging_list(l->r, l->dir, l->fill);
	else
		staging_lookup(l->r, l->dir, l->name);
}

static void look_inside(struct req *r, struct node *dir, const char *name, struct dirfill *f)
{
	struct looking *l = calloc(1, sizeof *l);

	if (!l) {
		reply_err(r, ENOMEM);
		return;
	}
	*l = (struct looking){.r = r, .md = model_of(dir), .dir = dir, .fill = f};
	snprintf(l->name, sizeof l->name, "%s", name ? name : "");
	req_on_interrupt(r, interrupted, l);
	if (jobs_run(l->md->s->m->jobs, looking_job, l) == 0)
		return;
	if (claim(l))
		reply_err(r, ENOMEM);
	free(l);
}

static void staging_lookup(struct req *r, struct node *dir, const char *name)
{
	struct model *md = model_of(dir);
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	struct stat st = {0};

	if (staging_child_path(dir, name, &path) < 0) {
		reply_err(r, ENOENT);
		return;
	}
	if (streq(buf_cstr(&path), MODEL_SIDE)) {
		model_side_reply(r, dir, md);
		return;
	}
	if (elsewhere_unread(md)) {
		look_inside(r, dir, name, NULL);
		return;
	}
	int found = published_find(md, buf_cstr(&path), &st);
	if (found == 0) {
		reply_err(r, ENOENT);
		return;
	}
	if (found < 0) {
		_cleanup_close_ int fd = staging_dir(dir);

		if (fd < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			reply_err(r, errno);
			return;
		}
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		reply_err(r, ENOENT);
	else
		model_reply_node(r, dir, name, md, &st, staging_ttl(dir, name));
}

/* Attributes of n as it is staged: by name, or by an open handle when it has none any more. */
static int staged_stat(struct node *n, const struct file *h, struct stat *st)
{
	char name[NAME_MAX + 1];

	if (h && h->pub) {
		model_published_stat(h->md, h->pub->member, st);
		return 0;
	}
	if (h)
		return fstat(h->fd, st);
	SCOPED_READ(&model_of(n)->s->names);
	if (n->type == S_IFDIR) {
		_cleanup_close_ int fd = staging_dir_held(n);

		return fd < 0 ? -1 : fstat(fd, st);
	}
	_cleanup_close_ int dir = staging_parent(n, name);
	if (dir >= 0)
		return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW);
	_cleanup_close_ int fd = file_nameless(n);
	return fd < 0 ? -1 : fstat(fd, st);
}

static void staging_getattr(struct req *r, struct node *n, void *h)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	struct stat st = {0};

	if (staging_path(n, &path) == 0) {
		int found = published_find(model_of(n), buf_cstr(&path), &st);

		if (found >= 0) {
			if (found)
				reply_attr(r, &st, MIN(MODEL_TOP_TTL, staging_node_ttl(n)));
			else
				reply_err(r, ENOENT);
			return;
		}
	}
	if (staged_stat(n, h, &st) < 0)
		reply_err(r, errno);
	else
		reply_attr(r, &st, staging_node_ttl(n));
}

static int fill_one(void *arg, const char *name, mode_t type)
{
	return dirfill_add(arg, name, 0, type);
}

static bool list_published(struct node *dir, const char *path, struct dirfill *f)
{
	struct model *md = model_of(dir);
	SCOPED_LOCK(&md->s->mu);

	if (md->staged || !md->man)
		return false;
	(void)!catalog_list(md->man, &md->gone, path, fill_one, f);
	return true;
}

static void fill_staged(DIR *d, struct dirfill *f)
{
	struct dirent *de;
	struct stat st;

	while ((de = readdir(d))) {
		if (streq(de->d_name, ".") || streq(de->d_name, ".."))
			continue;
		mode_t type = DTTOIF(de->d_type);
		if (de->d_type == DT_UNKNOWN) {
			if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			type = st.st_mode & S_IFMT;
		}
		if (dirfill_add(f, de->d_name, de->d_ino, type) < 0)
			return;
	}
}

static void staging_list(struct req *r, struct node *dir, struct dirfill *f)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);

	if (staging_path(dir, &path) < 0) { /* removed while open: nothing in it any more */
		reply_dir(r, f);
		return;
	}
	if (elsewhere_unread(model_of(dir))) {
		look_inside(r, dir, NULL, f);
		return;
	}
	if (list_published(dir, buf_cstr(&path), f)) {
		reply_dir(r, f);
		return;
	}
	_cleanup_close_ int at = staging_dir(dir);
	_cleanup_closedir_ DIR *d = at < 0 ? NULL : dir_open(at, ".");
	if (!d) {
		reply_err(r, errno);
		return;
	}
	fill_staged(d, f);
	reply_dir(r, f);
}

/* .sagemaker is ours wherever a change would make, replace or remove it. */
bool staging_is_side(struct node *dir, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT(0);

	return streq(name, MODEL_SIDE) && staging_path(dir, &path) == 0 && path.len == 0;
}

/*
 * What another user makes in a mount of root's that lets others in is that user's; anybody else's daemon cannot give files away.
 * In a set-group-ID directory the group is the directory's.
 */
int staging_own(struct req *r, int dirfd, const char *name)
{
	struct caller who = req_caller(r);
	struct stat dir;

	if (who.uid == geteuid() && who.gid == getegid())
		return 0;
	if (geteuid() != 0)
		return 0;
	if (fstat(dirfd, &dir) < 0)
		return -1;
	return fchownat(dirfd, name, who.uid, dir.st_mode & S_ISGID ? (gid_t)-1 : who.gid,
			AT_SYMLINK_NOFOLLOW);
}

static void do_mkdir(struct call *c)
{
	_cleanup_close_ int fd = staging_dir(c->n);
	struct stat st;

	if (!staging_went(c, fd < 0 ? -1 : mkdirat(fd, c->name, c->mode & 07777)))
		return;
	if (staging_own(c->r, fd, c->name) < 0 ||
	    fstatat(fd, c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		reply_err(c->r, errno);
	else
		model_reply_node(c->r, c->n, c->name, c->md, &st, MODEL_STAGED_TTL);
}

static void staging_mkdir(struct req *r, struct node *dir, const char *name, mode_t mode)
{
	struct call c = {.r = r, .md = model_of(dir), .n = dir, .name = name, .mode = mode};

	if (staging_is_side(dir, name))
		reply_err(r, EEXIST);
	else
		model_change(&c, do_mkdir, true);
}

static void do_symlink(struct call *c)
{
	_cleanup_close_ int fd = staging_dir(c->n);
	struct stat st;

	if (!staging_went(c, fd < 0 ? -1 : symlinkat(c->name2, fd, c->name)))
		return;
	if (staging_own(c->r, fd, c->name) < 0 ||
	    fstatat(fd, c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		reply_err(c->r, errno);
	else
		model_reply_node(c->r, c->n, c->name, c->md, &st, MODEL_STAGED_TTL);
}

static void staging_symlink(struct req *r, struct node *dir, const char *name, const char *target)
{
	struct call c = {.r = r, .md = model_of(dir), .n = dir, .name = name, .name2 = target};

	if (staging_is_side(dir, name))
		reply_err(r, EEXIST);
	else
		model_change(&c, do_symlink, true);
}

static void staging_create(struct req *r, struct node *dir, const char *name, mode_t mode,
			   int flags)
{
	if (staging_is_side(dir, name))
		reply_err(r, EISDIR);
	else
		file_create(r, dir, name, mode, flags);
}

static ssize_t read_link(struct node *n, char *out, size_t size)
{
	char name[NAME_MAX + 1];
	SCOPED_READ(&model_of(n)->s->names);
	_cleanup_close_ int dir = staging_parent(n, name);
	_cleanup_close_ int fd = dir < 0 ? file_nameless(n) : -1;

	if (dir < 0 && fd < 0)
		return -1;
	return dir < 0 ? readlinkat(fd, "", out, size) : readlinkat(dir, name, out, size);
}

static void do_readlink(struct req *r, struct node *n)
{
	char target[PATH_MAX];
	ssize_t k = read_link(n, target, sizeof target - 1);

	if (k < 0) {
		reply_err(r, errno);
		return;
	}
	target[k] = 0;
	reply_readlink(r, target);
}

static void staging_statfs(struct req *r, struct node *n)
{
	struct statvfs st;

	if (fstatvfs(model_of(n)->s->m->staging_fd, &st) < 0)
		reply_err(r, errno);
	else
		reply_statfs(r, &st);
}

const struct node_ops model_dir_ops = {
	.lookup = staging_lookup,
	.getattr = staging_getattr,
	.setattr = staging_setattr,
	.list = staging_list,
	.mkdir = staging_mkdir,
	.rmdir = staging_rmdir,
	.unlink = staging_unlink,
	.create = staging_create,
	.symlink = staging_symlink,
	.rename = staging_rename,
	.fsyncdir = staging_fsyncdir,
	.statfs = staging_statfs,
	.setxattr = staging_setxattr,
	.getxattr = staging_getxattr,
	.listxattr = staging_listxattr,
	.removexattr = staging_removexattr,
	.free = entry_free,
};

const struct node_ops model_file_ops = {
	.getattr = staging_getattr,
	.setattr = staging_setattr,
	.readlink = do_readlink,
	.open = file_open,
	.read = file_read,
	.write = file_write,
	.release = file_release,
	.fsync = file_fsync,
	.statfs = staging_statfs,
	.setxattr = staging_setxattr,
	.getxattr = staging_getxattr,
	.listxattr = staging_listxattr,
	.removexattr = staging_removexattr,
	.fallocate = file_fallocate,
	.lseek = file_lseek,
	.free = entry_free,
};
