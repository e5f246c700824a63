#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "sagemaker/http_internal.h"

#define SCAN_MS 200   /* how exact the silence limit is */
#define POLL_MS 10000 /* an engine without work looks up so often */
#define EVENTS  64    /* taken from the kernel at once */

int64_t http_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void http_wake(struct http *h)
{
	const uint64_t one = 1;

	/* A full counter wakes, too. */
	if (write(h->wake, &one, sizeof one) < 0)
		return;
}

static void recycle(struct http *h, CURL *easy)
{
	if (h->n_idle == MAX_IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	h->idle[h->n_idle++] = easy;
}

static void on_cancel(void *arg)
{
	struct xfer *x = arg;

	atomic_store(&x->cancelled, true);
	SCOPED_LOCK(&x->h->mu);
	if (!x->on_cancelled) {
		x->on_cancelled = true;
		x->next_cancelled = x->h->cancelled;
		x->h->cancelled = x;
	}
	http_wake(x->h);
}

/* Takes x off the list of cancelled ones; afterwards nobody but the engine knows x. */
static void forget_cancel(struct xfer *x)
{
	cancel_off(x->q.cancel, on_cancel, x);
	SCOPED_LOCK(&x->h->mu);
	for (struct xfer **at = &x->h->cancelled; *at; at = &(*at)->next_cancelled) {
		if (*at == x) {
			*at = x->next_cancelled;
			return;
		}
	}
}

static void unlink_active(struct xfer *x)
{
	if (x->prev)
		x->prev->next = x->next;
	else
		x->h->active = x->next;
	if (x->next)
		x->next->prev = x->prev;
	x->active = false;
}

/* The end of x, whatever it came to: x->why says what. */
static void finish(struct xfer *x)
{
	forget_cancel(x);
	rate_leave(x);
	if (x->active) {
		unlink_active(x);
		curl_multi_remove_handle(x->h->multi, x->easy);
	}
	if (x->easy) {
		x->resp.sent = xfer_sent(x);
		recycle(x->h, x->easy);
	}
	x->done(x->arg, &x->resp, &x->why);
	xfer_free(x);
}

/* The engine ------------------------------------------------------------------------------- */

static bool is_stopping(struct http *h)
{
	SCOPED_LOCK(&h->mu);
	return h->stopping;
}

static void begin(struct http *h, struct xfer *x)
{
	if (atomic_load(&x->cancelled) || is_stopping(h)) {
		err_set(&x->why, ECANCELED, "cancelled");
		finish(x);
		return;
	}
	x->easy = h->n_idle ? h->idle[--h->n_idle] : curl_easy_init();
	if (!x->easy) {
		err_set(&x->why, ENOMEM, "could not begin the request: out of memory");
		finish(x);
		return;
	}
	x->moved = http_now();
	rate_join(x);
	CURLMcode added = xfer_set(x) ? CURLM_OK : curl_multi_add_handle(h->multi, x->easy);
	if (added)
		err_set(&x->why, EIO, "could not begin the request: %s",
			curl_multi_strerror(added));
	if (x->why.no) {
		finish(x);
		return;
	}
	x->active = true;
	x->prev = NULL;
	x->next = h->active;
	if (x->next)
		x->next->prev = x;
	h->active = x;
}

static void take_incoming(struct http *h)
{
	struct xfer *x;

	pthread_mutex_lock(&h->mu);
	x = h->incoming;
	h->incoming = NULL;
	h->last = &h->incoming;
	pthread_mutex_unlock(&h->mu);
	while (x) {
		struct xfer *next = x->next;

		begin(h, x);
		x = next;
	}
}

/* One x at a time: finish() of one may free others' neighbours in the list. */
static struct xfer *next_cancelled(struct http *h)
{
	SCOPED_LOCK(&h->mu);
	struct xfer *x = h->cancelled;

	if (x) {
		h->cancelled = x->next_cancelled;
		x->next_cancelled = NULL;
	}
	return x;
}

static void end_cancelled(struct http *h)
{
	for (struct xfer *x; (x = next_cancelled(h));) {
		if (!x->active)
			continue; /* still incoming: begin() sees the flag */
		err_set(&x->why, ECANCELED, "cancelled");
		finish(x);
	}
}

static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		CURLcode code = m->data.result;
		char *private = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		struct xfer *x = (struct xfer *)(void *)private;
		if (code && !x->why.no)
			xfer_explain(x, code);
		finish(x);
	}
}

