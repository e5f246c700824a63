/* The rules of docs/invoke.md, one by one. */
#include "invoke_world.h"

static void write_then_read_by_a_child(void **state)
{
	(void)state;
	assert_int_equal(size_for(me), 0);
	ask("[1]\n", "{\"p\": 1}");
	assert_int_equal(n_sent, 1);
	assert_int_equal(size_for(its_child()), 8);
	void *h = open_as(its_child(), O_RDONLY);
	assert_read(h, 0, "{\"p\": 1}");
	assert_read(h, 8, "");
	ask("[2]", "other");
	assert_read(h, 3, "\": 1}"); /* what it opened with */
	release(h);
	assert_int_equal(size_for((struct caller){me.uid, me.gid, 1}), 0);
	assert_int_equal(size_for((struct caller){me.uid + 1, me.gid, me.tid}), 0);
}

static void one_handle_is_a_conversation(void **state)
{
	void *h = open_as(me, O_RDWR);
	struct req r = by(me);

	(void)state;
	put(h, "[1", 100);
	put(h, ",2]", 102);
	node.ops->read(&r, &node, h, 4096, 105); /* read goes on where write ended */
	assert_false(r.answered);
	assert_string_equal(sent[0].body, "[1,2]");
	assert_string_equal(sent[0].type, "application/json");
	answer(0, "first");
	assert_int_equal(result(&r), 0);
	assert_read(h, 107, "rst");
	assert_read(h, 110, "");
	assert_read(h, 2, "rst"); /* a seek back: from 0 */
	r = by(me);
	put(h, "[3]", 0);
	node.ops->read(&r, &node, h, 4096, 0);
	assert_string_equal(sent[1].body, "[3]");
	answer(1, "second");
	assert_int_equal(result(&r), 0);
	assert_int_equal(flush(h), 0);
	release(h);
	assert_int_equal(n_sent, 2);
}

static void unbalanced_json_is_held(void **state)
{
	void *h = open_as(me, O_WRONLY);
	struct req r = by(me);

	(void)state;
	put(h, "[", 0);
	assert_int_equal(flush(h), 0);
	assert_int_equal(n_sent, 0);
	put(h, "\"]\", 1]", 1);
	node.ops->flush(&r, &node, h);
	assert_int_equal(n_sent, 1);
	assert_string_equal(sent[0].body, "[\"]\", 1]");
	answer(0, "x");
	assert_int_equal(result(&r), 0);
	assert_int_equal(flush(h), 0); /* nothing new */
	release(h);
	assert_int_equal(n_sent, 1);
}

static void relatives_wait_for_a_held_body(void **state)
{
	void *h = open_as(me, O_WRONLY);
	struct req r = by(its_child()), o = by(its_child());

	(void)state;
	put(h, "[1,", 0);
	assert_int_equal(flush(h), 0);
	node.ops->getattr(&r, &node, NULL);
	node.ops->open(&o, &node, O_RDONLY);
	assert_false(r.answered || o.answered);
	release(h);
	assert_int_equal(n_sent, 1);
	assert_string_equal(sent[0].body, "[1,");
	assert_false(r.answered || o.answered);
	fail_with(0, EBADMSG, "no JSON");
	assert_int_equal(result(&r), 0);
	assert_int_equal(result(&o), 0);
	assert_int_equal(read_error(o.handle), EBADMSG);
	release(o.handle);
}

static void but_not_for_ever(void **state)
{
	struct req r = by(its_child()), gone = by(its_child());
	int64_t before = now_ms();

	(void)state;
	ask("[1]", "before");
	void *h = open_as(me, O_WRONLY);
	put(h, "[", 0);
	assert_int_equal(flush(h), 0);
	node.ops->getattr(&gone, &node, NULL);
	gone.interrupt(gone.interrupt_arg);
	assert_int_equal(result(&gone), EINTR);
	node.ops->getattr(&r, &node, NULL);
	assert_false(r.answered);
	assert_int_equal(result(&r), 0);
	assert_int_equal(r.st.st_size, 6);
	assert_in_range(now_ms() - before, 1900, 5000);
	release(h);
	answer(1, "after");
	assert_int_equal(size_for(its_child()), 5);
}

