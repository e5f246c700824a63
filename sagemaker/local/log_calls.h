/* log_calls.h: what the calls of CloudWatch Logs have in common. */
#ifndef SAGEMAKER_LOCAL_LOG_CALLS_H
#define SAGEMAKER_LOCAL_LOG_CALLS_H

#include "sagemaker/local/logs.h"
#include "sagemaker/local/request.h"

/* log_group_endpoint: the endpoint whose group the request names (logGroupName or logGroupIdentifier); false: replied. */
bool log_group_endpoint(struct request *r, const cJSON *in, char endpoint[64]);

/* The names of a group's streams. */
struct log_names {
	char (*rows)[128];
	size_t n, cap;
};

void log_names_add(void *names, const char *name); /* for logs_groups and logs_streams */
void log_names_release(struct log_names *l);

/* log_filter: a filter pattern: terms and phrases that must be there, ?ones of which one must, -ones that must not. */
struct log_filter {
	struct {
		char kind; /* '+', '?', '-' */
		char text[1024];
	} terms[32];

	size_t n;
};

/* log_filter_parse: -1: e has the sentence. log_filter_match: whether the text passes. */
int log_filter_parse(struct log_filter *f, const char *pattern, struct err *e) _must_check_;
bool log_filter_match(const struct log_filter *f, const char *text, size_t len);

#endif
