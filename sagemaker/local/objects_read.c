#include <errno.h>
#include <time.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

static bool number(const char *s, size_t n, uint64_t *out)
{
	char text[24], *end;

	if (!n || n >= sizeof text || strspn(s, "0123456789") < n)
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno;
}

/* The last n bytes of so many. */
static int last_bytes(uint64_t last, uint64_t size, uint64_t *first, uint64_t *n)
{
	*n = MIN(last, size);
	*first = size - *n;
	return *n ? 1 : -1;
}

/* "A-B", "A-", "-B": which of the two are there. false: none of these. */
static bool read_bounds(const char *s, const char *dash, uint64_t *a, uint64_t *b)
{
	return (dash == s || number(s, (size_t)(dash - s), a)) &&
	       (!dash[1] || number(dash + 1, strlen(dash + 1), b)) && (dash > s || dash[1]);
}

/* What is not understood is ignored, as S3 does. */
int range_read(const char *s, uint64_t size, uint64_t *first, uint64_t *n)
{
	uint64_t a = 0, b = UINT64_MAX;

	if (!s || !starts_with(s, "bytes=") || strchr(s, ','))
		return 0;
	s += strlen("bytes=");
	const char *dash = strchr(s, '-');
	if (!dash || !read_bounds(s, dash, &a, &b))
		return 0;
	if (dash == s)
		return last_bytes(b, size, first, n);
	if (b < a)
		return 0;
	if (a >= size)
		return -1;
	*first = a;
	*n = MIN(b, size - 1) - a + 1;
	return 1;
}

bool etag_is(const char *text, const char *etag)
{
	size_t n = strlen(etag) - 2; /* a client may leave the quotes away */

	return streq(text, "*") || streq(text, etag) ||
	       (strlen(text) == n && strncmp(text, etag + 1, n) == 0);
}

/* One of "etag", "etag2" or *. */
static bool etag_listed(const char *list, const char *etag)
{
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
		char one[128];
		p += strspn(p, " ");
		size_t n = strcspn(p, ",");
		while (n && p[n - 1] == ' ')
			n--;
		if (copy_text(one, sizeof one, p, n) && etag_is(one, etag))
			return true;
	}
	return false;
}

/* An HTTP date in epoch seconds; -1: not one, the condition is ignored. */
static time_t http_date(const char *s)
{
	struct tm tm = {0};
	const char *end = s ? strptime(s, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

	return end && !*end ? timegm(&tm) : -1;
}

static const char *condition(struct request *r, const char *prefix, const char *name)
{
	char header[64];

	snprintf(header, sizeof header, "%s%s", prefix, name);
	return request_header(r, header);
}

/* RFC 9110, 13.2.2: If-Match decides over If-Unmodified-Since, If-None-Match over If-Modified-Since. */
bool wanted(struct request *r, const struct object *o, const char *prefix)
{
	const char *match = condition(r, prefix, "If-Match"),
		   *none = condition(r, prefix, "If-None-Match");
	time_t since = http_date(condition(r, prefix, "If-Modified-Since")),
	       until = http_date(condition(r, prefix, "If-Unmodified-Since")),
	       modified = (time_t)o->modified;

	if (match ? !etag_listed(match, o->etag) : until != -1 && modified > until) {
		reply_error(r, 412, "PreconditionFailed",
			    "At least one of the pre-conditions you specified did not hold");
		return false;
	}
	if (none ? !etag_listed(none, o->etag) : since == -1 || modified > since)
		return true;
	if (*prefix) {
		reply_error(r, 412, "PreconditionFailed",
			    "At least one of the pre-conditions you specified did not hold");
		return false;
	}
	char when[40];
	http_time(o->modified, when);
	reply_status(r, 304);
	reply_header(r, "ETag", "%s", o->etag);
	reply_header(r, "Last-Modified", "%s", when);
	return false;
}

/* What a signed request may have in place of the object's own headers. */
static const struct {
	const char *arg, *header;
} overrides[] = {
	{"response-content-type",        "Content-Type"       },
	{"response-content-language",    "content-language"   },
	{"response-expires",             "expires"            },
	{"response-cache-control",       "cache-control"      },
	{"response-content-disposition", "content-disposition"},
	{"response-content-encoding",    "content-encoding"   },
};

static const char * override(struct request *r, const char *header)
{
	for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
		if (streq(overrides[i].header, header))
			return request_arg(r, overrides[i].arg);
	}
	return NULL;
}

