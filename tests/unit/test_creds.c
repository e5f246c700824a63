/* Keys: those that are at hand, files that change, processes, and who waits for what. That the chain is botocore's is shown
 * beside it (tests/peers/credentials.sh). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "sagemaker/buf.h"
#include "sagemaker/creds_internal.h"

static char directory[] = "/tmp/smfs-creds-XXXXXX";

static char *path_of(const char *name)
{
	static char path[160];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int set_up(void **state)
{
	(void)state;
	for (char **at = environ; *at;) {
		_cleanup_free_ char *name = strndup(*at, strcspn(*at, "="));

		if (starts_with(name, "AWS_"))
			unsetenv(name);
		else
			at++;
	}
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	if (!mkdtemp(directory))
		return -1;
	setenv("HOME", directory, 1);
	setenv("AWS_REGION", "eu-west-1", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	return mkdir(path_of(".aws"), 0700);
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		".aws/config", ".aws/credentials", ".aws", "runs", "go", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)remove(path_of(names[i]));
	return 0;
}

#define _cleanup_config_ _cleanup_(config_release)

static struct creds *begin(struct config *c, const char *profile)
{
	struct err e = {0};

	c->profile = profile ? strdup(profile) : NULL;
	if (config_load(c, &e))
		fail_msg("%s", e.text);
	struct creds *cr = creds_new(c, NULL, &e);
	assert_non_null(cr);
	return cr;
}

static int get_keys(const char *profile, struct keys *k, struct err *e)
{
	struct config c _cleanup_config_ = {0};
	struct creds *cr = begin(&c, profile);
	int r = creds_fetch(cr, k, NULL, e);

	creds_free(cr);
	return r;
}

static void test_keys_and_their_order(void **state)
{
	struct config c _cleanup_config_ = {0};
	struct keys k;
	struct err e;

	(void)state;
	write_file(".aws/credentials",
		   "[default]\naws_access_key_id = FILE\naws_secret_access_key = s3cret+/=\n"
		   "[dev]\naws_access_key_id=DEV\naws_secret_access_key=x\n");
	assert_int_equal(get_keys(NULL, &k, &e), 0);
	assert_string_equal(k.access, "FILE");
	assert_string_equal(k.secret, "s3cret+/=");
	assert_string_equal(k.token, "");
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "y", 1);
	setenv("AWS_SESSION_TOKEN", "t", 1);
	assert_int_equal(get_keys(NULL, &k, &e), 0);
	assert_string_equal(k.access, "ENV");
	assert_string_equal(k.token, "t");
	assert_int_equal(get_keys("dev", &k, &e),
			 0); /* named: the environment's keys do not count */
	assert_string_equal(k.access, "DEV");
	c.access_key = strdup("GIVEN");
	c.secret_key = strdup("z");
	struct creds *cr = begin(&c, NULL);
	assert_int_equal(creds_get(cr, &k, &e), 0);
	assert_string_equal(k.access, "GIVEN");
	creds_free(cr);
	keys_wipe(&k);
	assert_string_equal(k.secret, "");
}

static void test_long_token_and_new_file(void **state)
{
	struct config c _cleanup_config_ = {0};
	char token[2001];
	struct keys k;
	struct err e;

	(void)state;
	memset(token, 'T', sizeof token - 1);
	token[sizeof token - 1] = '\0';
	_cleanup_free_ char *text = str_printf(
		"[default]\r\naws_access_key_id=A\r\naws_secret_access_key=B\r\naws_session_token=%s\r\n",
		token);
	write_file(".aws/credentials", text);
	struct creds *cr = begin(&c, NULL);
	assert_int_equal(creds_get(cr, &k, &e), 0);
	assert_string_equal(k.token, token);
	usleep(20000); /* file times have a grain */
	write_file(".aws/credentials",
		   "[default]\naws_access_key_id=NEW\naws_secret_access_key=B\n");
	assert_int_equal(creds_get(cr, &k, &e), 0); /* today's keys, not yesterday's */
	assert_string_equal(k.access, "NEW");
	assert_string_equal(k.token, "");
	creds_free(cr);
}

