#include "sagemaker/aws_judge.h"

#include <errno.h>
#include <time.h>

#define SKEW_S       60  /* a clock this far off is worth a correction */
#define REFUSED_AT_S 300 /* and from here on, services refuse a date */

/* What to do next, where that is known. */
static void advise(const struct aws_attempt *a, bool may_have_acted, struct err *e)
{
	if (e->no == ECANCELED)
		return;
	if (may_have_acted)
		err_append(e, "the request may have been acted on, so it was not sent again");
	else if (e->no == ECONNREFUSED && config_is_loopback(a->url))
		err_append(e, "is the local backend running?");
	else if (e->no == EHOSTUNREACH)
		err_append(e, "check the network, and the region '%s'", a->region);
	else if (e->no == EPROTO)
		err_append(e, "check AWS_CA_BUNDLE, AWS_ENDPOINT_URL and the proxy's settings");
}

static enum retry_class judge_transport(const struct aws_attempt *a, const struct http_resp *r,
					struct err *e)
{
	static const int final[] = {ECANCELED, EFBIG, ENOMEM, ENOSPC, EDQUOT, EACCES};
	bool may_have_acted = a->once_sent_never_again && r->sent > 0;

	e->http = r->status >= 300 ? r->status : 0;
	advise(a, may_have_acted, e);
	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		if (e->no == final[i])
			return RETRY_NEVER;
	}
	/* A certificate that does not hold will not hold next time; an answer that is no HTTP may be of the moment. */
	if (a->delivered || may_have_acted || (e->no == EPROTO && !r->sent))
		return RETRY_NEVER;
	return e->no == ETIMEDOUT ? RETRY_TIMEOUT : RETRY_TRANSIENT;
}

/* The reply to a HEAD has no body, so no code: a date that is refused is a bare 403, an expired token a bare 400; another region
 * is a 400 too, but names itself. */
static enum retry_class judge_head(const struct aws_attempt *a, const struct http_resp *r,
				   const struct err *e, enum retry_class why)
{
	const char *region = http_header_get(&r->headers, "x-amz-bucket-region");

	if (!streq(a->method, "HEAD") || e->code[0])
		return why;
	if (e->http == 403)
		return RETRY_CLOCK;
	return e->http == 400 && a->token && (!region || streq(region, a->region))
		       ? RETRY_CREDENTIALS
		       : why;
}

static bool succeeded(const struct http_resp *r)
{
	return r->status >= 200 && r->status <= 299;
}

/* Under these statuses a web page is no word of the service's: what was asked for was neither done nor is it missing. */
static bool page_instead(const struct aws_attempt *a, const struct http_resp *r)
{
	return (r->status == 404 || (succeeded(r) && a->error_in_success)) && aws_page(r);
}

/* What an answer says that is no success. */
static enum retry_class read_refusal(const struct aws_attempt *a, struct http_resp *r,
				     struct err *e)
{
	bool page = page_instead(a, r);

	if (page || succeeded(r))
		r->status = 500;
	enum retry_class why = aws_error_read(r, e);
	if (page)
		snprintf(
			e->text, sizeof e->text,
			"a web page came instead of the service's reply: a proxy's, or another server's");
	return judge_head(a, r, e, why);
}

enum retry_class aws_judge(const struct aws_attempt *a, struct http_resp *r,
			   const struct err *transport, struct err *e)
{
	enum retry_class why;

	if (transport->no) {
		*e = *transport;
		return judge_transport(a, r, e);
	}
	if (succeeded(r) && (!a->error_in_success || !aws_error_in_success(r)))
		return RETRY_NEVER;
	why = read_refusal(a, r, e);
	if (why == RETRY_CROWDED)
		why = a->rules->crowd_is_429 ? RETRY_THROTTLED : RETRY_NEVER;
	if (a->once_sent_never_again && why < RETRY_PAID && why != RETRY_THROTTLED &&
	    r->status != 503)
		return RETRY_NEVER;
	return why;
}

/* The service refused our date: its own, from the reply, is the better clock. A HEAD's refusal does not say that it was the date. */
bool aws_clock_differs(const char *method, const struct http_resp *r, long long with,
		       long long *offset)
{
	long long least = streq(method, "HEAD") ? REFUSED_AT_S : SKEW_S;
	const char *date = http_header_get(&r->headers, "Date");
	struct tm tm = {0};

	if (!date || !strptime(date, "%a, %d %b %Y %H:%M:%S", &tm))
		return false;
	*offset = (long long)timegm(&tm) - (long long)time(NULL);
	return llabs(*offset - with) >= least;
}
