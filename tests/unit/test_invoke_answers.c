#include "fs/invoke_answers.h"
#include "fs/invoke_balance.h"
#include "fs/invoke_names.h"
#include "scratch.h"

/* A line of processes from nearest to farthest, 0 ends it. */
static struct chain *line(pid_t a, pid_t b, pid_t c)
{
	const pid_t pids[] = {a, b, c};
	struct chain *x = calloc(1, sizeof *x + 3 * sizeof x->link[0]);

	atomic_init(&x->refs, 1);
	x->uid = 1000;
	x->self = 1;
	for (unsigned i = 0; i < 3 && pids[i]; i++)
		x->link[x->n++] = (struct kin){pids[i], 1};
	return x;
}

static void put_at(struct answers *s, const char *file, struct chain *who, const char *text,
		   int64_t now)
{
	_cleanup_answer_ struct answer *a = answer_new(0, strdup(text), strlen(text));

	answers_put(s, file, who, answers_ticket(s), a, now);
}

static void assert_reads_at(struct answers *s, const char *file, struct chain *who,
			    const char *text, int64_t now)
{
	_cleanup_answer_ struct answer *a = answers_get(s, file, who, now);

	if (!text) {
		assert_null(a);
		return;
	}
	assert_non_null(a);
	assert_int_equal(a->len, strlen(text));
	assert_memory_equal(a->data, text, a->len);
}

#define put(s, file, who, text)          put_at(s, file, who, text, 1)
#define assert_reads(s, file, who, text) assert_reads_at(s, file, who, text, 1)

static void nearest_relative_then_newest(void **state)
{
	struct answers *s = answers_new(&ANSWERS_LIMITS);
	_cleanup_chain_ struct chain *shell = line(10, 0, 0), *job1 = line(21, 20, 10),
				     *job2 = line(31, 30, 10);
	_cleanup_chain_ struct chain *cat1 = line(22, 20, 10), *cat = line(40, 10, 0),
				     *stranger = line(50, 0, 0);

	(void)state;
	put(s, "iris", job1, "one");
	put(s, "iris", job2, "two");
	assert_reads(s, "iris", cat1, "one");
	assert_reads(s, "iris", cat, "two");
	assert_reads(s, "iris", stranger, NULL);
	assert_reads(s, "digits", cat, NULL);
	put(s, "iris", shell, "three");
	assert_reads(s, "iris", cat, "three");
	assert_reads(s, "iris", cat1, "one");
	answers_free(s);
}

static void late_answer_to_an_old_request_is_old(void **state)
{
	struct answers *s = answers_new(&ANSWERS_LIMITS);
	_cleanup_chain_ struct chain *who = line(10, 0, 0), *child = line(11, 10, 0);
	uint64_t first = answers_ticket(s), second = answers_ticket(s);
	_cleanup_answer_ struct answer *a = answer_new(0, strdup("old"), 3),
				       *b = answer_new(0, strdup("new"), 3);

	(void)state;
	answers_put(s, "iris", who, second, b, 1);
	answers_put(s, "iris", who, first, a, 2);
	assert_reads(s, "iris", who, "new");
	uint64_t third = answers_ticket(s), fourth = answers_ticket(s);
	answers_put(s, "iris", who, fourth, b, 3);
	answers_put(s, "iris", child, third, a, 4);
	_cleanup_chain_ struct chain *cat = line(12, 10, 0);
	assert_reads(s, "iris", cat, "new");
	answers_free(s);
}

static void bounded_by_number(void **state)
{
	struct answers *s = answers_new(
		&(struct answers_limits){.per_file = 4, .memory = 1 << 20, .age_ms = 1000});

	(void)state;
	for (pid_t p = 100; p < 110; p++) {
		_cleanup_chain_ struct chain *who = line(p, 0, 0);
		put(s, "iris", who, "x");
		put(s, "digits", who, "y");
	}
	for (pid_t p = 100; p < 110; p++) {
		_cleanup_chain_ struct chain *who = line(p, 0, 0);
		assert_reads(s, "iris", who, p < 106 ? NULL : "x");
		assert_reads(s, "digits", who, p < 106 ? NULL : "y");
	}
	answers_free(s);
}

static void bounded_by_memory_and_age(void **state)
{
	struct answers *s = answers_new(
		&(struct answers_limits){.per_file = 100, .memory = 3000, .age_ms = 1000});
	_cleanup_chain_ struct chain *a = line(1001, 0, 0), *b = line(1002, 0, 0),
				     *c = line(1003, 0, 0);
	char big[1201];

	(void)state;
	memset(big, 'b', sizeof big - 1);
	big[1200] = '\0';
	put_at(s, "iris", a, big, 0);
	put_at(s, "iris", b, big, 100);
	put_at(s, "iris", c, big, 200);
	assert_reads_at(s, "iris", a, NULL, 200);
	assert_reads_at(s, "iris", b, big, 1100);
	assert_reads_at(s, "iris", b, NULL, 1101);
	assert_reads_at(s, "iris", c, big, 1101);
	assert_true(answers_expire(s, 1200));
	assert_false(answers_expire(s, 1201));
	_cleanup_free_ char *huge = calloc(1, 5001);
	memset(huge, 'h', 5000);
	put_at(s, "iris", a, huge, 2000); /* over the limit alone: kept until the next one */
	assert_reads_at(s, "iris", a, huge, 2000);
	put_at(s, "iris", b, "small", 2000);
	assert_reads_at(s, "iris", a, NULL, 2000);
	answers_free(s);
}

