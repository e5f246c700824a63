#include <errno.h>
#include <sys/stat.h>

#include "fs/command.h"
#include "fs/commands.h"
#include "fs/local_start.h"
#include "fs/mount_private.h"
#include "fs/mountinfo.h"
#include "sagemaker/creds.h"
#include "sagemaker/local/local.h"
#include "sagemaker/sts.h"

/* A check says what is there (out), or why not and what to do (*e). 1: it does not concern this machine. */
struct check {
	const char *name;
	int (*run)(struct buf *out, struct err *e);
};

static int check_fuse(struct buf *out, struct err *e)
{
	buf_str(out, "/dev/fuse opens");
	return fuse_device_check(e);
}

static int check_fusermount(struct buf *out, struct err *e)
{
	static const char *const places[] = {"/usr/bin/fusermount3", "/bin/fusermount3",
					     "/usr/local/bin/fusermount3"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (stat(places[i], &st) < 0)
			continue;
		buf_str(out, places[i]);
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

static int check_runtimes(struct buf *out, struct err *e)
{
	if (local_runtimes(out) > 0)
		return 0;
	return err_set(
		e, ENOENT,
		"no runtime is installed, so no model can run here: run scripts/runtimes tensorflow mxnet");
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

static int check_backend(struct buf *out, struct err *e)
{
	_cleanup_free_ char *store = local_store("local", e);
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

/* Only for who uses AWS: a machine without settings for it is fine. */
static int check_credentials(struct buf *out, struct err *e)
{
	_cleanup_(config_release)
	struct config c = {0};
	struct keys keys;

	if (config_load(&c, e) < 0) {
		buf_str(out, "no region set: not needed for local mounts");
		return 1;
	}
	struct creds *cr = creds_new(&c, e);
	int rc = cr ? creds_get(cr, &keys, e) : -1;
	keys_wipe(&keys);
	creds_free(cr);
	if (rc < 0) {
		buf_str(out, "none found: not needed for local mounts");
		return 1;
	}
	return call(&c, out, e);
}

static int check_mounts(struct buf *out, struct err *e)
{
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

static const struct check checks[] = {
	{"FUSE device",     check_fuse       },
        {"fusermount3",     check_fusermount },
	{"mounts",          check_mounts     },
        {"runtimes",        check_runtimes   },
	{"local backend",   check_backend    },
        {"AWS credentials", check_credentials},
};

/* Texts of more than one line go below their name. */
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

int cmd_doctor(int argc, char **argv, int *status, struct err *e)
{
	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "--policy"))
			return policy_command(argc, argv, status, e);
	}
	if (argc > 1)
		return usage_error("doctor", e);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		_cleanup_buf_ struct buf out = {0};
		struct err why = {0};
		int rc = checks[i].run(&out, &why);

		printf("%-4s  %-16s  ", rc < 0 ? "FAIL" : rc ? "-" : "ok", checks[i].name);
		print_text(rc < 0 ? why.text : buf_cstr(&out));
		if (rc < 0)
			*status = 1;
	}
	return 0;
}
