/* log_events.c: GetLogEvents, FilterLogEvents: the lines of one stream by position, of a group's by time. */
#include <errno.h>

#include "sagemaker/local/calls.h"
#include "sagemaker/local/log_calls.h"
#include "sagemaker/local/validate.h"

#define PAGE_EVENTS 10000
#define PAGE_BYTES  ((size_t)1 << 20)
#define EVENT_EXTRA 26 /* bytes that AWS counts for each event besides its text */
#define TIME_MOST   9e15

/* ---- GetLogEvents ---- */

/* A page of a stream: the last `most` events that were added, or the first. */
struct page {
	cJSON *list; /* owned */
	int64_t from, to;
	size_t most, bytes, n;
	bool tail; /* the oldest make room */
};

static cJSON *event_json(const struct log_event *ev)
{
	cJSON *j = cJSON_CreateObject();
	char text_end = ev->text[ev->len];

	ev->text[ev->len] = '\0';
	cJSON_AddNumberToObject(j, "timestamp", (double)ev->ms);
	cJSON_AddStringToObject(j, "message", ev->text);
	cJSON_AddNumberToObject(j, "ingestionTime", (double)ev->ms);
	ev->text[ev->len] = text_end;
	return j;
}

static size_t weight(const cJSON *event)
{
	return strlen(member_string(event, "message")) + EVENT_EXTRA;
}

static bool page_add(void *arg, const struct log_event *ev)
{
	struct page *p = arg;
	cJSON *j;

	if (!p->tail && (p->n == p->most || (p->n && p->bytes + ev->len > PAGE_BYTES)))
		return false;
	j = event_json(ev);
	cJSON_AddNumberToObject(j, "next", (double)ev->next); /* ours, taken out again */
	cJSON_AddItemToArray(p->list, j);
	p->bytes += weight(j);
	p->n++;
	p->to = ev->next;
	while (p->tail && p->n > 1 && (p->n > p->most || p->bytes > PAGE_BYTES)) {
		cJSON *first = cJSON_DetachItemFromArray(p->list, 0);

		p->from = (int64_t)member_number(first, "next", 0);
		p->bytes -= weight(first);
		p->n--;
		cJSON_Delete(first);
	}
	return true;
}

/* "f/OFFSET": what comes behind it; "b/OFFSET": what was before it. */
static bool read_token(const char *token, char *side, int64_t *at)
{
	char *end;

	if ((token[0] != 'f' && token[0] != 'b') || token[1] != '/' || token[2] < '0' ||
	    token[2] > '9')
		return false;
	errno = 0;
	*side = token[0];
	*at = strtoll(token + 2, &end, 10);
	return !errno && !*end;
}

/* From `at` on, or up to it; within [low, high). */
static int read_page(const struct log_stream *s, char side, int64_t at, int64_t low, int64_t high,
		     struct page *p, struct err *e)
{
	int64_t from = MAX(low, at), to = high;

	if (side == 'b') {
		to = MIN(high, at);
		from = MAX(low, log_line_before(s, MAX(to - (int64_t)PAGE_BYTES, s->begin),
						(int64_t)LOG_EVENT_MOST));
	}
	p->tail = side == 'b';
	p->from = p->to = at;
	if (from >= to)
		return 0; /* nothing there: the same token again ends who pages */
	p->from = from;
	int rc = log_each(s, from, to, page_add, p, e);
	if (!p->n)
		p->from = p->to = at;
	return rc;
}

static void reply_events(struct request *r, struct page *p)
{
	cJSON *out = cJSON_CreateObject(), *ev;
	char token[32];

	cJSON_ArrayForEach(ev, p->list)
		cJSON_DeleteItemFromObjectCaseSensitive(ev, "next");
	cJSON_AddItemToObject(out, "events", steal(p->list));
	snprintf(token, sizeof token, "f/%020lld", (long long)p->to);
	cJSON_AddStringToObject(out, "nextForwardToken", token);
	snprintf(token, sizeof token, "b/%020lld", (long long)p->from);
	cJSON_AddStringToObject(out, "nextBackwardToken", token);
	reply_json(r, out);
}

