#include "sagemaker/aws.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <time.h>

#include "build_config.h"
#include "sagemaker/aws_denied.h"
#include "sagemaker/aws_judge.h"
#include "sagemaker/aws_retry.h"
#include "sagemaker/aws_sign.h"
#include "sagemaker/hash.h"
#include "sagemaker/json.h"

#define JSON_TYPE "application/x-amz-json-1.1"
#define SMALL_BODY \
 ((size_t)64 << 10) /* hashed in any case: cheap, and the signature then covers it */

const struct aws_service AWS_S3 = {"s3", "s3", SERVICE_S3, NULL, NULL};
const struct aws_service AWS_SAGEMAKER = {"sagemaker", "sagemaker", SERVICE_SAGEMAKER, "SageMaker",
					  JSON_TYPE};
const struct aws_service AWS_RUNTIME = {"sagemaker-runtime", "sagemaker", SERVICE_RUNTIME, NULL,
					NULL};
const struct aws_service AWS_STS = {"sts", "sts", SERVICE_STS, NULL, NULL};
const struct aws_service AWS_IAM = {"iam", "iam", SERVICE_IAM, NULL, NULL};
static const struct aws_service *const used[] = {&AWS_S3, &AWS_SAGEMAKER, &AWS_RUNTIME, &AWS_STS,
						 &AWS_IAM};

struct aws {
	const struct config *config;
	struct creds *creds;
	struct http *http;
	const struct retry_rules *rules;
	struct host host[SERVICES]; /* of those used */
	struct retry_quota quota[SERVICES];
	atomic_int notes[SERVICES]; /* aws_note */
	atomic_llong clock_offset;  /* seconds that the services' clocks are ahead of ours */
};

/* One call, over all its attempts. Owned by whoever works on it: aws_start, then the engine's thread. */
struct call {
	struct aws *a;
	const struct aws_service *s;
	struct aws_req q; /* its strings are the copies below */
	const char *operation;
	char *method, *url;
	struct http_headers headers;
	char payload[SHA256_HEX];
	char id[37];
	int attempt;            /* the one running, from 1 */
	int sends;              /* as http_resp.attempts, over all of them */
	int retries;            /* of those that were paid for */
	int paid;               /* what the last retry cost */
	long long clock_offset; /* the one that this attempt was signed with */
	bool signed_token;      /* and whether with a session token */
	char access[sizeof((struct keys *)0)->access]; /* and whose keys */
	struct creds_waiter waiter;                    /* for keys that are being fetched */
	struct err *no_keys;                           /* why there are none */
	bool read_keys_anew, set_clock;
	bool delivered; /* the caller has seen a part of a reply */
	aws_done_fn *done;
	void *arg;
};

static int find_hosts(struct aws *a, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		enum service id = used[i]->id;

		if (host_find(a->config, id, NULL, &a->host[id], e))
			return -1;
	}
	return 0;
}

struct aws *aws_new(const struct config *c, struct err *e)
{
	struct aws *a = calloc(1, sizeof *a);

	if (!a) {
		err_set(e, ENOMEM, "could not begin to talk to AWS: out of memory");
		return NULL;
	}
	a->config = c;
	a->rules = c->new_retries ? &RETRY_2026 : &RETRY_STANDARD;
	for (size_t i = 0; i < SERVICES; i++)
		retry_quota_init(&a->quota[i], a->rules);
	if (find_hosts(a, e)) {
		aws_free(a);
		return NULL;
	}
	a->http = http_new(c, e);
	a->creds = a->http ? creds_new(c, a->http, e) : NULL;
	if (!a->creds) {
		aws_free(a);
		return NULL;
	}
	return a;
}

void aws_free(struct aws *a)
{
	if (!a)
		return;
	if (a->creds)
		creds_stop(a->creds);
	http_free(a->http);
	creds_free(a->creds);
	for (size_t i = 0; i < SERVICES; i++)
		retry_quota_release(&a->quota[i]);
	free(a);
}

const struct config *aws_config(const struct aws *a)
{
	return a->config;
}

struct creds *aws_creds(struct aws *a)
{
	return a->creds;
}

atomic_int *aws_note(struct aws *a, enum service s)
{
	return &a->notes[s];
}

const struct host *aws_host(const struct aws *a, enum service s)
{
	return &a->host[s];
}

bool aws_path_style(const struct aws *a, const char *bucket)
{
	return host_path_style(&a->host[SERVICE_S3], bucket);
}

