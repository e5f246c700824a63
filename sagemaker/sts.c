#include "sagemaker/sts.h"

#include <errno.h>

#include "sagemaker/json.h"
#include "sagemaker/sigv4.h"
#include "sagemaker/xml.h"

/* One call of the query protocol: a form goes out, XML comes back and is read by fn into arg. */
struct query {
	const struct aws_service *service;
	const char *form;
	xml_fn *fn;
	void *arg;
};

static int run(struct aws *a, const struct query *q, struct cancel *c, struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_http_resp_ = {0};
	const struct aws_req request = {.method = "POST",
					.path = "/",
					.headers = &headers,
					.body = q->form,
					.body_len = strlen(q->form),
					.cancel = c};

	if (http_header_add(&headers, "Content-Type",
			    "application/x-www-form-urlencoded; charset=utf-8"))
		return err_set(e, ENOMEM, "could not begin the call to %s: out of memory",
			       q->service->name);
	if (aws_raw(a, q->service, &request, &r, e))
		return -1;
	return xml_scan(r.body.data, r.body.len, q->fn, q->arg, e);
}

static void take(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", strlen(text) < size ? text : "");
}

static int on_identity(void *arg, const char *path, const char *text)
{
	struct identity *id = arg;

	if (streq(path, "GetCallerIdentityResponse/GetCallerIdentityResult/Account"))
		take(id->account, sizeof id->account, text);
	else if (streq(path, "GetCallerIdentityResponse/GetCallerIdentityResult/Arn"))
		take(id->arn, sizeof id->arn, text);
	return 0;
}

int sts_identity(struct aws *a, struct identity *out, struct cancel *c, struct err *e)
{
	const struct query q = {&AWS_STS, "Action=GetCallerIdentity&Version=2011-06-15",
				on_identity, out};

	*out = (struct identity){"", ""};
	if (run(a, &q, c, e))
		return err_prefix(e, "ask who these AWS keys belong to");
	if (strlen(out->account) != 12 || out->account[strspn(out->account, "0123456789")] ||
	    !out->arn[0])
		return err_set(e, EPROTO,
			       "ask who these AWS keys belong to: the reply names no account");
	return 0;
}

/* The role ------------------------------------------------------------------------------------ */

struct role {
	char arn[512];
	bool trusted;
};

static bool holds(const cJSON *text_or_list, const char *text)
{
	const cJSON *item;

	if (cJSON_IsString(text_or_list))
		return streq(text_or_list->valuestring, text);
	cJSON_ArrayForEach(item, text_or_list) {
		if (cJSON_IsString(item) && streq(item->valuestring, text))
			return true;
	}
	return false;
}

static bool statement_trusts(const cJSON *statement)
{
	const cJSON *principal = cJSON_GetObjectItemCaseSensitive(statement, "Principal");
	const cJSON *service = cJSON_GetObjectItemCaseSensitive(principal, "Service");
	const char *effect = json_text(statement, "Effect");

	return effect && streq(effect, "Allow") && holds(service, "sagemaker.amazonaws.com");
}

/* The trust policy comes as URL-encoded JSON; Statement is a list, or one statement by itself. */
static bool policy_trusts(const char *encoded)
{
	_cleanup_buf_ struct buf text = BUF_INIT(0);
	const cJSON *item;

	if (uri_decode(encoded, strlen(encoded), false, &text))
		return false;
	_cleanup_json_ cJSON *policy = json_parse(text.data, text.len, NULL);
	const cJSON *statements = cJSON_GetObjectItemCaseSensitive(policy, "Statement");
	if (cJSON_IsObject(statements))
		return statement_trusts(statements);
	cJSON_ArrayForEach(item, statements) {
		if (statement_trusts(item))
			return true;
	}
	return false;
}

static int on_role(void *arg, const char *path, const char *text)
{
	struct role *role = arg;

	if (streq(path, "GetRoleResponse/GetRoleResult/Role/Arn"))
		take(role->arn, sizeof role->arn, text);
	else if (streq(path, "GetRoleResponse/GetRoleResult/Role/AssumeRolePolicyDocument"))
		role->trusted = policy_trusts(text);
	return 0;
}

#define SET_A_ROLE "set one with -o role=ARN or SAGEMAKER_ROLE_ARN"

/* NAME of "arn:aws:sts::123456789012:assumed-role/NAME/SESSION"; false: the caller is no role. */
static bool role_name(const char *arn, char out[129])
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

static int look_up(struct aws *a, const char *name, char role[512], struct cancel *c, struct err *e)
{
	_cleanup_buf_ struct buf form = BUF_INIT(0);
	struct role found = {"", false};

	buf_str(&form, "Action=GetRole&Version=2010-05-08&RoleName=");
	if (uri_encode(name, strlen(name), false, &form))
		return err_set(e, ENOMEM, "could not begin the call to iam: out of memory");
	const struct query q = {&AWS_IAM, buf_cstr(&form), on_role, &found};
	if (run(a, &q, c, e)) {
		err_prefix(e, "no execution role: look up the caller's role '%s'", name);
		return err_append(e, SET_A_ROLE);
	}
	if (!found.arn[0] || !found.trusted)
		return err_set(
			e, EINVAL,
			"no execution role: the caller's role '%s' does not let sagemaker.amazonaws.com "
			"assume it; " SET_A_ROLE,
			name);
	memcpy(role, found.arn, sizeof found.arn);
	return 0;
}

/* What the user set: an ARN, or the name of a role of the caller's account. */
static int from_config(const char *set, const struct config *c, const struct identity *id,
		       char role[512], struct err *e)
{
	int n = starts_with(set, "arn:")
			? snprintf(role, 512, "%s", set)
			: snprintf(role, 512, "arn:%s:iam::%s:role/%s", config_partition(c->region),
				   id->account, set + (*set == '/'));

	if (n < 0 || n >= 512 || !strstr(role, ":role/"))
		return err_set(
			e, EINVAL,
			"'%.100s' is no execution role: it takes the form arn:aws:iam::ACCOUNT:role/NAME",
			set);
	return 0;
}

int sts_role(struct aws *a, const struct identity *id, char role[512], struct cancel *c,
	     struct err *e)
{
	const struct config *config = aws_config(a);
	char name[129];

	if (config->role)
		return from_config(config->role, config, id, role, e);
	if (!role_name(id->arn, name))
		return err_set(e, EINVAL, "no execution role: '%.200s' is not a role; " SET_A_ROLE,
			       id->arn);
	return look_up(a, name, role, c, e);
}
