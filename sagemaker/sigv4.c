#include "sagemaker/sigv4.h"

#include <ctype.h>
#include <errno.h>

#include "sagemaker/hash.h"

#define MAX_SIGNED     64  /* headers in one signature */
#define MAX_PARAMETERS 256 /* query parameters in one request */
#define DATE_LEN       8   /* "20261123" of "20261123T175500Z" */

static bool is_unreserved(char c)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	return c && strchr(plain, c);
}

int uri_encode(const char *s, size_t n, bool keep_slash, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bool plain = is_unreserved(s[i]) || (s[i] == '/' && keep_slash);

		if (plain ? buf_char(out, s[i]) : buf_printf(out, "%%%02X", (unsigned char)s[i]))
			return -1;
	}
	return 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

int uri_decode(const char *s, size_t n, bool plus, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bool escape = s[i] == '%' && n - i > 2;
		int high = escape ? hex_digit(s[i + 1]) : -1,
		    low = escape ? hex_digit(s[i + 2]) : -1;
		char c = (char)(plus && s[i] == '+' ? ' ' : s[i]);

		if (high >= 0 && low >= 0) {
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (buf_char(out, c))
			return -1;
	}
	return 0;
}

/* Takes the last segment off "/a/b/". */
static void drop_segment(struct buf *path)
{
	while (path->len > 1 && path->data[path->len - 2] != '/')
		path->len--;
	if (path->len > 1)
		path->len--;
	buf_terminate(path);
}

static void cut_last(struct buf *b)
{
	b->len--;
	buf_terminate(b);
}

/* Drops empty, "." and ".." segments, as AWS does for every service but S3. */
static void normal_path(const char *path, struct buf *out)
{
	buf_char(out, '/');
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");

		if (n == 2 && starts_with(at, "..")) {
			drop_segment(out);
		} else if (n > 1 || (n && *at != '.')) {
			buf_add(out, at, n);
			buf_char(out, '/');
		}
		at += at[n] ? n + 1 : n;
	}
	if (out->len > 1 && !ends_with(path, "/")) /* only a slash that was sent stays at the end */
		cut_last(out);
}

static int add_path(const struct sig_request *q, struct buf *out)
{
	_cleanup_buf_ struct buf path = BUF_INIT(out->max);

	if (!q->double_encode)
		return buf_str(out, q->path);
	normal_path(q->path, &path);
	return path.failed ? -1 : uri_encode(path.data, path.len, true, out);
}

struct slice {
	const char *name, *value;
	size_t name_len, value_len;
};

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, MIN(a_len, b_len));

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* By name, then value: not as whole "name=value" texts, where '=' would sort against the bytes of longer names. */
static int compare_parameters(const void *pa, const void *pb)
{
	const struct slice *a = pa, *b = pb;
	int order = compare_bytes(a->name, a->name_len, b->name, b->name_len);

	return order ? order : compare_bytes(a->value, a->value_len, b->value, b->value_len);
}

static int add_query(const char *query, struct buf *out, struct err *e)
{
	struct slice rows[MAX_PARAMETERS];
	size_t n = 0;

	for (const char *at = query; *at;) {
		size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");

		if (n == MAX_PARAMETERS)
			return err_set(e, E2BIG, "the query has more than %d parameters",
				       MAX_PARAMETERS);
		if (len)
			rows[n++] = (struct slice){at, at + MIN(name_len + 1, len), name_len,
						   len - MIN(name_len + 1, len)};
		at += at[len] ? len + 1 : len;
	}
	qsort(rows, n, sizeof *rows, compare_parameters);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(out, '&');
		buf_add(out, rows[i].name, rows[i].name_len);
		buf_char(out, '=');
		buf_add(out, rows[i].value, rows[i].value_len);
	}
	return 0;
}

/* Headers of one name keep their order, which qsort alone would not promise: the address decides. */
static int compare_headers(const void *pa, const void *pb)
{
	const struct sig_pair *a = *(const struct sig_pair *const *)pa;
	const struct sig_pair *b = *(const struct sig_pair *const *)pb;
	int order = strcasecmp(a->name, b->name);

	return order ? order : (a > b) - (a < b);
}

struct sorted {
	const struct sig_pair *rows[MAX_SIGNED];
	size_t n;
};

static int sort_headers(const struct sig_request *q, struct sorted *s, struct err *e)
{
	bool host = false;

	if (q->n_headers > MAX_SIGNED)
		return err_set(e, E2BIG, "more than %d headers to sign", MAX_SIGNED);
	for (s->n = 0; s->n < q->n_headers; s->n++) {
		s->rows[s->n] = &q->headers[s->n];
		host = host || strcasecmp(q->headers[s->n].name, "host") == 0;
	}
	if (!host)
		return err_set(e, EINVAL, "the headers to sign lack 'host'");
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): the rows are pointers */
	qsort(s->rows, s->n, sizeof s->rows[0], compare_headers);
	return 0;
}

