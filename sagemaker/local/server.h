/* server.h: the HTTP server (libmicrohttpd): loopback only, epoll, connections suspended while work goes on elsewhere. */
#ifndef SAGEMAKER_LOCAL_SERVER_H
#define SAGEMAKER_LOCAL_SERVER_H

#include "sagemaker/local/backend.h"

struct server;

/* server_new: be->server, which listens on "ADDRESS:PORT" (loopback, be->port is set) and answers. EINVAL, EADDRINUSE... */
int server_new(struct backend *be, const char *listen, struct err *e) _must_check_;
/* server_drain: accept nothing more; wait at most ms for the requests in work. true: none is left. */
bool server_drain(struct server *s, long ms);
/* server_free: only after a drain that returned true. */
void server_free(struct server *s);

#endif
