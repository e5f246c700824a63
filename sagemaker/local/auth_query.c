/*
 * Presigned URLs. Version 4: S3's "Authenticating requests: using query parameters". Version 2: "Signing and authenticating REST
 * requests" as botocore's HmacV1QueryAuth makes it, which is what boto3 presigns with unless its configuration says s3v4.
 */
#include <microhttpd.h>
#include <strings.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/auth_internal.h"
#include "sagemaker/sigv4.h"

#define MAX_EXPIRES 604800 /* a week */
#define MAX_SKEW    900
#define MAX_CUSTOM  64 /* x-amz-* headers of a request */

enum auth_kind auth_query_kind(const struct request *r)
{
	if (request_arg(r, "X-Amz-Algorithm") || request_arg(r, "X-Amz-Signature"))
		return AUTH_QUERY;
	return request_arg(r, "AWSAccessKeyId") && request_arg(r, "Signature") ? AUTH_QUERY_V2
									       : AUTH_NONE;
}

static bool refuse(struct request *r, const char *text)
{
	reply_error(r, 400, "AuthorizationQueryParametersError", "%s", text);
	return false;
}

static bool read_v2(struct request *r)
{
	struct auth *a = &r->auth;

	if (!request_arg(r, "Expires")) {
		reply_error(r, 403, "AccessDenied",
			    "Query-string authentication requires the Signature, Expires and "
			    "AWSAccessKeyId parameters");
		return false;
	}
	snprintf(a->access_key, sizeof a->access_key, "%s", request_arg(r, "AWSAccessKeyId"));
	snprintf(a->service, sizeof a->service, "s3");
	snprintf(a->payload, sizeof a->payload, "UNSIGNED-PAYLOAD");
	return true;
}

static bool has_all(const struct request *r)
{
	static const char *const names[] = {"X-Amz-Algorithm",     "X-Amz-Credential",
					    "X-Amz-Signature",     "X-Amz-Date",
					    "X-Amz-SignedHeaders", "X-Amz-Expires"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!request_arg(r, names[i]))
			return false;
	}
	return true;
}

static bool copy_arg(const struct request *r, const char *name, char *out, size_t size)
{
	const char *v = request_arg(r, name);

	return copy_text(out, size, v, strlen(v)) && *out;
}

static bool check_expires(struct request *r)
{
	const char *text = request_arg(r, "X-Amz-Expires");
	char *end;
	long n = strtol(text, &end, 10);

	if ((end && *end) || end == text)
		return refuse(r, "X-Amz-Expires should be a number");
	if (n < 0)
		return refuse(r, "X-Amz-Expires must be non-negative");
	return n <= MAX_EXPIRES ||
	       refuse(r, "X-Amz-Expires must be less than a week (in seconds); that is, the given "
			 "X-Amz-Expires must be less than 604800 seconds");
}