static long silence_limit(const struct xfer *x)
{
	const struct config *c = x->h->config;

	if (x->q.silence_ms)
		return x->q.silence_ms;
	return c->timeout_ms ? c->timeout_ms : 60000;
}

static void end_silent(struct http *h)
{
	int64_t now = http_now();
	char host[128];

	if (now < h->next_scan)
		return;
	h->next_scan = now + SCAN_MS;
	for (struct xfer *x = h->active, *next; x; x = next) {
		long limit = silence_limit(x) + rate_pause_ms(x);

		next = x->next;
		if (now - x->moved < limit)
			continue;
		err_set(&x->why, ETIMEDOUT, "nothing came from %s for %ld.%ld s",
			http_authority(x->url, host), limit / 1000, limit % 1000 / 100);
		finish(x);
	}
}

static void end_all(struct http *h)
{
	while (h->active) {
		err_set(&h->active->why, ECANCELED, "cancelled");
		finish(h->active);
	}
}

/* How long nothing can happen without a wake-up; -1: the engine is at its end. */
static int poll_time(struct http *h)
{
	int64_t wait = POLL_MS, now = http_now();

	SCOPED_LOCK(&h->mu);
	if (h->stopping && !h->active && !h->incoming && !h->timers)
		return -1;
	if (h->stopping || h->incoming || h->cancelled)
		return 0;
	if (h->active)
		wait = MIN(wait, h->next_scan - now);
	if (h->timers)
		wait = MIN(wait, h->timers->due - now);
	if (h->due >= 0)
		wait = MIN(wait, h->due - now);
	return (int)MAX(wait, 0);
}

/* curl says which sockets it waits for: an event costs the same however many transfers there are. */
static int on_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *known)
{
	struct http *h = arg;
	struct epoll_event e = {.data.fd = s};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(h->poll, EPOLL_CTL_DEL, s, NULL);
		curl_multi_assign(h->multi, s, NULL);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	curl_multi_assign(h->multi, s, h);
	/* A number that was closed and given out again behind our back is a new one to the kernel. A socket that cannot be watched
	 * is silent: its transfer ends by that limit, the others go on. */
	if (epoll_ctl(h->poll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s, &e) < 0)
		epoll_ctl(h->poll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s, &e);
	return 0;
}

/* When curl wants to be called without an event. It says so when it changes its mind, and after each such call. */
static int on_timeout(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	/* One more than asked: http_now() rounds down, and a call before its time does nothing. */
	h->due = ms < 0 ? -1 : http_now() + ms + (ms > 0);
	return 0;
}

