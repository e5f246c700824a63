#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>

#include "fs_fake.h"

static struct {
	char value[64];
	atomic_int settled; /* 0: not yet */
	int settled_no;
	atomic_int waiting;
	bool link_absent;
	atomic_int lines; /* of events, and whether there will be no more */
	bool over;
} world;

static int show_value(struct node *dir, struct buf *out, struct err *e)
{
	(void)dir;
	(void)e;
	return buf_printf(out, "%s\n", world.value);
}

static int store_value(struct node *dir, const char *text, size_t n, struct err *e)
{
	(void)dir;
	if (streq(text, "bad"))
		return err_set(e, EINVAL, "'%s' is bad", text);
	assert_int_equal(strlen(text), n);
	snprintf(world.value, sizeof world.value, "%s", text);
	return 0;
}

static int fetch_slowly(struct node *dir, struct buf *out, struct err *e)
{
	(void)dir;
	if (streq(world.value, "broken"))
		return err_set(e, EHOSTUNREACH, "no way");
	return buf_str(out, "fetched\n");
}

static int settled(struct node *dir, struct buf *out, struct err *e)
{
	(void)dir;
	if (!world.settled)
		return 0;
	buf_str(out, "done\n");
	e->no = world.settled_no;
	return 1;
}

static void waiting(struct node *dir, bool on)
{
	(void)dir;
	world.waiting += on ? 1 : -1;
}

static int follow(struct node *dir, uint64_t *seen, struct buf *out)
{
	(void)dir;
	if (*seen < (uint64_t)world.lines)
		buf_printf(out, "line %llu\n", (unsigned long long)++*seen);
	return world.over;
}

static int show_link(struct node *dir, struct buf *out, struct err *e)
{
	(void)dir;
	return world.link_absent ? err_set(e, ENOENT, "none") : buf_str(out, "../target");
}

static const struct vfile rows[] = {
	{.name = "value",        .mode = 0644, .max_write = 16, .show = show_value, .store = store_value},
	{.name = "slow",       .mode = 0444, .fetch = fetch_slowly},
	{.name = "wait",  .mode = 0444, .flags = VF_HIDDEN, .settled = settled, .waiting = waiting},
	{.name = "events",         .mode = 0444, .flags = VF_HIDDEN, .follow = follow, .waiting = waiting},
	{.name = "link", .flags = VF_LINK, .show = show_link},
	{.name = ".error",         .mode = 0444, .flags = VF_LISTED_ALL, .show = show_value},
	{.name = ".secret",    .mode = 0444, .show = show_value},
	{.name = NULL   },
};

struct fixture {
	struct mount m;
	struct node *dir; /* "d": holds the rows */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct node_make how = {.ops = &vdir_ops, .rows = rows, .type = S_IFDIR};
	bool made;

	fake_mount(&f->m, &vdir_ops, NULL);
	f->dir = node_make(f->m.tree, tree_root(f->m.tree), "d", &how, &made);
	memset(&world, 0, sizeof world);
	snprintf(world.value, sizeof world.value, "one");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(world.waiting, 0);
	node_unref(f->m.tree, f->dir);
	fake_mount_release(&f->m);
	free(f);
	return 0;
}

static struct node *lookup(struct fixture *f, const char *name, struct stat *st)
{
	struct req r;

	fake_req(&r, &f->m);
	vdir_lookup(&r, f->dir, name);
	assert_int_equal(r.answers, 1);
	assert_int_equal(r.what, GOT_ENTRY);
	if (st)
		*st = r.st;
	return r.node;
}

static void assert_absent(struct fixture *f, const char *name)
{
	struct req r;

	fake_req(&r, &f->m);
	vdir_lookup(&r, f->dir, name);
	assert_int_equal(r.what, GOT_ERR);
	assert_int_equal(r.no, ENOENT);
}

static void *open_node(struct fixture *f, struct node *n, int flags, int *no)
{
	struct req r;

	fake_req(&r, &f->m);
	n->ops->open(&r, n, flags);
	fake_await(&r);
	assert_int_equal(r.answers, 1);
	if (no)
		*no = r.no;
	return r.what == GOT_OPEN ? r.handle : NULL;
}

static void close_node(struct fixture *f, struct node *n, void *h)
{
	struct req r;

	fake_req(&r, &f->m);
	n->ops->release(&r, n, h);
	assert_int_equal(r.what, GOT_ERR);
}

static void forget(struct fixture *f, struct node *n)
{
	node_forget(f->m.tree, n->id, 1);
}

static void snapshot_at_open(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct node *n = lookup(f, "value", &st);
	struct req r;

	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_uid, 1000);
	void *h = open_node(f, n, O_RDONLY, NULL);
	snprintf(world.value, sizeof world.value, "changed");
	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 1);
	assert_string_equal(r.data, "ne\n");
	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 4);
	assert_int_equal(r.n, 0);
	close_node(f, n, h);
	forget(f, n);
}

