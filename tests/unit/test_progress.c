/* progress.c: what is done, at which rate, and how it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fs/progress.h"

#define MIB ((uint64_t)1 << 20)

static void assert_line(struct progress *p, const char *expected)
{
	struct progress_view v;
	struct buf out = {0};

	progress_look(p, &v);
	progress_line(&v, &out);
	assert_string_equal(buf_cstr(&out), expected);
	buf_release(&out);
}

static void assert_exact(struct progress *p, const char *expected)
{
	struct progress_view v;
	struct buf out = {0};

	progress_look(p, &v);
	progress_exact(&v, &out);
	assert_string_equal(buf_cstr(&out), expected);
	buf_release(&out);
}

static void idle(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, NULL, NULL);
	assert_false(progress_active(&p));
	assert_line(&p, "idle");
	progress_phase(&p, PROGRESS_CHECKING, 0);
	assert_true(progress_active(&p));
	assert_line(&p, "checking");
	progress_release(&p);
}

/* Bytes that are packed but not sent are not done; nothing is promised before a second has shown a rate. */
static void upload(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, NULL, NULL);
	progress_phase(&p, PROGRESS_UPLOADING, 1024 * MIB);
	progress_sample(&p, 1000);
	progress_add(&p, 400 * MIB);
	assert_line(&p, "uploading 0 % 0 B of 1.0 GiB");
	progress_made(&p, 100 * MIB);
	assert_line(&p, "uploading 0 % 0 B of 1.0 GiB");
	progress_sent(&p, 50 * MIB);
	progress_sample(&p, 1500);
	assert_line(&p, "uploading 19 % 200 MiB of 1.0 GiB");
	progress_sent(&p, 100 * MIB);
	progress_sample(&p, 3000);
	assert_line(&p, "uploading 39 % 400 MiB of 1.0 GiB, 200 MiB/s, 4 s left");
	assert_exact(&p,
		     "uploading done=419430400 total=1073741824 percent=39 rate=209715200 left=4");
	progress_add(&p, 624 * MIB);
	progress_made(&p, 156 * MIB);
	progress_sent(&p, 256 * MIB);
	assert_line(&p, "uploading 99 % 1.0 GiB of 1.0 GiB, 200 MiB/s");
	progress_phase(&p, PROGRESS_PUBLISHING, 0);
	assert_line(&p, "publishing");
	progress_release(&p);
}

/* The rate is that of the last seconds: what stands still has none left to hope for. */
static void stalled(void **state)
{
	struct progress p;
	int64_t now = 0;

	(void)state;
	progress_init(&p, NULL, NULL);
	progress_phase(&p, PROGRESS_READING, 100 * MIB);
	for (int i = 0; i < 20; i++, now += PROGRESS_SAMPLE_MS) {
		progress_add(&p, MIB);
		progress_sample(&p, now);
	}
	assert_line(&p, "reading 20 % 20 MiB of 100 MiB, 4.0 MiB/s, 20 s left");
	for (int i = 0; i < 2 * PROGRESS_SAMPLES; i++, now += PROGRESS_SAMPLE_MS)
		progress_sample(&p, now);
	assert_line(&p, "reading 20 % 20 MiB of 100 MiB, 0 B/s");
	assert_exact(&p, "reading done=20971520 total=104857600 percent=20 rate=0");
	progress_release(&p);
}

/* A copy that is still running: nobody knows how much it will be. What was sent earlier is done, but says nothing of the rate. */
static void earlier(void **state)
{
	const struct progress_count before = {300 * MIB, 300 * MIB, 300 * MIB};
	struct progress p;

	(void)state;
	progress_init(&p, NULL, NULL);
	progress_resume(&p, PROGRESS_UPLOADING, 0, &before);
	progress_sample(&p, 0);
	assert_line(&p, "uploading 300 MiB");
	progress_add(&p, 10 * MIB);
	progress_made(&p, 10 * MIB);
	progress_sent(&p, 310 * MIB);
	progress_sample(&p, 2000);
	assert_line(&p, "uploading 310 MiB, 5.0 MiB/s");
	progress_release(&p);
}

/* Done never goes back: not when less compressible files follow, nor when a part is counted again. */
static void never_back(void **state)
{
	struct progress p;
	struct progress_view v;
	uint64_t high = 0;

	(void)state;
	progress_init(&p, NULL, NULL);
	progress_phase(&p, PROGRESS_UPLOADING, 1000);
	progress_add(&p, 500);
	progress_made(&p, 10);
	progress_sent(&p, 10);
	progress_look(&p, &v);
	high = v.done;
	assert_int_equal(high, 500);
	progress_add(&p, 500);
	progress_made(&p, 400);
	progress_sent(&p, 5);
	progress_look(&p, &v);
	assert_int_equal(v.done, high);
	progress_add(&p, 5000);
	progress_sent(&p, 500);
	progress_look(&p, &v);
	assert_int_equal(v.done, 1000);
	progress_release(&p);
}

static void note(void *arg, enum progress_phase now)
{
	char *seen = arg;

	strcat(seen, progress_word(now));
	strcat(seen, ";");
}

static void joined(void **state)
{
	char seen[64] = "";
	struct progress p;

	(void)state;
	progress_init(&p, note, seen);
	progress_join(&p, PROGRESS_READING, 10 * MIB);
	progress_join(&p, PROGRESS_READING, 30 * MIB);
	progress_add(&p, 20 * MIB);
	assert_line(&p, "reading 50 % 20 MiB of 40 MiB");
	progress_leave(&p);
	progress_leave(&p);
	progress_sample(&p, 5000);
	progress_join(&p, PROGRESS_READING, 10 * MIB); /* the next piece, soon */
	progress_sample(&p, 9000);
	assert_line(&p, "reading 40 % 20 MiB of 50 MiB, 0 B/s");
	progress_leave(&p);
	progress_sample(&p, 9500);
	progress_sample(&p, 10400);
	assert_true(progress_active(&p));
	assert_string_equal(seen, "reading;");
	progress_sample(&p, 10500);
	assert_false(progress_active(&p));
	assert_string_equal(seen, "reading;idle;");
	progress_release(&p);
}

static void said(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} bytes[] = {
		{0,                  "0 B"     },
                {1023,               "1023 B"  },
		{1024,               "1.0 KiB" },
                {10188,              "9.9 KiB" },
		{10240,              "10 KiB"  },
                {1048063,            "1023 KiB"},
		{1048575,            "1.0 MiB" },
                {5.0 * (1ull << 40), "5.0 TiB" },
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		buf_reset(&out);
		progress_bytes(bytes[i].bytes, &out);
		assert_string_equal(buf_cstr(&out), bytes[i].text);
	}
	buf_reset(&out);
	progress_time(59, &out);
	buf_char(&out, ';');
	progress_time(200, &out);
	buf_char(&out, ';');
	progress_time(7500, &out);
	assert_string_equal(buf_cstr(&out), "59 s;3 min 20 s;2 h 5 min");
	buf_reset(&out);
	progress_bar(50, 4, &out);
	progress_bar(-1, 3, &out);
	progress_bar(1, 3, &out);
	progress_bar(99, 3, &out);
	assert_string_equal(buf_cstr(&out), "##.....#..###");
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle),    cmocka_unit_test(upload),     cmocka_unit_test(stalled),
		cmocka_unit_test(earlier), cmocka_unit_test(never_back), cmocka_unit_test(joined),
		cmocka_unit_test(said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
