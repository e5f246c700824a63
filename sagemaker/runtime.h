/* runtime.h: InvokeEndpoint. */
#ifndef SAGEMAKER_RUNTIME_H
#define SAGEMAKER_RUNTIME_H

#include "sagemaker/aws.h"

#define RUNTIME_MAX_BODY 26214400 /* real-time payload limit (facts/invoke-rules.md rule 6) */

struct invoke_req {
	const char *endpoint, *content_type, *accept; /* accept may be NULL */
	const void *body;                             /* borrowed until done */
	size_t body_len;
	struct cancel *cancel;
};

/* done: on the engine's thread. e->no == 0: resp->body is the container's bytes. Else errno as in facts/invoke-rules.md's table
 * (EBADMSG container 4xx, EREMOTEIO container 5xx, EFBIG 413, EBUSY throttled / ModelNotReady, EACCES, ETIMEDOUT, ...) and
 * container (may be empty) holds OriginalMessage, the container's own text. */
typedef void invoke_done_fn(void *arg, struct http_resp *resp, const struct buf *container,
			    const struct err *e);
int runtime_invoke(struct aws *a, const struct invoke_req *q, invoke_done_fn *done, void *arg,
		   struct err *e) _must_check_;

#endif