/* Beginning a call ------------------------------------------------------------------------- */

static char *make_url(const struct aws *a, const struct aws_service *s, const struct aws_req *q)
{
	struct buf url = BUF_INIT((size_t)64 << 10);

	if (q->host ? buf_printf(&url, "https://%s", q->host)
		    : host_put(&a->host[s->id], q->host_prefix, &url))
		return NULL;
	buf_str(&url, q->path);
	if (q->query && *q->query)
		buf_printf(&url, "?%s", q->query);
	if (url.failed) {
		buf_release(&url);
		return NULL;
	}
	return buf_steal(&url);
}

/* Large bodies for S3 carry a signed checksum header instead of a hash in the signature, where nobody can change them on
 * their way: under TLS and on loopback. */
static void choose_payload(struct call *c)
{
	bool safe = starts_with(c->url, "https://") || config_is_loopback(c->url);
	unsigned char digest[SHA256_LEN];

	if (c->q.payload_hash) {
		snprintf(c->payload, sizeof c->payload, "%s", c->q.payload_hash);
	} else if (c->s == &AWS_S3 && c->q.body_len > SMALL_BODY && safe) {
		snprintf(c->payload, sizeof c->payload, "UNSIGNED-PAYLOAD");
	} else {
		sha256(c->q.body, c->q.body_len, digest);
		hex(digest, sizeof digest, c->payload);
	}
	c->q.payload_hash = c->payload;
}

static int copy_headers(struct call *c)
{
	const struct http_headers *given = c->q.headers;

	for (size_t i = 0; given && i < given->n; i++) {
		if (http_header_add(&c->headers, given->rows[i].name, given->rows[i].value))
			return -1;
	}
	c->q.headers = NULL;
	if (c->s != &AWS_S3)
		return 0;
	return http_header_add(&c->headers, "X-Amz-Content-SHA256", c->payload);
}

static void call_free(struct call *c)
{
	http_headers_release(&c->headers);
	cancel_unref(c->q.cancel);
	free(c->no_keys);
	free(c->method);
	free(c->url);
	free(c);
}

/* A version 4 UUID, as AWS's SDKs send it. */
static void make_id(char out[37])
{
	unsigned char raw[16] = {0};
	char text[33];

	(void)!getrandom(raw, sizeof raw, 0); /* only a name for the call: whatever comes will do */
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	hex(raw, sizeof raw, text);
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8, text + 12, text + 16,
		 text + 20);
}

static struct call *call_new(struct aws *a, const struct aws_service *s, const struct aws_req *q)
{
	struct call *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->a = a;
	c->s = s;
	c->q = *q;
	c->operation = aws_operation(s, q);
	c->q.cancel = cancel_ref(q->cancel);
	make_id(c->id);
	c->method = strdup(q->method);
	c->url = make_url(a, s, q);
	if (c->url)
		choose_payload(c);
	if (!c->method || !c->url || copy_headers(c)) {
		call_free(c);
		return NULL;
	}
	return c;
}

/* One attempt ------------------------------------------------------------------------------ */

static int max_attempts(const struct aws *a)
{
	return a->config->max_attempts ? a->config->max_attempts : a->rules->attempts;
}

/* What says who asks and which attempt this is, unsigned: proxies may touch it. */
static int add_unsigned(const struct call *c, struct http_headers *h)
{
	char attempt[64];

	snprintf(attempt, sizeof attempt, "attempt=%d; max=%d", c->attempt, max_attempts(c->a));
	return http_header_add(h, "User-Agent", "sagemakerfs/" SMFS_VERSION) ||
			       http_header_add(h, "amz-sdk-invocation-id", c->id) ||
			       http_header_add(h, "amz-sdk-request", attempt)
		       ? -1
		       : 0;
}

static int sign(struct call *c, const struct keys *keys, struct http_headers *h, struct err *e)
{
	memcpy(c->access, keys->access, sizeof c->access);
	c->signed_token = keys->token[0] != '\0';
	c->clock_offset = atomic_load(&c->a->clock_offset);
	const struct sign_input in = {
		.method = c->method,
		.url = c->url,
		.headers = &c->headers,
		.payload = c->payload,
		.region = c->a->host[c->s->id].region,
		.service = c->s->signing,
		.now = (int64_t)time(NULL) + c->clock_offset,
		.keys = keys,
	};
	if (aws_sign(&in, h, e))
		return -1;
	return add_unsigned(c, h) ? err_set(e, ENOMEM, "could not sign the request: out of memory")
				  : 0;
}

