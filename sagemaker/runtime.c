#include "sagemaker/runtime.h"

#include <errno.h>

#include "sagemaker/json.h"
#include "sagemaker/sigv4.h"

#define SILENCE_MS 70000 /* a container may think for 60 s */

struct invocation {
	invoke_done_fn *done;
	void *arg;
};

/* ModelError: the container answered, and its status says whose fault it is. */
static void read_model_error(const struct http_resp *r, struct buf *container, struct err *e)
{
	_cleanup_json_ cJSON *o = json_parse(r->body.data, r->body.len, NULL);
	const char *text = json_text(o, "OriginalMessage");
	double status = json_number(o, "OriginalStatusCode");

	if (text)
		buf_str(container, text);
	e->no = status >= 400 && status < 500 ? EBADMSG : EREMOTEIO;
	if (strstr(e->text, "timed out while waiting"))
		e->no = ETIMEDOUT;
}

/* Where InvokeEndpoint means something else by a code or status than other calls do. */
static void refine(const struct http_resp *r, struct buf *container, struct err *e)
{
	if (streq(e->code, "ModelError") || e->http == 424)
		read_model_error(r, container, e);
	else if (e->http == 530)
		e->no = EREMOTEIO;
}

static void on_reply(void *arg, struct http_resp *r, const struct err *e)
{
	_cleanup_buf_ struct buf container = BUF_INIT(RUNTIME_MAX_BODY);
	struct invocation *i = arg;
	struct err own = *e;

	if (own.no)
		refine(r, &container, &own);
	i->done(i->arg, r, &container, &own);
	free(i);
}

static int add_headers(const struct invoke_req *q, struct http_headers *h)
{
	if (q->content_type && http_header_add(h, "Content-Type", q->content_type))
		return -1;
	return q->accept ? http_header_add(h, "Accept", q->accept) : 0;
}

int runtime_invoke(struct aws *a, const struct invoke_req *q, invoke_done_fn *done, void *arg,
		   struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};
	_cleanup_buf_ struct buf path = BUF_INIT(0);
	_cleanup_free_ struct invocation *i = calloc(1, sizeof *i);
	long configured = aws_config(a)->timeout_ms;

	buf_str(&path, "/endpoints/");
	if (!i || uri_encode(q->endpoint, strlen(q->endpoint), false, &path) ||
	    buf_str(&path, "/invocations") || add_headers(q, &headers))
		return err_set(e, ENOMEM, "could not invoke '%s': out of memory", q->endpoint);
	if (q->body_len > RUNTIME_MAX_BODY)
		return err_set(e, EFBIG, "the request has %zu bytes, an endpoint takes at most %d",
			       q->body_len, RUNTIME_MAX_BODY);
	const struct aws_req request = {
		.operation = "InvokeEndpoint",
		.method = "POST",
		.path = buf_cstr(&path),
		.headers = &headers,
		.body = q->body_len ? q->body : "",
		.body_len = q->body_len,
		.max_reply = (size_t)RUNTIME_MAX_BODY *
			     2, /* error replies wrap the container's text in JSON */
		.silence_ms = configured ? configured : SILENCE_MS,
		.cancel = q->cancel,
		.once_sent_never_again = true,
	};
	*i = (struct invocation){done, arg};
	if (aws_start(a, &AWS_RUNTIME, &request, on_reply, i, e))
		return -1;
	(void)steal(i);
	return 0;
}
