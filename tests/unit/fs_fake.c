#include "fs_fake.h"

#include <errno.h>

#include "fs/thread.h"

void fake_mount(struct mount *m, const struct node_ops *root_ops, const struct vfile *root_rows)
{
	*m = (struct mount){
		.uid = 1000, .gid = 1000, .started = 1700000000, .state_fd = -1, .staging_fd = -1};
	pthread_mutex_init(&m->mu, NULL);
	m->jobs = jobs_new(4, NULL);
	m->watch = watch_new(NULL);
	m->vfiles = vfiles_new();
	m->tree = tree_new(root_ops, root_rows, m);
}

void fake_mount_release(struct mount *m)
{
	jobs_stop(m->jobs, 1000);
	watch_stop(m->watch);
	tree_free(m->tree);
	vfiles_free(m->vfiles);
	jobs_free(m->jobs);
	watch_free(m->watch);
	pthread_mutex_destroy(&m->mu);
}

void fake_req(struct req *r, struct mount *m)
{
	*r = (struct req){.m = m};
	pthread_mutex_init(&r->mu, NULL);
	thread_cond_init(&r->answered);
}

enum answer fake_await(struct req *r)
{
	struct timespec until = thread_deadline(now_ms() + 5000);
	SCOPED_LOCK(&r->mu);

	while (r->what == NOT_YET &&
	       pthread_cond_timedwait(&r->answered, &r->mu, &until) != ETIMEDOUT)
		;
	return r->what;
}

void fake_interrupt(struct req *r)
{
	r->interrupt(r->interrupt_arg);
}

static void answer(struct req *r, enum answer what)
{
	SCOPED_LOCK(&r->mu);

	r->what = what;
	r->answers++;
	pthread_cond_broadcast(&r->answered);
}

struct mount *req_mount(const struct req *r)
{
	return r->m;
}

struct caller req_caller(const struct req *r)
{
	return (struct caller){r->m->uid, r->m->gid, 0};
}

void req_on_interrupt(struct req *r, void (*fn)(void *arg), void *arg)
{
	r->interrupt = fn;
	r->interrupt_arg = arg;
}

void reply_err(struct req *r, int no)
{
	r->no = no;
	answer(r, GOT_ERR);
}

void reply_entry(struct req *r, struct node *n, const struct stat *st, double timeout)
{
	(void)timeout;
	node_remember(r->m->tree, n);
	r->node = n;
	r->st = *st;
	answer(r, GOT_ENTRY);
}

void reply_attr(struct req *r, const struct stat *st, double timeout)
{
	(void)timeout;
	r->st = *st;
	answer(r, GOT_ATTR);
}

void reply_data(struct req *r, const void *p, size_t n)
{
	r->n = MIN(n, sizeof r->data - 1);
	memcpy(r->data, p, r->n);
	r->data[r->n] = '\0';
	answer(r, GOT_DATA);
}

int reply_open(struct req *r, void *h, unsigned flags)
{
	int rc = r->gone ? -1 : 0; /* after the answer r may be gone itself */

	(void)flags;
	r->handle = h;
	answer(r, GOT_OPEN);
	return rc;
}

void reply_write(struct req *r, size_t n)
{
	r->n = n;
	answer(r, GOT_WRITE);
}

void reply_readlink(struct req *r, const char *target)
{
	snprintf(r->data, sizeof r->data, "%s", target);
	answer(r, GOT_LINK);
}

void reply_poll(struct req *r, unsigned revents)
{
	r->events = revents;
	answer(r, GOT_POLL);
}

int dirfill_add(struct dirfill *f, const char *name, ino_t ino, mode_t type)
{
	size_t n = strlen(f->names);

	(void)ino;
	snprintf(f->names + n, sizeof f->names - n, "%s%s ", name, type == S_IFLNK ? "@" : "");
	return 0;
}

void reply_dir(struct req *r, struct dirfill *f)
{
	snprintf(r->data, sizeof r->data, "%s", f->names);
	answer(r, GOT_DIR);
}

void poll_wake(struct pollwake *w)
{
	if (w)
		w->woken++;
}

void poll_drop(struct pollwake *w)
{
	if (w)
		w->dropped++;
}

/* mount.c's, without its network. */
void mount_fail(struct mount *m, enum room room, const struct err *e)
{
	SCOPED_LOCK(&m->mu);

	m->last[room] = *e;
}

enum room node_room(struct node *n)
{
	(void)n;
	return ROOM_ROOT;
}

struct mount *node_mount(const struct node *n)
{
	return tree_root(n->tree)->data;
}