static void take_events(struct http *h, int wait)
{
	struct epoll_event ready[EVENTS];
	int n = epoll_wait(h->poll, ready, EVENTS, wait), running;
	uint64_t count;

	for (int i = 0; i < n; i++) {
		const uint32_t e = ready[i].events;
		const int mask = (e & EPOLLIN ? CURL_CSELECT_IN : 0) |
				 (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
				 (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		if (ready[i].data.fd != h->wake)
			curl_multi_socket_action(h->multi, ready[i].data.fd, mask, &running);
		else if (read(h->wake, &count, sizeof count) < 0)
			continue;
	}
}

static void *engine(void *arg)
{
	struct http *h = arg;

	for (int wait = 0, running; wait >= 0; wait = poll_time(h)) {
		take_events(h, wait);
		take_incoming(h);
		end_cancelled(h);
		rate_share(h);
		if (h->due >= 0 && http_now() >= h->due) {
			h->due =
				-1; /* what is still to come curl says anew; that nothing is, it does not */
			curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		reap(h);
		rate_share(h);
		end_silent(h);
		http_run_timers(h);
		if (is_stopping(h))
			end_all(h);
	}
	return NULL;
}

/* The interface ---------------------------------------------------------------------------- */

static void curl_begin(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

/* Signals belong to the program's other threads; SIGPIPE from inside TLS to nobody. */
static int start_thread(struct http *h)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&h->thread, NULL, engine, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

static void engine_free(struct http *h)
{
	for (size_t i = 0; i < h->n_idle; i++)
		curl_easy_cleanup(h->idle[i]);
	curl_multi_cleanup(h->multi);
	curl_share_cleanup(h->share);
	closep(&h->poll);
	closep(&h->wake);
	pthread_mutex_destroy(&h->mu);
	free(h);
}

/* What the engine waits on. */
static int open_files(struct http *h)
{
	struct epoll_event e = {.events = EPOLLIN};

	h->poll = epoll_create1(EPOLL_CLOEXEC);
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e.data.fd = h->wake;
	return h->poll < 0 || h->wake < 0 ? -1 : epoll_ctl(h->poll, EPOLL_CTL_ADD, h->wake, &e);
}

static void set_multi(struct http *h)
{
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 256L);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
}

struct http *http_new(const struct config *c, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h = calloc(1, sizeof *h);

	pthread_once(&once, curl_begin);
	if (!h) {
		err_set(e, ENOMEM, "could not start the HTTP engine: out of memory");
		return NULL;
	}
	h->config = c;
	h->last = &h->incoming;
	h->poll = h->wake = -1;
	h->due = -1;
	pthread_mutex_init(&h->mu, NULL);
	h->multi = curl_multi_init();
	h->share = curl_share_init();
	if (!h->multi || !h->share) {
		err_set(e, ENOMEM, "could not start the HTTP engine: out of memory");
		engine_free(h);
		return NULL;
	}
	set_multi(h);
	errno = open_files(h) < 0 ? errno : start_thread(h);
	if (errno) {
		err_errno(e, "could not start the HTTP engine");
		engine_free(h);
		return NULL;
	}
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	assert(!http_on_engine(h));
	pthread_mutex_lock(&h->mu);
	h->stopping = true;
	pthread_mutex_unlock(&h->mu);
	http_wake(h);
	pthread_join(h->thread, NULL);
	engine_free(h);
}

int http_start(struct http *h, const struct http_req *q, http_done_fn *done, void *arg,
	       struct err *e)
{
	struct xfer *x = xfer_new(h, q, e);

	if (!x)
		return -1;
	x->done = done;
	x->arg = arg;
	cancel_on(x->q.cancel, on_cancel,
		  x); /* before the engine knows x: it may be over any time after that */
	pthread_mutex_lock(&h->mu);
	bool stopping = h->stopping;
	if (!stopping) {
		*h->last = x;
		h->last = &x->next;
	}
	pthread_mutex_unlock(&h->mu);
	if (stopping) {
		forget_cancel(x);
		xfer_free(x);
		return err_set(e, ECANCELED, "cancelled");
	}
	http_wake(h);
	return 0;
}

bool http_on_engine(const struct http *h)
{
	return pthread_equal(pthread_self(), h->thread);
}

void http_waiter_done(void *arg, struct http_resp *resp, const struct err *e)
{
	struct http_waiter *w = arg;

	SCOPED_LOCK(&w->mu);
	*w->resp = *resp;
	*resp = (struct http_resp){0};
	w->err = *e;
	w->over = true;
	pthread_cond_signal(&w->changed);
}

int http_waiter_wait(struct http_waiter *w, struct err *e)
{
	pthread_mutex_lock(&w->mu);
	while (!w->over)
		pthread_cond_wait(&w->changed, &w->mu);
	pthread_mutex_unlock(&w->mu);
	if (w->err.no && e)
		*e = w->err;
	return w->err.no ? -1 : 0;
}

int http_exchange(struct http *h, const struct http_req *q, struct http_resp *r, struct err *e)
{
	struct http_waiter w = HTTP_WAITER_INIT(r);

	assert(!http_on_engine(h));
	*r = (struct http_resp){0};
	return http_start(h, q, http_waiter_done, &w, e) ? -1 : http_waiter_wait(&w, e);
}
