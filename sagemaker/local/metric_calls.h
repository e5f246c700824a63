/* metric_calls.h: what the calls of CloudWatch's metrics have in common. */
#ifndef SAGEMAKER_LOCAL_METRIC_CALLS_H
#define SAGEMAKER_LOCAL_METRIC_CALLS_H

#include "sagemaker/local/metrics.h"
#include "sagemaker/local/request.h"

/* metric_request: the request of a call ("GetMetricData"), from whichever of the three protocols it came by; NULL: refused and replied.
 * metric_reply: its answer, in the same one; takes over j. */
cJSON *metric_request(struct request *r, const char *call);
void metric_reply(struct request *r, const char *call, cJSON *j);

/* metric_find: the metric that a {Namespace, MetricName, Dimensions} names; false: there is none, so no data either. The texts are in j. */
bool metric_find(const cJSON *j, enum metric *metric, const char **endpoint, const char **variant);

/* metric_stat: a statistic of a bucket, by its name; false: none of that name. */
bool metric_stat(const struct bucket *b, const char *name, double *out);

/* A span in minutes, in whole periods. */
struct span {
	int64_t from, to, period;
};

/* metric_span: of StartTime, EndTime and a period in seconds; false: refused and replied. */
bool metric_span(struct request *r, const cJSON *in, double period, struct span *out);

#endif