static void each_write_is_a_value(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "value", NULL);
	void *h = open_node(f, n, O_WRONLY | O_TRUNC, NULL);
	struct req r;

	fake_req(&r, &f->m);
	n->ops->write(&r, n, h, "two\n", 4, 0);
	assert_int_equal(r.what, GOT_WRITE);
	assert_int_equal(r.n, 4);
	assert_string_equal(world.value, "two");
	fake_req(&r, &f->m);
	n->ops->write(&r, n, h, "three", 5, 4); /* the offset means nothing */
	assert_string_equal(world.value, "three");
	fake_req(&r, &f->m);
	n->ops->write(&r, n, h, "bad\n", 4, 0);
	assert_int_equal(r.no, EINVAL);
	assert_string_equal(f->m.last[ROOM_ROOT].text, "'bad' is bad");
	fake_req(&r, &f->m);
	n->ops->write(&r, n, h, "much too long a value", 21, 0);
	assert_int_equal(r.no, EFBIG);
	fake_req(&r, &f->m);
	n->ops->write(&r, n, h, "a\0b", 3, 0);
	assert_int_equal(r.no, EINVAL);
	assert_string_equal(world.value, "three");
	close_node(f, n, h);
	forget(f, n);
}

static void read_only_rows_refuse(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "slow", NULL);
	int no;

	assert_null(open_node(f, n, O_RDWR, &no));
	assert_int_equal(no, EACCES);
	forget(f, n);
}

static void fetch_runs_as_a_job(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct node *n = lookup(f, "slow", &st);
	struct req r;
	int no;

	assert_int_equal(st.st_size, 4096);
	void *h = open_node(f, n, O_RDONLY, NULL);
	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 0);
	assert_string_equal(r.data, "fetched\n");
	close_node(f, n, h);
	snprintf(world.value, sizeof world.value, "broken");
	assert_null(open_node(f, n, O_RDONLY, &no));
	assert_int_equal(no, EHOSTUNREACH);
	fake_req(
		&r,
		&f->m); /* a caller that is gone: the handle is released by the engine (leak checkers see it) */
	snprintf(world.value, sizeof world.value, "fine");
	r.gone = true;
	n->ops->open(&r, n, O_RDONLY);
	assert_int_equal(fake_await(&r), GOT_OPEN);
	jobs_stop(f->m.jobs, 1000);
	forget(f, n);
}

static void listing_hides_what_blocks(void **state)
{
	struct fixture *f = *state;
	struct dirfill fill = {""};
	struct req r;

	fake_req(&r, &f->m);
	vdir_list(&r, f->dir, &fill);
	assert_string_equal(r.data, "value slow link@ .error ");
	world.link_absent = true;
	memset(&fill, 0, sizeof fill);
	fake_req(&r, &f->m);
	vdir_list(&r, f->dir, &fill);
	assert_string_equal(r.data, "value slow .error ");
	assert_absent(f, "link");
	assert_absent(f, "nothing");
	struct node *n = lookup(f, "wait", NULL);
	forget(f, n);
}

static void links_are_read(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct node *n = lookup(f, "link", &st);
	struct req r;

	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(st.st_size, 9);
	fake_req(&r, &f->m);
	n->ops->readlink(&r, n);
	assert_string_equal(r.data, "../target");
	forget(f, n);
}

static void parked_reader_is_woken(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL);
	struct req r, second;

	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 0);
	assert_int_equal(r.answers, 0);
	assert_int_equal(world.waiting, 1);
	vfile_wake(&f->m, f->dir); /* nothing settled: stays */
	assert_int_equal(r.answers, 0);
	world.settled = 1;
	world.settled_no = EREMOTEIO;
	vfile_wake_named(&f->m, tree_root(f->m.tree), "other");
	assert_int_equal(r.answers, 0);
	vfile_wake_named(&f->m, tree_root(f->m.tree), "d");
	assert_int_equal(r.answers, 1);
	assert_string_equal(r.data, "done\n");
	fake_req(&second, &f->m); /* after the line, its errno: `cat wait && next` */
	n->ops->read(&second, n, h, 100, 5);
	assert_int_equal(second.no, EREMOTEIO);
	close_node(f, n, h);
	forget(f, n);
}

/* A followed row gives a line a read, in pieces where the read is small, to whichever of its handle's readers comes first. */
static void followed_rows_give_lines(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "events", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL);
	static struct req r[6];

	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		fake_req(&r[i], &f->m);
	world.lines = 2;
	n->ops->read(&r[0], n, h, 100, 0);
	assert_string_equal(r[0].data, "line 1\n");
	n->ops->read(&r[1], n, h, 4, 7);
	assert_string_equal(r[1].data, "line");
	n->ops->read(&r[2], n, h, 100, 11);
	assert_string_equal(r[2].data, " 2\n");
	n->ops->read(&r[3], n, h, 100, 14);
	n->ops->read(&r[4], n, h, 100, 14);
	assert_int_equal(r[3].answers + r[4].answers, 0);
	assert_int_equal(world.waiting, 2);
	world.lines = 3;
	vfile_wake(&f->m, f->dir);
	assert_int_equal(r[3].answers + r[4].answers, 1);
	assert_string_equal(r[3].answers ? r[3].data : r[4].data, "line 3\n");
	world.over = true;
	vfile_wake(&f->m, f->dir);
	assert_int_equal(r[3].answers + r[4].answers, 2);
	n->ops->read(&r[5], n, h, 100, 21);
	assert_int_equal(r[5].answers, 1);
	assert_int_equal(r[5].no, 0);
	close_node(f, n, h);
	forget(f, n);
}

