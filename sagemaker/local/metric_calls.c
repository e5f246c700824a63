/* metric_calls.c: GetMetricStatistics, ListMetrics, and what GetMetricData (metric_data.c) shares with them. */
#include "sagemaker/local/metric_calls.h"

#include "sagemaker/hash.h"
#include "sagemaker/local/calls.h"
#include "sagemaker/local/validate.h"

#define POINTS_MOST 1440 /* of a GetMetricStatistics */
#define LIST_PAGE   500
#define RECENT      180 /* minutes: RecentlyActive PT3H */

/* ---- what a request names ---- */

/* The values of the two dimensions, and no others; NULL: absent. */
static bool read_dimensions(const cJSON *list, const char **endpoint, const char **variant)
{
	const cJSON *d;

	*endpoint = *variant = NULL;
	cJSON_ArrayForEach(d, list) {
		const char *name = member_string(d, "Name");

		if (streq(name, "EndpointName"))
			*endpoint = member_string(d, "Value");
		else if (streq(name, "VariantName"))
			*variant = member_string(d, "Value");
		else
			return false;
	}
	return true;
}

bool metric_find(const cJSON *j, struct metric_query *q)
{
	const char *namespace = member_string(j, "Namespace"),
		   *name = member_string(j, "MetricName");

	for (size_t i = 0; i < N_METRICS; i++) {
		if (!streq(metric_rows[i].namespace, namespace) ||
		    !streq(metric_rows[i].name, name))
			continue;
		q->metric = (enum metric)i;
		return read_dimensions(cJSON_GetObjectItemCaseSensitive(j, "Dimensions"),
				       &q->endpoint, &q->variant) &&
		       q->endpoint && q->variant;
	}
	return false;
}

bool metric_stat(const struct bucket *b, const char *name, double *out)
{
	const struct {
		const char *name;
		double value;
	} rows[] = {
		{"Sum",         b->sum                      },
                {"Average",     b->n > 0 ? b->sum / b->n : 0},
		{"Minimum",     b->low                      },
                {"Maximum",     b->high                     },
		{"SampleCount", b->n                        },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (streq(rows[i].name, name)) {
			*out = rows[i].value;
			return true;
		}
	}
	return false;
}

bool metric_span(struct request *r, const cJSON *in, double period, struct metric_query *out)
{
	double start = member_number(in, "StartTime", 0), end = member_number(in, "EndTime", 0);

	if (period < 60 || (int64_t)period % 60 || period > 86400 * 365.0) {
		reply_error(
			r, 400, "InvalidParameterValue",
			"The parameter Period must be a multiple of 60: the local backend counts by the minute.");
		return false;
	}
	if (!(start < end) || start < 0 || end > 1e11) {
		reply_error(r, 400, "InvalidParameterValue",
			    "The parameter StartTime must be less than the parameter EndTime.");
		return false;
	}
	out->period = (int64_t)(period / 60);
	out->from = (int64_t)(start / 60);
	out->from -= out->from % out->period;
	out->to = (int64_t)((end + 59.999) / 60);
	return true;
}

/* ---- GetMetricStatistics ---- */

static bool check_statistics(struct request *r, const cJSON *in, const struct metric_query *s)
{
	int64_t n = (s->to - s->from) / s->period;

	if (cJSON_HasObjectItem(in, "ExtendedStatistics")) {
		reply_error(
			r, 400, "InvalidParameterValue",
			"ExtendedStatistics: the local backend keeps sums and extremes, no percentiles");
		return false;
	}
	if (!cJSON_HasObjectItem(in, "Statistics")) {
		reply_error(r, 400, "InvalidParameterCombination",
			    "Must specify either Statistics or ExtendedStatistics.");
		return false;
	}
	if (n <= POINTS_MOST)
		return true;
	reply_error(
		r, 400, "InvalidParameterCombination",
		"You have requested up to %lld datapoints, which exceeds the limit of %d. You may reduce the datapoints requested by "
		"increasing Period, or decreasing the time range.",
		(long long)n, POINTS_MOST);
	return false;
}

static void add_datapoint(cJSON *list, const struct point *p, const cJSON *statistics,
			  const char *unit)
{
	cJSON *d = cJSON_CreateObject();
	const cJSON *s;
	double v;

	cJSON_AddNumberToObject(d, "Timestamp", (double)p->minute * 60);
	cJSON_ArrayForEach(s, statistics) {
		if (metric_stat(&p->bucket, s->valuestring, &v))
			cJSON_AddNumberToObject(d, s->valuestring, v);
	}
	cJSON_AddStringToObject(d, "Unit", unit);
	cJSON_AddItemToArray(list, d);
}

void metrics_get_statistics(struct request *r)
{
	_cleanup_json_ cJSON *in = metric_request(r, "GetMetricStatistics");
	_cleanup_free_ struct point *points = NULL;
	const char *unit = member_string(in, "Unit");
	struct metric_query q = {0};
	size_t n = 0;
	struct err e;

	if (!in || !metric_span(r, in, member_number(in, "Period", 0), &q) ||
	    !check_statistics(r, in, &q))
		return;
	if (metric_find(in, &q) && (!*unit || streq(unit, metric_rows[q.metric].unit)))
		points = metrics_points(r->be->metrics, &q, &n, &e);
	if (n == SIZE_MAX) {
		reply_failure(r, &e);
		return;
	}
	cJSON *out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "Label", member_string(in, "MetricName"));
	cJSON *list = cJSON_AddArrayToObject(out, "Datapoints");
	for (size_t i = 0; i < n; i++)
		add_datapoint(list, &points[i], cJSON_GetObjectItem(in, "Statistics"),
			      metric_rows[q.metric].unit);
	metric_reply(r, "GetMetricStatistics", out);
}

