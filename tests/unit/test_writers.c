/* writers.c on real processes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/writers.h"

/* A child that ends when it is told to: by a byte in the pipe, with that as its status; 's': by SIGINT. */
struct child {
	pid_t pid;
	int tell;
};

static struct child begin(void)
{
	int ends[2];
	char byte = 0;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) == 1 && byte == 's') {
			signal(SIGINT, SIG_DFL);
			raise(SIGINT);
		}
		_exit(byte);
	}
	close(ends[0]);
	return (struct child){pid, ends[1]};
}

/* It has ended; its parent, we, may ask how, but has not. */
static void end(struct child c, char how)
{
	siginfo_t info;

	assert_int_equal(write(c.tell, &how, 1), 1);
	close(c.tell);
	assert_int_equal(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT), 0);
}

static void reap(struct child c)
{
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
}

static void ends(void **state)
{
	static const struct {
		char how;
		const char *broken;
	} rows[] = {
		{0,   ""						},
		{3,   "'test_writers' ended with status 3"              },
		{'s', "'test_writers' was ended by signal 2 (Interrupt)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct writers w = {0};
		struct child c = begin();

		writers_note(&w, c.pid);
		writers_note(&w, c.pid);
		assert_int_equal(w.n, 1);
		assert_false(writers_judge(&w)); /* it runs */
		end(c, rows[i].how);
		assert_int_equal(writers_judge(&w), rows[i].broken[0] != 0);
		assert_string_equal(w.broken, rows[i].broken);
		assert_int_equal(w.n, 0);
		reap(c);
		writers_forget(&w);
		assert_false(writers_judge(&w));
	}
}

/* Who wrote later and ended well has the last word; who still runs has none. */
static void the_last_word(void **state)
{
	struct writers w = {0};
	struct child bad = begin(), good = begin(), runs = begin();

	(void)state;
	writers_note(&w, bad.pid);
	writers_note(&w, good.pid);
	writers_note(&w, runs.pid);
	end(bad, 's');
	assert_true(writers_judge(&w));
	end(good, 0);
	assert_false(writers_judge(&w));
	assert_int_equal(w.n, 1);
	end(runs, 1);
	assert_true(writers_judge(&w));
	reap(bad);
	reap(good);
	reap(runs);
	writers_forget(&w);
}

/* More programs than are kept, and threads that nobody knows. */
static void many(void **state)
{
	struct child c[WRITERS_KEPT + 3];
	struct writers w = {0};

	(void)state;
	writers_note(&w, 0);
	writers_note(&w, -1);
	assert_int_equal(w.n, 0);
	for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
		c[i] = begin();
		writers_note(&w, c[i].pid);
	}
	assert_int_equal(w.n, WRITERS_KEPT);
	for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
		end(c[i], i + 1 == sizeof c / sizeof *c);
		reap(c[i]);
	}
	(void)writers_judge(&w);
	assert_int_equal(w.n, 0);
	writers_forget(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		cmocka_unit_test(the_last_word),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
