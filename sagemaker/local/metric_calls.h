/* metric_calls.h: what the calls of CloudWatch's metrics have in common. */
#ifndef SAGEMAKER_LOCAL_METRIC_CALLS_H
#define SAGEMAKER_LOCAL_METRIC_CALLS_H

#include "sagemaker/local/metrics.h"
#include "sagemaker/local/request.h"

/* metric_request: the request of a call ("GetMetricData"), from whichever of the three protocols it came by; NULL: refused and replied.
 * metric_reply: its answer, in the same one; takes over j. */
cJSON *metric_request(struct request *r, const char *call);
void metric_reply(struct request *r, const char *call, cJSON *j);

/* metric_find: the metric that a {Namespace, MetricName, Dimensions} names, into q; false: there is none, so no data either. The texts
 * are j's. */
bool metric_find(const cJSON *j, struct metric_query *q);

/* metric_stat: a statistic of a bucket, by its name; false: none of that name. */
bool metric_stat(const struct bucket *b, const char *name, double *out);

/* metric_span: StartTime, EndTime and a period in seconds as q's minutes, in whole periods; false: refused and replied. */
bool metric_span(struct request *r, const cJSON *in, double period, struct metric_query *q);

#endif
