/*
 * usage: call_driver identity|invoke [allow_http]
 * One signed call with the settings of the environment: "ok WHAT" or "refused ERRNO: WHY".
 */
#include "sagemaker/aws.h"
#include "sagemaker/sts.h"

static int identity(struct aws *a, struct buf *out, struct err *e)
{
	struct identity id;

	return sts_identity(a, &id, NULL, e) ? -1 : buf_str(out, id.arn);
}

/* A request that must not be sent twice. */
static int invoke(struct aws *a, struct buf *out, struct err *e)
{
	static const char body[] = "[1]";
	struct http_resp r _cleanup_http_resp_ = {0};
	const struct aws_req q = {.method = "POST",
				  .path = "/endpoints/iris/invocations",
				  .body = body,
				  .body_len = sizeof body - 1,
				  .once_sent_never_again = true};

	return aws_raw(a, &AWS_RUNTIME, &q, &r, e) ? -1 : buf_printf(out, "HTTP %ld", r.status);
}

static int run(const char *what, bool allow_http, struct buf *out, struct err *e)
{
	struct config c _cleanup_(config_release) = {.allow_http = allow_http};

	if (config_load(&c, e))
		return -1;
	struct aws *a = aws_new(&c, e);
	if (!a)
		return -1;
	int rc = streq(what, "invoke") ? invoke(a, out, e) : identity(a, out, e);
	aws_free(a);
	return rc;
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct buf out = BUF_INIT(0);
	struct err e = {0};

	if (argc < 2)
		return 2;
	if (run(argv[1], argc > 2, &out, &e) == 0)
		printf("ok %s\n", buf_cstr(&out));
	else
		printf("refused %s: %s\n", strerrorname_np(e.no), e.text);
	return 0;
}