static void test_sentences(void **state)
{
	static const struct {
		const char *profile, *file, *says;
		int no;
	} cases[] = {
		{NULL,  "",									   "no AWS keys found: not in the environment",              EACCES},
		{NULL,  "[default]\naws_access_key_id=SECRETLESS\n",
		 "the secret access key is missing",													    EACCES},
		{NULL,  "[default]\naws_access_key_id=A B\naws_secret_access_key=c\n",
		 "the access key id of profile 'default' in",												   EACCES},
		{"sso", "[profile sso]\nsso_session=corp\nsso_role_name=r\n",
		 "there is no [sso-session corp]",													      EINVAL},
		{"sso", "[profile sso]\nsso_account_id=1\n",
		 "is for IAM Identity Center and lacks sso_role_name",											  EINVAL},
		{"mfa",
		 "[profile mfa]\nrole_arn=arn:aws:iam::1:role/a\nsource_profile=mfa\nmfa_serial=m\n",
		 "export-credentials --profile mfa",													    EACCES},
		{"r",   "[profile r]\nrole_arn=arn:aws:iam::1:role/a\n",                              "nobody to ask for the role",
		 EINVAL																	       },
		{"p",   "[profile p]\ncredential_process=\"x\n",                                      "its quotes do not fit together",
		 EINVAL																	       },
		{"p",
		 "[profile p]\ncredential_process=sh -c 'printf \"a\\nb\\033c\" >&2; exit 9'\n",      "by credential_process: it failed with exit code 9: b c", EACCES},
		{"p",   "[profile p]\ncredential_process=sh -c 'kill -9 $$'\n",
		 "it was ended by signal 9",														    EACCES},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct keys k;
		struct err e = {0};

		write_file(".aws/config", cases[i].file);
		assert_int_equal(get_keys(cases[i].profile, &k, &e), -1);
		if (!strstr(e.text, cases[i].says))
			fail_msg("'%s' lacks '%s'", e.text, cases[i].says);
		assert_int_equal(e.no, cases[i].no);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t is;
	} rows[] = {
		{"2026-11-25T10:00:00Z",          1795600800},
		{"2026-11-25T10:00:00UTC",        1795600800},
		{"2026-11-25 10:00:00.123456789", 1795600800},
		{"2026-11-25T10:00:00+01:30",     1795595400},
		{"2026-11-25T10:00:00-0500",      1795618800},
		{"2026-11-25T10:00:00+1",         -1        },
		{"2026-11-25",                    -1        },
		{"soon",			  -1        },
		{"",			      -1        },
	};

	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(time_read(rows[i].text), rows[i].is);
	time_write(1795600800, out);
	assert_string_equal(out, rows[0].text);
}

/* A process that leaves a line in "runs", and ends when there is "go". */
static void write_process(void)
{
	char text[1024];

	snprintf(
		text, sizeof text,
		"[profile p]\ncredential_process = sh -c 'echo x >>%s/runs; while [ ! -e %s/go ]; do sleep 0.02; "
		"done; echo {\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"P\\\",\\\"SecretAccessKey\\\":\\\"S\\\"}'\n",
		directory, directory);
	write_file(".aws/config", text);
}

static int count_runs(void)
{
	struct stat st;

	return stat(path_of("runs"), &st) ? 0 : (int)st.st_size / 2;
}

static void await_run(void)
{
	while (!count_runs())
		usleep(1000);
}

__attribute__((noinline)) static struct creds *begin_fetching(struct config *c)
{
	struct keys k;
	struct err e;

	write_process();
	struct creds *cr = begin(c, "p");
	assert_int_equal(creds_get(cr, &k, &e), 1);
	return cr;
}

struct waiting {
	struct creds_waiter w;
	pthread_mutex_t mu; /* guards times, no */
	int times, no;
};

