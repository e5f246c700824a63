/* proxy.c: InvokeEndpoint: the request goes to the model server through the HTTP engine; no thread waits for it. */
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/metrics.h"
#include "sagemaker/local/proxy.h"
#include "sagemaker/local/stream.h"
#include "sagemaker/local/validate.h"

#define COLD_WAIT_MS   20
#define SERVERLESS_MAX ((size_t)4 << 20) /* bytes: AWS's limit both ways */
#define MESSAGE_MAX    16384             /* of the container's text inside Message */
#define ORIGINAL_MAX   ((size_t)1 << 20)

const char proxy_timeout[] =
	"Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each "
	"container in Amazon CloudWatch, resolve the issue, and try again.";

/* What AWS's API passes on, besides Accept; every other header is stripped. */
static const char *const passed[] = {
	"Content-Type",
	"X-Amzn-SageMaker-Custom-Attributes",
	"X-Amzn-SageMaker-Inference-Id",
};

static const char *const refused[] = {
	"X-Amzn-SageMaker-Target-Model",        "X-Amzn-SageMaker-Target-Container-Hostname",
	"X-Amzn-SageMaker-Enable-Explanations", "X-Amzn-SageMaker-Inference-Component",
	"X-Amzn-SageMaker-Session-Id",
};

static void model_error(struct call *c, long status, const char *code, const char *message,
			const struct buf *original)
{
	struct request *r = c->r;
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	_cleanup_buf_ struct buf body = BUF_INIT((size_t)16 << 20), text = BUF_INIT(ORIGINAL_MAX);
	char arn[256];

	if (original)
		buf_add(&text, buf_cstr(original), MIN(original->len, ORIGINAL_MAX));
	if (text.data)
		utf8_clean(text.data, strlen(text.data));
	snprintf(arn, sizeof arn,
		 "arn:aws:logs:%s:" LOCAL_ACCOUNT ":log-group:/aws/sagemaker/Endpoints/%s",
		 r->be->region, c->target.name);
	cJSON_AddStringToObject(j, "ErrorCode", code);
	cJSON_AddStringToObject(j, "LogStreamArn", arn);
	cJSON_AddStringToObject(j, "Message", message);
	cJSON_AddStringToObject(j, "OriginalMessage", buf_cstr(&text));
	cJSON_AddNumberToObject(j, "OriginalStatusCode", (double)status);
	char *s = cJSON_PrintUnformatted(j);
	buf_str(&body, s ? s : "{}");
	cJSON_free(s);
	reply_body(r, 424, "application/json", &body);
	reply_header(r, "x-amzn-ErrorType",
		     "ModelError:http://internal.amazon.com/coral/com.amazon.sagemaker/");
}

static void log_hint(const struct call *c, struct buf *out)
{
	const struct backend *be = c->r->be;

	buf_printf(
		out,
		"See https://%s.console.aws.amazon.com/cloudwatch/home?region=%s#logEventViewer:group=/aws/sagemaker/Endpoints/%s "
		"in account " LOCAL_ACCOUNT " for more information.",
		be->region, be->region, c->target.name);
}

static void container_error(struct call *c, const struct http_resp *resp)
{
	_cleanup_buf_ struct buf m = BUF_INIT((size_t)64 << 10);
	const char *side = resp->status < 500 ? "client" : "server";

	buf_printf(&m, "Received %s error (%ld) from primary with message \"", side, resp->status);
	buf_add(&m, buf_cstr(&resp->body), MIN(resp->body.len, (size_t)MESSAGE_MAX));
	buf_str(&m, "\". ");
	log_hint(c, &m);
	utf8_clean(m.data, m.len);
	model_error(c, resp->status,
		    resp->status < 500 ? "CLIENT_ERROR_FROM_MODEL" : "SERVER_ERROR_FROM_MODEL",
		    buf_cstr(&m), &resp->body);
}

