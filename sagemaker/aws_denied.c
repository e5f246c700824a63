#include "sagemaker/aws_denied.h"

#include "sagemaker/policy.h"

/* Whether there is anything in the path below the bucket. */
static bool has_key(const struct aws_req *q)
{
	const char *at = q->path + 1;

	if (!q->host_prefix) {
		at += strcspn(at, "/");
		at += *at == '/';
	}
	return *at;
}

const char *aws_operation(const struct aws_service *s, const struct aws_req *q)
{
	if (q->operation || s != &AWS_S3)
		return q->operation;
	return policy_s3_operation(q->method, has_key(q), q->query);
}

/* "User: arn:... is not authorized to perform: sagemaker:ListEndpoints on resource: ... because ...": services say it so. */
static bool action_in_text(struct err *e)
{
	static const char mark[] = "not authorized to perform: ";
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *at = strstr(e->text, mark);

	if (!at)
		return false;
	at += strlen(mark);
	size_t service = strspn(at, letters);
	if (!service || at[service] != ':')
		return false;
	size_t n = service + 1 + strspn(at + service + 1, letters);
	if (n == service + 1 || n >= sizeof e->action)
		return false;
	memcpy(e->action, at, n);
	e->action[n] = '\0';
	return true;
}

void aws_denied(const struct aws_service *s, const char *operation, struct err *e)
{
	bool told = starts_with(e->code, "AccessDenied");
	/* A reply to HEAD has no words: it may be about the keys as well. */
	bool silent = !e->code[0] && e->http == 403;
	const char *action = policy_action(s->name, operation);

	if (!told && !silent)
		return;
	if (!action_in_text(e) && action)
		snprintf(e->action, sizeof e->action, "%s", action);
	if (e->action[0])
		err_append(e, told ? "missing permission: %s" : "is %s allowed?", e->action);
}
