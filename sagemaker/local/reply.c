#include <errno.h>
#include <stdarg.h>

#include "sagemaker/local/json_cbor.h"
#include "sagemaker/local/request.h"

void reply_status(struct request *r, unsigned status)
{
	reply_release(&r->reply);
	r->reply.status = status;
}

static struct reply_header *next_header(struct reply *p)
{
	if (p->n_headers == p->cap_headers) {
		size_t cap = p->cap_headers ? p->cap_headers * 2 : 16;
		struct reply_header *more = realloc(p->headers, cap * sizeof *more);
		if (!more)
			return NULL;
		p->headers = more;
		p->cap_headers = cap;
	}
	return &p->headers[p->n_headers];
}

void reply_header(struct request *r, const char *name, const char *fmt, ...)
{
	struct buf b = BUF_INIT(8192);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	struct reply_header *h = b.failed ? NULL : next_header(&r->reply);
	if (h) {
		*h = (struct reply_header){strdup(name), buf_steal(&b)};
		r->reply.n_headers += h->name && h->value;
	}
	buf_release(&b);
}

void reply_body(struct request *r, unsigned status, const char *type, struct buf *b)
{
	reply_status(r, status);
	r->reply.body = *b;
	*b = (struct buf)BUF_INIT(b->max);
	reply_header(r, "Content-Type", "%s", type);
}

void reply_json(struct request *r, cJSON *j)
{
	_cleanup_json_ cJSON *owned = j;
	char *text = owned ? cJSON_PrintUnformatted(owned) : NULL;

	if (!text) {
		reply_error(r, 500, "InternalFailure", "out of memory");
		return;
	}
	struct buf b = BUF_INIT((size_t)16 << 20);
	buf_str(&b, text);
	cJSON_free(text);
	reply_body(r, 200, "application/x-amz-json-1.1", &b);
	buf_release(&b);
}

void xml_text(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (s[i]) {
		case '&':
			buf_str(out, "&amp;");
			break;
		case '<':
			buf_str(out, "&lt;");
			break;
		case '>':
			buf_str(out, "&gt;");
			break;
		case '"':
			buf_str(out, "&quot;");
			break;
		default:
			if ((unsigned char)s[i] < ' ')
				buf_printf(out, "&#x%x;", (unsigned)s[i]);
			else
				buf_char(out, s[i]);
		}
	}
}

/* Well-formed UTF-8 (Unicode, table 3-7): by first byte, how long, and what the second byte may be. */
static const struct {
	unsigned char first, last; /* of the first byte */
	unsigned char len;
	unsigned char low, high; /* of the second */
} utf8_rows[] = {
	{0x00, 0x7f, 1, 0,    0   },
        {0xc2, 0xdf, 2, 0x80, 0xbf},
        {0xe0, 0xe0, 3, 0xa0, 0xbf},
	{0xe1, 0xec, 3, 0x80, 0xbf},
        {0xed, 0xed, 3, 0x80, 0x9f},
        {0xee, 0xef, 3, 0x80, 0xbf},
	{0xf0, 0xf0, 4, 0x90, 0xbf},
        {0xf1, 0xf3, 4, 0x80, 0xbf},
        {0xf4, 0xf4, 4, 0x80, 0x8f},
};

/* Length of the sequence at p, 0 when it is not well-formed. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t i = 0, len;

	while (i < ARRAY_SIZE(utf8_rows) && (p[0] < utf8_rows[i].first || p[0] > utf8_rows[i].last))
		i++;
	len = i < ARRAY_SIZE(utf8_rows) ? utf8_rows[i].len : 0;
	if (len > n || (len > 1 && (p[1] < utf8_rows[i].low || p[1] > utf8_rows[i].high)))
		return 0;
	for (size_t k = 2; k < len; k++) {
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool utf8_valid(const char *s, size_t n)
{
	size_t len = 1;

	for (size_t i = 0; i < n && len; i += len)
		len = utf8_len((const unsigned char *)s + i, n - i);
	return len > 0;
}

void utf8_clean(char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)s + i, n - i);
		bool control =
			len == 1 && (unsigned char)s[i] < ' ' && s[i] != '\n' && s[i] != '\t';
		if (!len || control || s[i] == 0x7f)
			s[i] = '?';
		i += len ? len : 1;
	}
}

/* Of a bucket, signed for another region than the backend's: clients sign anew for the one that the answer names. */
static bool s3_elsewhere(const struct request *r, const char *code)
{
	bool bucket = r->virtual_host || (*r->path == '/' && r->path[1]);

	return r->protocol == PROTO_S3 && bucket && *r->auth.region &&
	       streq(code, "AuthorizationHeaderMalformed") && !streq(r->auth.region, r->be->region);
}

