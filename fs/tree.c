#include "fs/tree.h"

#include <errno.h>

#define TABLE_MIN   64
#define INO_VIRTUAL ((ino_t)1 << 63)
#define FNV_BASIS   14695981039346656037ULL
#define FNV_PRIME   1099511628211ULL

/* A chained hash table of nodes; which chain pointer is used is the table's business. */
struct table {
	struct node **rows;
	size_t size; /* power of two */
};

struct tree {
	pthread_mutex_t
		mu; /* guards everything here and the nodes' links, names and counts; a leaf */
	struct table ids, names;
	size_t count;
	uint64_t last_id;
	struct node *root;
};

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * FNV_PRIME;
	return h;
}

static size_t slot_id(const struct table *t, uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15ULL >> 20) & (t->size - 1);
}

static size_t slot_name(const struct table *t, const struct node *dir, const char *name)
{
	uint64_t h =
		hash_bytes(hash_bytes(FNV_BASIS, &dir->id, sizeof dir->id), name, strlen(name));

	return (size_t)(h ^ h >> 32) & (t->size - 1);
}

ino_t tree_ino(const struct node *dir, const char *name)
{
	uint64_t h =
		hash_bytes(hash_bytes(FNV_BASIS, &dir->ino, sizeof dir->ino), name, strlen(name));

	return (h ^ h >> 1) | INO_VIRTUAL;
}

static void link_id(struct tree *t, struct node *n)
{
	struct node **at = &t->ids.rows[slot_id(&t->ids, n->id)];

	n->next_id = *at;
	*at = n;
}

static void link_name(struct tree *t, struct node *n)
{
	struct node **at = &t->names.rows[slot_name(&t->names, n->parent, n->name)];

	n->next_name = *at;
	*at = n;
}

static void unlink_id(struct tree *t, const struct node *n)
{
	struct node **at = &t->ids.rows[slot_id(&t->ids, n->id)];

	while (*at != n)
		at = &(*at)->next_id;
	*at = n->next_id;
}

static void unlink_name(struct tree *t, const struct node *n)
{
	struct node **at = &t->names.rows[slot_name(&t->names, n->parent, n->name)];

	while (*at != n)
		at = &(*at)->next_name;
	*at = n->next_name;
}

static struct node *find_locked(const struct tree *t, const struct node *dir, const char *name)
{
	struct node *n = t->names.rows[slot_name(&t->names, dir, name)];

	while (n && !(n->parent == dir && streq(n->name, name)))
		n = n->next_name;
	return n;
}

static struct node *find_id_locked(const struct tree *t, uint64_t id)
{
	struct node *n = t->ids.rows[slot_id(&t->ids, id)];

	while (n && n->id != id)
		n = n->next_id;
	return n;
}

static struct node **rows_new(size_t size)
{
	return calloc(size, sizeof(struct node *));
}

/* Doubles both tables when they are full; without memory they stay as they are, only slower. */
static void grow_locked(struct tree *t)
{
	size_t old = t->ids.size, size = old * 2;

	if (t->count < old)
		return;
	struct node **ids = rows_new(size), **names = rows_new(size);
	if (!ids || !names) {
		free(ids);
		free(names);
		return;
	}
	struct node **was = t->ids.rows;
	free(t->names.rows);
	t->ids = (struct table){ids, size};
	t->names = (struct table){names, size};
	for (size_t i = 0; i < old; i++) {
		for (struct node *n = was[i], *next; n; n = next) {
			next = n->next_id;
			link_id(t, n);
			if (n->parent && !n->detached)
				link_name(t, n);
		}
	}
	free(was);
}

/* Unlinks n, and then its parents, as long as nobody holds them. Returns the chain (by next_id) to destroy without the lock. */
static struct node *reap_locked(struct tree *t, struct node *n)
{
	struct node *dead = NULL;

	while (n && !n->refs && !n->nlookup && n != t->root) {
		struct node *parent = n->parent;

		unlink_id(t, n);
		if (!n->detached)
			unlink_name(t, n);
		t->count--;
		n->next_id = dead;
		dead = n;
		parent->refs--;
		n = parent;
	}
	return dead;
}

static void destroy(struct node *dead)
{
	while (dead) {
		struct node *n = dead;

		dead = n->next_id;
		if (n->ops->free)
			n->ops->free(n);
		free(n->name);
		free(n);
	}
}

