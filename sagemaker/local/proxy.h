/* proxy.h: what the ways of invoking share: the request goes on to a model server's process; no thread waits for it. */
#ifndef SAGEMAKER_LOCAL_PROXY_H
#define SAGEMAKER_LOCAL_PROXY_H

#include "sagemaker/http.h"
#include "sagemaker/local/endpoints.h"

struct call {
	struct backend *be;
	struct request *r; /* not when stream is set: it may be gone before the stream is */
	struct invoke_target target;
	void (*go)(struct call *c); /* once there is a process for it */
	double until;               /* monotonic: waits for one until then */
	struct stream *stream;      /* of a streamed answer that has begun */
	double sent;                /* monotonic seconds: when the model server was asked */
	double before;              /* seconds from the request's beginning until then */
};

/* proxy_call: calls go as soon as there is a process for the request's invocation: at once, or on the engine's thread when a
 * serverless variant's has started. What is refused is replied and done, without go. */
void proxy_call(struct request *r, void (*go)(struct call *c));

/* proxy_limit: bytes of an invocation's body and of its answer. */
size_t proxy_limit(const struct call *c);

/* proxy_forward: the request's body and the headers that a container gets. accept: the header that says what answer is wanted.
 * q: URL, headers and body are filled in. done has the call as its argument. When it cannot be begun, that is replied. */
void proxy_forward(struct call *c, const char *accept, struct http_req *q, http_done_fn *done);

/* proxy_failed: replies for an exchange that failed or was refused by the container; false: it did neither. */
bool proxy_failed(struct call *c, const struct http_resp *resp, const struct err *e);

/* proxy_answered: the exchange is over: it is counted. First in each done function. */
void proxy_answered(const struct call *c, const struct http_resp *resp, const struct err *e);

/* proxy_end: the call is over, its reply is made (or its stream ended). */
void proxy_end(struct call *c);

/* proxy_timeout: AWS's sentence for a model that took too long. Static. */
extern const char proxy_timeout[];

#endif