/* ---- ListMetrics ---- */

struct seen {
	enum metric metric;
	char endpoint[64], variant[64];
};

struct list {
	const cJSON *in;
	struct seen *rows;
	size_t n, cap;
};

/* DimensionFilters: each must be there, with its value if it has one. */
static bool passes(const cJSON *filters, const char *endpoint, const char *variant)
{
	const cJSON *f;

	cJSON_ArrayForEach(f, filters) {
		const char *name = member_string(f, "Name"), *value = member_string(f, "Value");
		const char *ours = streq(name, "EndpointName")  ? endpoint
				   : streq(name, "VariantName") ? variant
								: NULL;

		if (!ours || (*value && !streq(value, ours)))
			return false;
	}
	return true;
}

static void add_seen(void *arg, const char *endpoint, const char *variant, enum metric metric)
{
	struct list *l = arg;
	const char *namespace = member_string(l->in, "Namespace"),
		   *name = member_string(l->in, "MetricName");

	if ((*namespace && !streq(namespace, metric_rows[metric].namespace)) ||
	    (*name && !streq(name, metric_rows[metric].name)) ||
	    !passes(cJSON_GetObjectItem(l->in, "Dimensions"), endpoint, variant))
		return;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct seen *more = realloc(l->rows, cap * sizeof *more);

		if (!more)
			return;
		l->rows = more;
		l->cap = cap;
	}
	struct seen *s = &l->rows[l->n++];
	s->metric = metric;
	snprintf(s->endpoint, sizeof s->endpoint, "%s", endpoint);
	snprintf(s->variant, sizeof s->variant, "%s", variant);
}

static int by_name(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int d = strcmp(x->endpoint, y->endpoint);

	if (!d)
		d = strcmp(x->variant, y->variant);
	return d ? d : (int)x->metric - (int)y->metric;
}

static void add_dimension(cJSON *list, const char *name, const char *value)
{
	cJSON *d = cJSON_CreateObject();

	cJSON_AddStringToObject(d, "Name", name);
	cJSON_AddStringToObject(d, "Value", value);
	cJSON_AddItemToArray(list, d);
}

static cJSON *seen_json(const struct seen *s)
{
	cJSON *j = cJSON_CreateObject(), *dimensions;

	cJSON_AddStringToObject(j, "Namespace", metric_rows[s->metric].namespace);
	cJSON_AddStringToObject(j, "MetricName", metric_rows[s->metric].name);
	dimensions = cJSON_AddArrayToObject(j, "Dimensions");
	add_dimension(dimensions, "EndpointName", s->endpoint);
	add_dimension(dimensions, "VariantName", s->variant);
	return j;
}

/* A token is "ENDPOINT/VARIANT/METRIC" of the last row before the page. */
static bool read_token(const char *token, struct seen *out)
{
	const char *first = strchr(token, '/'), *second = first ? strchr(first + 1, '/') : NULL;
	char *end;

	if (!second ||
	    !copy_text(out->endpoint, sizeof out->endpoint, token, (size_t)(first - token)) ||
	    !copy_text(out->variant, sizeof out->variant, first + 1, (size_t)(second - first - 1)))
		return false;
	long metric = strtol(second + 1, &end, 10);
	out->metric = (enum metric)metric;
	return end != second + 1 && !*end && metric >= 0 && metric < N_METRICS;
}

static void reply_seen(struct request *r, struct list *l, const struct seen *after)
{
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "Metrics");
	size_t left = LIST_PAGE, i = 0;
	const struct seen *last = after;
	char token[192];

	if (l->n)
		qsort(l->rows, l->n, sizeof *l->rows, by_name);
	for (; i < l->n && left; i++) {
		if (last && by_name(&l->rows[i], last) <= 0)
			continue; /* of the page before, or there twice */
		last = &l->rows[i];
		cJSON_AddItemToArray(list, seen_json(last));
		left--;
	}
	if (!left && l->n && last && by_name(&l->rows[l->n - 1], last) > 0) {
		snprintf(token, sizeof token, "%s/%s/%d", last->endpoint, last->variant,
			 (int)last->metric);
		cJSON_AddStringToObject(out, "NextToken", token);
	}
	metric_reply(r, "ListMetrics", out);
}

void metrics_list(struct request *r)
{
	_cleanup_json_ cJSON *in = metric_request(r, "ListMetrics");
	const char *token = member_string(in, "NextToken");
	bool recent = *member_string(in, "RecentlyActive");
	int64_t since = recent ? (int64_t)(time_now() / 60) - RECENT : 0;
	struct list l = {.in = in};
	struct seen after;
	struct err e;

	if (!in)
		return;
	if (*token && !read_token(token, &after))
		reply_error(r, 400, "InvalidParameterValue", "The token is invalid.");
	else if (metrics_each(r->be->metrics, since, add_seen, &l, &e) < 0)
		reply_failure(r, &e);
	else
		reply_seen(r, &l, *token ? &after : NULL);
	free(l.rows);
}