static void get_events(struct request *r, const cJSON *in, const struct log_stream *s)
{
	const char *token = member_string(in, "nextToken");
	int64_t low = log_offset_of(s, (int64_t)member_number(in, "startTime", 0));
	int64_t high = log_offset_of(s, (int64_t)member_number(in, "endTime", TIME_MOST));
	struct page p = {.most = (size_t)member_number(in, "limit", PAGE_EVENTS)};
	char side = cJSON_IsTrue(cJSON_GetObjectItem(in, "startFromHead")) ? 'f' : 'b';
	int64_t at = side == 'f' ? low : high;
	struct err e;

	if (*token && !read_token(token, &side, &at)) {
		reply_error(r, 400, "InvalidParameterException",
			    "The specified nextToken is invalid.");
		return;
	}
	p.list = cJSON_CreateArray();
	if (read_page(s, side, at, low, high, &p, &e) < 0)
		reply_failure(r, &e);
	else
		reply_events(r, &p);
	cJSON_Delete(p.list);
}

void logs_get_events(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	struct log_stream s;
	char endpoint[64];
	struct err e;

	if (!in || !log_group_endpoint(r, in, endpoint))
		return;
	int found = log_stream_open(r->be, endpoint, member_string(in, "logStreamName"), &s, &e);
	if (found < 0)
		reply_failure(r, &e);
	else if (!found)
		reply_error(r, 400, "ResourceNotFoundException",
			    "The specified log stream does not exist.");
	if (found > 0) {
		get_events(r, in, &s);
		log_stream_close(&s);
	}
}

/* ---- FilterLogEvents ---- */

/* Where an event stands among those of all streams. */
struct place {
	int64_t ms;
	char stream[128];
	int64_t at;
};

struct found {
	struct place place;
	char *text;
	size_t len;
};

/* The first events, by place, behind `after`: no more than a page of them is kept. */
struct hunt {
	const struct log_filter *filter;
	struct place after;
	const char *stream; /* the one being read */
	int64_t last_ms;
	struct found *rows;
	size_t n, most, bytes;
	bool more, failed; /* there are events behind the page; out of memory */
};

static int by_place(const struct place *a, const struct place *b)
{
	int d = a->ms < b->ms ? -1 : a->ms > b->ms;

	if (!d)
		d = strcmp(a->stream, b->stream);
	return d ? d : a->at < b->at ? -1 : a->at > b->at;
}

static int by_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return by_place(&x->place, &y->place);
}

static void cut_page(struct hunt *h)
{
	size_t bytes = 0, keep = 0;

	if (h->n)
		qsort(h->rows, h->n, sizeof *h->rows, by_found);
	while (keep < h->n && keep < h->most) {
		bytes += h->rows[keep].len + EVENT_EXTRA;
		if (keep && bytes > PAGE_BYTES)
			break;
		keep++;
	}
	h->more = h->more || keep < h->n;
	while (h->n > keep) {
		h->n--;
		h->bytes -= h->rows[h->n].len + EVENT_EXTRA;
		free(h->rows[h->n].text);
	}
}

static bool hunt_add(void *arg, const struct log_event *ev)
{
	struct hunt *h = arg;
	struct found f = {
		.place = {.ms = ev->ms, .at = ev->at},
                  .len = ev->len
        };

	if (ev->ms > h->last_ms)
		return false;
	snprintf(f.place.stream, sizeof f.place.stream, "%s", h->stream);
	if (by_place(&f.place, &h->after) <= 0 || !log_filter_match(h->filter, ev->text, ev->len))
		return true;
	f.text = strndup(ev->text, ev->len);
	if (!f.text) {
		h->failed = true;
		return false;
	}
	h->rows[h->n++] = f;
	h->bytes += f.len + EVENT_EXTRA;
	if (h->n == 2 * h->most || h->bytes > 2 * PAGE_BYTES + LOG_EVENT_MOST)
		cut_page(h);
	return true;
}

static int hunt_stream(struct request *r, struct hunt *h, const char *endpoint, const char *name,
		       int64_t from_ms, struct err *e)
{
	struct log_stream s;
	int found = log_stream_open(r->be, endpoint, name, &s, e);

	if (found <= 0)
		return found; /* none: it has just been removed */
	h->stream = name;
	int rc = log_each(&s, log_offset_of(&s, MAX(from_ms, h->after.ms)), s.end, hunt_add, h, e);
	log_stream_close(&s);
	return h->failed ? err_set(e, ENOMEM, "out of memory") : rc;
}

