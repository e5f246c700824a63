#include <errno.h>
#include <sys/stat.h>

#include "fs/command.h"
#include "fs/commands.h"
#include "fs/doctor.h"
#include "fs/local_start.h"
#include "fs/mount_private.h"
#include "fs/mountinfo.h"
#include "sagemaker/local/local.h"
#include "sagemaker/sts.h"

static int check_fuse(struct doctor *d, struct buf *out, struct err *e)
{
	(void)d;
	buf_str(out, "/dev/fuse opens");
	return fuse_device_check(e);
}

static int check_fusermount(struct doctor *d, struct buf *out, struct err *e)
{
	(void)d;
	static const char *const places[] = {"/usr/bin/fusermount3", "/bin/fusermount3",
					     "/usr/local/bin/fusermount3"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (stat(places[i], &st) < 0)
			continue;
		buf_str(out, places[i]);
		if (access("/etc/mtab", R_OK) < 0)
			return err_set(
				e, ENOENT,
				"'/etc/mtab' is not there, without which it unmounts nothing: as root, run "
				"ln -s ../proc/self/mounts /etc/mtab");
		if (st.st_uid == 0 && st.st_mode & S_ISUID)
			return 0;
		return err_set(
			e, EPERM,
			"'%s' is not setuid root, so only root can mount: as root, run chmod u+s '%s'",
			places[i], places[i]);
	}
	return err_set(e, ENOENT,
		       "'fusermount3' is not installed: as root, run apt-get install fuse3");
}

static int check_runtimes(struct doctor *d, struct buf *out, struct err *e)
{
	(void)d;
	if (local_runtimes(out) > 0)
		return 0;
	return err_set(
		e, ENOENT,
		"no runtime is installed, so no model can run here: run scripts/runtimes tensorflow mxnet, or those "
		"that you need of these, sklearn, xgboost, pytorch and huggingface");
}

static int check_sandbox(struct doctor *d, struct buf *out, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(1024);
	bool whole = local_sandbox(&text);

	(void)d;
	if (!whole)
		return err_set(
			e, EPERM,
			"a model would see your files, for this system has neither namespaces nor "
			"Landlock: %s",
			buf_cstr(&text));
	buf_str(out, buf_cstr(&text));
	return 0;
}

/* One signed call with these settings. */
static int call(const struct config *c, struct buf *out, struct err *e)
{
	struct identity id;
	struct aws *a = aws_new(c, e);

	if (!a)
		return -1;
	int rc = sts_identity(a, &id, NULL, e);
	aws_free(a);
	if (rc == 0)
		buf_printf(out, "%s (account %s, region %s)", id.arn, id.account, c->region);
	return rc;
}

static int check_backend(struct doctor *d, struct buf *out, struct err *e)
{
	_cleanup_free_ char *store =
		local_store(starts_with(d->o->source, "local") ? d->o->source : "local", e);
	_cleanup_(local_run_release)
	struct local_run run = {0};
	_cleanup_(config_release)
	struct config c = {0};

	if (!store)
		return -1;
	if (local_read(store, &run, e) < 0) {
		buf_printf(out, "not running; a mount starts it");
		return e->no == ENOENT ? 1 : -1;
	}
	c.isolated = true;
	c.endpoint_url = steal(run.url);
	c.region = steal(run.region);
	c.access_key = steal(run.access_key);
	c.secret_key = steal(run.secret_key);
	if (config_load(&c, e) < 0 || call(&c, out, e) < 0)
		return err_append(e, "end it with: kill %ld", (long)run.pid);
	return 0;
}

static int check_mounts(struct doctor *d, struct buf *out, struct err *e)
{
	(void)d;
	_cleanup_(mountinfo_release)
	struct mount_lines mounts = {0};
	struct stat st;

	if (mountinfo_read(&mounts, e) < 0)
		return -1;
	mountinfo_own(&mounts);
	buf_printf(out, "%zu", mounts.n);
	for (size_t i = 0; i < mounts.n; i++) {
		if (stat(mounts.rows[i].mountpoint, &st) < 0 && errno == ENOTCONN)
			return err_set(e, ENOTCONN,
				       "'%s' is dead: mount it again, or run fusermount3 -uz '%s'",
				       mounts.rows[i].mountpoint, mounts.rows[i].mountpoint);
	}
	return 0;
}

static const struct check machine[] = {
	{"FUSE device", check_fuse      },
	{"fusermount3", check_fusermount},
	{"mounts",      check_mounts    },
	{NULL,          NULL            },
};

static const struct check local[] = {
	{"runtimes",      check_runtimes},
	{"sandbox",       check_sandbox },
	{"local backend", check_backend },
	{NULL,            NULL          },
};

/* Lines after the first go below the text of the first. */
static void print_text(const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		printf("%.*s\n", n, text);
		text += n + (text[n] == '\n');
		if (*text)
			printf("%24s", "");
	}
}

static void run(struct doctor *d, const struct check *rows, int *status)
{
	for (const struct check *row = rows; row->name; row++) {
		_cleanup_buf_ struct buf out = {0}, text = {0};
		struct err why = {0};
		int rc = row->run(d, &out, &why);

		if (rc < 0) {
			err_show(&why, &text);
			*status = 1;
		}
		if (rc == 2)
			continue;
		buf_str(&text, buf_cstr(&out));
		printf("%-4s  %-16s  ", rc < 0 ? "FAIL" : rc ? "-" : "ok", row->name);
		print_text(buf_cstr(&text));
	}
}

static bool asks_for_policy(char **argv)
{
	while (*++argv) {
		if (streq(*argv, "--policy"))
			return true;
	}
	return false;
}

/* `doctor` looks at everything, `doctor SOURCE` at what a mount of it needs. */
int cmd_doctor(int argc, char **argv, int *status, struct err *e)
{
	_cleanup_(options_release)
	struct options o = {0};
	struct doctor d = {.o = &o};

	if (asks_for_policy(argv))
		return policy_command(argc, argv, e);
	int named = options_parse_source(argc, argv, "aws", &o, e);
	if (named < 0)
		return -1;
	d.wants_aws = named && starts_with(o.source, "aws");
	run(&d, machine, status);
	if (!d.wants_aws)
		run(&d, local, status);
	if (!named || d.wants_aws)
		run(&d, doctor_aws, status);
	aws_free(d.a);
	config_release(&d.c);
	return 0;
}
