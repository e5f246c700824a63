#include "sagemaker/local/request.h"

#include <errno.h>
#include <microhttpd.h>
#include <time.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/chunked.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/stream.h"
#include "sagemaker/local/upload.h"

#define MAX_BODY ((size_t)64 << 20)
#define MAX_KEY  1024

static void make_id(char out[40])
{
	char r[33];

	random_text(r, sizeof r);
	snprintf(out, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", r, r + 8, r + 12, r + 16, r + 20);
}

struct request *request_new(struct backend *be, const char *uri)
{
	struct request *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	const char *q = strchr(uri, '?');
	r->be = be;
	r->began = time_mono();
	r->path = q ? strndup(uri, (size_t)(q - uri)) : strdup(uri);
	r->query = strdup(q ? q + 1 : "");
	r->body.max = MAX_BODY;
	r->key.max = MAX_KEY;
	r->reply.body.max = MAX_BODY;
	make_id(r->id);
	if (!r->path || !r->query) {
		request_free(r);
		return NULL;
	}
	return r;
}

void reply_release(struct reply *p)
{
	for (size_t i = 0; i < p->n_headers; i++) {
		free(p->headers[i].name);
		free(p->headers[i].value);
	}
	free(p->headers);
	buf_release(&p->body);
	reader_free(p->reader);
	if (p->stream)
		stream_close(p->stream);
	*p = (struct reply){.body = BUF_INIT(MAX_BODY)};
}

void request_free(struct request *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_args; i++) {
		free(r->args[i].name);
		free(r->args[i].value);
	}
	upload_drop(r->upload);
	chunked_free(r->chunked);
	reply_release(&r->reply);
	explicit_bzero(r->auth.secret, sizeof r->auth.secret);
	buf_release(&r->body);
	buf_release(&r->key);
	free(r->path);
	free(r->query);
	free(r);
}

const char *request_header(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

const char *request_arg(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->n_args; i++) {
		if (streq(r->args[i].name, name))
			return r->args[i].value;
	}
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int url_decode(const char *s, size_t n, bool plus, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (c == '%') {
			int hi = i + 2 < n ? hex_digit(s[i + 1]) : -1;
			int lo = i + 2 < n ? hex_digit(s[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (buf_char(out, c) < 0)
			return -1;
	}
	return 0;
}

static char *decoded(const char *s, size_t n, bool plus)
{
	struct buf b = BUF_INIT((size_t)64 << 10);

	if (url_decode(s, n, plus, &b) < 0) {
		buf_release(&b);
		return NULL;
	}
	return buf_steal(&b);
}

int request_parse_args(struct request *r, const char *query, bool plus)
{
	for (const char *p = query, *end; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '&');
		if (end == p)
			continue;
		if (r->n_args == ARRAY_SIZE(r->args))
			return -1;
		const char *eq = memchr(p, '=', (size_t)(end - p));
		const char *name_end = eq ? eq : end;
		struct query_arg *a = &r->args[r->n_args++];
		a->name = decoded(p, (size_t)(name_end - p), plus);
		a->value = eq ? decoded(eq + 1, (size_t)(end - eq - 1), plus) : strdup("");
		if (!a->name || !a->value) {
			free(a->name);
			free(a->value);
			r->n_args--;
			return -1;
		}
	}
	return 0;
}

bool copy_text(char *out, size_t size, const char *s, size_t n)
{
	bool fits = n < size;

	memcpy(out, s, fits ? n : 0);
	out[fits ? n : 0] = '\0';
	return fits;
}

const char *text_or(const char *s, const char *otherwise)
{
	return s ? s : otherwise;
}

double time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	long long ticks = t.tv_sec * 100000LL + t.tv_nsec / 10000;
	return (double)ticks / 1e5;
}

double time_mono(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void iso_time(double t, char out[32])
{
	time_t s = (time_t)t;
	struct tm tm;
	char day[24];

	gmtime_r(&s, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03uZ", day, (unsigned)((t - (double)s) * 1000) % 1000);
}

void http_time(double t, char out[40])
{
	static const char days[] = "SunMonTueWedThuFriSat",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)t;
	struct tm tm;
	char date[24];

	gmtime_r(&s, &tm);
	strftime(date, sizeof date, "%Y %H:%M:%S", &tm);
	snprintf(out, 40, "%.3s, %02u %.3s %s GMT", days + (size_t)3 * (size_t)tm.tm_wday,
		 (unsigned)tm.tm_mday % 32, months + (size_t)3 * (size_t)tm.tm_mon, date);
}
