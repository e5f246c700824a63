/* log_calls.c: DescribeLogGroups, DescribeLogStreams: what logs there are. */
#include "sagemaker/local/log_calls.h"

#include "sagemaker/config.h"
#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/validate.h"

#define PAGE 50

static void group_arn(const struct backend *be, const char *endpoint, char out[320])
{
	snprintf(out, 320, "arn:%s:logs:%s:" LOCAL_ACCOUNT ":log-group:" LOG_GROUP_PREFIX "%s",
		 config_partition(be->region), be->region, endpoint);
}

/* What may be a directory's name below DIR/logs: as endpoints are named. */
static bool is_endpoint_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return n && n < 64 && !s[n];
}

static void note_any(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
}

bool log_group_endpoint(struct request *r, const cJSON *in, char endpoint[64])
{
	const char *name = member_string(in, "logGroupName"),
		   *id = member_string(in, "logGroupIdentifier");
	const char *in_arn = strstr(id, ":log-group:");
	bool any = false;

	if (*name && *id) {
		reply_error(r, 400, "InvalidParameterException",
			    "LogGroup name and LogGroup Identifier both cannot be provided.");
		return false;
	}
	if (!*name && !*id) {
		reply_error(r, 400, "InvalidParameterException",
			    "Either logGroupName or logGroupIdentifier must be provided.");
		return false;
	}
	if (*id)
		name = in_arn ? in_arn + strlen(":log-group:") : id;
	if (starts_with(name, LOG_GROUP_PREFIX)) {
		const char *tail = name + strlen(LOG_GROUP_PREFIX);

		snprintf(endpoint, 64, "%.*s", (int)MIN(strcspn(tail, ":"), 63u), tail);
		if (is_endpoint_name(endpoint) && strcspn(tail, ":") < 64)
			logs_streams(r->be, endpoint, note_any, &any);
	}
	if (!any)
		reply_error(r, 400, "ResourceNotFoundException",
			    "The specified log group does not exist.");
	return any;
}

void log_names_add(void *names, const char *name)
{
	struct log_names *l = names;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		void *more = realloc(l->rows, cap * sizeof *l->rows);

		if (!more)
			return;
		l->rows = more;
		l->cap = cap;
	}
	if (copy_text(l->rows[l->n], sizeof l->rows[0], name, strlen(name)))
		l->n++;
}

void log_names_release(struct log_names *l)
{
	free(l->rows);
	*l = (struct log_names){0};
}

/* ---- groups and streams as rows ---- */

struct row {
	char name[128];
	int64_t created, first, last, bytes;
	bool any; /* it has an event */
};

struct table {
	struct request *r;
	const char *endpoint;
	struct row *rows;
	size_t n;
};

/* One stream; a row of its own, or added to a group's. */
static void weigh_stream(struct request *r, const char *endpoint, const char *name, struct row *row)
{
	struct log_stream s;
	struct err e;

	if (log_stream_open(r->be, endpoint, name, &s, &e) <= 0)
		return; /* it has just been removed */
	if (s.n) {
		row->created = row->created ? MIN(row->created, s.marks[0].ms) : s.marks[0].ms;
		row->first = log_time_at(&s, s.begin);
		row->last = s.marks[s.n - 1].ms;
		row->any = s.end > s.begin;
	}
	row->bytes += s.end - s.begin;
	log_stream_close(&s);
}

static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_last(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->last < y->last ? -1 : x->last > y->last ? 1 : by_name(a, b);
}

static bool order(struct row *rows, size_t n, bool by_time, bool descending)
{
	if (n)
		qsort(rows, n, sizeof *rows, by_time ? by_last : by_name);
	for (size_t i = 0; descending && i < n / 2; i++) {
		struct row swap = rows[i];

		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = swap;
	}
	return true;
}

/* The rows of the page that the request asks for, each by add(); NextToken is the last one's name. */
static void reply_page(struct request *r, const cJSON *in, const char *member,
		       const struct row *rows, size_t n,
		       cJSON *(*add)(struct request *r, const char *endpoint,
				     const struct row *row),
		       const char *endpoint)
{
	_cleanup_buf_ struct buf token = BUF_INIT(1024), before = BUF_INIT(1024);
	const char *asked = member_string(in, "nextToken");
	size_t left = (size_t)member_number(in, "limit", PAGE), i = 0;
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, member);

	if (*asked && unbase64(asked, strlen(asked), &before) < 0) {
		cJSON_Delete(out);
		reply_error(r, 400, "InvalidParameterException",
			    "The specified nextToken is invalid.");
		return;
	}
	while (before.len && i < n && !streq(rows[i].name, buf_cstr(&before)))
		i++;
	for (i += before.len > 0; i < n && left; i++, left--)
		cJSON_AddItemToArray(list, add(r, endpoint, &rows[i]));
	if (i < n) {
		base64(rows[i - 1].name, strlen(rows[i - 1].name), &token);
		cJSON_AddStringToObject(out, "nextToken", buf_cstr(&token));
	}
	reply_json(r, out);
}

