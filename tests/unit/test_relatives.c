/* relatives.c against a made-up /proc, so that every kind of ancestor can be had. */
#include "fs/relatives.h"

#include "scratch.h"

#define ME 1000

static struct scratch world;
static int procfd = -1;

struct fake {
	pid_t pid, process, parent;
	const char *name;
	unsigned start, uid;
};

static void add(struct fake f)
{
	char path[64], text[512];

	snprintf(path, sizeof path, "%d/stat", f.pid);
	snprintf(
		text, sizeof text,
		"%d (%s) S %d 9 9 34816 9 4194304 1 2 3 4 5 6 7 8 20 0 1 0 %u 1000 200 18446744073709551615\n",
		f.pid, f.name, f.parent, f.start);
	scratch_text(&world, path, text);
	snprintf(path, sizeof path, "%d/status", f.pid);
	snprintf(text, sizeof text,
		 "Name:\t%s\nState:\tS\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nUid:\t%u\t%u\t%u\t%u\n",
		 f.name, f.process, f.pid, f.parent, f.uid, f.uid, f.uid, f.uid);
	scratch_text(&world, path, text);
}

/* init(1) - systemd --user(50) - shell(100) - subshell(110) - cat(111); shell - python(120) with thread 121; root's sudo(60) above
 * su(130); a container's init 1 is another world. */
static int setup(void **state)
{
	(void)state;
	scratch_make(&world);
	procfd = world.fd;
	add((struct fake){1, 1, 0, "init", 1, ME});
	add((struct fake){50, 50, 1, "systemd", 5, ME});
	add((struct fake){60, 60, 1, "sudo", 6, 0});
	add((struct fake){100, 100, 50, "ba) sh (x", 10, ME});
	add((struct fake){110, 110, 100, "bash", 11, ME});
	add((struct fake){111, 111, 110, "cat", 12, ME});
	add((struct fake){120, 120, 100, "python3", 13, ME});
	add((struct fake){121, 120, 100, "python3", 14, ME});
	add((struct fake){130, 130, 60, "bash", 15, ME});
	add((struct fake){140, 140, 1, "sh", 16, ME});
	add((struct fake){150, 150, 1, "cat", 17, ME});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_drop(&world);
	return 0;
}

static void same_pids(const struct chain *c, const pid_t *want, unsigned n)
{
	assert_non_null(c);
	assert_int_equal(c->n, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(c->link[i].pid, want[i]);
}

#define assert_chain(c, ...) \
 same_pids(c, (const pid_t[]){__VA_ARGS__}, ARRAY_SIZE(((const pid_t[]){__VA_ARGS__})))

static void ends_before_the_session_manager(void **state)
{
	_cleanup_chain_ struct chain *c = chain_read(procfd, ME, 111);

	(void)state;
	assert_chain(c, 111, 110, 100);
	assert_int_equal(c->self, 1);
	assert_int_equal(c->link[2].start, 10);
}

static void thread_comes_before_its_process(void **state)
{
	_cleanup_chain_ struct chain *c = chain_read(procfd, ME, 121);

	(void)state;
	assert_chain(c, 121, 120, 100);
	assert_int_equal(c->self, 2);
}

static void ends_before_another_user(void **state)
{
	_cleanup_chain_ struct chain *c = chain_read(procfd, ME, 130);

	(void)state;
	assert_chain(c, 130);
}

static void unknown_caller_has_no_links(void **state)
{
	_cleanup_chain_ struct chain *zero = chain_read(procfd, ME, 0),
				     *gone = chain_read(procfd, ME, 999);
	_cleanup_chain_ struct chain *known = chain_read(procfd, ME, 111);

	(void)state;
	assert_int_equal(zero->n, 0);
	assert_int_equal(gone->n, 0);
	assert_int_equal(chain_distance(zero, known), 0); /* only the user is known: any of his */
	assert_int_equal(chain_distance(known, zero), -1);
}

static void nearest_counts(void **state)
{
	_cleanup_chain_ struct chain *cat = chain_read(procfd, ME, 111),
				     *sub = chain_read(procfd, ME, 110);
	_cleanup_chain_ struct chain *shell = chain_read(procfd, ME, 100),
				     *python = chain_read(procfd, ME, 121);
	_cleanup_chain_ struct chain *other = chain_read(procfd, ME, 130);

	(void)state;
	assert_int_equal(chain_distance(cat, cat), 0);
	assert_int_equal(chain_distance(cat, sub), 1);
	assert_int_equal(chain_distance(cat, shell), 2);
	assert_int_equal(chain_distance(cat, python), 2);
	assert_int_equal(chain_distance(shell, cat),
			 0); /* a child's answer is the shell's to read */
	assert_int_equal(chain_distance(cat, other), -1);
}

static void users_do_not_mix(void **state)
{
	_cleanup_chain_ struct chain *mine = chain_read(procfd, ME, 0),
				     *theirs = chain_read(procfd, 1001, 0);

	(void)state;
	assert_int_equal(chain_distance(mine, theirs), -1);
}

static void reused_number_is_a_stranger(void **state)
{
	_cleanup_chain_ struct chain *before = chain_read(procfd, ME, 140);

	(void)state;
	add((struct fake){140, 140, 1, "sh", 99, ME});
	_cleanup_chain_ struct chain *after = chain_read(procfd, ME, 140);
	assert_int_equal(chain_distance(after, before), -1);
	assert_false(chain_equal(after, before));
}

static void first_process_counts_only_as_writer(void **state)
{
	_cleanup_chain_ struct chain *init = chain_read(procfd, ME, 1);
	_cleanup_chain_ struct chain *sh = chain_read(procfd, ME, 140),
				     *cat = chain_read(procfd, ME, 150);

	(void)state;
	assert_chain(cat, 150, 1);
	assert_int_equal(chain_distance(cat, sh), -1);
	assert_int_equal(chain_distance(cat, init), 1);
}

static void of_this_very_process(void **state)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY);
	_cleanup_chain_ struct chain *c = chain_read(proc, getuid(), getpid());

	(void)state;
	close(proc);
	assert_true(c->n >= 1);
	assert_int_equal(c->link[0].pid, getpid());
	assert_true(c->link[0].start > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_before_the_session_manager),
		cmocka_unit_test(thread_comes_before_its_process),
		cmocka_unit_test(ends_before_another_user),
		cmocka_unit_test(unknown_caller_has_no_links),
		cmocka_unit_test(nearest_counts),
		cmocka_unit_test(users_do_not_mix),
		cmocka_unit_test(reused_number_is_a_stranger),
		cmocka_unit_test(first_process_counts_only_as_writer),
		cmocka_unit_test(of_this_very_process),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