static void s3_error(struct request *r, struct buf *b, const char *code, const char *text)
{
	buf_printf(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>",
		   code);
	xml_text(b, text, strlen(text));
	buf_str(b, "</Message><Resource>");
	xml_text(b, r->path, strlen(r->path));
	buf_str(b, "</Resource>");
	if (s3_elsewhere(r, code))
		buf_printf(b, "<Region>%s</Region>", r->be->region);
	buf_printf(b, "<RequestId>%s</RequestId><HostId>%s</HostId></Error>", r->id,
		   r->be->host_id);
}

static void query_error(struct request *r, struct buf *b, const char *code, const char *text)
{
	buf_str(b, "<ErrorResponse><Error><Type>Sender</Type><Code>");
	xml_text(b, code, strlen(code));
	buf_str(b, "</Code><Message>");
	xml_text(b, text, strlen(text));
	buf_printf(b, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>", r->id);
}

static void json_error(struct buf *b, const char *type_name, const char *code, const char *text)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (type_name)
		cJSON_AddStringToObject(j, type_name, code);
	cJSON_AddStringToObject(j, type_name ? "message" : "Message", text);
	char *s = cJSON_PrintUnformatted(j);
	buf_str(b, s ? s : "{}");
	cJSON_free(s);
}

static void cbor_error(struct buf *b, const char *code, const char *text)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "__type", code);
	cJSON_AddStringToObject(j, "message", text);
	if (cbor_from_json(j, b) < 0)
		buf_reset(b);
}

/* CloudWatch's model has names of its own for what the query protocol calls otherwise: SDKs look for their exceptions by them. */
static const char *modelled_name(const struct request *r, const char *code)
{
	static const struct {
		const char *code, *name;
	} rows[] = {
		{"InvalidParameterValue",       "InvalidParameterValueException"      },
		{"InvalidParameterCombination", "InvalidParameterCombinationException"},
		{"MissingParameter",            "MissingRequiredParameterException"   },
	};

	for (size_t i = 0; streq(r->auth.service, "monitoring") && i < ARRAY_SIZE(rows); i++) {
		if (streq(rows[i].code, code))
			return rows[i].name;
	}
	return code;
}

static void error_body(struct request *r, struct buf *b, const char *code, const char *text)
{
	switch (r->protocol) {
	case PROTO_S3:
		s3_error(r, b, code, text);
		return;
	case PROTO_QUERY:
		query_error(r, b, code, text);
		return;
	case PROTO_JSON:
		json_error(b, "__type", modelled_name(r, code), text);
		return;
	case PROTO_RUNTIME:
		json_error(b, NULL, code, text);
		return;
	case PROTO_CBOR:
		cbor_error(b, modelled_name(r, code), text);
		return;
	}
}

void reply_error(struct request *r, unsigned status, const char *code, const char *fmt, ...)
{
	static const char *const types[] = {
		[PROTO_S3] = "application/xml",       [PROTO_JSON] = "application/x-amz-json-1.1",
		[PROTO_RUNTIME] = "application/json", [PROTO_QUERY] = "text/xml",
		[PROTO_CBOR] = "application/cbor",
	};
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)128 << 10),
				 body = BUF_INIT((size_t)1 << 20);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (text.data)
		utf8_clean(text.data, text.len);
	error_body(r, &body, code, buf_cstr(&text));
	reply_body(r, status, types[r->protocol], &body);
	if (s3_elsewhere(r, code))
		reply_header(r, "x-amz-bucket-region", "%s", r->be->region);
	if (r->protocol == PROTO_RUNTIME)
		reply_header(r, "x-amzn-ErrorType",
			     "%s:http://internal.amazon.com/coral/com.amazon.sagemaker/", code);
	if (r->protocol == PROTO_CBOR)
		reply_header(r, "smithy-protocol", "rpc-v2-cbor");
	if (streq(r->auth.service, "monitoring")) /* what the query protocol calls it */
		reply_header(r, "x-amzn-query-error", "%s;%s", code,
			     status < 500 ? "Sender" : "Receiver");
	if (streq(r->method, "HEAD"))
		r->reply.no_body = true;
}

void reply_failure(struct request *r, const struct err *e)
{
	bool full = e->no == ENOSPC || e->no == EDQUOT;
	const char *code = r->protocol == PROTO_S3 ? "InternalError" : "InternalFailure";

	reply_error(r, full ? 507 : 500, full ? "InsufficientStorage" : code, "%s", e->text);
}
