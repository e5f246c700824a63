/* s3_internal.h: what the S3 files share: one request, and its parts. */
#ifndef SAGEMAKER_S3_INTERNAL_H
#define SAGEMAKER_S3_INTERNAL_H

#include "sagemaker/s3.h"

#define S3_HOST_SIZE   256
#define S3_REGION_SIZE 64

/* A request under construction: q goes to s3_call_run or aws_start. */
struct s3_call {
	struct aws_req q;
	struct http_headers headers;
	char *path;
	const struct s3_bucket *bucket; /* borrowed */
	const char *key;                /* borrowed; NULL: the bucket itself */
	char host[S3_HOST_SIZE];        /* where S3 redirected to, "": nowhere */
};

#define _cleanup_s3_call_ _cleanup_(s3_call_release)

/* s3_call_init: method on bucket/key (key NULL: the bucket), refused by S3 unless the bucket's owner is the expected one.
 * Refuses what cannot be a bucket's name (EINVAL). */
int s3_call_init(struct s3_call *c, struct aws *a, const char *method,
		 const struct s3_bucket *bucket, const char *key, struct err *e) _must_check_;
int s3_call_header(struct s3_call *c, const char *name, const char *value, struct err *e)
	_must_check_;
/* s3_call_encrypt: the headers of SSE-KMS, if the bucket has a key. */
int s3_call_encrypt(struct s3_call *c, struct err *e) _must_check_;
void s3_call_release(struct s3_call *c);

/* s3_call_run: the exchange; a failure begins with "verb 's3://bucket/key': ". A 307 is followed to S3's own hosts only, and
 * c->host says where; a bucket of another region is EXDEV with its name. */
int s3_call_run(struct s3_call *c, struct aws *a, const char *verb, struct http_resp *r,
		struct err *e) _must_check_;

/* s3_redirect_host: the host of a Location, if our signature may go there: to the bucket on S3's own hosts of this partition, under
 * TLS; anybody else could use it. Only the host is taken, never a path. Not from services that are not AWS's. */
bool s3_redirect_host(const struct aws *a, const char *bucket, const char *location,
		      char out[S3_HOST_SIZE]);

/* s3_other_region: the region that a reply says the bucket is in, if that is not ours. */
bool s3_other_region(const struct aws *a, const struct http_resp *r, char out[S3_REGION_SIZE]);
/* s3_region_error: the sentence about it, EXDEV. Keeps e->http. Returns -1. */
int s3_region_error(const struct aws *a, const char *bucket, const char *region, struct err *e);

/* s3_part_size: bytes of our uploads' parts, but for the last; index from 0. */
uint64_t s3_part_size(int index);

/* s3_query_add: "&name=value", encoded; q->failed when out of memory. */
void s3_query_add(struct buf *q, const char *name, const char *value);
/* s3_xml_text: text as the content of an XML element: keys are the user's, ETags come from the network. */
void s3_xml_text(struct buf *out, const char *text);
/* s3_decode: a key from a reply: keys come URL-encoded where that was asked for, as XML cannot hold every byte of one. NULL: no such. */
char *s3_decode(const char *text);

/* s3_crc_bytes, s3_crc_text: a CRC as S3 writes it, base64 of 4 big-endian bytes. */
#define S3_CRC_TEXT 9
void s3_crc_bytes(uint32_t crc, unsigned char out[4]);
void s3_crc_text(uint32_t crc, char out[S3_CRC_TEXT]);

/* s3_crc_check: EIO when the reply to a write shows another CRC32C than that of what was sent. */
int s3_crc_check(const struct http_headers *h, uint32_t crc, struct err *e) _must_check_;

/* s3_object_read: what a reply's headers say about the object. */
void s3_object_read(const struct http_headers *h, struct s3_object *o);

/* s3_copy_text: text (NULL: "") into out; -1 when it does not fit: half an ETag is another ETag. */
int s3_copy_text(char *out, size_t size, const char *text);

/* s3_broken_off: what the transport did to us may be over at the next try; what the service said holds. */
bool s3_broken_off(const struct err *e);

/* s3_time: epoch seconds of text in strptime's format; 0: it is none. */
double s3_time(const char *text, const char *format);
#define S3_XML_TIME "%Y-%m-%dT%H:%M:%S"

/* A part of an unfinished upload, as the service lists it. */
struct s3_listed {
	uint64_t size;
	double modified; /* epoch seconds, 0: not told */
	char crc[16];    /* base64, "" not told */
	char etag[128];
};

/* s3_parts_page: ListParts, a page of 1,000 after those of the page before; fn for each part (-1: out of memory). more: there is another
 * page. Zeroed but for fn and arg before the first. */
struct s3_parts_page {
	int (*fn)(void *arg, int number, const struct s3_listed *part);
	void *arg;
	bool more;
	char marker[16];
	int number; /* of the one being read */
	struct s3_listed next;
};

int s3_parts_page(struct aws *a, const struct s3_bucket *bucket, const char *key, const char *id,
		  struct s3_parts_page *p, struct cancel *c, struct err *e) _must_check_;

#endif
