#include "web_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#define MAX_CONNECTIONS 1024
#define KEEP_BODY       ((size_t)32 << 20)

struct connection {
	struct web *w;
	int fd, number;
	pthread_t thread;
	struct buf in; /* read but not yet used */
};

struct web {
	web_handler *handler;
	void *arg;
	int fd;
	char url[64];
	pthread_t thread;
	pthread_mutex_t mu; /* guards requests, released, stopping and the handler */
	pthread_cond_t changed;
	int requests;
	bool released, stopping;
	struct connection
		*connections[MAX_CONNECTIONS]; /* the accepting thread's, until it is joined */
	int n;
};

static ssize_t fill(struct connection *c)
{
	char *to = buf_reserve(&c->in, (size_t)1 << 18);
	ssize_t n = to ? recv(c->fd, to, (size_t)1 << 18, 0) : -1;

	if (n > 0) {
		c->in.len += (size_t)n;
		buf_terminate(&c->in);
	}
	return n;
}

static void parse_head(char *head, struct web_request *q)
{
	char target[6144] = "";

	if (sscanf(head, "%15s %6143s", q->method, target) != 2)
		return;
	char *mark = strchr(target, '?');
	if (mark)
		*mark++ = '\0';
	snprintf(q->path, sizeof q->path, "%.2047s", target);
	snprintf(q->query, sizeof q->query, "%.4095s", mark ? mark : "");
	for (char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
		char *name = line + 2, *colon = strchr(name, ':'), *end = strstr(name, "\r\n");

		if (!colon || !end || colon > end)
			break;
		char *value = colon + 1 + strspn(colon + 1, " ");
		assert(http_header_put(&q->headers, name, (size_t)(colon - name), value,
				       (size_t)(end - value)) == 0);
	}
}

