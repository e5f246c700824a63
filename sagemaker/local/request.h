/*
 * request.h: one HTTP request on its way through the backend, and the reply it gets.
 *
 * A request belongs to one thread at a time: the server's while it arrives and while the reply leaves, in between (its
 * connection suspended) whoever handles it, until that one calls request_done().
 */
#ifndef SAGEMAKER_LOCAL_REQUEST_H
#define SAGEMAKER_LOCAL_REQUEST_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"
#include "sagemaker/local/backend.h"

struct MHD_Connection;
struct chunked;
struct route;
struct upload;
struct reader;

enum protocol { PROTO_S3, PROTO_JSON, PROTO_RUNTIME, PROTO_QUERY, PROTO_CBOR };

struct query_arg {
	char *name, *value; /* decoded; value "" when there was no '=' */
};

struct reply_header {
	char *name, *value;
};

struct reply {
	unsigned status; /* 0: none made yet */
	struct buf body;
	struct reader *reader; /* instead of body: an object's bytes */
	struct stream *stream; /* instead of body: bytes that are still to come */
	bool no_body; /* headers only: Content-Length is body.len or the reader's size, no byte follows (HEAD) */
	size_t truncate_at; /* faults: end the connection after so many bytes of body; 0: no */
	bool reset;         /* faults: no reply, the connection ends */
	struct reply_header *headers;
	size_t n_headers, cap_headers;
};

enum auth_kind { AUTH_NONE, AUTH_HEADER, AUTH_QUERY, AUTH_QUERY_V2 };

/* What the Authorization header or a presigned URL says. */
struct auth {
	enum auth_kind kind;
	char access_key[64];
	char day[16]; /* "20261123" */
	char region[32];
	char service[32];
	char signed_headers[512];
	char signature[65];
	char date[32];    /* x-amz-date, X-Amz-Date */
	char payload[80]; /* x-amz-content-sha256, or "" */
	char secret[64];  /* of the access key; "" until auth_headers has found it */
	char who[160];    /* "ROLE/SESSION" of temporary keys; "": the store's own */
};

struct request {
	struct backend *be;
	struct MHD_Connection *conn;
	enum protocol protocol;
	const struct route *route;
	char method[8];
	char *path;  /* raw, as on the wire */
	char *query; /* raw, without '?' */
	struct query_arg args[48];
	size_t n_args;
	char id[40]; /* the request id */
	struct auth auth;
	uint64_t length; /* Content-Length; of an aws-chunked body x-amz-decoded-content-length */
	bool has_length;
	struct chunked *chunked; /* the body is aws-chunked; owned */
	struct buf body;
	struct upload *upload; /* where a streamed body goes; owned */
	char bucket[64];       /* S3 */
	struct buf key;        /* S3: decoded bytes */
	bool virtual_host;     /* S3: the bucket's name came with the Host header */
	struct reply reply;
	struct err error; /* what went wrong while the body came, told at its end */
	bool started, draining, dispatched, done;
	double began; /* monotonic seconds */
	bool faulted; /* a fault was applied: no second one */
};

/* request_new: method and URI as on the wire; NULL: out of memory. request_free: everything it owns. */
struct request *request_new(struct backend *be, const char *uri);
void request_free(struct request *r);

/* request_header: value of a header by name without regard to case, or NULL. request_arg: of a query argument. */
const char *request_header(const struct request *r, const char *name);
const char *request_arg(const struct request *r, const char *name);

/* request_done: the reply is made; any thread; r may not be touched afterwards. */
void request_done(struct request *r);

/* url_decode: %XX (and '+' as space when plus) into out. -1: malformed. */
int url_decode(const char *s, size_t n, bool plus, struct buf *out) _must_check_;
/* request_parse_args: "a=b&c" into args; -1 when malformed or too many. */
int request_parse_args(struct request *r, const char *query, bool plus) _must_check_;

/* reply_status: begins a reply without body. reply_body: takes over b's memory. reply_header: copies name and value. */
void reply_status(struct request *r, unsigned status);
void reply_body(struct request *r, unsigned status, const char *type, struct buf *b);
void reply_header(struct request *r, const char *name, const char *fmt, ...) _printf_(3, 4);
/* reply_json: a control-plane answer; takes over j (NULL: out of memory). */
void reply_json(struct request *r, cJSON *j);
/* reply_error: the error in the request's protocol; whatever reply was begun is dropped. */
void reply_error(struct request *r, unsigned status, const char *code, const char *fmt, ...)
	_printf_(4, 5);
/* reply_failure: our own trouble (disk, database): 500 InternalError (507 when the disk is full), with e's sentence. */
void reply_failure(struct request *r, const struct err *e);
void reply_release(struct reply *p);

/* copy_text: the n bytes at s as a string of at most size - 1 bytes; false, out empty: it does not fit. */
bool copy_text(char *out, size_t size, const char *s, size_t n);
/* text_or: s, or otherwise when there is none. */
const char *text_or(const char *s, const char *otherwise);
/* utf8_valid: whether n bytes are well-formed UTF-8. */
bool utf8_valid(const char *s, size_t n);
/* xml_text: append s escaped for XML. utf8_clean: replace what is not UTF-8 or a control character (but \n, \t) by '?'. */
void xml_text(struct buf *out, const char *s, size_t n);
void utf8_clean(char *s, size_t n);
/* iso_time: "2026-11-23T17:55:00.000Z" of epoch seconds; http_time: "Mon, 23 Nov 2026 17:55:00 GMT". */
void iso_time(double t, char out[32]);
void http_time(double t, char out[40]);
double time_now(
	void); /* epoch seconds, to 10 us: what 15 digits of JSON can say, so that it reads back the same */
double time_mono(void);

#endif