static void detached_directories_wake_too(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL);
	struct req r;

	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 0);
	node_detach(f->m.tree, tree_root(f->m.tree), "d");
	world.settled = 1;
	vfile_wake_named(&f->m, tree_root(f->m.tree), "d");
	assert_int_equal(r.answers, 1);
	close_node(f, n, h);
	forget(f, n);
}

static void interrupt_answers_eintr(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL);
	struct req r;

	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 0);
	fake_interrupt(&r);
	assert_int_equal(r.no, EINTR);
	world.settled = 1;
	vfile_wake(&f->m, f->dir);
	assert_int_equal(r.answers, 1);
	close_node(f, n, h);
	forget(f, n);
}

static void close_while_parked(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL);
	struct req r;

	fake_req(&r, &f->m);
	n->ops->read(&r, n, h, 100, 0);
	close_node(f, n, h);
	forget(f, n);
	vfiles_stop(&f->m);
	assert_int_equal(r.no, ESHUTDOWN);
	assert_int_equal(r.answers, 1);
}

/* The kernel need not release what was open when it let the mount go. */
static void never_released(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL), *value = lookup(f, "value", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL), *gone = open_node(f, value, O_RDONLY, NULL);
	struct pollwake poll = {0};
	struct req r;

	assert_non_null(open_node(f, value, O_RDONLY, NULL));
	close_node(f, value, gone);
	fake_req(&r, &f->m);
	n->ops->poll(&r, n, h, &poll);
	assert_int_equal(world.waiting, 1);
	vfiles_stop(&f->m);
	vfiles_close(&f->m);
	assert_int_equal(world.waiting, 0);
	forget(f, n);
	forget(f, value);
}

static void poll_tells(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL), *value = lookup(f, "value", NULL);
	void *h = open_node(f, n, O_RDONLY, NULL), *v = open_node(f, value, O_RDONLY, NULL);
	struct pollwake first = {0}, newer = {0}, of_value = {0};
	struct req r;

	fake_req(&r, &f->m);
	n->ops->poll(&r, n, h, &first);
	assert_int_equal(r.events, 0);
	assert_int_equal(world.waiting, 1);
	fake_req(&r, &f->m);
	n->ops->poll(&r, n, h, &newer);
	assert_int_equal(first.dropped, 1);
	fake_req(&r, &f->m);
	value->ops->poll(&r, value, v, &of_value);
	assert_int_equal(r.events & (POLLIN | POLLPRI), POLLIN);
	world.settled = 1;
	vfile_wake(&f->m, f->dir);
	assert_int_equal(newer.woken, 1);
	assert_int_equal(of_value.woken, 1);
	fake_req(&r, &f->m);
	n->ops->poll(&r, n, h, NULL);
	assert_true(r.events & POLLIN);
	fake_req(&r, &f->m);
	value->ops->poll(&r, value, v, NULL);
	assert_true(r.events & POLLPRI);
	close_node(f, n, h);
	close_node(f, value, v);
	forget(f, n);
	forget(f, value);
}

/* Wakes, interrupts and parking at the same time: each reader gets exactly one answer. */
static atomic_bool stop_waking;

static void *waker(void *arg)
{
	struct fixture *f = arg;

	while (!stop_waking)
		vfile_wake(&f->m, f->dir);
	return NULL;
}

static void races_answer_once(void **state)
{
	struct fixture *f = *state;
	struct node *n = lookup(f, "wait", NULL);
	pthread_t t;

	stop_waking = false;
	pthread_create(&t, NULL, waker, f);
	for (int i = 0; i < 2000; i++) {
		struct req r;
		void *h = open_node(f, n, O_RDONLY, NULL);
		fake_req(&r, &f->m);
		world.settled = 0;
		n->ops->read(&r, n, h, 100, 0);
		world.settled = 1;
		assert_int_equal(fake_await(&r), GOT_DATA);
		assert_int_equal(r.answers, 1);
		close_node(f, n, h);
	}
	stop_waking = true;
	pthread_join(t, NULL);
	forget(f, n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(snapshot_at_open),
		TEST(each_write_is_a_value),
		TEST(read_only_rows_refuse),
		TEST(fetch_runs_as_a_job),
		TEST(listing_hides_what_blocks),
		TEST(links_are_read),
		TEST(parked_reader_is_woken),
		TEST(followed_rows_give_lines),
		TEST(detached_directories_wake_too),
		TEST(interrupt_answers_eintr),
		TEST(close_while_parked),
		TEST(never_released),
		TEST(poll_tells),
		TEST(races_answer_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