static void relatives_wait_for_what_is_expected(void **state)
{
	struct answers *s = answers_new(&ANSWERS_LIMITS);
	_cleanup_chain_ struct chain *job = line(20, 10, 0), *cat = line(30, 10, 0),
				     *near = line(21, 20, 10);
	_cleanup_chain_ struct chain *stranger = line(50, 0, 0);
	uint64_t ticket = answers_ticket(s);

	(void)state;
	answers_expect(s, "iris", job, ticket);
	assert_true(answers_awaited(s, "iris", cat, 1));
	assert_false(answers_awaited(s, "iris", stranger, 1));
	assert_false(answers_awaited(s, "digits", cat, 1));
	put(s, "iris", cat, "its own, nearer");
	assert_false(answers_awaited(s, "iris", cat, 1));
	assert_true(answers_awaited(s, "iris", near, 1));
	_cleanup_answer_ struct answer *a = answer_new(0, strdup("done"), 4);
	answers_put(s, "iris", job, ticket, a, 1);
	assert_false(answers_awaited(s, "iris", near, 1));
	assert_reads(s, "iris", near, "done");
	ticket = answers_ticket(s);
	answers_expect(s, "iris", job, ticket);
	answers_give_up(s, ticket);
	assert_false(answers_awaited(s, "iris", near, 1));
	answers_expect(s, "iris", job, answers_ticket(s)); /* freed with the rest */
	answers_free(s);
}

static void endpoint_gone_answers_gone(void **state)
{
	struct answers *s = answers_new(&ANSWERS_LIMITS);
	_cleanup_chain_ struct chain *who = line(10, 0, 0);

	(void)state;
	put(s, "iris", who, "a");
	put(s, "iris.csv", who, "b");
	put(s, "iris-2", who, "c");
	answers_forget(s, "iris");
	assert_reads(s, "iris", who, NULL);
	assert_reads(s, "iris.csv", who, NULL);
	assert_reads(s, "iris-2", who, "c");
	answers_free(s);
}

static bool open_after(const char *text)
{
	struct balance b = {0};

	for (const char *p = text; *p; p++) /* byte by byte: it is incremental */
		balance_feed(&b, p, 1);
	return balance_open(&b);
}

static void brackets(void **state)
{
	(void)state;
	assert_false(open_after(""));
	assert_false(open_after("[1,2]\n"));
	assert_true(open_after("["));
	assert_true(open_after("{\"a\": [1, 2]"));
	assert_false(open_after("{\"a\": \"]\"}"));
	assert_true(open_after("[\"]\""));
	assert_true(open_after("[\"\\\"]\""));
	assert_false(open_after("[\"\\\\\"]"));
	assert_false(open_after("\"unfinished"));
	assert_false(open_after("6.4,3.2"));
	assert_false(open_after("]]"));
	assert_true(open_after("]]["));
	assert_false(open_after("{}\n{}\n"));
}

static void names(void **state)
{
	static const struct {
		const char *name, *endpoint, *type;
	} good[] = {
		{"iris",       "iris",    NULL                   },
		{"a-b--c9",    "a-b--c9", NULL                   },
		{"iris.csv",   "iris",    "text/csv"             },
		{"iris.json",  "iris",    "application/json"     },
		{"iris.jsonl", "iris",    "application/jsonlines"},
		{"iris.npy",   "iris",    "application/x-npy"    },
	};

	static const char *const bad[] = {
		"",
		".",
		".error",
		"-a",
		"a-",
		"a_b",
		"iris.",
		"iris.xyz",
		"iris.csv.json",
		".csv",
		"a b",
		"a23456789012345678901234567890123456789012345678901234567890abcd"};
	char endpoint[ENDPOINT_NAME_MAX + 1];
	const char *type;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(invoke_name(good[i].name, endpoint, &type), 0);
		assert_string_equal(endpoint, good[i].endpoint);
		if (good[i].type)
			assert_string_equal(type, good[i].type);
		else
			assert_null(type);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(invoke_name(bad[i], endpoint, &type), -1);
	assert_true(invoke_is_json("application/json; charset=utf-8"));
	assert_true(invoke_is_json("Application/JSON"));
	assert_true(invoke_is_json("application/vnd.x+json"));
	assert_false(invoke_is_json("application/jsonx"));
	assert_false(invoke_is_json("text/csv"));
	assert_false(invoke_is_json(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_relative_then_newest),
		cmocka_unit_test(late_answer_to_an_old_request_is_old),
		cmocka_unit_test(bounded_by_number),
		cmocka_unit_test(bounded_by_memory_and_age),
		cmocka_unit_test(relatives_wait_for_what_is_expected),
		cmocka_unit_test(endpoint_gone_answers_gone),
		cmocka_unit_test(brackets),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