static void more_after_a_flush_extends(void **state)
{
	void *h = open_as(me, O_WRONLY);
	struct req a = by(me), b = by(me);

	(void)state;
	put(h, "[1]", 0);
	node.ops->flush(&a, &node, h);
	put(h, "[2]", 3); /* while the first is sent: it must not change */
	assert_string_equal(sent[0].body, "[1]");
	node.ops->flush(&b, &node, h);
	assert_string_equal(sent[1].body, "[1][2]");
	answer(1, "two");
	assert_int_equal(result(&b), 0);
	answer(0, "late");
	assert_int_equal(result(&a), 0);
	release(h);
	h = open_as(its_child(), O_RDONLY);
	assert_read(h, 0, "two");
	release(h);
}

static void failure_is_seen_until_the_next_request(void **state)
{
	void *h = open_as(me, O_WRONLY), *reader;
	struct node errors = {.ops = &invoke_error_ops,
			      .data = file_new(room, ERROR_FILE, "", NULL)};
	struct req r = by(me), x = by(its_child()), o = by(its_child()), t = by(its_child());

	(void)state;
	put(h, "[1]", 0);
	node.ops->flush(&r, &node, h);
	fail_with(0, EREMOTEIO, "{\"error\": \"boom\"}");
	assert_int_equal(result(&r), EREMOTEIO);
	release(h);
	reader = open_as(its_child(), O_RDONLY);
	assert_int_equal(read_error(reader), EREMOTEIO);
	assert_int_equal(read_error(reader), EREMOTEIO);
	release(reader);
	node.ops->getxattr(&x, &node, "user.sagemaker.error", 4096);
	assert_non_null(x.data);
	assert_non_null(memmem(x.data, x.len, "boom", 4));
	assert_int_equal(result(&x), 0);
	errors.ops->open(&o, &errors, O_RDONLY);
	assert_int_equal(result(&o), 0);
	errors.ops->read(&t, &errors, o.handle, 4096, 0);
	assert_non_null(memmem(t.data, t.len, "invoke 'iris': the container failed", 34));
	assert_int_equal(result(&t), 0);
	release(o.handle);
	errors.ops->free(&errors);
	assert_non_null(strstr(endpoint_error, "boom"));
	assert_int_equal(room_error.no, EREMOTEIO);
	ask("[2]", "fine");
	reader = open_as(its_child(), O_RDONLY);
	assert_read(reader, 0, "fine");
	release(reader);
	x = by(me);
	node.ops->getxattr(&x, &node, "user.sagemaker.error", 4096);
	assert_int_equal(result(&x), ENODATA);
}

/* What .error holds after the container refused a request in these words. */
static void assert_said(const char *said, const char *sentence)
{
	void *h = open_as(me, O_WRONLY);
	struct node errors = {.ops = &invoke_error_ops,
			      .data = file_new(room, ERROR_FILE, "", NULL)};
	struct req r = by(me), o = by(me), t = by(me);

	put(h, "[1]", 0);
	node.ops->flush(&r, &node, h);
	fail_with(n_sent - 1, EBADMSG, said);
	assert_int_equal(result(&r), EBADMSG);
	release(h);
	errors.ops->open(&o, &errors, O_RDONLY);
	assert_int_equal(result(&o), 0);
	errors.ops->read(&t, &errors, o.handle, 4096, 0);
	assert_non_null(memmem(t.data, t.len, sentence, strlen(sentence)));
	assert_non_null(memmem(t.data, t.len, said, strlen(said)));
	assert_int_equal(result(&t), 0);
	release(o.handle);
	errors.ops->free(&errors);
}

