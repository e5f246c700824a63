/* options.c: the words of `serve`, one row each. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "sagemaker/buf.h"
#include "sagemaker/local/local.h"

#define LONGEST_S  86400
#define MOST_BYTES ((double)((size_t)1 << 30))

enum kind { TEXT, FLAG, DESCRIPTOR, NUMBER, PROFILE };

struct row {
	const char *name;
	enum kind kind;
	size_t offset; /* in struct local_options */
	double least, most;
};

#define ROW(name, kind, member, least, most)                               \
 {                                                                         \
  "--" name, kind, offsetof(struct local_options, member), (least), (most) \
 }

static const struct row rows[] = {
	ROW("store", TEXT, store, 0, 0),
	ROW("listen", TEXT, listen, 0, 0),
	ROW("region", TEXT, region, 0, 0),
	ROW("faults", TEXT, faults, 0, 0),
	ROW("strict-runtimes", FLAG, strict_runtimes, 0, 0),
	ROW("until-unused", FLAG, until_unused, 0, 0),
	ROW("ready-fd", DESCRIPTOR, ready_fd, 0, 1 << 20),
	ROW("profile", PROFILE, create_delay, 0, 0),
	ROW("create-delay", NUMBER, create_delay, 0, LONGEST_S),
	ROW("update-delay", NUMBER, update_delay, 0, LONGEST_S),
	ROW("delete-delay", NUMBER, delete_delay, 0, LONGEST_S),
	ROW("stale", NUMBER, stale, 0, 60),
	ROW("control-rate", NUMBER, control_rate, 0, 1e6),
	ROW("invoke-timeout", NUMBER, invoke_timeout, 0.001, LONGEST_S),
	ROW("health-timeout", NUMBER, health_timeout, 0.001, LONGEST_S),
	ROW("serverless-idle", NUMBER, serverless_idle, 0.001, LONGEST_S),
	ROW("serverless-wait", NUMBER, serverless_wait, 0.001, LONGEST_S),
	ROW("async-ttl", NUMBER, async_ttl, 0.001, LONGEST_S),
	ROW("max-instances", NUMBER, max_instances, 1, 1e6),
	ROW("max-payload", NUMBER, max_payload, 1, MOST_BYTES),
};

static int read_number(const struct row *row, const char *value, double *out, struct err *e)
{
	char *end;
	double n = strtod(value, &end);

	if (end == value || *end || !(n >= row->least && n <= row->most))
		return err_set(e, EINVAL, "%s '%s': expected a number from %g to %g", row->name,
			       value, row->least, row->most);
	*out = n;
	return 0;
}

static int take_profile(struct local_options *o, const char *value, struct err *e)
{
	if (!streq(value, "aws"))
		return err_set(e, EINVAL, "no profile '%s': there is 'aws'", value);
	o->create_delay = o->update_delay = o->delete_delay = 5;
	o->stale = 2;
	o->control_rate = 10;
	return 0;
}

static int take(struct local_options *o, const struct row *row, const char *value, struct err *e)
{
	char *at = (char *)o + row->offset;
	double n;

	switch (row->kind) {
	case TEXT:
		memcpy(at, &value, sizeof value);
		return 0;
	case FLAG:
		memcpy(at, &(bool){true}, sizeof(bool));
		return 0;
	case DESCRIPTOR:
	case NUMBER:
		if (read_number(row, value, &n, e))
			return -1;
		if (row->kind == NUMBER)
			memcpy(at, &n, sizeof n);
		else
			memcpy(at, &(int){(int)n}, sizeof(int));
		return 0;
	case PROFILE:
		return take_profile(o, value, e);
	}
	return -1;
}

/* Those for whoever types the command; a mount starts its backend with the others. */
static bool is_shown(const struct row *row)
{
	return row->kind != DESCRIPTOR &&
	       row->offset != offsetof(struct local_options, until_unused);
}

static int unknown(const char *name, struct err *e)
{
	_cleanup_buf_ struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (is_shown(&rows[i]))
			buf_printf(&known, " %s", rows[i].name);
	}
	return err_set(e, EINVAL, "serve has no option '%s'; it has%s: see sagemakerfs(1)", name,
		       buf_cstr(&known));
}

static int take_argument(struct local_options *o, int argc, char **argv, int *i, struct err *e)
{
	const char *name = argv[*i];
	size_t n = strcspn(name, "=");
	const struct row *row = rows;

	while (row < rows + ARRAY_SIZE(rows) && (strncmp(row->name, name, n) != 0 || row->name[n]))
		row++;
	if (row == rows + ARRAY_SIZE(rows))
		return unknown(name, e);
	if (row->kind == FLAG)
		return name[n] ? err_set(e, EINVAL, "%s takes no value", row->name)
			       : take(o, row, NULL, e);
	const char *value = name[n] ? name + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
	return value ? take(o, row, value, e) : err_set(e, EINVAL, "%s needs a value", row->name);
}

static bool only(const char *s, const char *set, size_t least, size_t most)
{
	size_t n = s ? strlen(s) : 0;

	return n >= least && n <= most && strspn(s, set) == n;
}

#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* Keys come by the environment: argv is for everybody to see. */
static int take_environment(struct local_options *o, struct err *e)
{
	const char *profile = getenv("SAGEMAKERFS_SERVE_PROFILE");

	const char *access = getenv("SAGEMAKERFS_SERVE_ACCESS_KEY");
	char *secret = getenv("SAGEMAKERFS_SERVE_SECRET_KEY");

	if ((access || secret) &&
	    (!only(access, UPPER DIGITS, 16, sizeof o->access_key - 1) ||
	     !only(secret, UPPER LOWER DIGITS "+/=_-", 16, sizeof o->secret_key - 1)))
		return err_set(
			e, EINVAL,
			"SAGEMAKERFS_SERVE_ACCESS_KEY must be 16 to 31 of A-Z and 0-9, "
			"SAGEMAKERFS_SERVE_SECRET_KEY 16 to 63 of A-Z, a-z, 0-9 and +/=_-: give both or none");
	if (access && secret) {
		memcpy(o->access_key, access, strlen(access));
		memcpy(o->secret_key, secret, strlen(secret));
		explicit_bzero(secret,
			       strlen(secret)); /* models run in processes beside this one */
		unsetenv("SAGEMAKERFS_SERVE_SECRET_KEY");
	}
	return profile && *profile ? take_profile(o, profile, e) : 0;
}

int local_options_parse(struct local_options *o, int argc, char **argv, struct err *e)
{
	*o = (struct local_options){.ready_fd = -1,
				    .invoke_timeout = 60,
				    .health_timeout = 480,
				    .serverless_idle = 300,
				    .serverless_wait = 180,
				    .async_ttl = 21600,
				    .max_instances = 100,
				    .max_payload = 26214400};
	if (take_environment(o, e))
		return -1;
	for (int i = 1; i < argc; i++) {
		if (take_argument(o, argc, argv, &i, e))
			return -1;
	}
	if (o->region && !only(o->region, LOWER DIGITS "-", 1, 31))
		return err_set(e, EINVAL, "--region '%s': expected a name such as us-east-1",
			       o->region);
	return 0;
}
