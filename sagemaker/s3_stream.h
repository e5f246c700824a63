/* s3_stream.h: bytes that come one after the other, of unknown number, as one object: parts of 8 MiB (growing so that 5 TiB fit in 10,000)
 * of an s3_upload, or a single PutObject when they are less than a part. One thread at a time. */
#ifndef SAGEMAKER_S3_STREAM_H
#define SAGEMAKER_S3_STREAM_H

#include "sagemaker/s3.h"

struct s3_stream;

/* s3_stream_new: into u, which it takes in any case (NULL: -> NULL). */
struct s3_stream *s3_stream_new(struct s3_upload *u, struct err *e) _must_check_;
int s3_stream_write(struct s3_stream *s, const void *p, size_t n, struct err *e) _must_check_;
/* s3_stream_finish: frees s; what failed is aborted. s3_stream_abort: the same without an object. */
int s3_stream_finish(struct s3_stream *s, struct s3_object *out, struct err *e) _must_check_;
void s3_stream_abort(struct s3_stream *s);

#endif
