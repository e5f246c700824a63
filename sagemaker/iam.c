#include "sagemaker/iam.h"

#include <errno.h>

#include "sagemaker/query.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/trust.h"

#define VERSION   "2010-05-08"
#define PAGE      "1000" /* IAM's most */
#define PAGES_MAX (IAM_ROLES_MAX / 1000)

/* Roles of one reply: at is where their elements are, each is called at the end of one. */
struct reading {
	const char *at;
	const char *suffix;
	struct iam_role role;
	iam_role_fn *each;
	void *arg;
	char marker[1024]; /* of the next page, "" for none */
};

/* The trust policy comes as URL-encoded JSON. */
static bool admits(const char *encoded, const char *suffix)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);

	return uri_decode(encoded, strlen(encoded), false, &text) == 0 &&
	       trust_admits(text.data, text.len, suffix);
}

static int on_element(void *arg, const char *path, const char *text)
{
	struct reading *r = arg;

	if (streq(path, "ListRolesResponse/ListRolesResult/Marker"))
		query_take(r->marker, sizeof r->marker, text);
	if (!starts_with(path, r->at))
		return 0;
	path += strlen(r->at);
	if (streq(path, "/Arn"))
		query_take(r->role.arn, sizeof r->role.arn, text);
	else if (streq(path, "/AssumeRolePolicyDocument"))
		r->role.trusts_sagemaker = admits(text, r->suffix);
	if (*path)
		return 0;
	if (r->role.arn[0])
		r->each(r->arg, &r->role);
	r->role = (struct iam_role){0};
	return 0;
}

static const char *suffix_of(const struct aws *a)
{
	return partition_of(aws_config(a)->region)->suffix;
}

static void keep(void *arg, const struct iam_role *role)
{
	struct iam_role *out = arg;

	*out = *role;
}

int iam_get_role(struct aws *a, const char *name, struct iam_role *out, struct cancel *c,
		 struct err *e)
{
	struct reading r = {.at = "GetRoleResponse/GetRoleResult/Role",
			    .suffix = suffix_of(a),
			    .each = keep,
			    .arg = out};
	const struct query q = {.service = &AWS_IAM,
				.operation = "GetRole",
				.version = VERSION,
				.parameters = {{"RoleName", name}},
				.fn = on_element,
				.arg = &r};

	*out = (struct iam_role){0};
	if (query_run(a, &q, c, e))
		return -1;
	return out->arn[0] ? 0 : err_set(e, EPROTO, "the reply has no role");
}

int iam_list_roles(struct aws *a, iam_role_fn *each, void *arg, bool *more, struct cancel *c,
		   struct err *e)
{
	char marker[sizeof((struct reading *)NULL)->marker] = "";

	*more = false;
	for (int page = 0; page < PAGES_MAX; page++) {
		struct reading r = {.at = "ListRolesResponse/ListRolesResult/Roles/member",
				    .suffix = suffix_of(a),
				    .each = each,
				    .arg = arg};
		const struct query q = {
			.service = &AWS_IAM,
			.operation = "ListRoles",
			.version = VERSION,
			.parameters = {{"MaxItems", PAGE}, {"Marker", *marker ? marker : NULL}},
			.fn = on_element,
			.arg = &r
                };

		if (query_run(a, &q, c, e))
			return -1;
		*more = r.marker[0];
		if (!*more)
			return 0;
		memcpy(marker, r.marker, sizeof marker);
	}
	return 0;
}
