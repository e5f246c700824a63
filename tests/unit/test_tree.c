#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/tree.h"

static unsigned freed;

static void count_free(struct node *n)
{
	(void)n;
	freed++;
}

static const struct node_ops ops = {.free = count_free};
static const struct node_make dir_how = {.ops = &ops, .type = S_IFDIR};

static struct node *make(struct tree *t, struct node *dir, const char *name)
{
	bool made;

	return node_make(t, dir, name, &dir_how, &made);
}

static void assert_path(struct tree *t, struct node *n, const char *expected)
{
	_cleanup_buf_ struct buf b = {0};

	assert_int_equal(node_path(t, n, NULL, &b), 0);
	assert_string_equal(buf_cstr(&b), expected);
}

static void lives_while_held(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);
	bool made;

	(void)state;
	freed = 0;
	struct node *a = node_make(t, tree_root(t), "a", &dir_how, &made);
	assert_true(made);
	struct node *again = node_make(t, tree_root(t), "a", &dir_how, &made);
	assert_ptr_equal(a, again);
	assert_false(made);
	struct node *b = make(t, a, "b");
	uint64_t id = b->id;
	node_remember(t, b);
	node_unref(t, b);
	node_unref(t, a);
	node_unref(t, again);
	assert_int_equal(freed, 0); /* the kernel's lookup of b holds both */
	assert_path(t, b, "a/b");
	node_forget(t, id, 1);
	assert_int_equal(freed, 2);
	assert_null(node_by_id(t, id));
	assert_int_equal(tree_count(t), 1);
	node_forget(t, id, 1); /* of a node that is gone: harmless */
	tree_free(t);
}

static void ids_never_return(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);
	uint64_t last = 1;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct node *n = make(t, tree_root(t), "same");
		assert_true(n->id > last);
		last = n->id;
		node_unref(t, n);
	}
	tree_free(t);
}

static void inodes_are_stable(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);

	(void)state;
	struct node *n = make(t, tree_root(t), "x");
	ino_t ino = n->ino;
	node_unref(t, n);
	n = make(t, tree_root(t), "x");
	assert_true(n->ino == ino && ino == tree_ino(tree_root(t), "x"));
	assert_true(ino != tree_ino(tree_root(t), "y"));
	node_unref(t, n);
	tree_free(t);
}

static void detached_nodes_are_not_found(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	struct node *old = make(t, tree_root(t), "x"), *below = make(t, old, "y");
	node_detach(t, tree_root(t), "x");
	assert_null(node_child(t, tree_root(t), "x"));
	assert_int_equal(node_path(t, below, NULL, &b), -1);
	struct node *new = make(t, tree_root(t), "x");
	assert_ptr_not_equal(old, new);
	assert_true(node_is(t, old, tree_root(t), "x"));
	assert_true(node_within(t, below, tree_root(t)));
	node_unref(t, below);
	node_unref(t, old);
	node_unref(t, new);
	assert_int_equal(tree_count(t), 1);
	tree_free(t);
}

static void rename_moves_subtrees(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);
	struct node *root = tree_root(t), *a = make(t, root, "a"), *b = make(t, root, "b");
	struct node *x = make(t, a, "x"), *deep = make(t, x, "deep"), *victim = make(t, b, "y");

	(void)state;
	node_move(t, a, "x", b, "y");
	assert_path(t, deep, "b/y/deep");
	assert_null(node_child(t, a, "x"));
	node_unref(t, victim);
	node_exchange(t, root, "a", b, "y");
	assert_path(t, deep, "a/deep");
	assert_path(t, a, "b/y");
	char top[8];
	node_top_name(t, deep, top, sizeof top);
	assert_string_equal(top, "a");
	node_unref(t, a);
	node_unref(t, b);
	node_unref(t, x);
	node_unref(t, deep);
	assert_int_equal(tree_count(t), 1);
	tree_free(t);
}

/* Random operations beside a model: an array of which names exist in which of four directories. */
#define DIRS  4
#define NAMES 200

static void agrees_with_a_model(void **state)
{
	struct tree *t = tree_new(&ops, NULL, NULL);
	struct node *dirs[DIRS], *model[DIRS][NAMES] = {{0}};
	unsigned seed = 7;
	char name[16];

	(void)state;
	for (int d = 0; d < DIRS; d++) {
		snprintf(name, sizeof name, "d%d", d);
		dirs[d] = make(t, tree_root(t), name);
	}
	for (int step = 0; step < 20000; step++) {
		int r = rand_r(&seed), d = r % DIRS, n = r / DIRS % NAMES, d2 = r / 5 % DIRS,
		    n2 = r / 11 % NAMES;
		char to[16];
		snprintf(name, sizeof name, "n%d", n);
		snprintf(to, sizeof to, "n%d", n2);
		struct node *found = node_child(t, dirs[d], name);
		assert_ptr_equal(found, model[d][n]);
		node_unref(t, found);
		switch (rand_r(&seed) % 4) {
		case 0:
			if (!found)
				model[d][n] = make(t, dirs[d], name);
			break;
		case 1:
			node_detach(t, dirs[d], name);
			node_unref(t, model[d][n]);
			model[d][n] = NULL;
			break;
		case 2:
			if (!found || found == model[d2][n2])
				break;
			node_move(t, dirs[d], name, dirs[d2], to);
			node_unref(t, model[d2][n2]);
			model[d2][n2] = model[d][n];
			model[d][n] = NULL;
			break;
		default: {
			if (!found || !model[d2][n2])
				break;
			struct node *other = model[d2][n2];
			node_exchange(t, dirs[d], name, dirs[d2], to);
			model[d2][n2] = model[d][n];
			model[d][n] = other;
			break;
		}
		}
	}
	for (int d = 0; d < DIRS; d++) {
		for (int n = 0; n < NAMES; n++)
			node_unref(t, model[d][n]);
		node_unref(t, dirs[d]);
	}
	assert_int_equal(tree_count(t), 1);
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives_while_held),
		cmocka_unit_test(ids_never_return),
		cmocka_unit_test(inodes_are_stable),
		cmocka_unit_test(detached_nodes_are_not_found),
		cmocka_unit_test(rename_moves_subtrees),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
