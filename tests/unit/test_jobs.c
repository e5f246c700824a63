#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>

#include "fs/jobs.h"
#include "fs_fake.h"

static atomic_int ran, together, most, cancelled;

static void count(void *arg, struct cancel *c)
{
	(void)arg;
	(void)c;
	int now = ++together;
	int seen = most;
	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	cancel_sleep(NULL, 5);
	together--;
	ran++;
}

static void until_cancelled(void *arg, struct cancel *c)
{
	(void)arg;
	if (cancel_sleep(c, 10000))
		cancelled++;
}

static void reset(void)
{
	ran = together = most = cancelled = 0;
}

static void runs_all_within_the_limit(void **state)
{
	struct jobs *j = jobs_new(4, NULL);

	(void)state;
	reset();
	for (int i = 0; i < 50; i++)
		assert_int_equal(jobs_run(j, count, NULL), 0);
	jobs_stop(j, 10000);
	assert_int_equal(ran, 50);
	assert_true(most > 1 && most <= 4);
	assert_int_equal(jobs_run(j, count, NULL), -1);
	jobs_free(j);
}

static void held_jobs_wait(void **state)
{
	struct jobs *j = jobs_new(4, NULL);

	(void)state;
	reset();
	jobs_hold(j, true);
	assert_int_equal(jobs_run(j, count, NULL), 0);
	cancel_sleep(NULL, 30);
	assert_int_equal(ran, 0);
	jobs_hold(j, false);
	jobs_stop(j, 5000);
	assert_int_equal(ran, 1);
	jobs_free(j);
}

static void stop_cancels_after_the_grace(void **state)
{
	struct jobs *j = jobs_new(2, NULL);
	int64_t start = now_ms();

	(void)state;
	reset();
	for (int i = 0; i < 5; i++) /* three of them still queued when the end comes */
		assert_int_equal(jobs_run(j, until_cancelled, NULL), 0);
	jobs_stop(j, 50);
	assert_int_equal(cancelled, 5);
	assert_true(now_ms() - start < 5000);
	jobs_free(j);
}

static struct watch *w;
static atomic_int fired;

static void on_time(struct timer *t)
{
	(void)t;
	fired++;
}

static void rearming(struct timer *t)
{
	if (++fired < 3)
		timer_arm(t->arg, t, 1);
}

static void slow(struct timer *t)
{
	(void)t;
	fired = 1;
	cancel_sleep(NULL, 50);
	fired = 2;
}

static void timers_fire_once(void **state)
{
	struct timer t = {.fn = on_time}, again = {.fn = rearming}, never = {.fn = on_time};

	(void)state;
	w = watch_new(NULL);
	fired = 0;
	timer_arm(w, &t, 1);
	timer_arm(w, &never, 60000);
	assert_true(timer_disarm(w, &never));
	cancel_sleep(NULL, 50);
	assert_int_equal(fired, 1);
	assert_false(timer_disarm(w, &t));
	fired = 0;
	again.arg = w;
	timer_arm(w, &again, 1);
	cancel_sleep(NULL, 60);
	assert_int_equal(fired, 3);
	watch_stop(w);
	watch_free(w);
}

static void disarm_waits_for_the_function(void **state)
{
	struct timer t = {.fn = slow};

	(void)state;
	w = watch_new(NULL);
	fired = 0;
	timer_arm(w, &t, 0);
	while (!fired)
		cancel_sleep(NULL, 1);
	timer_disarm(w, &t);
	assert_int_equal(fired, 2);
	watch_stop(w);
	watch_free(w);
}

static void posted(void *arg)
{
	atomic_int *n = arg;

	(*n)++;
}

static void posts_run_even_at_the_end(void **state)
{
	(void)state;
	w = watch_new(NULL);
	fired = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(watch_post(w, posted, &fired), 0);
	watch_stop(w);
	assert_int_equal(fired, 100);
	watch_free(w);
}

/* ------------------------------------------------------------------ promises */

static void answer(struct req *r, void *arg, int no)
{
	assert_string_equal(arg, "arg");
	reply_err(r, no);
}

static const struct node_ops none = {0};

static void promise_gives_what_came_in_time(void **state)
{
	static char arg[] = "arg";
	static struct mount m;
	struct req r;

	(void)state;
	fake_mount(&m, &none, NULL);
	fake_req(&r, &m);
	struct promise *p = promise_new(&r, 5000, answer, arg);
	assert_true(promise_settle(p, EEXIST));
	assert_int_equal(r.no, EEXIST);
	assert_int_equal(r.answers, 1);
	fake_mount_release(&m);
}

static void promise_says_success_at_the_limit(void **state)
{
	static char arg[] = "arg";
	static struct mount m;
	struct req r;

	(void)state;
	fake_mount(&m, &none, NULL);
	fake_req(&r, &m);
	struct promise *p = promise_new(&r, 10, answer, arg);
	assert_int_equal(fake_await(&r), GOT_ERR);
	assert_int_equal(r.no, 0);
	assert_false(promise_settle(p, EEXIST));
	assert_int_equal(r.answers, 1);
	fake_mount_release(&m);
}

static void promise_answers_once_in_a_race(void **state)
{
	static char arg[] = "arg";
	static struct mount m;

	(void)state;
	fake_mount(&m, &none, NULL);
	for (int i = 0; i < 300; i++) {
		struct req r;
		fake_req(&r, &m);
		struct promise *p = promise_new(&r, 1, answer, arg);
		cancel_sleep(NULL, 1);
		bool mine = promise_settle(p, EIO);
		assert_int_equal(fake_await(&r), GOT_ERR);
		assert_int_equal(r.answers, 1);
		assert_int_equal(r.no, mine ? EIO : 0);
	}
	fake_mount_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_all_within_the_limit),
		cmocka_unit_test(held_jobs_wait),
		cmocka_unit_test(stop_cancels_after_the_grace),
		cmocka_unit_test(timers_fire_once),
		cmocka_unit_test(disarm_waits_for_the_function),
		cmocka_unit_test(posts_run_even_at_the_end),
		cmocka_unit_test(promise_gives_what_came_in_time),
		cmocka_unit_test(promise_says_success_at_the_limit),
		cmocka_unit_test(promise_answers_once_in_a_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
