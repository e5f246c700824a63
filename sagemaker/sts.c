#include "sagemaker/sts.h"

#include <errno.h>

#include "sagemaker/query.h"

#define RESULT "GetCallerIdentityResponse/GetCallerIdentityResult/"

static int on_identity(void *arg, const char *path, const char *text)
{
	struct identity *id = arg;

	if (streq(path, RESULT "Account"))
		query_take(id->account, sizeof id->account, text);
	else if (streq(path, RESULT "Arn"))
		query_take(id->arn, sizeof id->arn, text);
	return 0;
}

static int ask(struct aws *a, struct identity *out, time_t *date, struct cancel *c, struct err *e)
{
	struct query q = {.service = &AWS_STS,
			  .operation = "GetCallerIdentity",
			  .version = "2011-06-15",
			  .fn = on_identity,
			  .arg = out};

	q.date = date;
	*out = (struct identity){"", ""};
	if (query_run(a, &q, c, e))
		return err_prefix(e, "ask who these AWS keys belong to");
	if (strlen(out->account) != 12 || out->account[strspn(out->account, "0123456789")] ||
	    !out->arn[0])
		return err_set(e, EPROTO,
			       "ask who these AWS keys belong to: the reply names no account");
	return 0;
}

int sts_identity(struct aws *a, struct identity *out, struct cancel *c, struct err *e)
{
	return ask(a, out, NULL, c, e);
}

int sts_clock(struct aws *a, time_t *date, struct cancel *c, struct err *e)
{
	struct identity id;

	*date = 0;
	return ask(a, &id, date, c, e);
}
