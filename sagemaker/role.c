#include "sagemaker/role.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "sagemaker/iam.h"
#include "sagemaker/json.h"
#include "sagemaker/policy.h"

#define SET_A_ROLE                                                                                 \
 "set one with -o role=ARN, SAGEMAKER_ROLE_ARN or \"role\" in sagemaker.json (sagemakerfs doctor " \
 "lists those that would do)"
#define MAX_METADATA ((size_t)64 << 10)

struct asker {
	struct aws *a;
	const struct identity *id;
	struct cancel *cancel;
};

/* Settings -------------------------------------------------------------------------------- */

static int no_role(const char *set, struct err *e)
{
	return err_set(e, EINVAL,
		       "'%.100s' is no execution role: it takes the form "
		       "arn:aws:iam::ACCOUNT:role/NAME, or NAME",
		       set);
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	for (const char *c = name; *c; c++) {
		if (!isascii(*c) || (!isalnum((unsigned char)*c) && !strchr("+=,.@_-/", *c)))
			return false;
	}
	return n && n < 400 && name[n - 1] != '/';
}

/* "/team/Models" or "Models" as an ARN. */
static void expand(const struct asker *s, const char *name, char out[512])
{
	snprintf(out, 512, "arn:%s:iam::%s:role/%s", partition_of(aws_config(s->a)->region)->name,
		 s->id->account, name + (*name == '/'));
}

static int does_not_trust(const char *whose, const char *name, struct err *e)
{
	err_set(e, EINVAL, "%s role '%s' does not let " POLICY_SERVICE " assume it", whose, name);
	return -1;
}

static int from_name(const struct asker *s, const char *name, char out[512], struct err *e)
{
	struct iam_role role;
	struct err own = {0};

	if (iam_get_role(s->a, name, &role, s->cancel, &own) == 0) {
		if (!role.trusts_sagemaker) {
			does_not_trust("execution", name, e);
			return err_append(e, "sagemakerfs doctor prints the trust policy it needs");
		}
		memcpy(out, role.arn, sizeof role.arn);
		return 0;
	}
	if (own.no == EACCES) { /* named by the user: only its path is assumed */
		expand(s, name, out);
		return 0;
	}
	if (e)
		*e = own;
	return err_prefix(e, "look up the execution role '%s'", name);
}

int role_check(const char *set, struct err *e)
{
	const char *name = set;

	if (starts_with(set, "arn:")) {
		const char *at = strstr(set, ":role/");

		name = at ? at + strlen(":role/") : "";
	}
	return strlen(set) < 512 && name_ok(name) ? 0 : no_role(set, e);
}

static int from_setting(const struct asker *s, const char *set, char out[512], struct err *e)
{
	if (role_check(set, e))
		return -1;
	if (starts_with(set, "arn:")) {
		snprintf(out, 512, "%s", set);
		return 0;
	}
	if (!strchr(set, '/'))
		return from_name(s, set, out, e);
	expand(s, set, out);
	return 0;
}

/* Inside SageMaker ------------------------------------------------------------------------ */

/* A Describe call: its name, the members that say of what, and the reply. */
struct describe {
	const char *action;
	const char *member[2], *value[2];
};

static cJSON *describe(const struct asker *s, const struct describe *d, struct err *e)
{
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	cJSON *out = NULL;

	for (int i = 0; i < 2 && d->member[i]; i++)
		json_put(in, d->member[i], d->value[i]);
	return aws_json(s->a, &AWS_SAGEMAKER, d->action, in, s->cancel, &out, e) ? NULL : out;
}

/* 1: found, 0: not said there, -1: failed. */
static int take(const cJSON *o, const char *group, const char *member, char out[512])
{
	json_copy(group ? cJSON_GetObjectItemCaseSensitive(o, group) : o, member, out, 512);
	return out[0] ? 1 : 0;
}

static int from_notebook(const struct asker *s, const char *name, char out[512], struct err *e)
{
	const struct describe d = {
		"DescribeNotebookInstance", {"NotebookInstanceName", NULL},
                 {name,                   NULL}
        };
	_cleanup_json_ cJSON *o = describe(s, &d, e);

	return o ? take(o, NULL, "RoleArn", out) : -1;
}

