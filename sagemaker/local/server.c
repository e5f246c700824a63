#include "sagemaker/local/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "sagemaker/hash.h"
#include "sagemaker/local/auth.h"
#include "sagemaker/local/faults.h"
#include "sagemaker/local/logger.h"
#include "sagemaker/local/objects.h"
#include "sagemaker/local/payload.h"
#include "sagemaker/local/pool.h"
#include "sagemaker/local/routes.h"
#include "sagemaker/local/stats.h"
#include "sagemaker/local/stream.h"
#include "sagemaker/local/throttle.h"
#include "sagemaker/local/upload.h"

#define CONNECTION_MEMORY \
 ((size_t)64 << 10) /* half of it is the read buffer; MHD clears all of it after each request */
#define DRAIN_MAX \
 ((uint64_t)64 << 20) /* a refused body up to this size is read, so that the client sees why */
#define IDLE_SECONDS 600u

struct server {
	struct backend *be;
	struct MHD_Daemon *daemon;
	bool quiesced;
	atomic_uint active; /* requests between dispatch and reply */
};

/* The stored body of a response made from a callback: n bytes of an object, then possibly a fault's sudden end. */
static ssize_t read_object(void *arg, uint64_t pos, char *out, size_t max)
{
	ssize_t n = reader_read(arg, pos, out, max);

	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_object(void *arg)
{
	reader_free(arg);
}

static ssize_t no_bytes(void *arg, uint64_t pos, _unused_ char *out, size_t max)
{
	(void)arg, (void)pos, (void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

struct cut {
	size_t len;
	char bytes[];
};

static ssize_t read_cut(void *arg, uint64_t pos, char *out, size_t max)
{
	const struct cut *c = arg;

	if (pos >= c->len)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	size_t n = MIN(max, c->len - (size_t)pos);
	memcpy(out, c->bytes + pos, n);
	return (ssize_t)n;
}

static struct MHD_Response *cut_response(const struct reply *p)
{
	size_t len = MIN(p->truncate_at, p->body.len);
	struct cut *c = malloc(sizeof *c + len);

	if (!c)
		return NULL;
	c->len = len;
	memcpy(c->bytes, buf_cstr(&p->body), len);
	return MHD_create_response_from_callback(p->body.len, 4096, read_cut, c, free);
}

static struct MHD_Response *object_response(struct reply *p)
{
	uint64_t size = reader_size(p->reader), offset;
	int fd = reader_file(p->reader, &offset);

	if (fd >= 0)
		return MHD_create_response_from_fd_at_offset64(size, fd, offset);
	return MHD_create_response_from_callback(size, (size_t)256 << 10, read_object,
						 steal(p->reader), free_object);
}

static ssize_t read_stream(void *arg, uint64_t pos, char *out, size_t max)
{
	ssize_t n = stream_take(arg, out, max);

	(void)pos;
	return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void close_stream(void *arg)
{
	stream_close(arg);
}

static struct MHD_Response *make_response(struct reply *p)
{
	if (p->stream)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, (size_t)64 << 10,
							 read_stream, steal(p->stream),
							 close_stream);
	if (p->no_body)
		return MHD_create_response_from_callback(p->reader ? reader_size(p->reader)
								   : p->body.len,
							 512, no_bytes, NULL, NULL);
	if (p->truncate_at)
		return cut_response(p);
	if (p->reader)
		return object_response(p);
	if (!p->body.len)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	size_t n = p->body.len;
	return MHD_create_response_from_buffer(n, buf_steal(&p->body), MHD_RESPMEM_MUST_FREE);
}

static void log_request(struct request *r)
{
	const struct reply *p = &r->reply;
	const double ms = (time_mono() - r->began) * 1e3;

	if (!r->route || (!r->route->logged && p->status < 500))
		return;
	char error[301] = "";
	if (p->status >= 400 && p->body.len)
		snprintf(error, sizeof error, "%s", buf_cstr(&r->reply.body));
	const struct logged_call c = {r->route->name, p->status, ms, r->id, *error ? error : NULL};
	logger_call(r->be->log, &c);
}

static enum MHD_Result send_reply(struct request *r)
{
	struct reply *p = &r->reply;

	log_request(r);
	if (p->reset)
		return MHD_NO;
	if (!p->status)
		reply_error(r, 500, "InternalFailure", "the call made no reply");
	stats_request(r->be->stats, r, p->reader ? reader_size(p->reader) : p->body.len);
	struct MHD_Response *response = make_response(p);
	if (!response)
		return MHD_NO;
	for (size_t i = 0; i < p->n_headers;
	     i++) /* MHD takes no empty value; a blank is none to who reads it */
		MHD_add_response_header(response, p->headers[i].name,
					*p->headers[i].value ? p->headers[i].value : " ");
	if (r->protocol == PROTO_S3) {
		MHD_add_response_header(response, "x-amz-request-id", r->id);
		MHD_add_response_header(response, "x-amz-id-2", r->be->host_id);
	} else {
		MHD_add_response_header(response, "x-amzn-RequestId", r->id);
	}
	enum MHD_Result ok = MHD_queue_response(r->conn, p->status, response);
	MHD_destroy_response(response);
	return ok;
}

static struct server *server_of(const struct request *r);

void request_done(struct request *r)
{
	struct server *s = server_of(r);
	struct MHD_Connection *conn = r->conn;

	if (r->be->faults && faults_hold(r->be->faults, r))
		return; /* it comes back here when released */
	r->done = true;
	MHD_resume_connection(conn);
	atomic_fetch_sub(&s->active, 1);
}

static void run_handler(void *arg)
{
	struct request *r = arg;

	r->route->handler(r);
	request_done(r);
}

static bool is_throttled(struct request *r)
{
	if (!r->be->throttle || r->protocol != PROTO_JSON || throttle_take(r->be->throttle))
		return false;
	reply_error(r, 400, "ThrottlingException", "Rate exceeded");
	return true;
}

static enum MHD_Result dispatch(struct request *r)
{
	struct server *s = server_of(r);

	r->dispatched = true;
	if (is_throttled(r))
		return send_reply(r);
	if (r->route->run == RUN_HERE && !r->be->faults) {
		r->route->handler(r);
		r->done = true;
		return send_reply(r);
	}
	atomic_fetch_add(&s->active, 1);
	MHD_suspend_connection(r->conn);
	if (r->be->faults && faults_before(r->be->faults, r)) {
		request_done(r);
	} else if (r->route->run == RUN_ASYNC) {
		r->route->handler(r);
	} else if (pool_run(r->be->quick, run_handler, r) < 0) {
		reply_error(r, 500, "InternalFailure", "out of memory");
		request_done(r);
	}
	return MHD_YES;
}

/* The refusal is made; a short body is read first, so that the client gets to read it. */
static enum MHD_Result refuse(struct request *r)
{
	const char *expect = request_header(r, "Expect");

	if (!r->has_length || !r->length || r->length > DRAIN_MAX || expect)
		return send_reply(r);
	r->draining = true;
	return MHD_YES;
}

static int read_length(struct request *r)
{
	const char *s = request_header(r, "Content-Length");
	char *end;

	if (!s)
		return 0;
	errno = 0;
	r->length = strtoull(s, &end, 10);
	r->has_length = true;
	return errno || *end || end == s ? -1 : 0;
}

static size_t body_limit(const struct request *r)
{
	return r->protocol == PROTO_RUNTIME ? r->be->max_invoke : r->route->max_body;
}

static bool check_length(struct request *r)
{
	size_t limit = body_limit(r);

	if (r->route->streams && !r->has_length) {
		reply_error(r, 411, "MissingContentLength",
			    "You must provide the Content-Length HTTP header.");
		return false;
	}
	if (r->length <= limit)
		return true;
	if (r->protocol == PROTO_S3)
		reply_error(r, 400, "EntityTooLarge",
			    "Your proposed upload exceeds the maximum allowed object size.");
	else
		reply_error(r, 413, "RequestEntityTooLarge",
			    "HTTP content length exceeded %zu bytes.", limit);
	return false;
}

/* All that can be checked before the body. false: refused, the reply is made. */
static bool admit(struct request *r)
{
	bool parsed = read_length(r) == 0 && request_parse_args(r, r->query, true) == 0;
	bool readable = auth_read(r);

	r->protocol = route_protocol(r);
	if (!host_read(r)) {
		reply_error(r, 403, "AccessDenied",
			    "the Host header names another machine than this one");
		return false;
	}
	if (!parsed) {
		reply_error(r, 400, "InvalidRequest", "Content-Length or the query is malformed");
		return false;
	}
	if (!readable) {
		if (!r->reply.status)
			auth_refuse_malformed(r);
		return false;
	}
	if (!auth_headers(r))
		return false;
	if (r->protocol == PROTO_S3 && !(payload_check(r) && auth_signature(r, r->auth.payload)))
		return false;
	r->route = route_find(r);
	return r->route && payload_begin(r) && check_length(r);
}

static enum MHD_Result begin(struct request *r, struct MHD_Connection *conn, const char *method)
{
	r->started = true;
	r->conn = conn;
	snprintf(r->method, sizeof r->method, "%s", method);
	if (!admit(r))
		return refuse(r);
	r->body.max = body_limit(r);
	if (r->route->streams && !upload_begin(r))
		return refuse(r);
	if (!r->route->streams && r->has_length && r->length)
		buf_reserve(&r->body, (size_t)r->length);
	return MHD_YES;
}

/* The body is whole: is it what was signed? */
static bool check_body(struct request *r)
{
	unsigned char digest[SHA256_LEN];
	char text[SHA256_HEX];

	if (r->upload)
		return true; /* a stored body is compared by upload_end() */
	if (r->protocol == PROTO_S3 && !r->route->foreign_sum && !body_check(r))
		return false;
	if (r->protocol == PROTO_S3 && streq(r->auth.payload, "UNSIGNED-PAYLOAD"))
		return true;
	sha256(buf_cstr(&r->body), r->body.len, digest);
	hex(digest, sizeof digest, text);
	if (r->protocol != PROTO_S3)
		return auth_signature(r, text);
	if (streq(text, r->auth.payload))
		return true;
	reply_error(r, 400, "XAmzContentSHA256Mismatch",
		    "The provided 'x-amz-content-sha256' header does not match what was computed.");
	return false;
}

static enum MHD_Result end_of_body(struct request *r)
{
	if (r->draining)
		return send_reply(r);
	if (r->error.no == EFBIG && !r->upload) {
		reply_error(r, 413, "RequestEntityTooLarge",
			    "HTTP content length exceeded %zu bytes.", body_limit(r));
		return send_reply(r);
	}
	if (r->error.no) {
		if (!payload_refused(r))
			reply_failure(r, &r->error);
		return send_reply(r);
	}
	return check_body(r) ? dispatch(r) : send_reply(r);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct request *r = *con_cls;

	(void)arg, (void)url, (void)version;
	if (!r)
		return MHD_NO;
	if (!r->started)
		return begin(r, conn, method);
	if (*size) {
		if (!r->draining)
			payload_take(r, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (r->done)
		return send_reply(r);
	return r->dispatched ? MHD_YES : end_of_body(r);
}

/* The only place where MHD shows the URI as it came: its own url argument is decoded. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *conn)
{
	struct server *s = arg;

	(void)conn;
	return request_new(s->be, uri);
}

static void on_completed(void *arg, struct MHD_Connection *conn, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	(void)arg, (void)conn, (void)why;
	request_free(*con_cls);
	*con_cls = NULL;
}

static struct server *server_of(const struct request *r)
{
	return r->be->server;
}

/* "127.0.0.1:4321" or "[::1]:0"; only loopback addresses. */
static int parse_listen(const char *text, struct sockaddr_storage *out, socklen_t *len,
			struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
	const char *colon = strrchr(text, ':');
	char host[64], *end;

	memset(out, 0, sizeof *out);
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
	if (!colon || !colon[1] || *end || port > 65535 || (size_t)(colon - text) >= sizeof host)
		return err_set(e, EINVAL,
			       "cannot listen on '%s': expected ADDRESS:PORT, such as 127.0.0.1:0",
			       text);
	snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
	if (streq(host, "[::1]")) {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					    .sin6_port = htons((uint16_t)port),
					    .sin6_addr = in6addr_loopback};
		*len = sizeof *v6;
		return 0;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	*len = sizeof *v4;
	if (inet_pton(AF_INET, streq(host, "localhost") ? "127.0.0.1" : host, &v4->sin_addr) != 1 ||
	    ntohl(v4->sin_addr.s_addr) >> 24 != 127)
		return err_set(
			e, EINVAL,
			"cannot listen on '%s': the local backend serves loopback addresses only",
			text);
	return 0;
}

static int listen_on(const char *text, unsigned *port, struct err *e)
{
	struct sockaddr_storage a;
	socklen_t len = 0;
	int on = 1;

	if (parse_listen(text, &a, &len, e) < 0)
		return -1;
	_cleanup_close_ int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return err_errno(e, "cannot listen on '%s'", text);
	*port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port
					      : ((struct sockaddr_in *)(void *)&a)->sin_port);
	return steal_fd(&fd);
}

int server_new(struct backend *be, const char *listen, struct err *e)
{
	_cleanup_close_ int fd = listen_on(listen, &be->port, e);
	struct server *s = fd < 0 ? NULL : calloc(1, sizeof *s);

	if (!s)
		return fd < 0 ? -1 : err_set(e, ENOMEM, "out of memory");
	s->be = be;
	be->server = s; /* before its threads are there to ask for it */
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL,
		NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, 2u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
		4096u, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_URI_LOG_CALLBACK,
		on_uri, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (s->daemon) {
		steal_fd(&fd);
		return 0;
	}
	be->server = NULL;
	free(s);
	return err_set(e, EIO, "cannot start the HTTP server on '%s'", listen);
}

bool server_drain(struct server *s, long ms)
{
	int fd = s->quiesced ? -1 : MHD_quiesce_daemon(s->daemon);

	s->quiesced = true;
	if (fd >= 0)
		close(fd);
	for (; atomic_load(&s->active) && ms > 0; ms -= 10)
		usleep(10000);
	return atomic_load(&s->active) == 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	MHD_stop_daemon(s->daemon);
	s->be->server = NULL;
	free(s);
}
