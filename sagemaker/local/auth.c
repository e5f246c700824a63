#include "sagemaker/local/auth_internal.h"

#include <microhttpd.h>
#include <strings.h>
#include <time.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/session.h"
#include "sagemaker/sigv4.h"

#define MAX_SKEW 900 /* seconds */

struct refusal {
	const char *s3, *json, *query; /* codes */
	unsigned s3_status;
	const char *text;
};

static const struct refusal refusals[N_AUTH_FAULTS] = {
	[AUTH_MISSING] = {"AccessDenied",                 "MissingAuthenticationTokenException",
			  "MissingAuthenticationToken",								   403, "Missing Authentication Token"         },
	[AUTH_MALFORMED] = {"AuthorizationHeaderMalformed", "IncompleteSignatureException",
                          "IncompleteSignature",									  400, "The authorization header is malformed"},
	[AUTH_UNKNOWN_KEY] =
		{"InvalidAccessKeyId",           "UnrecognizedClientException",         "InvalidClientTokenId",  403,
			  "The access key or security token included in the request is not one of this local backend; "
		 "'sagemakerfs env' prints its own"														   },
	[AUTH_MISMATCH] =
		{"SignatureDoesNotMatch",        "InvalidSignatureException",           "SignatureDoesNotMatch", 403,
			  "The request signature we calculated does not match the signature you provided. Check your key "
		 "and signing method."																},
	[AUTH_SKEWED] =
		{"RequestTimeTooSkewed",         "InvalidSignatureException",           "SignatureDoesNotMatch", 403,
			  "Signature expired or not yet valid: the difference between the request time and the current time "
		 "is too large."																      },
	[AUTH_EXPIRED] = {"ExpiredToken",                 "ExpiredTokenException",               "ExpiredToken",          400,
			  "The security token included in the request is expired"										     },
	[AUTH_WRONG_REGION] = {"AuthorizationHeaderMalformed", "InvalidSignatureException",
                          "SignatureDoesNotMatch",									400,
                          "Credential should be scoped to a valid region"											     },
};

bool auth_refuse(struct request *r, enum auth_fault f, const char *detail)
{
	const struct refusal *row = &refusals[f];
	const char *sep = detail ? ": " : "";

	detail = detail ? detail : "";
	if (r->protocol == PROTO_S3)
		reply_error(r, row->s3_status, row->s3, "%s%s%s", row->text, sep, detail);
	else if (r->protocol == PROTO_QUERY)
		reply_error(r, 403, row->query, "%s%s%s", row->text, sep, detail);
	else
		reply_error(r, r->protocol == PROTO_JSON ? 400 : 403, row->json, "%s%s%s",
			    row->text, sep, detail);
	return false;
}

void auth_refuse_malformed(struct request *r)
{
	auth_refuse(r, AUTH_MALFORMED, NULL);
}

/* Copy the text up to one of stop (or the end) into out; the rest, or NULL when it does not fit or is empty. */
static const char *field(const char *p, const char *stop, char *out, size_t size)
{
	size_t n = strcspn(p, stop);

	if (!n || n >= size)
		return NULL;
	memcpy(out, p, n);
	out[n] = '\0';
	return p + n;
}

/* AK/20261123/us-east-1/s3/aws4_request */
bool auth_credential(struct auth *a, const char *p)
{
	struct {
		char *out;
		size_t size;
	} parts[] = {
		{a->access_key, sizeof a->access_key},
		{a->day,        sizeof a->day       },
		{a->region,     sizeof a->region    },
		{a->service,    sizeof a->service   },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		p = field(p, "/, ", parts[i].out, parts[i].size);
		if (!p || *p != '/')
			return false;
		p++;
	}
	return starts_with(p, "aws4_request");
}

static const char *after(const char *s, const char *word)
{
	const char *p = strstr(s, word);

	return p ? p + strlen(word) : NULL;
}