static int from_profile(const struct asker *s, const char *domain, const char *profile,
			char out[512], struct err *e)
{
	const struct describe d = {
		"DescribeUserProfile", {"DomainId", "UserProfileName"},
                 {domain,     profile          }
        };
	_cleanup_json_ cJSON *o = describe(s, &d, e);

	return o ? take(o, "UserSettings", "ExecutionRole", out) : -1;
}

/* A shared space has a role of its own in the domain's settings. */
static int from_domain(const struct asker *s, const char *domain, bool space, char out[512],
		       struct err *e)
{
	const struct describe d = {
		"DescribeDomain", {"DomainId", NULL},
                 {domain,     NULL}
        };
	_cleanup_json_ cJSON *o = describe(s, &d, e);

	if (!o)
		return -1;
	if (space && take(o, "DefaultSpaceSettings", "ExecutionRole", out))
		return 1;
	return take(o, "DefaultUserSettings", "ExecutionRole", out);
}

static int from_document(const struct asker *s, const cJSON *o, char out[512], struct err *e)
{
	const char *domain = json_text(o, "DomainId"), *profile = json_text(o, "UserProfileName");
	const char *name = json_text(o, "ResourceName");

	if (take(o, NULL, "ExecutionRoleArn", out))
		return 1;
	if (!domain)
		return name ? from_notebook(s, name, out, e) : 0;
	if (profile) {
		int rc = from_profile(s, domain, profile, out, e);

		if (rc)
			return rc;
	}
	return from_domain(s, domain, !profile && json_text(o, "SpaceName"), out, e);
}

/* 1: found, 0: this is no place of SageMaker's, -1: it is, but its role could not be found out. */
static int from_metadata(const struct asker *s, char out[512], struct err *e)
{
	const char *set = aws_config(s->a)->metadata_file, *path = set ? set : ROLE_METADATA;
	_cleanup_buf_ struct buf text = BUF_INIT(MAX_METADATA);

	if (buf_read_file(&text, AT_FDCWD, path))
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : err_errno(e, "cannot read '%s'", path);
	_cleanup_json_ cJSON *o = json_parse(text.data, text.len, NULL);
	if (!o)
		return err_set(e, EINVAL, "'%s' is not JSON", path);
	int rc = from_document(s, o, out, e);
	if (rc > 0 && !strstr(out, ":role/"))
		return err_set(e, EINVAL, "'%s' leads to '%.100s', which is no role", path, out);
	return rc < 0 ? err_prefix(e, "the role of this place in '%s'", path) : rc;
}

/* The caller ------------------------------------------------------------------------------ */

/* NAME of "arn:aws:sts::123456789012:assumed-role/NAME/SESSION"; false: the caller is no role. */
static bool caller_role(const char *arn, char out[129])
{
	static const char mark[] = ":assumed-role/";
	const char *at = strstr(arn, mark);
	size_t n = at ? strcspn(at + strlen(mark), "/") : 0;

	if (!n || n > 128)
		return false;
	memcpy(out, at + strlen(mark), n);
	out[n] = '\0';
	return true;
}

/* The ARN of a session lacks the role's path, so it is asked for and never put together. */
static int from_caller(const struct asker *s, char out[512], struct err *e)
{
	struct iam_role role;
	char name[129];

	if (!caller_role(s->id->arn, name))
		return err_set(e, EINVAL, "'%.200s' is not a role", s->id->arn);
	if (iam_get_role(s->a, name, &role, s->cancel, e))
		return err_prefix(e, "look up the caller's role '%s'", name);
	if (!role.trusts_sagemaker)
		return does_not_trust("the caller's", name, e);
	memcpy(out, role.arn, sizeof role.arn);
	return 0;
}

int role_find(struct aws *a, const struct identity *id, const char *set, char out[512],
	      struct cancel *c, struct err *e)
{
	const struct asker s = {a, id, c};
	const char *role = set && *set ? set : aws_config(a)->role;
	struct err inside = {0};

	if (role)
		return from_setting(&s, role, out, e);
	if (from_metadata(&s, out, &inside) > 0 || from_caller(&s, out, e) == 0)
		return 0;
	err_prefix(e, "no execution role");
	if (inside.no)
		err_append(e, "%s", inside.text);
	return err_append(e, SET_A_ROLE);
}