static int call_on_reply(void *arg, const struct http_resp *r)
{
	struct call *c = arg;

	c->delivered = true;
	return c->q.on_reply ? c->q.on_reply(c->q.body_arg, r) : 0;
}

static int call_on_body(void *arg, const void *p, size_t n)
{
	struct call *c = arg;

	return c->q.on_body(c->q.body_arg, p, n);
}

static void on_attempt(void *arg, struct http_resp *r, const struct err *transport);

static int send_signed(struct call *c, const struct keys *keys, struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};

	c->attempt++;
	if (sign(c, keys, &headers, e))
		return -1;
	const struct http_req q = {
		.method = c->method,
		.url = c->url,
		.headers = &headers,
		.body = c->q.body,
		.body_len = c->q.body_len,
		.max_reply = c->q.max_reply,
		.silence_ms = c->q.silence_ms,
		.cancel = c->q.cancel,
		.no_resend = c->q.once_sent_never_again,
		.on_reply = c->q.on_reply || c->q.on_body ? call_on_reply : NULL,
		.on_body = c->q.on_body ? call_on_body : NULL,
		.body_arg = c,
		.paced = c->q.paced,
		.on_sent = c->q.on_sent,
		.sent_arg = c->q.sent_arg,
	};
	return http_start(c->a->http, &q, on_attempt, c, e);
}

static void on_keys(void *arg, const struct err *e);

/* 0: sent, or waiting for keys: the call is out of our hands either way. */
static int attempt(struct call *c, struct err *e)
{
	struct keys keys _cleanup_(keys_wipe) = {0};
	int r;

	do {
		r = creds_get(c->a->creds, &keys, e);
		if (r < 0) {
			e->keys = true;
			return -1;
		}
		c->waiter =
			(struct creds_waiter){.ready = on_keys, .arg = c, .cancel = c->q.cancel};
	} while (r > 0 && !creds_wait(c->a->creds, &c->waiter));
	return r > 0 ? 0 : send_signed(c, &keys, e);
}

static void call_finish(struct call *c, struct http_resp *r, struct err *e)
{
	if (e->no) {
		e->attempts = MAX(c->attempt, c->sends); /* curl sends again, too */
		aws_denied(c->s, c->operation, e);
	}
	r->attempts = c->sends;
	c->done(c->arg, r, e);
	call_free(c);
}

static void finish_without_reply(struct call *c, struct err *e)
{
	struct http_resp none = {0};

	call_finish(c, &none, e);
	http_resp_release(&none);
}

/* After an attempt ------------------------------------------------------------------------- */

static enum retry_class judge(const struct call *c, struct http_resp *r,
			      const struct err *transport, struct err *e)
{
	const struct aws_attempt a = {
		.method = c->method,
		.url = c->url,
		.region = c->a->config->region,
		.rules = c->a->rules,
		.once_sent_never_again = c->q.once_sent_never_again,
		.error_in_success = c->q.error_in_success,
		.delivered = c->delivered,
		.token = c->signed_token,
	};

	return aws_judge(&a, r, transport, e);
}

/* Compared with what this attempt was signed with: another call may have set the clock meanwhile. */
static bool take_clock(struct call *c, const struct http_resp *r)
{
	long long offset;

	if (c->set_clock || !aws_clock_differs(c->method, r, c->clock_offset, &offset))
		return false;
	c->set_clock = true;
	atomic_store(&c->a->clock_offset, offset);
	return true;
}

static bool take_keys(struct call *c)
{
	if (c->read_keys_anew)
		return false;
	c->read_keys_anew = true;
	creds_refused(c->a->creds, c->access);
	return true;
}

static void run_retry(void *arg)
{
	struct call *c = arg;
	struct err e = {0};

	if (cancel_is_set(c->q.cancel))
		err_set(&e, ECANCELED, "cancelled");
	else if (c->no_keys)
		e = *c->no_keys;
	else if (attempt(c, &e) == 0)
		return;
	finish_without_reply(c, &e);
}

/* On the thread that fetched them, or that cancelled: the engine's goes on. */
static void on_keys(void *arg, const struct err *e)
{
	struct call *c = arg;
	struct err why = {0};

	c->no_keys = e ? malloc(sizeof *e) : NULL;
	if (c->no_keys) {
		*c->no_keys = *e;
		c->no_keys->keys = true;
	}
	if ((e && !c->no_keys) || http_timer(c->a->http, 0, c->q.cancel, run_retry, c, NULL)) {
		err_set(&why, ENOMEM, "could not begin the call to %s: out of memory", c->s->name);
		finish_without_reply(c, &why);
	}
}