static bool copy_header(const struct request *r, const char *name, char *out, size_t size)
{
	const char *v = request_header(r, name);

	return !v || (size_t)snprintf(out, size, "%s", v) < size;
}

/* A header beside a presigned query: which of them counts? */
static bool one_mechanism(struct request *r)
{
	if (r->auth.kind == AUTH_NONE)
		return true;
	r->protocol = PROTO_S3;
	reply_error(r, 400, "InvalidArgument",
		    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
		    "Signature query string parameter or the Authorization header should be "
		    "specified");
	return false;
}

static bool read_header(struct auth *a, const char *h)
{
	const char *credential = after(h, "Credential="), *names = after(h, "SignedHeaders="),
		   *signature = after(h, "Signature=");

	a->kind = AUTH_HEADER;
	return starts_with(h, "AWS4-HMAC-SHA256 ") && credential && names && signature &&
	       auth_credential(a, credential) &&
	       field(names, ", ", a->signed_headers, sizeof a->signed_headers) &&
	       field(signature, ", ", a->signature, sizeof a->signature);
}

bool auth_read(struct request *r)
{
	const char *h = request_header(r, "Authorization");
	struct auth *a = &r->auth;

	if (!copy_header(r, "x-amz-content-sha256", a->payload, sizeof a->payload) ||
	    !copy_header(r, "x-amz-date", a->date, sizeof a->date))
		return false;
	a->kind = auth_query_kind(r);
	if (h)
		return one_mechanism(r) && read_header(a, h);
	return a->kind == AUTH_NONE || auth_query_read(r);
}

/* "20261123T175500Z" to epoch seconds; -1: malformed. */
time_t auth_date(const char *s)
{
	struct tm tm = {0};
	const char *end = strptime(s, "%Y%m%dT%H%M%SZ", &tm);

	return end && !*end ? timegm(&tm) : -1;
}

static bool header_is_signed(const struct auth *a, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = a->signed_headers; *p; p += strcspn(p, ";"), p += *p == ';') {
		if (strcspn(p, ";") == n && strncasecmp(p, name, n) == 0)
			return true;
	}
	return false;
}

/* The clock: of a header 15 minutes either way, of a URL as long as it says. */
static bool check_time(struct request *r)
{
	const struct auth *a = &r->auth;
	time_t then = auth_date(a->date);

	if (then == (time_t)-1 || strncmp(a->date, a->day, 8) != 0 || strlen(a->day) != 8 ||
	    !header_is_signed(a, "host"))
		return auth_refuse(r, AUTH_MALFORMED,
				   "x-amz-date or the signed header list is not valid");
	if (a->kind == AUTH_QUERY)
		return auth_query_fresh(r);
	return labs((long)(time(NULL) - then)) <= MAX_SKEW || auth_refuse(r, AUTH_SKEWED, a->date);
}

/* The store's own keys, or those of a session. false: replied. */
static bool find_secret(struct request *r)
{
	struct auth *a = &r->auth;
	const char *arg =
		a->kind == AUTH_QUERY_V2 ? "x-amz-security-token" : "X-Amz-Security-Token";
	const char *token = request_header(r, arg);
	struct session s;

	if (streq(a->access_key, r->be->access_key)) {
		snprintf(a->secret, sizeof a->secret, "%s", r->be->secret_key);
		return true;
	}
	enum session_state state =
		session_read(r->be, a->access_key, token ? token : request_arg(r, arg), &s);
	if (state == SESSION_UNKNOWN)
		return auth_refuse(r, AUTH_UNKNOWN_KEY, NULL);
	snprintf(a->secret, sizeof a->secret, "%s", s.secret);
	snprintf(a->who, sizeof a->who, "%s", s.who);
	explicit_bzero(&s, sizeof s);
	return state == SESSION_GOOD || auth_refuse(r, AUTH_EXPIRED, NULL);
}

