/* proxy_stream.c: InvokeEndpointWithResponseStream: what the container sends goes out as it comes, each piece an event. */
#include <errno.h>

#include "sagemaker/eventstream.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/proxy.h"
#include "sagemaker/local/stream.h"

#define TIMEOUT_MS  480000 /* a container has 8 minutes for a streamed answer */
#define EVENT_MOST  ((size_t)1 << 20)
#define ACCEPT_NAME "X-Amzn-SageMaker-Accept"

static int put_event(struct call *c, const struct eventstream_header *rows, size_t n_rows,
		     const void *payload, size_t n)
{
	_cleanup_buf_ struct buf event = BUF_INIT(EVENT_MOST);

	if (eventstream_put(&event, rows, n_rows, payload, n)) {
		errno = ENOMEM;
		return -1;
	}
	return stream_put(c->stream, event.data, event.len);
}

static int on_body(void *arg, const void *p, size_t n)
{
	static const struct eventstream_header rows[] = {
		{":event-type",   "PayloadPart"             },
		{":content-type", "application/octet-stream"},
		{":message-type", "event"                   },
	};

	return put_event(arg, rows, ARRAY_SIZE(rows), p, n);
}

/* The container's status and headers are there: ours go out, and from here on failures are events. */
static int on_head(void *arg, const struct http_resp *resp)
{
	struct call *c = arg;
	const char *type = http_header_get(&resp->headers, "Content-Type");
	const char *custom = http_header_get(&resp->headers, "X-Amzn-SageMaker-Custom-Attributes");

	c->stream = stream_new(c->r->conn);
	if (!c->stream) {
		errno = ENOMEM;
		return -1;
	}
	reply_status(c->r, 200);
	c->r->reply.stream = stream_ref(c->stream);
	reply_header(c->r, "Content-Type", "application/vnd.amazon.eventstream");
	if (type)
		reply_header(c->r, "X-Amzn-SageMaker-Content-Type", "%s", type);
	reply_header(c->r, "x-Amzn-Invoked-Production-Variant", "%s", c->target.variant);
	if (custom)
		reply_header(c->r, "X-Amzn-SageMaker-Custom-Attributes", "%s", custom);
	request_done(c->r);
	return 0;
}

static void put_failure(struct call *c, const struct err *e)
{
	static const struct eventstream_header rows[] = {
		{":exception-type", "ModelStreamError"},
		{":content-type",   "application/json"},
		{":message-type",   "exception"       },
	};
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	bool late = e->no == ETIMEDOUT;

	cJSON_AddStringToObject(j, "Message", late ? proxy_timeout : e->text);
	cJSON_AddStringToObject(j, "ErrorCode",
				late ? "ModelInvocationTimeExceeded" : "StreamBroken");
	char *text = cJSON_PrintUnformatted(j);
	if (text && put_event(c, rows, ARRAY_SIZE(rows), text, strlen(text)))
		errno = 0; /* the client has gone: nobody to tell */
	cJSON_free(text);
}

static void on_end(void *arg, struct http_resp *resp, const struct err *e)
{
	struct call *c = arg;

	proxy_answered(c, resp, e);
	if (!c->stream) {
		if (!proxy_failed(c, resp, e)) /* unreachable: a success has begun a stream */
			reply_error(c->r, 500, "InternalFailure", "the answer did not begin");
	} else {
		if (e->no)
			put_failure(c, e);
		stream_end(c->stream);
	}
	proxy_end(c);
}

static void invoke(struct call *c)
{
	struct http_req q = {.timeout_ms = TIMEOUT_MS,
			     .silence_ms = TIMEOUT_MS,
			     .on_reply = on_head,
			     .on_body = on_body,
			     .body_arg = c};

	proxy_forward(c, ACCEPT_NAME, &q, on_end);
}

void rt_invoke_stream(struct request *r)
{
	proxy_call(r, invoke);
}
