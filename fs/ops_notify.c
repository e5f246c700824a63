#include <errno.h>

#include "fs/ops_private.h"

/* Notifications go out on the watch thread: one sent by a thread that serves a request can deadlock with the kernel, which
 * holds the directory's lock for that request. */

struct notice {
	struct session *s;
	fuse_ino_t ino;
	char *name; /* NULL: the node itself */
};

static void send_notice(void *arg)
{
	struct notice *n = arg;

	if (!atomic_load(&n->s->mounted))
		; /* nobody has anything cached any more */
	else if (n->name)
		fuse_lowlevel_notify_inval_entry(n->s->se, n->ino, n->name, strlen(n->name));
	else
		fuse_lowlevel_notify_inval_inode(n->s->se, n->ino, 0, 0);
	free(n->name);
	free(n);
}

static void queue_notice(struct mount *m, const struct node *node, const char *name)
{
	struct session *s = m->fuse;
	struct notice *n = s && atomic_load(&s->mounted) ? calloc(1, sizeof *n) : NULL;

	if (!n)
		return;
	*n = (struct notice){s, node->id, name ? strdup(name) : NULL};
	if ((name && !n->name) || watch_post(m->watch, send_notice, n) < 0) {
		free(n->name);
		free(n);
	}
}

void tree_invalidate_entry(struct mount *m, struct node *dir, const char *name)
{
	queue_notice(m, dir, name);
}

void tree_invalidate_node(struct mount *m, struct node *n)
{
	queue_notice(m, n, NULL);
}

void tree_expire_attributes(struct mount *m, const struct node *n)
{
	struct session *s = m->fuse;

	if (s && atomic_load(&s->mounted))
		fuse_lowlevel_notify_inval_inode(s->se, n->id, -1, 0);
}

struct pollwake {
	struct session *s;
	struct fuse_pollhandle *ph;
};

struct pollwake *pollwake_new(struct session *s, struct fuse_pollhandle *ph)
{
	struct pollwake *w = ph ? calloc(1, sizeof *w) : NULL;

	if (w)
		*w = (struct pollwake){s, ph};
	else if (ph)
		fuse_pollhandle_destroy(ph);
	return w;
}

void poll_drop(struct pollwake *w)
{
	if (!w)
		return;
	fuse_pollhandle_destroy(w->ph);
	free(w);
}

static void send_wake(void *arg)
{
	struct pollwake *w = arg;

	fuse_lowlevel_notify_poll(w->ph);
	poll_drop(w);
}

void poll_wake(struct pollwake *w)
{
	if (w && watch_post(w->s->m->watch, send_wake, w) < 0)
		poll_drop(w);
}
