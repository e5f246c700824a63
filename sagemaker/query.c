#include "sagemaker/query.h"

#include <errno.h>

#include "sagemaker/sigv4.h"

static int put_form(const struct query *q, struct buf *form)
{
	buf_printf(form, "Action=%s&Version=%s", q->operation, q->version);
	for (size_t i = 0; i < QUERY_PARAMETERS && q->parameters[i].name; i++) {
		const char *value = q->parameters[i].value;

		if (!value)
			continue;
		buf_printf(form, "&%s=", q->parameters[i].name);
		if (uri_encode(value, strlen(value), false, form))
			return -1;
	}
	return form->failed ? -1 : 0;
}

static void take_date(const struct http_resp *r, time_t *out)
{
	const char *date = http_header_get(&r->headers, "Date");
	struct tm tm = {0};

	if (out && date && strptime(date, "%a, %d %b %Y %H:%M:%S", &tm))
		*out = timegm(&tm);
}

int query_run(struct aws *a, const struct query *q, struct cancel *c, struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};
	struct http_resp r _cleanup_http_resp_ = {0};
	_cleanup_buf_ struct buf form = BUF_INIT(0);

	if (put_form(q, &form) ||
	    http_header_add(&headers, "Content-Type",
			    "application/x-www-form-urlencoded; charset=utf-8"))
		return err_set(e, ENOMEM, "could not begin the call to %s: out of memory",
			       q->service->name);
	const struct aws_req request = {.operation = q->operation,
					.method = "POST",
					.path = "/",
					.headers = &headers,
					.body = form.data,
					.body_len = form.len,
					.cancel = c};
	if (aws_raw(a, q->service, &request, &r, e))
		return -1;
	take_date(&r, q->date);
	return xml_scan(r.body.data, r.body.len, q->fn, q->arg, e);
}

void query_take(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", strlen(text) < size ? text : "");
}
