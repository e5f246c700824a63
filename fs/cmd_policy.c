#include <errno.h>

#include "fs/commands.h"
#include "fs/mount_private.h"
#include "sagemaker/policy.h"
#include "sagemaker/role.h"
#include "sagemaker/sts.h"

#define ASK_MS 5000 /* for the account: it is a convenience */

/* What the command line asks for: one document, or all of them by their names. */
struct asked {
	enum policy_level level;
	const char *only;
};

/* What the placeholders are filled with. */
struct known {
	struct options o;
	struct config c;
	struct identity id;
	char role[512]; /* its ARN, where a name was set */
	struct policy_place place;
};

static void known_release(struct known *k)
{
	options_release(&k->o);
	config_release(&k->c);
}

static int take_level(struct asked *a, const char *value, struct err *e)
{
	static const char *const names[] = {
		[POLICY_READ] = "read",
		[POLICY_INVOKE] = "invoke",
		[POLICY_DEPLOY] = "deploy",
	};

	for (size_t i = 0; value && i < ARRAY_SIZE(names); i++) {
		if (!streq(value, names[i]))
			continue;
		a->level = (enum policy_level)i;
		return 0;
	}
	return err_set(e, EINVAL, "'--policy' takes read, invoke or deploy");
}

static int take_document(struct asked *a, const char *value, struct err *e)
{
	a->only = value;
	if (value && (streq(value, "user") || streq(value, "role") || streq(value, "trust")))
		return 0;
	return err_set(e, EINVAL, "'--for' takes user, role or trust");
}

/* Takes our own arguments out of argv; what stays is a source and its options. */
static int take_own(int *argc, char **argv, struct asked *a, struct err *e)
{
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		if (streq(argv[i], "--policy")) {
			if (take_level(a, argv[++i], e) < 0)
				return -1;
		} else if (streq(argv[i], "--for")) {
			if (take_document(a, argv[++i], e) < 0)
				return -1;
		} else {
			argv[n++] = argv[i];
		}
	}
	argv[n] = NULL;
	*argc = n;
	return 0;
}

/* The path of a role that was named: what may be passed is an ARN, whole. */
static void ask_role(struct known *k, struct aws *a, struct err *why)
{
	if (k->c.role && !strchr(k->c.role, '/') &&
	    role_find(a, &k->id, NULL, k->role, NULL, why) == 0)
		k->place.role = k->role;
}

/* The account by asking; an unreachable service leaves the placeholder. */
static void ask_account(struct known *k, struct err *why)
{
	k->c.connect_timeout_ms = k->c.timeout_ms = ASK_MS;
	k->c.max_attempts = 1;
	struct aws *a = aws_new(&k->c, why);

	if (a && sts_identity(a, &k->id, NULL, why) == 0) {
		k->place.account = k->id.account;
		ask_role(k, a, why);
	}
	aws_free(a);
}

/* "arn:aws:iam::123456789012:role/NAME": the account of the role is the account. */
static bool account_of_role(struct known *k)
{
	const char *at = k->c.role ? strstr(k->c.role, ":iam::") : NULL;

	if (!at || strspn(at + 6, "0123456789") != 12)
		return false;
	snprintf(k->id.account, sizeof k->id.account, "%.12s", at + 6);
	k->place.account = k->id.account;
	return true;
}

static int find_out(int argc, char **argv, struct known *k, struct err *e)
{
	struct err why = {0};

	if (options_parse_source(argc, argv, "aws", &k->o, e) < 0)
		return -1;
	if (starts_with(k->o.source, "local"))
		return err_set(e, EINVAL,
			       "a local mount needs no permissions: name aws or aws:REGION");
	if (mount_configure(&k->o, &k->c, e) < 0)
		return -1;
	if (config_load(&k->c, &why) < 0 && k->c.region) {
		*e = why;
		return -1;
	}
	k->place = (struct policy_place){.region = k->c.region,
					 .bucket = k->c.bucket,
					 .prefix = k->c.prefix,
					 .role = k->c.role,
					 .kms_key = k->c.kms_key};
	if (!account_of_role(k) && k->c.region)
		ask_account(k, &why);
	if (why.no && k->c.region)
		fprintf(stderr, "sagemakerfs: %s\n", why.text);
	return 0;
}

static void say_what_is_missing(const struct policy_place *p, enum policy_level level)
{
	if (!p->region)
		fprintf(stderr,
			"sagemakerfs: put the region for REGION, or name it: doctor --policy ... "
			"aws:REGION\n");
	if (!p->account)
		fprintf(stderr, "sagemakerfs: put the account's number for ACCOUNT\n");
	if (!p->role && level == POLICY_DEPLOY)
		fprintf(stderr,
			"sagemakerfs: put the execution role's name, after its path, for ROLE, or name it: "
			"-o role=ARN\n");
}

static int add(cJSON *all, const char *name, cJSON *document)
{
	if (cJSON_AddItemToObject(all, name, document))
		return 0;
	cJSON_Delete(document);
	return -1;
}

static cJSON *make(const struct asked *a, const struct policy_place *p)
{
	_cleanup_json_ cJSON *all = cJSON_CreateObject();

	if (add(all, "user", policy_document(p, a->level)))
		return NULL;
	/* Only who deploys hands a role over. */
	if ((a->level == POLICY_DEPLOY || a->only) &&
	    (add(all, "role", policy_document(p, POLICY_ROLE)) ||
	     add(all, "trust", policy_trust())))
		return NULL;
	return a->only ? cJSON_DetachItemFromObject(all, a->only) : steal(all);
}

int policy_command(int argc, char **argv, struct err *e)
{
	_cleanup_(known_release)
	struct known k = {0};
	struct asked asked = {0};

	if (take_own(&argc, argv, &asked, e) < 0 || find_out(argc, argv, &k, e) < 0)
		return -1;
	_cleanup_json_ cJSON *document = make(&asked, &k.place);
	_cleanup_free_ char *text = document ? cJSON_Print(document) : NULL;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	say_what_is_missing(&k.place, asked.level);
	puts(text);
	return 0;
}
