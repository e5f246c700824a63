/* routes.h: one row per AWS call: how it is recognised, how much body it may bring, who answers it and where. */
#ifndef SAGEMAKER_LOCAL_ROUTES_H
#define SAGEMAKER_LOCAL_ROUTES_H

#include "sagemaker/local/request.h"

enum run {
	RUN_HERE,   /* on the server's thread: quick, no disk */
	RUN_WORKER, /* on a worker, the connection suspended */
	RUN_ASYNC,  /* begun on the server's thread, ended by request_done() from anywhere */
};

enum level { LEVEL_ANY, LEVEL_SERVICE, LEVEL_BUCKET, LEVEL_OBJECT };

struct route {
	const char *name; /* AWS's name of the call: X-Amz-Target, Action, faults, log */
	enum protocol protocol;
	enum run run;
	void (*handler)(struct request *r);
	const char *method; /* S3 and Runtime */
	enum level level;   /* S3 */
	const char *
		arg; /* S3: query argument that must be there, NULL: any; Runtime: the path behind the endpoint; JSON: the
		      * service's part of X-Amz-Target */
	size_t max_body;    /* 0: none but what is ignored */
	bool streams;       /* the body goes to a file as it comes */
	bool logged;        /* one line in DIR/log */
	bool foreign_sum;   /* S3: checksum headers are not of the body */
	const char *header; /* S3: header that must be there, NULL: any */
};

/* host_read: whether the Host header names this machine; sets r->bucket where an S3 request's bucket is part of it. */
bool host_read(struct request *r);
/* route_protocol: which protocol the request speaks, from its headers and path. */
enum protocol route_protocol(const struct request *r);
/* route_find: fills r->bucket and r->key for S3; NULL with the refusal replied. For PROTO_QUERY: a row that reads the
 * body for its Action. */
const struct route *route_find(struct request *r);
/* route_named: whether a call of that name is in the tables; route_named_s3: among S3's (routes_s3.c). */
bool route_named(const char *name);
bool route_named_s3(const char *name);
/* route_call: AWS's name of the call, which STS, IAM and CloudWatch may say in the form; "refused" before it has a route. */
void route_call(const struct request *r, char out[64]);
/* route_find_s3: for PROTO_S3 (routes_s3.c). */
const struct route *route_find_s3(struct request *r);

#endif
