/* query.h: AWS's query protocol (STS, IAM): a form goes out, XML comes back. */
#ifndef SAGEMAKER_QUERY_H
#define SAGEMAKER_QUERY_H

#include <time.h>

#include "sagemaker/aws.h"
#include "sagemaker/xml.h"

#define QUERY_PARAMETERS 4

/* One call; strings are borrowed, operation is static. */
struct query {
	const struct aws_service *service;
	const char *operation, *version; /* "GetRole", "2010-05-08" */

	struct {
		const char *name, *value; /* a NULL value sets none */
	} parameters[QUERY_PARAMETERS];

	xml_fn *fn; /* reads the reply into arg, as in xml_scan */
	void *arg;
	time_t *date; /* when the service answered, by its own clock; NULL: not asked; untouched when the reply has none */
};

/* query_run: blocking, thread-safe; errors as aws_raw's, EPROTO for a reply that is no XML. */
int query_run(struct aws *a, const struct query *q, struct cancel *c, struct err *e) _must_check_;

/* query_take: what fn does with a text: into out, "" when it does not fit (half an ARN is another ARN). */
void query_take(char *out, size_t size, const char *text);

#endif