bool auth_query_read(struct request *r)
{
	struct auth *a = &r->auth;
	const char *payload = request_arg(r, "X-Amz-Content-Sha256");

	r->protocol = PROTO_S3; /* for the refusal */
	if (a->kind == AUTH_QUERY_V2)
		return read_v2(r);
	if (!has_all(r))
		return refuse(r,
			      "Query-string authentication version 4 requires the X-Amz-Algorithm, "
			      "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, "
			      "and X-Amz-Expires parameters.");
	if (!streq(request_arg(r, "X-Amz-Algorithm"), "AWS4-HMAC-SHA256"))
		return refuse(r, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
	if (!auth_credential(a, request_arg(r, "X-Amz-Credential")))
		return refuse(
			r,
			"Error parsing the X-Amz-Credential parameter; the Credential is "
			"mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
	if (!copy_arg(r, "X-Amz-Date", a->date, sizeof a->date) || auth_date(a->date) == -1)
		return refuse(
			r,
			"X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
	if (!copy_arg(r, "X-Amz-SignedHeaders", a->signed_headers, sizeof a->signed_headers) ||
	    !copy_arg(r, "X-Amz-Signature", a->signature, sizeof a->signature))
		return refuse(r, "X-Amz-SignedHeaders or X-Amz-Signature is malformed");
	if (!*a->payload &&
	    !copy_text(a->payload, sizeof a->payload, text_or(payload, "UNSIGNED-PAYLOAD"),
		       strlen(text_or(payload, "UNSIGNED-PAYLOAD"))))
		return refuse(r, "X-Amz-Content-Sha256 is malformed");
	return check_expires(r);
}

bool auth_query_fresh(struct request *r)
{
	const struct auth *a = &r->auth;
	bool v2 = a->kind == AUTH_QUERY_V2;
	time_t now = time(NULL), from = v2 ? 0 : auth_date(a->date);
	char *end = NULL;
	time_t until = v2 ? strtol(request_arg(r, "Expires"), &end, 10)
			  : from + strtol(request_arg(r, "X-Amz-Expires"), NULL, 10);

	if (end && *end)
		reply_error(r, 403, "AccessDenied", "Invalid date (should be seconds since epoch)");
	else if (from > now + MAX_SKEW)
		reply_error(r, 403, "AccessDenied", "Request is not yet valid");
	else if (now > until)
		reply_error(r, 403, "AccessDenied", "Request has expired");
	else
		return true;
	return false;
}

/* Clients differ in what they encode on the wire; what is signed is each name and value encoded anew. */
static int put_pair(struct buf *out, const char *p, size_t n)
{
	_cleanup_buf_ struct buf name = BUF_INIT(8192), value = BUF_INIT((size_t)64 << 10);
	const char *eq = memchr(p, '=', n);
	size_t name_len = eq ? (size_t)(eq - p) : n;

	if (url_decode(p, name_len, true, &name) < 0 ||
	    (eq && url_decode(eq + 1, n - name_len - 1, true, &value) < 0) ||
	    (out->len && buf_char(out, '&') < 0) ||
	    uri_encode(buf_cstr(&name), name.len, false, out) < 0 || buf_char(out, '=') < 0)
		return -1;
	return uri_encode(buf_cstr(&value), value.len, false, out);
}

int auth_query_signed(const struct request *r, struct buf *out)
{
	static const char name[] = "X-Amz-Signature=";
	bool presigned = r->auth.kind == AUTH_QUERY;

	for (const char *p = r->query, *end; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '&');
		if (end == p || (presigned && starts_with(p, name)))
			continue;
		if (put_pair(out, p, (size_t)(end - p)) < 0)
			return -1;
	}
	return 0;
}

int auth_path_signed(const struct request *r, struct buf *out)
{
	_cleanup_buf_ struct buf path = BUF_INIT((size_t)64 << 10);

	if (r->protocol != PROTO_S3) /* encoded once more when it is signed */
		return buf_str(out, r->path);
	if (url_decode(r->path, strlen(r->path), false, &path) < 0)
		return -1;
	return uri_encode(buf_cstr(&path), path.len, true, out);
}

/* x-amz-* of a request: from its headers, and from the query, where botocore puts them. */
struct custom {
	struct {
		const char *name, *value;
	} rows[MAX_CUSTOM];

	size_t n;
};

static void add_custom(struct custom *c, const char *name, const char *value)
{
	if (strncasecmp(name, "x-amz-", 6) == 0 && c->n < MAX_CUSTOM) {
		c->rows[c->n].name = name;
		c->rows[c->n++].value = value;
	}
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	(void)kind;
	add_custom(arg, name, value);
	return MHD_YES;
}

static void put_lower(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_char(b, (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s));
}

/* Sorted by insertion: there are few. */
static void put_custom(const struct request *r, struct buf *b)
{
	struct custom c = {.n = 0};

	MHD_get_connection_values(r->conn, MHD_HEADER_KIND, take_header, &c);
	for (size_t i = 0; i < r->n_args; i++)
		add_custom(&c, r->args[i].name, r->args[i].value);
	for (size_t done = 0; done < c.n; done++) {
		size_t least = done;
		for (size_t i = done + 1; i < c.n; i++) {
			if (strcasecmp(c.rows[i].name, c.rows[least].name) < 0)
				least = i;
		}
		const char *name = c.rows[least].name, *value = c.rows[least].value;
		c.rows[least] = c.rows[done];
		put_lower(b, name);
		buf_printf(b, ":%s\n", value);
	}
}

/* Which arguments are part of the resource, in order (botocore's QSAOfInterest). */
static void put_resource(const struct request *r, struct buf *b)
{
	static const char *const names[] = {"accelerate",
					    "acl",
					    "analytics",
					    "cors",
					    "defaultObjectAcl",
					    "delete",
					    "inventory",
					    "lifecycle",
					    "location",
					    "logging",
					    "metrics",
					    "notification",
					    "object-lock",
					    "partNumber",
					    "policy",
					    "replication",
					    "requestPayment",
					    "response-cache-control",
					    "response-content-disposition",
					    "response-content-encoding",
					    "response-content-language",
					    "response-content-type",
					    "response-expires",
					    "restore",
					    "select",
					    "select-type",
					    "storageClass",
					    "tagging",
					    "torrent",
					    "uploadId",
					    "uploads",
					    "versionId",
					    "versioning",
					    "versions",
					    "website"};
	char sep = '?';

	if (r->virtual_host)
		buf_printf(b, "/%s", r->bucket);
	buf_str(b, r->path);
	if (!r->virtual_host && r->path[0] && r->path[1] && !strchr(r->path + 1, '/'))
		buf_char(
			b,
			'/'); /* a bucket is signed with a slash at its end, whatever the URL has */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = request_arg(r, names[i]);
		if (!value)
			continue;
		buf_printf(b, "%c%s%s%s", sep, names[i], *value ? "=" : "", value);
		sep = '&';
	}
}

static const char *header_or_arg(const struct request *r, const char *header, const char *arg)
{
	return text_or(request_header(r, header), text_or(request_arg(r, arg), ""));
}

bool auth_query_v2(struct request *r)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)64 << 10), expected = BUF_INIT(64);
	const char *given = request_arg(r, "Signature");
	unsigned char mac[20], diff = 0;

	buf_printf(&text, "%s\n%s\n%s\n%s\n", r->method,
		   header_or_arg(r, "Content-MD5", "content-md5"),
		   header_or_arg(r, "Content-Type", "content-type"), request_arg(r, "Expires"));
	put_custom(r, &text);
	put_resource(r, &text);
	hmac_sha1(r->auth.secret, strlen(r->auth.secret), buf_cstr(&text), text.len, mac);
	base64(mac, sizeof mac, &expected);
	size_t n = expected.len;
	if (text.failed || strlen(given) != n)
		return auth_refuse(r, AUTH_MISMATCH, NULL);
	for (size_t i = 0; i < n; i++)
		diff |= (unsigned char)(given[i] ^ expected.data[i]);
	return diff == 0 || auth_refuse(r, AUTH_MISMATCH, NULL);
}
