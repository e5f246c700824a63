/* doctor_aws.c: what a mount of AWS needs, asked in the order it needs it. */
#include <errno.h>

#include "fs/doctor.h"
#include "fs/mount_private.h"
#include "sagemaker/control.h"
#include "sagemaker/creds.h"
#include "sagemaker/iam.h"
#include "sagemaker/policy.h"
#include "sagemaker/role.h"
#include "sagemaker/s3_bucket.h"

#define ASK_MS    10000 /* somebody sits and waits */
#define SKEW_S    60    /* not worth a word */
#define REFUSED_S 300   /* AWS refuses signatures that are older */
#define ROLES_MAX 20    /* of those that would do */

/* Nothing set up and nothing asked for: a machine without AWS is fine. */
static int not_needed(const struct doctor *d, struct buf *out, const char *what)
{
	if (d->wants_aws)
		return -1;
	buf_printf(out, "%s: not needed for local mounts", what);
	return 1;
}

static int not_asked(const struct doctor *d, struct buf *out)
{
	buf_str(out, "not asked");
	return d->wants_aws ? 1 : 2;
}

static int check_region(struct doctor *d, struct buf *out, struct err *e)
{
	struct config *c = &d->c;

	if (mount_configure(d->o, c, e) < 0)
		return -1;
	if (config_load(c, e) < 0)
		return starts_with(e->text, "no region is set")
			       ? not_needed(d, out, "no region set")
			       : -1;
	c->connect_timeout_ms = c->timeout_ms = ASK_MS;
	c->max_attempts = 1;
	d->a = aws_new(c, e);
	if (!d->a)
		return -1;
	buf_printf(out, "%s%s%s%s", c->region, c->region_from ? " (" : "",
		   c->region_from ? c->region_from : "", c->region_from ? ")" : "");
	return 0;
}

/* Nothing anywhere is no failure: a local mount needs none. Keys that are meant to be there and cannot be had are one. */
static int check_credentials(struct doctor *d, struct buf *out, struct err *e)
{
	struct keys keys _cleanup_(keys_wipe) = {0};

	if (!d->a)
		return not_asked(d, out);
	int rc = creds_fetch(aws_creds(d->a), &keys, NULL, e);
	d->silent = rc < 0;
	if (rc < 0)
		return starts_with(e->text, "no AWS keys found") ? not_needed(d, out, "none found")
								 : -1;
	buf_printf(out, "access key %.4s...%s, from ", keys.access,
		   keys.token[0] ? ", temporary" : "");
	return creds_source(aws_creds(d->a), out, e);
}

static int check_identity(struct doctor *d, struct buf *out, struct err *e)
{
	if (!d->a || d->silent)
		return not_asked(d, out);
	if (sts_identity(d->a, &d->id, NULL, e) < 0) {
		d->silent = true;
		return -1;
	}
	buf_printf(out, "%s (account %s)", d->id.arn, d->id.account);
	return 0;
}

static int check_clock(struct doctor *d, struct buf *out, struct err *e)
{
	time_t there = 0;

	if (!d->a || d->silent)
		return not_asked(d, out);
	if (sts_clock(d->a, &there, NULL, e) < 0)
		return -1;
	if (!there) {
		buf_str(out, "the service does not tell the time");
		return 1;
	}
	long long ahead = (long long)time(NULL) - (long long)there;
	long long off = ahead < 0 ? -ahead : ahead;
	if (off >= REFUSED_S)
		return err_set(
			e, EINVAL,
			"this machine's clock is %lld s %s AWS's: set it (timedatectl set-ntp true); "
			"mounts correct for it, requests of other programs are refused",
			off, ahead < 0 ? "behind" : "ahead of");
	if (off < SKEW_S)
		buf_str(out, "right");
	else
		buf_printf(out, "%lld s %s", off, ahead < 0 ? "behind" : "ahead");
	return 0;
}

static int check_endpoints(struct doctor *d, struct buf *out, struct err *e)
{
	_cleanup_free_ struct endpoint_summary *all = NULL;
	size_t n;

	if (!d->a || d->silent)
		return not_asked(d, out);
	if (control_list_endpoints(d->a, &all, &n, NULL, e) == 0) {
		buf_printf(out, "%zu", n);
		return 0;
	}
	if (e->action[0])
		err_append(
			e,
			"'sagemakerfs doctor --policy read' prints what to allow; invoke/NAME does without");
	return -1;
}

static int check_bucket(struct doctor *d, struct buf *out, struct err *e)
{
	const struct config *c = &d->c;
	struct s3_bucket b = {.kms_key = c->kms_key};
	enum s3_bucket_state state;

	if (!d->a || d->silent)
		return not_asked(d, out);
	if (c->bucket)
		snprintf(b.name, sizeof b.name, "%.63s", c->bucket);
	else
		snprintf(b.name, sizeof b.name, "sagemaker-%.30s-%s", c->region, d->id.account);
	snprintf(b.owner, sizeof b.owner, "%.12s",
		 c->bucket_owner ? c->bucket_owner : d->id.account);
	if (s3_bucket_look(d->a, &b, c->prefix, &state, NULL, e) == 0) {
		buf_printf(out, "%s (prefix %s)", b.name, c->prefix);
		return 0;
	}
	if (state != S3_BUCKET_MISSING || c->bucket)
		return -1;
	buf_printf(out, "%s (the first upload makes it)", b.name);
	return 0;
}

/* The roles of the account that would do. */
struct roles {
	struct buf *out;
	int n;
};

static void put_role(void *arg, const struct iam_role *role)
{
	struct roles *r = arg;

	if (role->trusts_sagemaker && r->n++ < ROLES_MAX)
		buf_printf(r->out, "\n  %s", role->arn);
}

static void put_roles(struct doctor *d, struct buf *out)
{
	_cleanup_buf_ struct buf list = BUF_INIT(0);
	struct roles roles = {.out = &list};
	struct err why = {0};
	bool more = false;

	if (iam_list_roles(d->a, put_role, &roles, &more, NULL, &why) < 0)
		buf_printf(out, "which roles would do cannot be told: %s", why.text);
	else if (roles.n)
		buf_printf(out, "roles of this account that would do:%s%s", buf_cstr(&list),
			   roles.n > ROLES_MAX || more ? "\n  ..." : "");
	else
		buf_printf(out, "no role of this account would do%s",
			   more ? ", as far as they were looked at" : "");
}

/* What else is in the account, and how a role has to be. */
static void help_with_role(struct doctor *d, struct buf *out)
{
	_cleanup_json_ cJSON *trust = policy_trust();
	_cleanup_free_ char *text = trust ? cJSON_PrintUnformatted(trust) : NULL;

	put_roles(d, out);
	buf_printf(out,
		   "\na role's trust policy has to be:\n  %s\nand its permissions are printed by:\n"
		   "  sagemakerfs doctor --policy deploy --for role aws:%s",
		   text ? text : "", d->c.region);
}

static int check_role(struct doctor *d, struct buf *out, struct err *e)
{
	char role[512];

	if (!d->a || d->silent)
		return not_asked(d, out);
	if (role_find(d->a, &d->id, NULL, role, NULL, e) == 0) {
		buf_str(out, role);
		return 0;
	}
	help_with_role(d, out);
	return -1;
}

const struct check doctor_aws[] = {
	{"AWS region",     check_region     },
        {"credentials",    check_credentials},
	{"identity",       check_identity   },
        {"clock",          check_clock      },
	{"endpoints",      check_endpoints  },
        {"bucket",         check_bucket     },
	{"execution role", check_role       },
        {NULL,             NULL             },
};