static void the_sentence_has_the_gist_of_a_long_refusal(void **state)
{
	(void)state;
	assert_said("{\n    \"error\": \"no such signature\\n\\t [[node]]\"\n}",
		    "the container said: no such signature; check");
	assert_said("{\n  \"code\": 503,\n  \"message\": \"Prediction failed\"\n}",
		    "the container said: Prediction failed; check");
	assert_said(
		"Traceback (most recent call last):\n  File \"x.cc\", line 9\nMXNetError: shape\nmore",
		"the container said: MXNetError: shape; check");
	assert_said("Traceback (most recent call last):\n  File \"x.cc\"",
		    "the container said: Traceback (most recent call last):; check");
	assert_said("{\"error\": \"short\"}", "the container said: {\"error\": \"short\"}; check");
	assert_said("{\n\"error\": 1}", "the container said: {\"error\":1}; check");
	assert_said("not\nJSON", "the container said: not; check");
	assert_said(
		"{\n  \"error\": \"JSON Value: {\\n    \\\"instances\\\": []\\n} No values in it\"\n}",
		"the container said: JSON Value: { \"instances\": [] } No values in it; check");
	assert_said(
		"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>",
		"the container said: 500 Internal Server Error; the endpoint's log says why (aws "
		"logs tail /aws/sagemaker/Endpoints/");
}

static void errnos_that_mislead_are_changed(void **state)
{
	static const int pairs[][2] = {
		{EAGAIN,    EBUSY    },
                {EINTR,     EIO      },
                {ENOSYS,    EIO      },
                {1000,      EIO      },
                {ETIMEDOUT, ETIMEDOUT}
        };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		void *h = open_as(me, O_WRONLY);
		struct req r = by(me);
		put(h, "1", 0);
		node.ops->flush(&r, &node, h);
		fail_with(i, pairs[i][0], "");
		assert_int_equal(result(&r), pairs[i][1]);
		release(h);
	}
}

static void interrupted_read_finds_its_answer_again(void **state)
{
	void *h = open_as(me, O_RDWR);
	struct req a = by(me), b = by(me);

	(void)state;
	put(h, "[1]", 0);
	node.ops->read(&a, &node, h, 4096, 0);
	a.interrupt(a.interrupt_arg);
	assert_int_equal(a.no, EINTR);
	assert_true(a.answered);
	node.ops->read(&b, &node, h, 4096, 0);
	assert_false(b.answered);
	answer(0, "once");
	assert_int_equal(result(&b), 0);
	assert_int_equal(n_sent, 1);
	release(h);
}

static void who_gives_up_is_not_billed(void **state)
{
	void *h = open_as(me, O_RDWR);
	struct req a = by(me), b = by(me);

	(void)state;
	put(h, "[1]", 0);
	node.ops->read(&a, &node, h, 4096, 0);
	a.interrupt(a.interrupt_arg);
	put(h, "[2]", 0); /* another request */
	assert_true(cancel_is_set(sent[0].cancel));
	fail_with(0, ECANCELED, "");
	assert_int_equal(room_error.no, 0); /* nobody's failure */
	node.ops->flush(&b, &node, h);
	assert_string_equal(sent[1].body, "[2]");
	b.interrupt(b.interrupt_arg);
	assert_int_equal(b.no, EINTR);
	assert_false(cancel_is_set(sent[1].cancel));
	release(h);
	assert_true(cancel_is_set(sent[1].cancel));
	fail_with(1, ECANCELED, "");
	h = open_as(me, O_RDONLY);
	assert_int_equal(read_error(h),
			 ECANCELED); /* never an older answer as if it were to this */
	release(h);
}

