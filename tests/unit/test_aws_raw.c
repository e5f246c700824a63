/* Calls to AWS on connections that misbehave below HTTP: cut off in the handshake, stuck at any moment and then cancelled;
 * and what is HTTP, but no reply. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sagemaker/json.h"
#include "web_script.h"

#define BIG ((size_t)32 << 20) /* more than sockets buffer */

/* How far a connection gets. */
enum moment { CONNECTING, IN_REQUEST, NO_REPLY, IN_HEADERS, IN_BODY, HANDSHAKE, CUT };

static const char *const says[] = {
	[IN_HEADERS] = "HTTP/1.1 200 OK\r\nContent-",
	[IN_BODY] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
};

struct server {
	enum moment moment;
	int fd;
	int held[64]; /* connections that stay as they are */
	atomic_int connections;
	pthread_t thread;
};

static void serve(struct server *s, int c)
{
	const struct linger reset = {1, 0};
	char request[4096];

	if (s->moment != IN_REQUEST)
		(void)!read(c, request, sizeof request);
	if (s->moment < ARRAY_SIZE(says) && says[s->moment])
		(void)!write(c, says[s->moment], strlen(says[s->moment]));
	if (s->moment == CUT)
		setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void *run(void *arg)
{
	struct server *s = arg;
	size_t n = 0;

	for (int c; n < ARRAY_SIZE(s->held) && (c = accept(s->fd, NULL, NULL)) >= 0;) {
		serve(s, c);
		atomic_fetch_add(&s->connections, 1);
		if (s->moment == CUT)
			close(c);
		else
			s->held[n++] = c;
	}
	while (n)
		close(s->held[--n]);
	return NULL;
}

/* Nobody accepts: the queue of one is full, and whoever comes now gets no answer to his SYN. */
static void fill_queue(struct server *s, const struct sockaddr_in *at)
{
	for (size_t i = 0; i < 4; i++) {
		s->held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(s->held[i], (const struct sockaddr *)at, sizeof *at);
	}
}

static void begin(struct server *s, enum moment moment, struct aws_fixture *f)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	bool tls = moment == HANDSHAKE || moment == CUT;
	struct err e;

	memset(s, 0, sizeof *s);
	s->moment = moment;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->fd, moment == CONNECTING ? 0 : 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	if (moment == CONNECTING)
		fill_queue(s, &at);
	else
		pthread_create(&s->thread, NULL, run, s);
	aws_begin(f, NULL, 0);
	free(f->config.endpoint_url);
	f->config.endpoint_url =
		str_printf("http%s://127.0.0.1:%d", tls ? "s" : "", ntohs(at.sin_port));
	aws_free(f->a);
	f->a = aws_new(&f->config, &e);
	assert_non_null(f->a);
}

static void end(struct server *s, struct aws_fixture *f)
{
	aws_end(f);
	shutdown(s->fd, SHUT_RDWR);
	if (s->moment == CONNECTING) {
		for (size_t i = 0; i < 4; i++)
			close(s->held[i]);
	} else {
		pthread_join(s->thread, NULL);
	}
	close(s->fd);
}

/* A handshake that is cut off is a broken connection, which is tried again; a certificate that does not hold is not. */
static void test_handshake_cut_off(void **state)
{
	const struct aws_req q = {.method = "POST", .path = "/"};
	struct http_resp r _cleanup_http_resp_ = {0};
	struct aws_fixture f;
	struct server s;
	struct err e;

	(void)state;
	begin(&s, CUT, &f);
	assert_int_equal(aws_raw(f.a, &AWS_SAGEMAKER, &q, &r, &e), -1);
	assert_int_equal(e.no, EIO);
	assert_int_equal(atomic_load(&s.connections), 3);
	end(&s, &f);
}

struct ended {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	bool over;
	int no;
};

static void note(void *arg, struct http_resp *r, const struct err *e)
{
	struct ended *x = arg;

	(void)r;
	SCOPED_LOCK(&x->mu);
	x->no = e->no;
	x->over = true;
	pthread_cond_broadcast(&x->changed);
}

static bool is_over(struct ended *x)
{
	SCOPED_LOCK(&x->mu);
	return x->over;
}

static void wait_for_end(struct ended *x)
{
	SCOPED_LOCK(&x->mu);
	while (!x->over)
		pthread_cond_wait(&x->changed, &x->mu);
}

/* Whatever the call waits for, it ends when it is cancelled, long before any limit of its own (10 s to connect, 60 s of
 * silence): the suite's time-out is the measure. */
static void test_cancelled_at_any_moment(void **state)
{
	static const enum moment moments[] = {CONNECTING, HANDSHAKE,  IN_REQUEST,
					      NO_REPLY,   IN_HEADERS, IN_BODY};

	_cleanup_free_ char *body = calloc(1, BIG);

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		struct cancel *c _cleanup_(cancel_unrefp)
		= cancel_new();
		struct ended x = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
		struct aws_fixture f;
		struct server s;
		struct err e;

		begin(&s, moments[i], &f);
		f.config.timeout_ms = 3600000;
		f.config.connect_timeout_ms = 3600000;
		const struct aws_req q = {.method = "POST",
					  .path = "/",
					  .body = body,
					  .body_len = moments[i] == IN_REQUEST ? BIG : 0,
					  .cancel = c};
		assert_int_equal(aws_start(f.a, &AWS_SAGEMAKER, &q, note, &x, &e), 0);
		while (moments[i] != CONNECTING && !atomic_load(&s.connections))
			poll(NULL, 0, 5);
		poll(NULL, 0, 50); /* into the moment, if it takes a little longer */
		assert_false(is_over(&x));
		cancel_set(c);
		wait_for_end(&x);
		assert_int_equal(x.no, ECANCELED);
		end(&s, &f);
	}
}

/* What carries out nothing under status 200 is no success, even of a call whose reply says nothing. */
static void test_a_page_is_no_reply(void **state)
{
	static const struct web_reply page = {.body = TEXT("<html><body>sign in</body></html>")},
				      missing = {.status = 404,
						 .body = TEXT("<!DOCTYPE html><h1>Not Found")},
				      nothing = {.body = TEXT("")};
	_cleanup_json_ cJSON *in = cJSON_CreateObject();
	struct aws_fixture f;
	struct err e;

	(void)state;
	aws_begin(&f, &page, 1);
	assert_int_equal(aws_json(f.a, &AWS_SAGEMAKER, "DeleteModel", in, NULL, NULL, &e), -1);
	assert_int_equal(e.no, EIO);
	assert_int_equal(e.http, 500); /* nobody said no */
	aws_end(&f);
	aws_begin(&f, &missing, 1);
	assert_int_equal(aws_json(f.a, &AWS_SAGEMAKER, "DescribeModel", in, NULL, NULL, &e), -1);
	assert_int_equal(e.http, 500); /* nobody said that there is none */
	assert_non_null(strstr(e.text, "a web page came"));
	aws_end(&f);
	aws_begin(&f, &nothing, 1);
	assert_int_equal(aws_json(f.a, &AWS_SAGEMAKER, "DeleteModel", in, NULL, NULL, &e), 0);
	aws_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake_cut_off),
		cmocka_unit_test(test_cancelled_at_any_moment),
		cmocka_unit_test(test_a_page_is_no_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
