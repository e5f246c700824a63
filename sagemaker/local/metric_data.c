/* metric_data.c: GetMetricData. */
#include "sagemaker/local/calls.h"
#include "sagemaker/local/metric_calls.h"
#include "sagemaker/local/validate.h"

#define POINTS_MOST  100800 /* of an answer, AWS's limit */
#define QUERIES_MOST 500

/* The part of all points, over all queries, that this answer has. */
struct page {
	size_t skip, left, done;
	bool more;
};

/* What the local backend cannot do; false: replied. */
static bool check_query(struct request *r, const cJSON *q)
{
	const cJSON *stat = cJSON_GetObjectItemCaseSensitive(q, "MetricStat");
	const struct bucket none = {0};
	double v;

	if (cJSON_HasObjectItem(q, "Expression") || !stat) {
		reply_error(r, 400, "ValidationError",
			    "Query '%.255s': the local backend takes a MetricStat, no expressions",
			    member_string(q, "Id"));
		return false;
	}
	if (metric_stat(&none, member_string(stat, "Stat"), &v))
		return true;
	reply_error(
		r, 400, "ValidationError",
		"Query '%.255s': the local backend has the statistics Sum, Average, Minimum, Maximum and SampleCount, not '%.100s'",
		member_string(q, "Id"), member_string(stat, "Stat"));
	return false;
}

static bool check_queries(struct request *r, const cJSON *queries)
{
	const cJSON *q;

	if (cJSON_GetArraySize(queries) > QUERIES_MOST) {
		reply_error(
			r, 400, "ValidationError",
			"The collection MetricDataQueries must not have a size greater than %d.",
			QUERIES_MOST);
		return false;
	}
	cJSON_ArrayForEach(q, queries) {
		if (!check_query(r, q))
			return false;
	}
	return true;
}

static void add_points(cJSON *result, const struct point *points, size_t n, const char *stat,
		       bool ascending, struct page *page)
{
	cJSON *times = cJSON_AddArrayToObject(result, "Timestamps"),
	      *values = cJSON_AddArrayToObject(result, "Values");
	bool whole = true;
	double v;

	for (size_t k = 0; k < n; k++) {
		const struct point *p = &points[ascending ? k : n - 1 - k];

		if (page->skip) {
			page->skip--;
		} else if (!page->left) {
			whole = false;
		} else if (metric_stat(&p->bucket, stat, &v)) {
			cJSON_AddItemToArray(times, cJSON_CreateNumber((double)p->minute * 60));
			cJSON_AddItemToArray(values, cJSON_CreateNumber(v));
			page->left--;
			page->done++;
		}
	}
	page->more = page->more || !whole;
	cJSON_AddStringToObject(result, "StatusCode", whole ? "Complete" : "PartialData");
}

/* One query's result into list; false: replied. */
static bool answer_query(struct request *r, const cJSON *in, const cJSON *q, cJSON *list,
			 struct page *page)
{
	const cJSON *stat = cJSON_GetObjectItemCaseSensitive(q, "MetricStat"),
		    *metric_json = cJSON_GetObjectItemCaseSensitive(stat, "Metric");
	const char *label = member_string(q, "Label"), *unit = member_string(stat, "Unit");
	bool ascending = streq(member_string(in, "ScanBy"), "TimestampAscending");
	_cleanup_free_ struct point *points = NULL;
	struct metric_query ask = {0};
	size_t n = 0;
	struct err e;

	if (!metric_span(r, in, member_number(stat, "Period", 0), &ask))
		return false;
	if (metric_find(metric_json, &ask) && (!*unit || streq(unit, metric_rows[ask.metric].unit)))
		points = metrics_points(r->be->metrics, &ask, &n, &e);
	if (n == SIZE_MAX) {
		reply_failure(r, &e);
		return false;
	}
	if (cJSON_IsFalse(cJSON_GetObjectItem(q, "ReturnData")))
		return true;
	cJSON *result = cJSON_CreateObject();
	cJSON_AddStringToObject(result, "Id", member_string(q, "Id"));
	cJSON_AddStringToObject(result, "Label",
				*label ? label : member_string(metric_json, "MetricName"));
	add_points(result, points, n, member_string(stat, "Stat"), ascending, page);
	cJSON_AddItemToArray(list, result);
	return true;
}

void metrics_get_data(struct request *r)
{
	_cleanup_json_ cJSON *in = metric_request(r, "GetMetricData"), *out = NULL;
	const cJSON *queries = cJSON_GetObjectItem(in, "MetricDataQueries"), *q;
	const char *token = member_string(in, "NextToken");
	double most = member_number(in, "MaxDatapoints", POINTS_MOST);
	char next[32], *end;

	if (!in || !check_queries(r, queries))
		return;
	struct page page = {.skip = strtoul(token, &end, 10), .left = POINTS_MOST};
	if (*token && *end) {
		reply_error(r, 400, "InvalidNextToken", "The token is invalid.");
		return;
	}
	if (most >= 1 && most < POINTS_MOST)
		page.left = (size_t)most;
	const size_t before = page.skip;
	out = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(out, "MetricDataResults");
	cJSON_ArrayForEach(q, queries) {
		if (!answer_query(r, in, q, list, &page))
			return;
	}
	cJSON_AddArrayToObject(out, "Messages");
	if (page.more) {
		snprintf(next, sizeof next, "%zu", before + page.done);
		cJSON_AddStringToObject(out, "NextToken", next);
	}
	metric_reply(r, "GetMetricData", steal(out));
}