static void too_large_is_refused_at_write(void **state)
{
	void *h = open_as(me, O_WRONLY);
	size_t piece = 1 << 20;
	_cleanup_free_ char *zeros = calloc(1, piece);
	struct req over = by(me), again = by(me);

	(void)state;
	for (int i = 0; i < 25; i++) {
		struct req r = by(me);
		node.ops->write(&r, &node, h, zeros, piece, (off_t)piece * i);
		assert_int_equal(result(&r), 0);
	}
	node.ops->write(&over, &node, h, "x", 1, (off_t)piece * 25);
	assert_int_equal(result(&over), EFBIG);
	node.ops->write(&again, &node, h, "x", 1, 5);
	assert_int_equal(result(&again), EFBIG);
	assert_int_equal(flush(h), EFBIG);
	release(h);
	assert_int_equal(n_sent, 0);
	h = open_as(its_child(), O_RDONLY);
	assert_int_equal(read_error(h), EFBIG);
	release(h);
	h = open_as(me, O_WRONLY);
	struct req far = by(me), further = by(me);
	node.ops->write(&far, &node, h, "x", 1, INT64_MAX - 1);
	assert_int_equal(result(&far), 0);
	node.ops->write(&further, &node, h, "x", 1, 0);
	assert_int_equal(result(&further), EFBIG);
	release(h);
}

static void offsets(void **state)
{
	void *h = open_as(me, O_RDWR), *a = open_as(me, O_WRONLY | O_APPEND);
	struct req r = by(me), s = by(me);
	struct stat cut = {.st_size = 103};

	(void)state;
	put(h, "34", 102);
	put(h, "12", 100); /* before the first write: the body begins there */
	put(h, "6", 105);  /* a hole is zeros */
	struct req t = by(me);
	node.ops->setattr(&t, &node, &cut, SET_SIZE, h);
	assert_int_equal(result(&t), 0);
	node.ops->flush(&r, &node, h);
	assert_int_equal(sent[0].len, 3);
	assert_memory_equal(sent[0].body, "123", 3);
	answer(0, "");
	assert_int_equal(result(&r), 0);
	release(h);
	put(a, "ab", 50); /* >>: the kernel's idea of the end may jump */
	put(a, "cd", 7);
	node.ops->flush(&s, &node, a);
	assert_string_equal(sent[1].body, "abcd");
	answer(1, "");
	assert_int_equal(result(&s), 0);
	release(a);
	h = open_as(me, O_RDWR);
	put(h, "gone", 0);
	t = by(me);
	cut.st_size = 0;
	node.ops->setattr(&t, &node, &cut, SET_SIZE, h);
	assert_int_equal(result(&t), 0);
	assert_int_equal(flush(h), 0);
	release(h);
	assert_int_equal(n_sent, 2);
}

static void open_checks_the_endpoint(void **state)
{
	static const int expected[][2] = {
		{EP_ABSENT,     ENOENT   },
                {EP_CREATING,   EBUSY    },
                {EP_UPDATING,   0        },
                {EP_IN_SERVICE, 0        },
		{EP_FAILED,     EREMOTEIO},
                {EP_DELETING,   EBUSY    },
                {EP_UNKNOWN,    0        }
        };

	(void)state;
	for (int old = 0; old < 2; old++) {
		stale = old;
		for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
			phase = expected[i][0];
			err_clear(&room_error);
			assert_int_equal(try_open(O_WRONLY), expected[i][1]);
			assert_int_equal(room_error.no, expected[i][1]);
			assert_int_equal(try_open(O_RDONLY), 0);
		}
	}
	assert_int_equal(asked, ARRAY_SIZE(expected));
}

static void open_waits_when_asked_to(void **state)
{
	struct req a = by(me), b = by(me), c = by(me);

	(void)state;
	options.wait = 20;
	phase = EP_CREATING;
	node.ops->open(&a, &node, O_RDWR);
	node.ops->open(&b, &node, O_RDWR);
	tell("iris");
	tell("digits");
	usleep(50000);
	assert_false(a.answered || b.answered);
	b.interrupt(b.interrupt_arg);
	assert_int_equal(result(&b), EINTR);
	phase = EP_IN_SERVICE;
	tell("iris");
	assert_int_equal(result(&a), 0);
	release(a.handle);
	phase = EP_CREATING;
	options.wait = 1;
	node.ops->open(&c, &node, O_RDWR);
	assert_int_equal(result(&c), EBUSY);
}