static void object_headers(struct request *r, const struct object *o)
{
	_cleanup_json_ cJSON *meta = cJSON_Parse(o->meta);
	const cJSON *m;
	char when[40];

	http_time(o->modified, when);
	reply_header(r, "ETag", "%s", o->etag);
	reply_header(r, "Last-Modified", "%s", when);
	reply_header(r, "Accept-Ranges", "bytes");
	if (!request_arg(r, "response-content-type"))
		reply_header(r, "Content-Type", "%s", o->type);
	cJSON_ArrayForEach(m, meta) {
		bool usual = streq(m->string, "x-amz-storage-class") &&
			     streq(text_or(m->valuestring, ""), "STANDARD");
		if (cJSON_IsString(m) && !usual && !override(r, m->string))
			reply_header(r, m->string, "%s", m->valuestring);
	}
	for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
		const char *value = request_arg(r, overrides[i].arg);
		if (value)
			reply_header(r, overrides[i].header, "%s", value);
	}
	if (*o->tags)
		reply_header(r, "x-amz-tagging-count", "%u", tags_count(o->tags));
}

struct window {
	uint64_t first, n;
	bool partial;
	size_t parts;    /* where ?partNumber was asked for: how many there are */
	const char *sum; /* of that part, "" */
};

static bool bad_range(struct request *r, const struct object *o)
{
	reply_error(r, 416, "InvalidRange", "The requested range is not satisfiable");
	reply_header(r, "Content-Range", "bytes */%llu", (unsigned long long)o->size);
	return false;
}

/* Where a part lies; parts have their numbers, an object that was put whole is part 1. */
static bool find_part(struct request *r, const struct object *o, const struct reader *rd,
		      struct window *w)
{
	size_t n;
	const struct segment *g = reader_segments(rd, &n);
	uint64_t number_wanted = 0;
	const char *text = request_arg(r, "partNumber");

	if (!number(text, strlen(text), &number_wanted) || !number_wanted ||
	    number_wanted > 10000) {
		reply_error(r, 400, "InvalidArgument",
			    "Part number must be an integer between 1 and 10000, inclusive");
		return false;
	}
	bool multipart = n && strchr(o->etag, '-');
	for (size_t i = 0; i < n; w->first += g[i++].size) {
		uint64_t own = g[i].number ? (uint64_t)g[i].number : i + 1;
		if (own != number_wanted)
			continue;
		w->n = g[i].size;
		w->partial = o->size > 0;
		w->parts = multipart ? n : 0;
		w->sum = multipart ? g[i].sum : NULL;
		return true;
	}
	reply_error(r, 416, "InvalidPartNumber", "The requested partnumber is not satisfiable");
	return false;
}

static bool choose_window(struct request *r, const struct object *o, const struct reader *rd,
			  struct window *w)
{
	const char *range = request_header(r, "Range");

	if (request_arg(r, "partNumber")) {
		if (!range)
			return find_part(r, o, rd, w);
		reply_error(r, 400, "InvalidRequest",
			    "Cannot specify both Range header and partNumber query parameter");
		return false;
	}
	int found = range_read(range, o->size, &w->first, &w->n);
	w->partial = found > 0;
	return found >= 0 || bad_range(r, o);
}

static void window_headers(struct request *r, const struct object *o, const struct window *w)
{
	if (w->partial)
		reply_header(r, "Content-Range", "bytes %llu-%llu/%llu",
			     (unsigned long long)w->first,
			     (unsigned long long)(w->first + w->n - 1),
			     (unsigned long long)o->size);
	if (w->parts)
		reply_header(r, "x-amz-mp-parts-count", "%zu", w->parts);
	if (!request_header(r, "x-amz-checksum-mode"))
		return;
	if (!w->partial || (w->n == o->size && !w->parts))
		reply_checksum(r, o->checksum);
	else if (w->sum && *w->sum)
		reply_part_checksum(r, w->sum);
}

/* Find the object and make the reply's head. The reader is the reply's from then on. */
static void read_object(struct request *r, bool with_body)
{
	struct reader *rd = NULL;
	struct window w = {0};
	struct object o;
	struct err e;

	if (!bucket_check(r))
		return;
	int found = object_open(r->be, r->bucket, r->key.data, r->key.len, &o, &rd, &e);
	if (found < 0) {
		reply_failure(r, &e);
		return;
	}
	if (!found) {
		reply_error(r, 404, "NoSuchKey", "The specified key does not exist.");
		return;
	}
	if (!wanted(r, &o, "") || !choose_window(r, &o, rd, &w)) {
		reader_free(rd);
		return;
	}
	reply_status(r, w.partial ? 206 : 200);
	object_headers(r, &o);
	window_headers(r, &o, &w);
	if (w.partial)
		reader_limit(rd, w.first, w.n);
	r->reply.reader = rd;
	r->reply.no_body = !with_body;
}

void s3_get_object(struct request *r)
{
	read_object(r, true);
}

void s3_head_object(struct request *r)
{
	read_object(r, false);
}