static bool same_name_as_before(const struct sorted *s, size_t i)
{
	return i && strcasecmp(s->rows[i]->name, s->rows[i - 1]->name) == 0;
}

static void add_lower(const char *name, struct buf *out)
{
	for (; *name; name++)
		buf_char(out, (char)tolower((unsigned char)*name));
}

/* Trimmed, and every run of white space inside made one blank. */
static void add_squeezed(const char *value, struct buf *out)
{
	static const char white[] = " \t\r\n\v\f";
	const char *at = value + strspn(value, white);

	while (*at) {
		size_t n = strcspn(at, white);

		buf_add(out, at, n);
		at += n;
		at += strspn(at, white);
		if (*at)
			buf_char(out, ' ');
	}
}

static void add_headers(const struct sorted *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		if (same_name_as_before(s, i)) {
			buf_char(out, ',');
		} else {
			if (i)
				buf_char(out, '\n');
			add_lower(s->rows[i]->name, out);
			buf_char(out, ':');
		}
		add_squeezed(s->rows[i]->value, out);
	}
	buf_char(out, '\n');
}

static void add_names(const struct sorted *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		if (same_name_as_before(s, i))
			continue;
		if (i)
			buf_char(out, ';');
		add_lower(s->rows[i]->name, out);
	}
}

static int whole(const struct buf *b, struct err *e)
{
	return b->failed ? err_set(e, E2BIG, "the request is too large to sign") : 0;
}

int sigv4_canonical(const struct sig_request *q, struct buf *out, struct err *e)
{
	struct sorted s = {.n = 0};

	if (sort_headers(q, &s, e))
		return -1;
	buf_printf(out, "%s\n", q->method);
	if (add_path(q, out))
		return err_set(e, E2BIG, "the path is too large to sign");
	buf_char(out, '\n');
	if (add_query(q->query, out, e))
		return -1;
	buf_char(out, '\n');
	add_headers(&s, out);
	buf_char(out, '\n');
	add_names(&s, out);
	buf_printf(out, "\n%s", q->payload);
	return whole(out, e);
}

int sigv4_signed_headers(const struct sig_request *q, struct buf *out, struct err *e)
{
	struct sorted s = {.n = 0};

	if (sort_headers(q, &s, e))
		return -1;
	add_names(&s, out);
	return whole(out, e);
}

/* "20261123/eu-west-1/s3/aws4_request" */
static void add_scope(const struct sig_scope *s, struct buf *out)
{
	buf_printf(out, "%.*s/%s/%s/aws4_request", DATE_LEN, s->date, s->region, s->service);
}

int sigv4_string_to_sign(const struct sig_scope *s, const struct buf *canonical, struct buf *out,
			 struct err *e)
{
	unsigned char digest[SHA256_LEN];
	char text[SHA256_HEX];

	if (strlen(s->date) != strlen("20261123T175500Z"))
		return err_set(e, EINVAL, "'%s' is not a date of the form 20261123T175500Z",
			       s->date);
	sha256(canonical->data, canonical->len, digest);
	hex(digest, sizeof digest, text);
	buf_printf(out, "AWS4-HMAC-SHA256\n%s\n", s->date);
	add_scope(s, out);
	buf_printf(out, "\n%s", text);
	return whole(out, e);
}

void sigv4_signature(const struct sig_scope *s, const char *secret, const struct buf *sts,
		     char out[65])
{
	const char *const steps[] = {s->region, s->service, "aws4_request"};
	unsigned char key[SHA256_LEN];
	char first[4 + sizeof((struct keys *)0)->secret];

	int n = snprintf(first, sizeof first, "AWS4%s", secret);
	hmac_sha256(first, MIN((size_t)n, sizeof first - 1), s->date, DATE_LEN, key);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		hmac_sha256(key, sizeof key, steps[i], strlen(steps[i]), key);
	hmac_sha256(key, sizeof key, sts->data, sts->len, key);
	hex(key, sizeof key, out);
	explicit_bzero(first, sizeof first);
}

int sigv4_authorization(const struct sig_request *q, const struct sig_scope *s,
			const struct keys *k, struct buf *out, struct err *e)
{
	_cleanup_buf_ struct buf canonical = BUF_INIT(0), sts = BUF_INIT(0);
	char signature[SHA256_HEX];

	if (sigv4_canonical(q, &canonical, e) || sigv4_string_to_sign(s, &canonical, &sts, e))
		return -1;
	sigv4_signature(s, k->secret, &sts, signature);
	buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/", k->access);
	add_scope(s, out);
	buf_str(out, ", SignedHeaders=");
	if (sigv4_signed_headers(q, out, e))
		return -1;
	buf_printf(out, ", Signature=%s", signature);
	return whole(out, e);
}
