#include "sagemaker/aws_sign.h"

#include <errno.h>
#include <time.h>

#define MAX_ROWS 48

/* The parts of an URL that are signed apart. */
struct url_parts {
	struct buf host, path;
	const char *query;
};

static int split_url(const char *url, struct url_parts *p)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	const char *path = host + strcspn(host, "/?");
	size_t path_len = strcspn(path, "?");

	p->query = path[path_len] ? path + path_len + 1 : "";
	if (buf_add(&p->host, host, (size_t)(path - host)))
		return -1;
	return path_len ? buf_add(&p->path, path, path_len) : buf_char(&p->path, '/');
}

static int add_date(const struct sign_input *in, char date[32], struct http_headers *out)
{
	time_t now = (time_t)in->now;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, 32, "%Y%m%dT%H%M%SZ", &tm);
	return http_header_add(out, "X-Amz-Date", date);
}

static int add_all(const struct sign_input *in, const char *host, char date[32],
		   struct http_headers *out)
{
	if (http_header_add(out, "Host", host) || add_date(in, date, out))
		return -1;
	if (in->keys->token[0] && http_header_add(out, "X-Amz-Security-Token", in->keys->token))
		return -1;
	for (size_t i = 0; i < in->headers->n; i++) {
		if (http_header_add(out, in->headers->rows[i].name, in->headers->rows[i].value))
			return -1;
	}
	return 0;
}

static int add_authorization(const struct sign_input *in, const struct sig_request *q,
			     const char *date, struct http_headers *out, struct err *e)
{
	const struct sig_scope scope = {date, in->region, in->service};
	_cleanup_buf_ struct buf value = BUF_INIT(0);

	if (sigv4_authorization(q, &scope, in->keys, &value, e))
		return -1;
	return http_header_add(out, "Authorization", buf_cstr(&value))
		       ? err_set(e, ENOMEM, "could not sign the request: out of memory")
		       : 0;
}

int aws_sign(const struct sign_input *in, struct http_headers *out, struct err *e)
{
	struct url_parts url = {BUF_INIT(0), BUF_INIT(0), ""};
	struct sig_pair rows[MAX_ROWS];
	char date[32];
	int r = -1;

	if (split_url(in->url, &url) || add_all(in, buf_cstr(&url.host), date, out)) {
		err_set(e, ENOMEM, "could not sign the request: out of memory");
	} else if (out->n > MAX_ROWS) {
		err_set(e, E2BIG, "could not sign the request: it has more than %d headers",
			MAX_ROWS);
	} else {
		for (size_t i = 0; i < out->n; i++)
			rows[i] = (struct sig_pair){out->rows[i].name, out->rows[i].value};
		const struct sig_request q = {
			in->method,  buf_cstr(&url.path),      url.query, rows, out->n,
			in->payload, !streq(in->service, "s3")};
		r = add_authorization(in, &q, date, out, e);
	}
	buf_release(&url.host);
	buf_release(&url.path);
	return r;
}