static void transport_error(struct call *c, const struct err *e)
{
	_cleanup_buf_ struct buf m = BUF_INIT(8192);

	if (e->no == ECONNREFUSED || e->no == ECANCELED) {
		reply_error(c->r, 503, "ServiceUnavailable",
			    "The model server of endpoint %s cannot be reached: %s", c->target.name,
			    e->text);
		return;
	}
	if (e->no == ETIMEDOUT)
		buf_printf(&m, "Received server error (0) from model with message \"%s\". ",
			   proxy_timeout);
	else
		buf_str(&m,
			"Received server error (500) from primary and could not load the entire response body. ");
	log_hint(c, &m);
	model_error(c, e->no == ETIMEDOUT ? 0 : 500,
		    e->no == ETIMEDOUT ? "MODEL_INVOCATION_TIMEOUT" : "SERVER_ERROR_FROM_MODEL",
		    buf_cstr(&m), NULL);
}

static void pass_reply(struct call *c, struct http_resp *resp)
{
	const char *type = http_header_get(&resp->headers, "Content-Type");
	const char *custom = http_header_get(&resp->headers, "X-Amzn-SageMaker-Custom-Attributes");

	reply_status(c->r, 200);
	c->r->reply.body = resp->body;
	resp->body = (struct buf)BUF_INIT(resp->body.max);
	if (type)
		reply_header(c->r, "Content-Type", "%s", type);
	reply_header(c->r, "x-Amzn-Invoked-Production-Variant", "%s", c->target.variant);
	if (custom)
		reply_header(c->r, "X-Amzn-SageMaker-Custom-Attributes", "%s", custom);
}

bool proxy_failed(struct call *c, const struct http_resp *resp, const struct err *e)
{
	if (e->no)
		transport_error(c, e);
	else if (resp->status < 200 || resp->status > 299)
		container_error(c, resp);
	else
		return false;
	return true;
}

void proxy_answered(const struct call *c, const struct http_resp *resp, const struct err *e)
{
	metrics_invoked(c->be->metrics, &(struct invoked){.endpoint = c->target.name,
							  .variant = c->target.variant,
							  .instances = c->target.instances,
							  .status = e->no ? 0 : resp->status,
							  .model = time_mono() - c->sent,
							  .overhead = c->before});
}

void proxy_end(struct call *c)
{
	fleet_release(c->be->endpoints, &c->target);
	if (c->stream)
		stream_unref(c->stream);
	else
		request_done(c->r);
	free(c);
}

static void add_header(struct http_headers *h, const struct request *r, const char *from,
		       const char *to)
{
	const char *value = request_header(r, from);

	/* http_start copies them: no memory of ours is needed. */
	if (!value)
		return;
	memcpy(&h->rows[h->n].name, &to, sizeof to);
	memcpy(&h->rows[h->n++].value, &value, sizeof value);
}

void proxy_forward(struct call *c, const char *accept, struct http_req *q, http_done_fn *done)
{
	struct request *r = c->r;
	struct http_header rows[ARRAY_SIZE(passed) + 1];
	struct http_headers headers = {rows, 0};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		add_header(&headers, r, passed[i], passed[i]);
	add_header(&headers, r, accept, "Accept");
	q->method = "POST";
	q->url = c->target.url;
	q->headers = &headers;
	q->body = buf_cstr(&r->body);
	q->body_len = r->body.len;
	c->sent = time_mono();
	c->before = c->sent - r->began;
	if (http_start(r->be->http, q, done, c, &e) == 0)
		return;
	reply_failure(r, &e);
	proxy_end(c);
}

static bool headers_ok(struct request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (request_header(r, refused[i])) {
			reply_error(r, 400, "ValidationError",
				    "the local backend does not have what %s asks for", refused[i]);
			return false;
		}
	}
	return true;
}

