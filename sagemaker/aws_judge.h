/* aws_judge.h: what an attempt at a call came to, as struct err, and whether trying again makes sense. Pure but for the clock. */
#ifndef SAGEMAKER_AWS_JUDGE_H
#define SAGEMAKER_AWS_JUDGE_H

#include "sagemaker/aws_errors.h"

struct aws_attempt {
	const char *method, *url, *region;
	const struct retry_rules *rules;
	bool once_sent_never_again, error_in_success; /* as in struct aws_req */
	bool delivered;                               /* the caller has seen a part of the reply */
	bool token;                                   /* it was signed with a session token */
};

/* aws_judge: e->no 0: it went well. r->status becomes 500 where a 2xx holds an error. */
enum retry_class aws_judge(const struct aws_attempt *a, struct http_resp *r,
			   const struct err *transport, struct err *e);

/* aws_clock_differs: whether the date that a refusal carries is far from the one that was signed with (our clock and with seconds);
 * *offset is then what to sign with. False without a date. */
bool aws_clock_differs(const char *method, const struct http_resp *r, long long with,
		       long long *offset);

#endif
