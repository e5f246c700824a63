/*
 * stream.h: a reply's body that is still being made while it is sent: the HTTP engine puts bytes in, the server's thread takes
 * them out; neither waits: a connection without bytes is suspended. Counted; thread-safe.
 */
#ifndef SAGEMAKER_LOCAL_STREAM_H
#define SAGEMAKER_LOCAL_STREAM_H

#include <sys/types.h>

#include "sagemaker/buf.h"

struct MHD_Connection;
struct stream;

/* stream_new: for the connection that the bytes go to; NULL: out of memory. One reference is the maker's, one is taken by the
 * reply (reply.stream), dropped with stream_close. */
struct stream *stream_new(struct MHD_Connection *conn);
struct stream *stream_ref(struct stream *s);
void stream_unref(struct stream *s);

/* stream_put: more bytes; -1 with errno: ECONNRESET the client has gone, ENOBUFS it takes them too slowly. stream_end: that was all. */
int stream_put(struct stream *s, const void *p, size_t n) _must_check_;
void stream_end(struct stream *s);

/* For the server, on its thread: stream_take: bytes into out; 0: none now, the connection is suspended until there are; -1: the
 * end. stream_close: the connection takes no more. */
ssize_t stream_take(struct stream *s, char *out, size_t max);
void stream_close(struct stream *s);

#endif
