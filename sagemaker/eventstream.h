/*
 * eventstream.h: messages of application/vnd.amazon.eventstream, in which InvokeEndpointWithResponseStream answers
 * (botocore's eventstream.py reads them so). Pure; thread-safe.
 */
#ifndef SAGEMAKER_EVENTSTREAM_H
#define SAGEMAKER_EVENTSTREAM_H

#include "sagemaker/buf.h"

struct eventstream_header {
	const char *name,
		*value; /* strings: the only type that this protocol's headers have here */
};

/* eventstream_put: appends one message: rows of headers and a payload. -1: it does not fit into out, or a name or value is too long. */
int eventstream_put(struct buf *out, const struct eventstream_header *rows, size_t n_rows,
		    const void *payload, size_t n) _must_check_;

#endif
