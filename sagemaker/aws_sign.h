/* aws_sign.h: the headers of one attempt of a call: date, token, signature. */
#ifndef SAGEMAKER_AWS_SIGN_H
#define SAGEMAKER_AWS_SIGN_H

#include "sagemaker/http.h"
#include "sagemaker/sigv4.h"

struct sign_input {
	const char *method, *url;
	const struct http_headers *headers; /* all of them are signed */
	const char *payload;                /* as in struct sig_request */
	const char *region;
	const char *service; /* its signing name */
	int64_t now;         /* epoch seconds, the service's clock */
	const struct keys *keys;
};

/* aws_sign: out = headers + host, date, token, Authorization; empty before, released by the caller in any case. */
int aws_sign(const struct sign_input *in, struct http_headers *out, struct err *e) _must_check_;

#endif
