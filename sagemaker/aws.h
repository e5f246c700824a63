/*
 * aws.h: a signed call with retries (facts/retry.md table A), and AWS's error replies turned into struct err.
 *
 * One struct aws per mount: config, credentials, HTTP engine, retry quota per service, clock offset. Thread-safe.
 */
#ifndef SAGEMAKER_AWS_H
#define SAGEMAKER_AWS_H

#include <stdatomic.h>

#include "sagemaker/http.h"

struct aws;
struct creds;

/* One retry quota for each, as in AWS's SDKs. */
struct aws_service {
	const char *name;    /* "sagemaker": for messages */
	const char *signing; /* signing name */
	enum service id;
	const char *target_prefix; /* "SageMaker", NULL where there is none */
	const char *content_type;  /* of JSON calls */
};
extern const struct aws_service AWS_S3, AWS_SAGEMAKER, AWS_RUNTIME, AWS_STS, AWS_IAM;

struct aws_req {
	const char *
		operation; /* "ListEndpoints": static; NULL: unknown, for S3 told from what follows */
	const char *method;
	const char *path;  /* encoded, begins with '/' */
	const char *query; /* encoded, without '?', NULL or "" for none */
	/* a bucket before the service's host (virtual-host style), NULL: none; see aws_path_style */
	const char *host_prefix;
	/* sent there, over https, instead of to the service's host (and host_prefix): S3's temporary redirections; NULL: no */
	const char *host;
	const struct http_headers *headers; /* besides host, date, token, signature */
	const void *body;                   /* borrowed until the call is over */
	size_t body_len;
	/* NULL: chosen (hash, or "UNSIGNED-PAYLOAD" for large S3 bodies over TLS and loopback) */
	const char *payload_hash;
	size_t max_reply;
	long silence_ms;
	struct cancel *cancel;
	/* InvokeEndpoint: sent again only if no byte went out, or throttling, ModelNotReady, 503 */
	bool once_sent_never_again;
	/* a 200 whose body is an <Error>, as S3's may be, is that error, with status 500; so is a web page */
	bool error_in_success;
	/* 2xx only, as in http_req; after it nothing is sent again */
	int (*on_reply)(void *arg, const struct http_resp *r);
	int (*on_body)(void *arg, const void *p, size_t n); /* 2xx only */
	void *body_arg;
	bool paced; /* as in http_req */
	void (*on_sent)(void *arg, size_t n);
	void *sent_arg;
};

/* aws_free: calls in flight end with ECANCELED first (their done runs). */
/* aws_new: loads nothing by itself; c must be loaded and outlive the result. EINVAL: a service has no endpoint there. */
struct aws *aws_new(const struct config *c, struct err *e) _must_check_;
void aws_free(struct aws *a);
const struct config *aws_config(const struct aws *a);
struct creds *aws_creds(struct aws *a);

/* aws_raw: blocking call. 0: a 2xx reply in *r. -1: e has errno (table in aws_errors.c), HTTP status, AWS code, request id,
 * message; *r keeps the failing reply's headers and body (e.g. 304, 404, 412 for callers that expect them: e->http). */
int aws_raw(struct aws *a, const struct aws_service *s, const struct aws_req *q,
	    struct http_resp *r, struct err *e) _must_check_;

/* aws_start: the same without a thread: done runs on the engine's thread when retries are over. q's strings and headers are
 * copied; body is borrowed until done. */
typedef void aws_done_fn(void *arg, struct http_resp *r, const struct err *e);
int aws_start(struct aws *a, const struct aws_service *s, const struct aws_req *q,
	      aws_done_fn *done, void *arg, struct err *e) _must_check_;

/* aws_note: a number that a service's callers keep about it, 0 at first; any thread. */
atomic_int *aws_note(struct aws *a, enum service s);
/* aws_host: where a service is. */
const struct host *aws_host(const struct aws *a, enum service s);
/* aws_path_style: whether a bucket goes into the path instead of the host (hosts.h). */
bool aws_path_style(const struct aws *a, const char *bucket);

/* aws_json: AWS JSON 1.1 call; in is borrowed; *out (may be NULL) is owned by the caller. */
int aws_json(struct aws *a, const struct aws_service *s, const char *action, const cJSON *in,
	     struct cancel *cancel, cJSON **out, struct err *e) _must_check_;

#endif
