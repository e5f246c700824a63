#include <assert.h>
#include <errno.h>

#include "fs/ops_private.h"

struct direntry {
	ino_t ino;
	mode_t type;
	size_t name; /* offset in names */
};

/* A listing, collected whole, so that the entries of a directory that changes meanwhile are neither lost nor doubled. */
struct dirfill {
	struct node *dir; /* held by the request */
	struct direntry *rows;
	size_t n, room;
	struct buf names;
	size_t given; /* n at the last answer */
	bool parts;   /* the room has more */
	int broken;   /* errno after the last entry, 0: none */
	struct dirmark mark;
};

/* An open directory. */
struct dirlist {
	pthread_mutex_t mu; /* guards fill */
	struct dirfill *fill;
};

void dirfill_free(struct dirfill *f)
{
	if (!f)
		return;
	buf_release(&f->names);
	free(f->rows);
	free(f);
}

static struct dirfill *dirfill_new(struct mount *m, struct node *dir)
{
	struct dirfill *f = calloc(1, sizeof *f);
	struct node *parent = node_parent(m->tree, dir);
	ino_t parent_ino = parent->ino;

	node_unref(m->tree, parent);
	if (!f)
		return NULL;
	f->dir = dir;
	f->names.max = (size_t)256 << 20;
	if (dirfill_add(f, ".", dir->ino, S_IFDIR) == 0 &&
	    dirfill_add(f, "..", parent_ino, S_IFDIR) == 0)
		return f;
	dirfill_free(f);
	return NULL;
}

int dirfill_add(struct dirfill *f, const char *name, ino_t ino, mode_t type)
{
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 32;
		struct direntry *rows = realloc(f->rows, room * sizeof *rows);
		if (!rows)
			return -1;
		f->rows = rows;
		f->room = room;
	}
	size_t at = f->names.len;
	if (buf_add(&f->names, name, strlen(name) + 1) < 0)
		return -1;
	f->rows[f->n++] = (struct direntry){ino ? ino : tree_ino(f->dir, name), type, at};
	return 0;
}

static void reply_slice(struct req *r, const struct dirfill *f)
{
	_cleanup_free_ char *out = malloc(r->size);
	size_t used = 0;

	if (!out) {
		fuse_reply_err(r->fuse, ENOMEM);
		return;
	}
	for (size_t i = (size_t)r->off; i < f->n; i++) {
		const struct direntry *d = &f->rows[i];
		struct stat st = {.st_ino = d->ino, .st_mode = d->type};
		size_t n = fuse_add_direntry(r->fuse, out + used, r->size - used,
					     f->names.data + d->name, &st, (off_t)i + 1);
		if (n > r->size - used)
			break;
		used += n;
	}
	fuse_reply_buf(r->fuse, out, used);
}

struct dirmark *dirfill_mark(struct dirfill *f)
{
	return &f->mark;
}

/* Everything was read, and it will not become more. */
static bool is_broken_here(const struct req *r, const struct dirfill *f)
{
	return f->broken && (size_t)r->off >= f->n;
}

static void reply_from(struct req *r, const struct dirfill *f)
{
	if (is_broken_here(r, f))
		fuse_reply_err(r->fuse, f->broken);
	else
		reply_slice(r, f);
}

static void reply_collected(struct req *r, struct dirfill *f)
{
	struct dirlist *l = r->list;

	req_disarm(r);
	pthread_mutex_lock(&l->mu);
	if (l->fill != f)
		dirfill_free(l->fill);
	l->fill = f;
	r->fill = NULL;
	f->given = f->n;
	reply_from(r, f);
	pthread_mutex_unlock(&l->mu);
	req_end(r);
}

void reply_dir_part(struct req *r, struct dirfill *f)
{
	assert(f->n > f->given);
	f->parts = true;
	reply_collected(r, f);
}

void reply_dir_broken(struct req *r, struct dirfill *f, int no)
{
	assert(no > 0 && no <= 511);
	f->parts = false;
	f->broken = no;
	reply_collected(r, f);
}

void reply_dir(struct req *r, struct dirfill *f)
{
	f->parts = false;
	reply_collected(r, f);
}

void ops_opendir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dirlist *l = calloc(1, sizeof *l);

	(void)ino;
	if (!l) {
		fuse_reply_err(fuse, ENOMEM);
		return;
	}
	pthread_mutex_init(&l->mu, NULL);
	fi->fh = (uint64_t)(uintptr_t)l;
	if (fuse_reply_open(fuse, fi) == -ENOENT)
		free(l);
}

void ops_releasedir(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dirlist *l = opened(fi);

	(void)ino;
	/* The last readdir's answer may have brought the kernel here before its thread let go of the lock. */
	pthread_mutex_lock(&l->mu);
	pthread_mutex_unlock(&l->mu);
	dirfill_free(l->fill);
	pthread_mutex_destroy(&l->mu);
	free(l);
	fuse_reply_err(fuse, 0);
}

/* Answers from the listing that is there; false: it must be collected (first read, or rewound), or gone on with: then it is the
 * request's. The kernel has one reading thread of an open directory at a time. */
static bool answered_from_list(struct req *r)
{
	struct dirlist *l = r->list;

	pthread_mutex_lock(&l->mu);
	bool have = r->off > 0 && l->fill;
	if (have && l->fill->parts && (size_t)r->off >= l->fill->n) {
		r->fill = steal(l->fill);
		have = false;
	} else if (have) {
		reply_from(r, l->fill);
	}
	pthread_mutex_unlock(&l->mu);
	if (have)
		req_end(r);
	return have;
}

void ops_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct req *r = req_begin(fuse, ino);

	if (!r)
		return;
	r->kind = REQ_READDIR;
	r->list = opened(fi);
	r->size = size;
	r->off = off;
	if (answered_from_list(r))
		return;
	if (r->fill) {
		r->node->ops->more(r, r->node, r->fill);
		return;
	}
	r->fill = dirfill_new(r->s->m, r->node);
	if (!r->fill) {
		reply_err(r, ENOMEM);
		return;
	}
	if (r->node->ops->list)
		r->node->ops->list(r, r->node, r->fill);
	else
		reply_dir(r, r->fill);
}
