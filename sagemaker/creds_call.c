#include <errno.h>
#include <time.h>

#include "build_config.h"
#include "sagemaker/aws_errors.h"
#include "sagemaker/aws_sign.h"
#include "sagemaker/creds_internal.h"
#include "sagemaker/hash.h"

#define MAX_REPLY ((size_t)256 << 10)

/* One call over its attempts. */
struct attempts {
	const struct fetch *f;
	const struct creds_call *q;
	struct host host;
	char *url;
	long long clock_offset;
	bool set_clock;
};

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
}

static int make_url(struct attempts *a, struct err *e)
{
	const struct creds_call *q = a->q;

	if (host_find(a->f->config, q->service, q->region, &a->host, e))
		return -1;
	a->url = str_printf("%s%s%s%s", a->host.url, q->path, q->query ? "?" : "",
			    q->query ? q->query : "");
	return a->url ? 0 : no_memory(e);
}

static int copy_headers(const struct creds_call *q, struct http_headers *h)
{
	for (size_t i = 0; q->headers && i < q->headers->n; i++) {
		if (http_header_add(h, q->headers->rows[i].name, q->headers->rows[i].value))
			return -1;
	}
	return 0;
}

static int sign(const struct attempts *a, const struct http_headers *plain,
		struct http_headers *out, struct err *e)
{
	unsigned char digest[SHA256_LEN];
	char payload[SHA256_HEX];

	sha256(a->q->body, a->q->body ? strlen(a->q->body) : 0, digest);
	hex(digest, sizeof digest, payload);
	const struct sign_input in = {
		.method = a->q->method,
		.url = a->url,
		.headers = plain,
		.payload = payload,
		.region = a->host.region,
		.service = service_key(a->q->service),
		.now = (int64_t)time(NULL) + a->clock_offset,
		.keys = a->q->keys,
	};
	return aws_sign(&in, out, e);
}

static int send_once(const struct attempts *a, struct http_resp *r, struct err *e)
{
	struct http_headers plain _cleanup_(http_headers_release) = {NULL, 0};
	struct http_headers signed_ _cleanup_(http_headers_release) = {NULL, 0};
	const struct creds_call *q = a->q;
	struct http_headers *h = q->keys ? &signed_ : &plain;

	if (copy_headers(q, &plain))
		return no_memory(e);
	if ((q->prepare && q->prepare(q->arg, a->url, &plain, e)) ||
	    (q->keys && sign(a, &plain, &signed_, e)))
		return -1;
	if (http_header_add(h, "User-Agent", "sagemakerfs/" SMFS_VERSION))
		return no_memory(e);
	const struct http_req request = {
		.method = q->method,
		.url = a->url,
		.headers = h,
		.body = q->body,
		.body_len = q->body ? strlen(q->body) : 0,
		.max_reply = MAX_REPLY,
		.cancel = a->f->cancel,
	};
	return http_exchange(a->f->http, &request, r, e);
}

/* The service refused our date: its own is the better clock, once. */
static bool take_clock(struct attempts *a, const struct http_resp *r)
{
	const char *date = http_header_get(&r->headers, "Date");
	struct tm tm = {0};

	if (a->set_clock || !date || !strptime(date, "%a, %d %b %Y %H:%M:%S", &tm))
		return false;
	a->set_clock = true;
	a->clock_offset = (long long)timegm(&tm) - (long long)time(NULL);
	return true;
}

static enum retry_class judge(const struct http_resp *r, int failed, struct err *e)
{
	static const int final[] = {ECANCELED, EFBIG, ENOMEM, EPROTO, EINVAL};

	if (!failed)
		return aws_error_read(r, e);
	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		if (e->no == final[i])
			return RETRY_NEVER;
	}
	return e->no == ETIMEDOUT ? RETRY_TIMEOUT : RETRY_TRANSIENT;
}

/* Whether to try again, after the pause that it takes. */
static bool goes_on(struct attempts *a, enum retry_class why, int tries, const struct http_resp *r)
{
	const struct config *c = a->f->config;
	const struct retry_rules *rules = c->new_retries ? &RETRY_2026 : &RETRY_STANDARD;
	int most = c->max_attempts ? c->max_attempts : rules->attempts;

	if (why == RETRY_CLOCK || why == RETRY_EXPIRED)
		return take_clock(a, r);
	if (why == RETRY_NEVER || why >= RETRY_PAID || tries >= most)
		return false;
	long delay = retry_delay(rules, why, tries - 1,
				 http_header_get(&r->headers, "x-amz-retry-after"));
	return !cancel_sleep(a->f->cancel, delay);
}

int creds_call(const struct fetch *f, const struct creds_call *q, struct http_resp *r,
	       struct err *e)
{
	struct attempts a = {.f = f, .q = q};
	int failed = make_url(&a, e);

	*r = (struct http_resp){0};
	for (int tries = 1; !failed; tries++) {
		resp_wipe(r);
		*r = (struct http_resp){0};
		failed = send_once(&a, r, e);
		if (!failed && r->status >= 200 && r->status <= 299)
			break;
		enum retry_class why = judge(r, failed, e);
		failed = goes_on(&a, why, tries, r) ? 0 : -1;
		if (failed && cancel_is_set(f->cancel))
			err_set(e, ECANCELED, "cancelled");
	}
	free(a.url);
	return failed;
}