/* One whole request off the connection; false at its end. */
static bool read_request(struct connection *c, struct web_request *q)
{
	const char *end;

	while (!c->in.data || !(end = strstr(c->in.data, "\r\n\r\n"))) {
		if (fill(c) <= 0)
			return false;
	}
	size_t head_len = (size_t)(end + 4 - c->in.data);
	_cleanup_free_ char *head = strndup(c->in.data, head_len);
	parse_head(head, q);
	buf_remove(&c->in, head_len);
	const char *length = http_header_get(&q->headers, "Content-Length");
	size_t left = length ? strtoull(length, NULL, 10) : 0;
	q->body_len = left;
	while (left) {
		if (!c->in.len && fill(c) <= 0)
			return false;
		size_t n = MIN(left, c->in.len), keep = MIN(n, KEEP_BODY - q->body.len);
		assert(buf_add(&q->body, c->in.data, keep) == 0);
		buf_remove(&c->in, n);
		left -= n;
	}
	return true;
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static void reset(int fd)
{
	struct linger hard = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void wait_for_release(struct web *w)
{
	pthread_mutex_lock(&w->mu);
	while (!w->released && !w->stopping)
		pthread_cond_wait(&w->changed, &w->mu);
	pthread_mutex_unlock(&w->mu);
}

/* Faults that leave no reply at all. */
static bool reply_is_lost(struct connection *c, enum web_fault fault)
{
	if (fault == WEB_RESET)
		reset(c->fd);
	if (fault == WEB_GARBAGE)
		send_all(c->fd, "\x16\x03\x01 no HTTP here\r\n\r\n", 20);
	return fault == WEB_RESET || fault == WEB_CLOSE || fault == WEB_GARBAGE;
}

/* false: the connection ends here. */
static bool reply(struct connection *c, const struct web_request *q, struct web_reply *r)
{
	_cleanup_buf_ struct buf out = BUF_INIT((size_t)64 << 20);
	size_t body = streq(q->method, "HEAD") ? 0 : r->body.len;

	if (r->delay_ms)
		poll(NULL, 0, r->delay_ms);
	if (r->fault == WEB_WITHHOLD)
		wait_for_release(c->w);
	if (reply_is_lost(c, r->fault))
		return false;
	buf_printf(&out, "HTTP/1.1 %d Test\r\n%s", r->status ? r->status : 200,
		   buf_cstr(&r->headers));
	if (!strstr(buf_cstr(&r->headers), "Content-Length:"))
		buf_printf(&out, "Content-Length: %zu\r\n", r->body.len);
	buf_str(&out, "\r\n");
	buf_add(&out, buf_cstr(&r->body), r->fault == WEB_TRUNCATE ? body / 2 : body);
	return send_all(c->fd, out.data, out.len) && r->fault != WEB_TRUNCATE &&
	       r->fault != WEB_CLOSE_IDLE;
}

static bool serve_one(struct connection *c)
{
	struct web_request q = {.body = BUF_INIT(KEEP_BODY)};
	struct web_reply r = {.body = BUF_INIT((size_t)64 << 20)};
	bool on = read_request(c, &q);

	if (on) {
		pthread_mutex_lock(&c->w->mu);
		q.n = ++c->w->requests;
		q.connection = c->number;
		c->w->handler(c->w->arg, &q, &r);
		pthread_cond_broadcast(&c->w->changed);
		pthread_mutex_unlock(&c->w->mu);
		on = reply(c, &q, &r);
	}
	http_headers_release(&q.headers);
	buf_release(&q.body);
	buf_release(&r.headers);
	buf_release(&r.body);
	return on;
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	int one = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	while (serve_one(c))
		;
	pthread_mutex_lock(&c->w->mu);
	close(c->fd);
	c->fd = -1; /* web_stop asks under the lock */
	pthread_mutex_unlock(&c->w->mu);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct web *w = arg;

	for (int fd; w->n < MAX_CONNECTIONS && (fd = accept(w->fd, NULL, NULL)) >= 0; w->n++) {
		struct connection *c = calloc(1, sizeof *c);

		assert(c);
		*c = (struct connection){
			.w = w, .fd = fd, .number = w->n + 1, .in = BUF_INIT((size_t)8 << 20)};
		w->connections[w->n] = c;
		assert(pthread_create(&c->thread, NULL, serve, c) == 0);
	}
	return NULL;
}

struct web *web_start(web_handler *handler, void *arg)
{
	struct web *w = calloc(1, sizeof *w);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;

	assert(w);
	w->handler = handler;
	w->arg = arg;
	pthread_mutex_init(&w->mu, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(w->fd >= 0 && bind(w->fd, (struct sockaddr *)&a, sizeof a) == 0 &&
	       listen(w->fd, 1024) == 0);
	assert(getsockname(w->fd, (struct sockaddr *)&a, &n) == 0);
	snprintf(w->url, sizeof w->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
	assert(pthread_create(&w->thread, NULL, accept_all, w) == 0);
	return w;
}

const char *web_url(const struct web *w)
{
	return w->url;
}

int web_requests(struct web *w)
{
	SCOPED_LOCK(&w->mu);
	return w->requests;
}

void web_wait_requests(struct web *w, int n)
{
	SCOPED_LOCK(&w->mu);
	while (w->requests < n)
		pthread_cond_wait(&w->changed, &w->mu);
}

void web_release(struct web *w)
{
	SCOPED_LOCK(&w->mu);
	w->released = true;
	pthread_cond_broadcast(&w->changed);
}

void web_stop(struct web *w)
{
	pthread_mutex_lock(&w->mu);
	w->stopping = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->mu);
	shutdown(w->fd, SHUT_RDWR);
	pthread_join(w->thread, NULL);
	close(w->fd);
	for (int i = 0; i < w->n; i++) {
		struct connection *c = w->connections[i];

		pthread_mutex_lock(&w->mu);
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_RDWR);
		pthread_mutex_unlock(&w->mu);
		pthread_join(c->thread, NULL);
		buf_release(&c->in);
		free(c);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->mu);
	free(w);
}