static uint64_t hash_of(const char *s)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static void reply_found(struct request *r, const struct hunt *h)
{
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "events");

	for (size_t i = 0; i < h->n; i++) {
		const struct found *f = &h->rows[i];
		cJSON *j = cJSON_CreateObject();
		char id[64];

		snprintf(id, sizeof id, "%020llu%036llu",
			 (unsigned long long)hash_of(f->place.stream),
			 (unsigned long long)f->place.at);
		cJSON_AddStringToObject(j, "logStreamName", f->place.stream);
		cJSON_AddNumberToObject(j, "timestamp", (double)f->place.ms);
		cJSON_AddStringToObject(j, "message", f->text);
		cJSON_AddNumberToObject(j, "ingestionTime", (double)f->place.ms);
		cJSON_AddStringToObject(j, "eventId", id);
		cJSON_AddItemToArray(list, j);
	}
	cJSON_AddArrayToObject(out, "searchedLogStreams");
	if (h->more && h->n) {
		const struct place *last = &h->rows[h->n - 1].place;
		char token[256];

		snprintf(token, sizeof token, "%lld/%lld/%s", (long long)last->ms,
			 (long long)last->at, last->stream);
		cJSON_AddStringToObject(out, "nextToken", token);
	}
	reply_json(r, out);
}

static bool read_place(const char *token, struct place *out)
{
	char *end;

	errno = 0;
	out->ms = strtoll(token, &end, 10);
	if (errno || end == token || *end != '/')
		return false;
	token = end + 1;
	out->at = strtoll(token, &end, 10);
	if (errno || end == token || *end != '/')
		return false;
	return copy_text(out->stream, sizeof out->stream, end + 1, strlen(end + 1));
}

/* The streams that the request asks for; false: replied. */
static bool choose_streams(struct request *r, const cJSON *in, const char *endpoint,
			   struct log_names *out)
{
	const cJSON *names = cJSON_GetObjectItem(in, "logStreamNames"), *name;
	const char *prefix = member_string(in, "logStreamNamePrefix");
	size_t kept = 0;

	if (names && *prefix) {
		reply_error(r, 400, "InvalidParameterException",
			    "logStreamNames and logStreamNamePrefix cannot both be given");
		return false;
	}
	cJSON_ArrayForEach(name, names)
		log_names_add(out, name->valuestring);
	if (!names)
		logs_streams(r->be, endpoint, log_names_add, out);
	for (size_t i = 0; i < out->n; i++) {
		if (starts_with(out->rows[i], prefix))
			memmove(out->rows[kept++], out->rows[i], sizeof out->rows[i]);
	}
	out->n = kept;
	return true;
}

static void filter_events(struct request *r, const cJSON *in, const char *endpoint, struct hunt *h)
{
	const int64_t from = (int64_t)member_number(in, "startTime", 0);
	struct log_names l = {0};
	struct err e;
	int rc = 0;

	h->last_ms = (int64_t)member_number(in, "endTime", TIME_MOST);
	h->rows = calloc(2 * h->most + 1, sizeof *h->rows);
	if (!h->rows) {
		reply_error(r, 500, "InternalFailure", "out of memory");
		return;
	}
	if (!choose_streams(r, in, endpoint, &l))
		return; /* replied */
	for (size_t i = 0; rc == 0 && i < l.n; i++)
		rc = hunt_stream(r, h, endpoint, l.rows[i], from, &e);
	log_names_release(&l);
	cut_page(h);
	if (rc < 0)
		reply_failure(r, &e);
	else
		reply_found(r, h);
}

void logs_filter_events(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	_cleanup_free_ struct log_filter *filter = calloc(1, sizeof *filter);
	const char *token = member_string(in, "nextToken");
	struct hunt h = {.filter = filter, .after = {.ms = -1}};
	char endpoint[64];
	struct err e;

	if (!in || !filter || !log_group_endpoint(r, in, endpoint))
		return;
	h.most = (size_t)member_number(in, "limit", PAGE_EVENTS);
	if (log_filter_parse(filter, member_string(in, "filterPattern"), &e) < 0) {
		reply_error(r, 400, "InvalidParameterException", "%s", e.text);
	} else if (*token && !read_place(token, &h.after)) {
		reply_error(r, 400, "InvalidParameterException",
			    "The specified nextToken is invalid.");
	} else {
		filter_events(r, in, endpoint, &h);
	}
	for (size_t i = 0; i < h.n; i++)
		free(h.rows[i].text);
	free(h.rows);
}