static void names_are_looked_up_and_listed(void **state)
{
	_cleanup_buf_ struct buf names = {0};
	struct node_make how;
	struct node dir;
	struct req r[5];

	static const struct {
		const char *name;
		int no;
	} cases[] = {
		{"iris",        0     },
		{"iris.csv",    0     },
		{"iris.xyz",    ENOENT},
		{".error",      0     },
		{".Trash-1000", ENOENT}
        };

	(void)state;
	invoke_entry(room, &how);
	dir = (struct node){.ops = how.ops, .data = how.data};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		r[i] = by(me);
		dir.ops->lookup(&r[i], &dir, cases[i].name);
		assert_int_equal(result(&r[i]), cases[i].no);
	}
	phase = EP_ABSENT;
	r[0] = by(me);
	dir.ops->lookup(&r[0], &dir, "iris");
	assert_int_equal(result(&r[0]), ENOENT);
	r[0] = by(me);
	dir.ops->create(&r[0], &dir, "iris", 0644, O_WRONLY);
	assert_int_equal(result(&r[0]), ENOENT);
	assert_non_null(strstr(room_error.text, "no endpoint 'iris'"));
	r[1] = by(me);
	dir.ops->list(&r[1], &dir, (struct dirfill *)&names);
	assert_int_equal(result(&r[1]), 0);
	assert_string_equal(buf_cstr(&names), ".error digits iris ");
}

static void tools_may_change_what_means_nothing(void **state)
{
	struct req r[6];
	struct stat st = {.st_mode = 0600, .st_uid = me.uid + 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = by(me);
	node.ops->setattr(&r[0], &node, &st, SET_MODE | SET_MTIME_NOW | SET_SIZE, NULL);
	node.ops->setattr(&r[1], &node, &st, SET_UID, NULL);
	node.ops->setxattr(&r[2], &node, "user.x", "", 0, 0);
	node.ops->setxattr(&r[3], &node, "system.posix_acl_access", "", 0, 0);
	node.ops->removexattr(&r[4], &node, "system.posix_acl_default");
	node.ops->getxattr(&r[5], &node, "security.capability", 0);
	static const int want[] = {0, EPERM, 0, EOPNOTSUPP, 0, ENODATA};
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(result(&r[i]), want[i]);
	assert_int_equal(n_sent, 0);
}

static void *cancel_when_told(void *arg)
{
	(void)arg;
	while (!cancel_is_set(sent[0].cancel))
		usleep(1000);
	fail_with(0, ECANCELED, "");
	return NULL;
}

static void everything_is_answered_at_the_end(void **state)
{
	void *h = open_as(me, O_RDWR);
	struct req a = by(me), b = by(me);
	pthread_t engine;

	(void)state;
	put(h, "[1]", 0);
	node.ops->read(&a, &node, h, 10, 0);
	options.wait = 100;
	phase = EP_CREATING;
	node.ops->open(&b, &node, O_WRONLY);
	pthread_create(&engine, NULL, cancel_when_told, NULL);
	invoke_stop(room);
	pthread_join(engine, NULL);
	assert_int_equal(result(&a), ECANCELED);
	assert_int_equal(result(&b), ESHUTDOWN);
	struct req c = by(me);
	put(h, "[2]", 0);
	node.ops->read(&c, &node, h, 10, 0);
	assert_int_equal(result(&c), ESHUTDOWN);
	release(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(write_then_read_by_a_child),
		T(one_handle_is_a_conversation),
		T(unbalanced_json_is_held),
		T(relatives_wait_for_a_held_body),
		T(but_not_for_ever),
		T(more_after_a_flush_extends),
		T(failure_is_seen_until_the_next_request),
		T(the_sentence_has_the_gist_of_a_long_refusal),
		T(errnos_that_mislead_are_changed),
		T(interrupted_read_finds_its_answer_again),
		T(who_gives_up_is_not_billed),
		T(too_large_is_refused_at_write),
		T(offsets),
		T(open_checks_the_endpoint),
		T(open_waits_when_asked_to),
		T(names_are_looked_up_and_listed),
		T(tools_may_change_what_means_nothing),
		T(everything_is_answered_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