/* The causes of a refusal that can be put right are put right once each, at no cost. */
static bool put_right(struct call *c, enum retry_class why, const struct http_resp *r)
{
	return (why != RETRY_CREDENTIALS && take_clock(c, r)) ||
	       (why != RETRY_CLOCK && take_keys(c));
}

/* Whether the call goes on: it is then out of our hands. *e keeps the failure for when it does not. */
static bool goes_on(struct call *c, enum retry_class why, const struct http_resp *r)
{
	const struct retry_rules *rules = c->a->rules;
	long delay = 0;

	if (why == RETRY_NEVER)
		return false;
	if (why > RETRY_PAID) {
		if (!put_right(c, why, r))
			return false;
	} else {
		if (c->retries + 1 >= max_attempts(c->a))
			return false;
		c->paid = retry_take(&c->a->quota[c->s->id], rules, why);
		if (!c->paid)
			return false;
		delay = retry_delay(rules, why, c->retries++,
				    http_header_get(&r->headers, "x-amz-retry-after"));
	}
	return http_timer(c->a->http, delay, c->q.cancel, run_retry, c, NULL) == 0;
}

/* Keys that are no good any more, and their source had no others. */
static void say_whose(const struct call *c, struct err *e)
{
	_cleanup_buf_ struct buf from = BUF_INIT(0);

	if (creds_source(c->a->creds, &from, NULL) == 0)
		err_append(e, "the keys are those of %s", buf_cstr(&from));
}

static void on_attempt(void *arg, struct http_resp *r, const struct err *transport)
{
	struct call *c = arg;
	struct err e = {0};
	enum retry_class why = judge(c, r, transport, &e);

	c->sends += r->attempts;
	if (!e.no)
		retry_success(&c->a->quota[c->s->id], c->a->rules, c->paid);
	else if (goes_on(c, why, r))
		return;
	else if (why == RETRY_CREDENTIALS)
		say_whose(c, &e);
	call_finish(c, r, &e);
}

/* The interface ---------------------------------------------------------------------------- */

int aws_start(struct aws *a, const struct aws_service *s, const struct aws_req *q,
	      aws_done_fn *done, void *arg, struct err *e)
{
	struct call *c = call_new(a, s, q);

	if (!c)
		return err_set(e, ENOMEM, "could not begin the call to %s: out of memory", s->name);
	c->done = done;
	c->arg = arg;
	if (attempt(c, e) == 0)
		return 0;
	call_free(c);
	return -1;
}

int aws_raw(struct aws *a, const struct aws_service *s, const struct aws_req *q,
	    struct http_resp *r, struct err *e)
{
	struct http_waiter w = HTTP_WAITER_INIT(r);

	assert(!http_on_engine(a->http));
	*r = (struct http_resp){0};
	return aws_start(a, s, q, http_waiter_done, &w, e) ? -1 : http_waiter_wait(&w, e);
}

static int add_json_headers(const struct aws_service *s, const char *action, struct http_headers *h)
{
	char target[128];

	snprintf(target, sizeof target, "%s.%s", s->target_prefix, action);
	return http_header_add(h, "Content-Type", s->content_type) ||
			       http_header_add(h, "X-Amz-Target", target)
		       ? -1
		       : 0;
}

int aws_json(struct aws *a, const struct aws_service *s, const char *action, const cJSON *in,
	     struct cancel *cancel, cJSON **out, struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_free_ char *text = in ? cJSON_PrintUnformatted(in) : NULL;

	if (out)
		*out = NULL;
	if (!text || add_json_headers(s, action, &headers))
		return err_set(e, ENOMEM, "could not begin the call to %s: out of memory", s->name);
	const struct aws_req q = {.operation = action,
				  .method = "POST",
				  .path = "/",
				  .headers = &headers,
				  .body = text,
				  .body_len = strlen(text),
				  .error_in_success = true,
				  .cancel = cancel};
	if (aws_raw(a, s, &q, &r, e))
		return -1;
	/* Looked at in any case: what is no reply is no success. */
	_cleanup_json_ cJSON *o =
		r.body.len ? json_parse(r.body.data, r.body.len, e) : cJSON_CreateObject();
	if (!o)
		return -1;
	if (out)
		*out = steal(o);
	return 0;
}