struct tree *tree_new(const struct node_ops *root_ops, const struct vfile *root_rows,
		      void *root_data)
{
	struct tree *t = calloc(1, sizeof *t);
	struct node *root = calloc(1, sizeof *root);

	if (!t || !root)
		goto fail;
	t->ids = (struct table){rows_new(TABLE_MIN), TABLE_MIN};
	t->names = (struct table){rows_new(TABLE_MIN), TABLE_MIN};
	if (!t->ids.rows || !t->names.rows)
		goto fail;
	pthread_mutex_init(&t->mu, NULL);
	*root = (struct node){.id = 1,
			      .ino = 1,
			      .ops = root_ops,
			      .rows = root_rows,
			      .data = root_data,
			      .type = S_IFDIR,
			      .refs = 1,
			      .tree = t};
	root->name = strdup("");
	if (!root->name)
		goto fail;
	t->last_id = 1;
	t->root = root;
	t->count = 1;
	link_id(t, root);
	return t;
fail:
	if (t) {
		free(t->ids.rows);
		free(t->names.rows);
	}
	free(t);
	free(root);
	return NULL;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	/* The kernel is gone: what it still held goes now, children before parents does not matter to ops->free. */
	struct node *dead = NULL;
	for (size_t i = 0; i < t->ids.size; i++) {
		for (struct node *n = t->ids.rows[i], *next; n; n = next) {
			next = n->next_id;
			n->next_id = dead;
			dead = n;
		}
	}
	destroy(dead);
	free(t->ids.rows);
	free(t->names.rows);
	pthread_mutex_destroy(&t->mu);
	free(t);
}

struct node *tree_root(struct tree *t)
{
	return t->root;
}

size_t tree_count(struct tree *t)
{
	SCOPED_LOCK(&t->mu);
	return t->count;
}

struct node *node_child(struct tree *t, struct node *dir, const char *name)
{
	SCOPED_LOCK(&t->mu);
	struct node *n = find_locked(t, dir, name);

	if (n)
		n->refs++;
	return n;
}

struct node *node_by_id(struct tree *t, uint64_t id)
{
	SCOPED_LOCK(&t->mu);
	struct node *n = find_id_locked(t, id);

	if (n)
		n->refs++;
	return n;
}

static struct node *make_locked(struct tree *t, struct node *dir, char *name,
				const struct node_make *how)
{
	struct node *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	*n = (struct node){.id = ++t->last_id,
			   .ino = how->ino ? how->ino : tree_ino(dir, name),
			   .ops = how->ops,
			   .row = how->row,
			   .rows = how->rows,
			   .data = how->data,
			   .type = how->type,
			   .parent = dir,
			   .name = name,
			   .refs = 1,
			   .tree = t};
	dir->refs++;
	t->count++;
	grow_locked(t);
	link_id(t, n);
	link_name(t, n);
	return n;
}

struct node *node_make(struct tree *t, struct node *dir, const char *name,
		       const struct node_make *how, bool *made)
{
	char *copy = strdup(name);
	SCOPED_LOCK(&t->mu);
	struct node *n = find_locked(t, dir, name);

	*made = false;
	if (n) {
		n->refs++;
		free(copy);
		return n;
	}
	n = copy ? make_locked(t, dir, copy, how) : NULL;
	if (!n)
		free(copy);
	*made = n != NULL;
	return n;
}

struct node *node_ref(struct tree *t, struct node *n)
{
	SCOPED_LOCK(&t->mu);
	n->refs++;
	return n;
}

void node_unref(struct tree *t, struct node *n)
{
	struct node *dead;

	if (!n)
		return;
	pthread_mutex_lock(&t->mu);
	n->refs--;
	dead = reap_locked(t, n);
	pthread_mutex_unlock(&t->mu);
	destroy(dead);
}

void node_remember(struct tree *t, struct node *n)
{
	SCOPED_LOCK(&t->mu);
	n->nlookup++;
}

void node_forget(struct tree *t, uint64_t id, uint64_t nlookup)
{
	struct node *dead = NULL;

	pthread_mutex_lock(&t->mu);
	struct node *n = find_id_locked(t, id);
	if (n) {
		n->nlookup -= MIN(nlookup, n->nlookup);
		dead = reap_locked(t, n);
	}
	pthread_mutex_unlock(&t->mu);
	destroy(dead);
}

static void detach_locked(struct tree *t, struct node *n)
{
	unlink_name(t, n);
	n->detached = true;
}