static cJSON *group_json(struct request *r, const char *endpoint, const struct row *row)
{
	cJSON *j = cJSON_CreateObject();
	char arn[320], all[324];

	(void)endpoint;
	group_arn(r->be, row->name + strlen(LOG_GROUP_PREFIX), arn);
	snprintf(all, sizeof all, "%s:*", arn);
	cJSON_AddStringToObject(j, "logGroupName", row->name);
	cJSON_AddNumberToObject(j, "creationTime", (double)row->created);
	cJSON_AddNumberToObject(j, "metricFilterCount", 0);
	cJSON_AddStringToObject(j, "arn", all);
	cJSON_AddNumberToObject(j, "storedBytes", (double)row->bytes);
	cJSON_AddStringToObject(j, "logGroupClass", "STANDARD");
	cJSON_AddStringToObject(j, "logGroupArn", arn);
	return j;
}

static void weigh_group(struct request *r, const char *endpoint, struct row *row)
{
	struct log_names l = {0};

	logs_streams(r->be, endpoint, log_names_add, &l);
	for (size_t i = 0; i < l.n; i++)
		weigh_stream(r, endpoint, l.rows[i], row);
	log_names_release(&l);
}

static bool group_wanted(const cJSON *in, const char *name)
{
	const char *pattern = member_string(in, "logGroupNamePattern"),
		   *class = member_string(in, "logGroupClass");

	return starts_with(name, member_string(in, "logGroupNamePrefix")) &&
	       (!*pattern || strcasestr(name, pattern)) && (!*class || streq(class, "STANDARD"));
}

static const struct unsupported groups_unsupported[] = {
	{"accountIdentifiers",  "the local backend has one account"                   },
	{"logGroupIdentifiers", "the local backend finds groups by logGroupNamePrefix"},
	{NULL,		  NULL						  },
};

void logs_describe_groups(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, groups_unsupported);
	struct log_names l = {0};

	if (!in)
		return;
	logs_groups(r->be, log_names_add, &l);
	_cleanup_free_ struct row *rows = calloc(l.n + 1, sizeof *rows);
	size_t n = 0;
	for (size_t i = 0; rows && i < l.n; i++) {
		struct row *row = &rows[n];

		*row = (struct row){0};
		snprintf(row->name, sizeof row->name, LOG_GROUP_PREFIX "%.63s", l.rows[i]);
		if (!group_wanted(in, row->name))
			continue;
		weigh_group(r, l.rows[i], row);
		n += row->created > 0;
	}
	log_names_release(&l);
	if (rows && order(rows, n, false, false))
		reply_page(r, in, "logGroups", rows, n, group_json, NULL);
}

static cJSON *stream_json(struct request *r, const char *endpoint, const struct row *row)
{
	cJSON *j = cJSON_CreateObject();
	char arn[320], own[512];

	group_arn(r->be, endpoint, arn);
	snprintf(own, sizeof own, "%s:log-stream:%s", arn, row->name);
	cJSON_AddStringToObject(j, "logStreamName", row->name);
	cJSON_AddNumberToObject(j, "creationTime", (double)row->created);
	if (row->any) {
		cJSON_AddNumberToObject(j, "firstEventTimestamp", (double)row->first);
		cJSON_AddNumberToObject(j, "lastEventTimestamp", (double)row->last);
		cJSON_AddNumberToObject(j, "lastIngestionTime", (double)row->last);
	}
	cJSON_AddStringToObject(j, "arn", own);
	cJSON_AddNumberToObject(j, "storedBytes", 0); /* as AWS, since 2019 */
	return j;
}

void logs_describe_streams(struct request *r)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);
	const char *prefix = member_string(in, "logStreamNamePrefix");
	bool by_time = streq(member_string(in, "orderBy"), "LastEventTime");
	struct log_names l = {0};
	char endpoint[64];
	size_t n = 0;

	if (!in || !log_group_endpoint(r, in, endpoint))
		return;
	if (by_time && *prefix) {
		reply_error(r, 400, "InvalidParameterException",
			    "Cannot order by LastEventTime with a logStreamNamePrefix.");
		return;
	}
	logs_streams(r->be, endpoint, log_names_add, &l);
	_cleanup_free_ struct row *rows = calloc(l.n + 1, sizeof *rows);
	for (size_t i = 0; rows && i < l.n; i++) {
		if (!starts_with(l.rows[i], prefix))
			continue;
		memcpy(rows[n].name, l.rows[i], sizeof rows[n].name);
		weigh_stream(r, endpoint, l.rows[i], &rows[n++]);
	}
	log_names_release(&l);
	if (rows && order(rows, n, by_time, cJSON_IsTrue(cJSON_GetObjectItem(in, "descending"))))
		reply_page(r, in, "logStreams", rows, n, stream_json, endpoint);
}