static void on_ready(void *arg, const struct err *e)
{
	struct waiting *w = arg;

	SCOPED_LOCK(&w->mu);
	w->times++;
	w->no = e ? e->no : 0;
}

static int times(struct waiting *w)
{
	SCOPED_LOCK(&w->mu);
	return w->times;
}

static void test_waiting(void **state)
{
	struct waiting ws[20], stopped = {.mu = PTHREAD_MUTEX_INITIALIZER};
	struct config c _cleanup_config_ = {0};
	struct cancel *cancel = cancel_new();
	struct keys k;
	struct err e;

	(void)state;
	struct creds *cr = begin_fetching(&c);
	for (size_t i = 0; i < ARRAY_SIZE(ws); i++) {
		ws[i] = (struct waiting){
			.w = {.ready = on_ready, .arg = &ws[i]},
                          .mu = PTHREAD_MUTEX_INITIALIZER
                };
		assert_true(creds_wait(cr, &ws[i].w));
	}
	stopped.w = (struct creds_waiter){.ready = on_ready, .arg = &stopped, .cancel = cancel};
	assert_true(creds_wait(cr, &stopped.w));
	await_run();
	cancel_set(cancel); /* at once: the process still runs */
	assert_int_equal(times(&stopped), 1);
	assert_int_equal(times(&ws[0]), 0);
	assert_false(creds_wait(cr, &stopped.w)); /* cancelled already */
	write_file("go", "");
	assert_int_equal(creds_fetch(cr, &k, NULL, &e), 0);
	assert_string_equal(k.access, "P");
	creds_stop(cr); /* the thread has told everybody */
	for (size_t i = 0; i < ARRAY_SIZE(ws); i++)
		assert_int_equal(times(&ws[i]), 1);
	assert_int_equal(times(&stopped), 1);
	assert_int_equal(count_runs(), 1);
	creds_free(cr);
	cancel_unref(cancel);
}

/* Who is told that it is over, while the process never ends by itself. */
static void test_the_end(void **state)
{
	struct waiting w = {
		.w = {.ready = on_ready, .arg = &w},
                  .mu = PTHREAD_MUTEX_INITIALIZER
        };
	struct config c _cleanup_config_ = {0};
	struct keys k;
	struct err e;

	(void)state;
	struct creds *cr = begin_fetching(&c);
	assert_true(creds_wait(cr, &w.w));
	await_run();
	creds_stop(cr);
	assert_int_equal(w.times, 1);
	assert_int_equal(w.no, ECANCELED);
	assert_int_equal(creds_get(cr, &k, &e), -1);
	assert_int_equal(e.no, ECANCELED);
	creds_free(cr);
}

/* The files say something else while keys are fetched: what comes of the old ones is nobody's. */
static void test_new_file_while_fetching(void **state)
{
	struct config c _cleanup_config_ = {0};
	_cleanup_buf_ struct buf from = BUF_INIT(0);
	struct keys k;
	struct err e;

	(void)state;
	struct creds *cr = begin_fetching(&c);
	await_run();
	usleep(20000); /* file times have a grain */
	write_file(".aws/credentials", "[p]\naws_access_key_id=NEW\naws_secret_access_key=B\n");
	assert_int_equal(creds_get(cr, &k, &e), 0);
	assert_string_equal(k.access, "NEW");
	write_file("go", "");
	assert_int_equal(creds_source(cr, &from, &e), 0);
	assert_non_null(strstr(buf_cstr(&from), "profile 'p' in '"));
	creds_refused(cr, "NEW");
	assert_int_equal(creds_get(cr, &k, &e), 0); /* there are no others */
	creds_free(cr);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_keys_and_their_order),
		FRESH(test_long_token_and_new_file),
		FRESH(test_sentences),
		FRESH(test_times),
		FRESH(test_waiting),
		FRESH(test_the_end),
		FRESH(test_new_file_while_fetching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