static void refuse(const struct call *c, enum invokable why, const char *name, int n)
{
	switch (why) {
	case INVOKE_NO_VARIANT:
		reply_error(c->r, 400, "ValidationError", "Variant %s not found for Endpoint %s.",
			    text_or(request_header(c->r, "X-Amzn-SageMaker-Target-Variant"), ""),
			    c->target.name);
		return;
	case INVOKE_UNKNOWN:
		reply_error(c->r, 400, "ValidationError",
			    "Endpoint %.*s of account " LOCAL_ACCOUNT " not found.", n, name);
		return;
	case INVOKE_BUSY:
		reply_error(c->r, 400, "ThrottlingException", "Rate exceeded");
		return;
	case INVOKE_COLD:
		reply_error(c->r, 503, "ServiceUnavailable",
			    "The model server of endpoint %s did not get ready in time.",
			    c->target.name);
		return;
	case INVOKE_READY:
	case INVOKE_RESTARTING:
		reply_error(c->r, 503, "ServiceUnavailable",
			    "The model server of endpoint %s is being started again.",
			    c->target.name);
		return;
	}
}

static void seek(void *arg);

/* false: no timer. */
static bool wait_for_process(struct call *c)
{
	struct err e;

	return time_mono() < c->until &&
	       http_timer(c->be->http, COLD_WAIT_MS, NULL, seek, c, &e) == 0;
}

static bool body_fits(const struct call *c)
{
	if (c->r->body.len <= proxy_limit(c))
		return true;
	reply_error(c->r, 413, "RequestEntityTooLarge", "HTTP content length exceeded %zu bytes.",
		    proxy_limit(c));
	return false;
}

/* Finds a process, or comes back when there may be one. */
static void seek(void *arg)
{
	struct call *c = arg;
	const char *name = c->r->path + strlen("/endpoints/"), *end = strchrnul(name, '/');
	const char *variant = c->target.counted
				      ? c->target.variant
				      : request_header(c->r, "X-Amzn-SageMaker-Target-Variant");
	enum invokable found =
		fleet_target(c->be->endpoints, name, (size_t)(end - name), variant, &c->target);

	if (found == INVOKE_COLD && body_fits(c) && wait_for_process(c))
		return;
	if (found == INVOKE_READY && body_fits(c)) {
		c->go(c);
		return;
	}
	if (!c->r->reply.status)
		refuse(c, found, name, (int)(end - name));
	proxy_end(c);
}

size_t proxy_limit(const struct call *c)
{
	return c->target.serverless ? MIN(c->be->max_invoke, (size_t)SERVERLESS_MAX)
				    : c->be->max_invoke;
}

static bool may_call(struct request *r)
{
	const char *name = r->path + strlen("/endpoints/"), *end = strchrnul(name, '/');
	_cleanup_json_ cJSON *in =
		headers_ok(r) ? validate_headers(r, name, (size_t)(end - name)) : NULL;

	return in != NULL;
}

void proxy_call(struct request *r, void (*go)(struct call *c))
{
	struct call *c = may_call(r) ? calloc(1, sizeof *c) : NULL;

	if (!c) {
		if (!r->reply.status)
			reply_error(r, 500, "InternalFailure", "out of memory");
		request_done(r);
		return;
	}
	*c = (struct call){.be = r->be,
			   .r = r,
			   .go = go,
			   .until = time_mono() + r->be->options->serverless_wait};
	seek(c);
}

/* On the engine's thread. */
static void on_reply(void *arg, struct http_resp *resp, const struct err *e)
{
	struct call *c = arg;

	proxy_answered(c, resp, e);
	if (!proxy_failed(c, resp, e))
		pass_reply(c, resp);
	proxy_end(c);
}

static void invoke(struct call *c)
{
	struct http_req q = {.max_reply = proxy_limit(c),
			     .timeout_ms = (long)(c->be->options->invoke_timeout * 1e3)};

	proxy_forward(c, "Accept", &q, on_reply);
}

void rt_invoke(struct request *r)
{
	proxy_call(r, invoke);
}