bool auth_headers(struct request *r)
{
	const struct auth *a = &r->auth;

	if (a->kind == AUTH_NONE)
		return auth_refuse(r, AUTH_MISSING, NULL);
	if (!find_secret(r))
		return false;
	if (a->kind == AUTH_QUERY_V2)
		return auth_query_fresh(r);
	if (!check_time(r))
		return false;
	if (r->protocol != PROTO_QUERY && !streq(a->region, r->be->region)) {
		char detail[128];
		snprintf(detail, sizeof detail, "the region '%s' is wrong; expecting '%s'",
			 a->region, r->be->region);
		return auth_refuse(r, AUTH_WRONG_REGION, detail);
	}
	return true;
}

/* The request's headers that the signature names, in rows for sigv4. -1: one of them is missing. */
static int signed_pairs(const struct request *r, char *names, struct sig_pair *rows, size_t max)
{
	size_t n = 0;
	char *save = NULL;

	for (char *name = strtok_r(names, ";", &save); name; name = strtok_r(NULL, ";", &save)) {
		const char *value = request_header(r, name);
		if (n == max || (!value && strcasecmp(name, "content-length") != 0))
			return -1;
		rows[n++] = (struct sig_pair){name, value ? value : "0"};
	}
	return (int)n;
}

bool auth_same(const char *a, const char *b)
{
	unsigned char diff = 0;

	if (strlen(a) != 64 || strlen(b) != 64)
		return false;
	for (size_t i = 0; i < 64; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

struct unsigned_names {
	const struct auth *auth;
	bool found;
};

static enum MHD_Result look_unsigned(void *arg, enum MHD_ValueKind kind, const char *name,
				     const char *value)
{
	struct unsigned_names *u = arg;

	(void)kind, (void)value;
	if (strncasecmp(name, "x-amz-", 6) == 0 && !header_is_signed(u->auth, name))
		u->found = true;
	return u->found ? MHD_NO : MHD_YES;
}

/* A header that S3 acts upon must be signed, or who is in between could add it. */
static bool all_signed(struct request *r)
{
	struct unsigned_names u = {&r->auth, false};

	if (r->protocol != PROTO_S3)
		return true;
	MHD_get_connection_values(r->conn, MHD_HEADER_KIND, look_unsigned, &u);
	if (u.found)
		reply_error(r, 403, "AccessDenied",
			    "There were headers present in the request which were not signed");
	return !u.found;
}

bool auth_signature(struct request *r, const char *payload)
{
	const struct auth *a = &r->auth;
	_cleanup_buf_ struct buf canonical = BUF_INIT((size_t)1 << 18), text = BUF_INIT(4096),
				 query = BUF_INIT((size_t)1 << 17),
				 path = BUF_INIT((size_t)1 << 17);
	char names[sizeof a->signed_headers], expected[65];
	struct sig_pair rows[64];
	struct err e;

	if (a->kind == AUTH_QUERY_V2)
		return auth_query_v2(r);
	if (auth_query_signed(r, &query) < 0 || auth_path_signed(r, &path) < 0)
		return auth_refuse(r, AUTH_MALFORMED, "the URL");
	if (!all_signed(r))
		return false;
	memcpy(names, a->signed_headers, sizeof names);
	int n = signed_pairs(r, names, rows, ARRAY_SIZE(rows));
	if (n <= 0)
		return auth_refuse(r, AUTH_MISMATCH, "a signed header is missing");
	struct sig_request q = {r->method, buf_cstr(&path), buf_cstr(&query),       rows,
				(size_t)n, payload,         r->protocol != PROTO_S3};
	struct sig_scope scope = {a->date, a->region, a->service};
	if (sigv4_canonical(&q, &canonical, &e) < 0 ||
	    sigv4_string_to_sign(&scope, &canonical, &text, &e) < 0)
		return auth_refuse(r, AUTH_MALFORMED, e.text);
	sigv4_signature(&scope, a->secret, &text, expected);
	return auth_same(expected, a->signature) || auth_refuse(r, AUTH_MISMATCH, NULL);
}