void node_detach(struct tree *t, struct node *dir, const char *name)
{
	SCOPED_LOCK(&t->mu);
	struct node *n = find_locked(t, dir, name);

	/* Somebody holds it (else it would not be here): the last holder's going frees it. */
	if (n)
		detach_locked(t, n);
}

/* Gives n another place. Returns the old parent, whose reference the caller must drop. */
static struct node *place_locked(struct tree *t, struct node *n, struct node *dir, char *name)
{
	struct node *old = n->parent;

	free(n->name);
	n->name = name;
	n->parent = dir;
	dir->refs++;
	link_name(t, n);
	return old;
}

void node_move(struct tree *t, struct node *dir, const char *name, struct node *newdir,
	       const char *newname)
{
	char *copy = strdup(newname);
	struct node *old = NULL;

	pthread_mutex_lock(&t->mu);
	struct node *n = find_locked(t, dir, name), *target = find_locked(t, newdir, newname);
	if (target && target != n)
		detach_locked(t, target);
	if (n && target != n && copy) {
		unlink_name(t, n);
		old = place_locked(t, n, newdir, steal(copy));
	} else if (n && target != n) {
		detach_locked(t, n); /* no memory for a name: a later lookup makes a new node */
	}
	pthread_mutex_unlock(&t->mu);
	free(copy);
	node_unref(t, old);
}

/* Half of an exchange: n, unlinked already, goes to dir under name; without a name (no memory) nobody finds it any more. */
static struct node *replace_locked(struct tree *t, struct node *n, struct node *dir, char *name)
{
	n->detached = !name;
	return name ? place_locked(t, n, dir, name) : NULL;
}

void node_exchange(struct tree *t, struct node *dir, const char *name, struct node *newdir,
		   const char *newname)
{
	char *a_name = strdup(newname), *b_name = strdup(name);
	struct node *old_a = NULL, *old_b = NULL;

	pthread_mutex_lock(&t->mu);
	struct node *a = find_locked(t, dir, name), *b = find_locked(t, newdir, newname);
	if (a == b)
		a = b = NULL;
	if (a)
		unlink_name(t, a);
	if (b)
		unlink_name(t, b);
	if (a)
		old_a = replace_locked(t, a, newdir, steal(a_name));
	if (b)
		old_b = replace_locked(t, b, dir, steal(b_name));
	pthread_mutex_unlock(&t->mu);
	free(a_name);
	free(b_name);
	node_unref(t, old_a);
	node_unref(t, old_b);
}

#define PATH_DEPTH_MAX 2048

int node_path(struct tree *t, struct node *n, const struct node *top, struct buf *out)
{
	const struct node *chain[PATH_DEPTH_MAX / 2];
	size_t depth = 0;
	SCOPED_LOCK(&t->mu);

	if (!top)
		top = t->root;
	for (; n && n != top; n = n->parent) {
		if (n->detached || depth == ARRAY_SIZE(chain))
			return -1;
		chain[depth++] = n;
	}
	if (!n)
		return -1;
	while (depth) {
		buf_str(out, chain[--depth]->name);
		if (depth)
			buf_char(out, '/');
	}
	return out->failed ? -1 : 0;
}

void node_name(struct tree *t, struct node *n, char *out, size_t size)
{
	SCOPED_LOCK(&t->mu);
	snprintf(out, size, "%s", n->name);
}

struct node *node_parent(struct tree *t, struct node *n)
{
	SCOPED_LOCK(&t->mu);
	struct node *p = n->parent ? n->parent : n;

	p->refs++;
	return p;
}

bool node_within(struct tree *t, struct node *n, const struct node *top)
{
	SCOPED_LOCK(&t->mu);

	while (n && n != top)
		n = n->parent;
	return n == top;
}

bool node_is(struct tree *t, const struct node *n, const struct node *dir, const char *name)
{
	SCOPED_LOCK(&t->mu);
	return n->parent == dir && streq(n->name, name);
}

void node_top_name(struct tree *t, const struct node *n, char *out, size_t size)
{
	SCOPED_LOCK(&t->mu);

	while (n->parent && n->parent != t->root)
		n = n->parent;
	snprintf(out, size, "%s", n->name);
}

void node_set_times(struct node *n, double created, double modified)
{
	SCOPED_LOCK(&n->tree->mu);
	n->created = created;
	n->modified = modified;
}

void node_times(struct node *n, double *created, double *modified)
{
	SCOPED_LOCK(&n->tree->mu);
	*created = n->created;
	*modified = n->modified;
}
