#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/objects_internal.h"

enum range { RANGE_NONE, RANGE_OK, RANGE_BAD };

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
static enum range last_bytes(uint64_t last, uint64_t size, uint64_t *first, uint64_t *n)
{
	*n = MIN(last, size);
	*first = size - *n;
	return *n ? RANGE_OK : RANGE_BAD;
}

/* "A-B", "A-", "-N"; what is not understood is ignored, as S3 does. */
static enum range read_bounds(const char *s, uint64_t size, uint64_t *first, uint64_t *n)
{
	const char *dash = strchr(s, '-');
	uint64_t a = 0, b = UINT64_MAX;

	if (!dash || (dash > s && !number(s, (size_t)(dash - s), &a)) ||
	    (dash[1] && !number(dash + 1, strlen(dash + 1), &b)))
		return RANGE_NONE;
	if (dash == s)
		return dash[1] ? last_bytes(b, size, first, n) : RANGE_NONE;
	if (b < a)
		return RANGE_NONE;
	if (a >= size)
		return RANGE_BAD;
	*first = a;
	*n = MIN(b, size - 1) - a + 1;
	return RANGE_OK;
}

static enum range parse_range(const char *s, uint64_t size, uint64_t *first, uint64_t *n)
{
	if (!s || !starts_with(s, "bytes=") || strchr(s, ','))
		return RANGE_NONE;
	return read_bounds(s + strlen("bytes="), size, first, n);
}

/* One of "etag", "etag2" or *; quotes may be missing. */
static bool etag_listed(const char *list, const char *etag)
{
	_cleanup_free_ char *bare = strndup(etag + 1, strlen(etag) - 2);

	return streq(list, "*") || (bare && strstr(list, bare) != NULL);
}

/* If-Match and If-None-Match of a read. false: replied. */
static bool wanted(struct request *r, const struct object *o)
{
	const char *match = request_header(r, "If-Match"),
		   *none = request_header(r, "If-None-Match");

	if (match && !etag_listed(match, o->etag)) {
		reply_error(r, 412, "PreconditionFailed",
			    "At least one of the pre-conditions you specified did not hold");
		return false;
	}
	if (none && etag_listed(none, o->etag)) {
		reply_status(r, 304);
		reply_header(r, "ETag", "%s", o->etag);
		return false;
	}
	return true;
}

static void object_headers(struct request *r, const struct object *o)
{
	_cleanup_json_ cJSON *meta = cJSON_Parse(o->meta);
	const cJSON *m;
	char when[40];

	http_time(o->modified, when);
	reply_header(r, "ETag", "%s", o->etag);
	reply_header(r, "Last-Modified", "%s", when);
	reply_header(r, "Content-Type", "%s", o->type);
	reply_header(r, "Accept-Ranges", "bytes");
	cJSON_ArrayForEach(m, meta) {
		/* A reply's header names must outlive it: the request's own copy does. */
		if (cJSON_IsString(m) && r->n_args < ARRAY_SIZE(r->args)) {
			struct query_arg *a = &r->args[r->n_args];
			a->name = strdup(m->string);
			a->value = strdup("");
			if (a->name && a->value) {
				r->n_args++;
				reply_header(r, a->name, "%s", m->valuestring);
			}
		}
	}
}

/* Find the object and make the reply's head. The reader is the reply's from then on. */
static void read_object(struct request *r, bool with_body)
{
	struct reader *rd = NULL;
	struct object o;
	struct err e;
	uint64_t first = 0, n;

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
	enum range range = parse_range(request_header(r, "Range"), o.size, &first, &n);
	if (!wanted(r, &o) || range == RANGE_BAD) {
		reader_free(rd);
		if (!r->reply.status) {
			reply_error(r, 416, "InvalidRange",
				    "The requested range is not satisfiable");
			reply_header(r, "Content-Range", "bytes */%llu",
				     (unsigned long long)o.size);
		}
		return;
	}
	reply_status(r, range == RANGE_OK ? 206 : 200);
	object_headers(r, &o);
	if (range == RANGE_OK) {
		reader_limit(rd, first, n);
		reply_header(r, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)first,
			     (unsigned long long)(first + n - 1), (unsigned long long)o.size);
	} else if (request_header(r, "x-amz-checksum-mode")) {
		reply_checksum(r, o.checksum);
	}
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
