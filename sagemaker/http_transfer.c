#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "sagemaker/http_internal.h"

#define MAX_REPLY ((size_t)64 << 20)
#define BIG_BODY  ((size_t)256 << 10) /* from here on larger buffers pay */
#define IDLE_CONNECTION_S \
 15L /* shorter than servers keep theirs: a request seldom meets one that is just closing */

/* The host and port of an URL, for sentences. */
const char *http_authority(const char *url, char out[128])
{
	const char *at = strstr(url, "://");

	at = at ? at + 3 : url;
	size_t n = MIN(strcspn(at, "/?#"), (size_t)127);
	memcpy(out, at, n);
	out[n] = '\0';
	return out;
}

/* Callbacks from curl */

static bool is_success(const struct xfer *x)
{
	return x->resp.status >= 200 && x->resp.status <= 299;
}

/* The caller's receiver said no: its errno is the exchange's. */
static size_t refused(struct xfer *x)
{
	err_errno(&x->why, "could not take the reply");
	return 0;
}

/* A reply begins, perhaps after an interim one whose headers do not count. */
static size_t on_status_line(struct xfer *x, const char *p, size_t n)
{
	const char *blank = memchr(p, ' ', n);

	http_headers_release(&x->resp.headers);
	x->resp.status = blank && p + n - blank > 3 ? strtol(blank, NULL, 10) : 0;
	return n;
}

static size_t on_headers_end(struct xfer *x, size_t n)
{
	if (!x->q.on_reply || !is_success(x))
		return n;
	return x->q.on_reply(x->q.body_arg, &x->resp) ? refused(x) : n;
}

static size_t on_header_line(struct xfer *x, const char *p, const char *colon, const char *end)
{
	const char *value = colon + 1;

	while (value < end && isspace((unsigned char)*value))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	if (http_header_put(&x->resp.headers, p, (size_t)(colon - p), value,
			    (size_t)(end - value)) == 0)
		return 1;
	err_set(&x->why, EPROTO, "the reply has too many headers");
	return 0;
}

static size_t on_header(char *p, size_t one, size_t n, void *arg)
{
	const char *colon = memchr(p, ':', n);
	struct xfer *x = arg;

	(void)one;
	if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
		return on_status_line(x, p, n);
	if (colon)
		return on_header_line(x, p, colon, p + n) ? n : 0;
	return n <= 2 ? on_headers_end(x, n) : n;
}

static size_t on_data(char *p, size_t one, size_t n, void *arg)
{
	struct xfer *x = arg;

	(void)one;
	if (x->q.on_body && is_success(x))
		return x->q.on_body(x->q.body_arg, p, n) ? refused(x) : n;
	if (buf_add(&x->resp.body, p, n) == 0)
		return n;
	err_set(&x->why, EFBIG, "the reply is larger than %zu bytes", x->resp.body.max);
	return 0;
}

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t down, curl_off_t ultotal,
		       curl_off_t up)
{
	struct xfer *x = arg;

	(void)dltotal;
	(void)ultotal;
	if (down == x->downloaded && up == x->uploaded)
		return 0;
	x->downloaded = down;
	x->uploaded = up;
	x->moved = http_now();
	if (up >= (curl_off_t)x->q.body_len)
		rate_done(x);
	if (x->q.on_sent && up > x->reported) { /* a body sent again is not progress */
		x->q.on_sent(x->q.sent_arg, (size_t)(up - x->reported));
		x->reported = up;
	}
	return 0;
}

static size_t bytes_out(const struct xfer *x)
{
	curl_off_t body = 0;
	long request = 0;

	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &request);
	curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &body);
	return (size_t)request + (size_t)body;
}

size_t xfer_sent(const struct xfer *x)
{
	return x->resp.attempts ? bytes_out(x) - x->tunnel : 0;
}

/* The connection is there and the request is about to go out: for the first time, or because curl found that the
 * server had closed a kept connection. */
/* NOLINTNEXTLINE(readability-non-const-parameter): curl's signature */
static int on_ready(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct xfer *x = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (!x->resp.attempts)
		x->tunnel = bytes_out(x); /* what a proxy was told to make the connection */
	if (!x->q.no_resend || xfer_sent(x) == 0) {
		x->resp.attempts++;
		return CURL_PREREQFUNC_OK;
	}
	err_set(&x->why, EIO, "the connection was closed before a reply came");
	return CURL_PREREQFUNC_ABORT;
}

/* A transfer ------------------------------------------------------------------------------- */

static const struct {
	CURLoption option;
	long value;
} fixed_options[] = {
	{CURLOPT_NOSIGNAL,       1                      },
	{CURLOPT_NOPROGRESS,     0                      },
	{CURLOPT_FOLLOWLOCATION, 0                      },
	{CURLOPT_PATH_AS_IS,     1                      }, /* keys may hold "..", and the path is signed */
	{CURLOPT_HTTP_VERSION,   CURL_HTTP_VERSION_1_1  },
	{CURLOPT_TCP_NODELAY,    1                      },
	{CURLOPT_TCP_KEEPALIVE,  1                      },
	{CURLOPT_SSLVERSION,     CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_MAXAGE_CONN,    IDLE_CONNECTION_S      },
#if LIBCURL_VERSION_NUM >= 0x075700
	{CURLOPT_QUICK_EXIT,     1                      }, /* cancelling does not wait for the resolver */
#endif
};

static void set_callbacks(struct xfer *x)
{
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(x->easy, CURLOPT_XFERINFODATA, x);
	curl_easy_setopt(x->easy, CURLOPT_PREREQFUNCTION, on_ready);
	curl_easy_setopt(x->easy, CURLOPT_PREREQDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->curl_says);
}

/* Every method that carries a body goes as curl's POST under its own name: curl then takes the body from where it is, sends a
 * small one in one packet with the headers, and can send it again. */
static void set_body(struct xfer *x)
{
	if (streq(x->method, "HEAD")) {
		curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (x->q.body || !(streq(x->method, "GET") || streq(x->method, "DELETE"))) {
		curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->q.body_len);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->q.body ? x->q.body : "");
	}
	curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, x->method);
	if (x->pacing)
		curl_easy_setopt(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, rate_chunk(x->h));
	else if (x->q.body_len >= BIG_BODY)
		curl_easy_setopt(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
	if (x->q.on_body)
		curl_easy_setopt(x->easy, CURLOPT_BUFFERSIZE, (long)BIG_BODY);
}

/* Which proxy is decided here alone: curl is told one or none, and to ask no environment. */
static void set_proxy(struct xfer *x)
{
	const char *proxy = x->q.direct ? NULL : config_proxy(x->h->config, x->url);

	curl_easy_setopt(x->easy, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "");
	if (!proxy)
		return;
	/* Our headers are for the server; a proxy that makes the tunnel sees its host and no more. */
	curl_easy_setopt(x->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	curl_easy_setopt(x->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(x->easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_ca(CURL *easy, const struct config *c)
{
	if (!c->ca_bundle)
		return;
	if (c->ca_directory) { /* these alone, as with a file */
		curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
	}
	curl_easy_setopt(easy, c->ca_directory ? CURLOPT_CAPATH : CURLOPT_CAINFO, c->ca_bundle);
	curl_easy_setopt(easy, c->ca_directory ? CURLOPT_PROXY_CAPATH : CURLOPT_PROXY_CAINFO,
			 c->ca_bundle);
}

int xfer_set(struct xfer *x)
{
	const struct config *c = x->h->config;
	CURL *easy = x->easy;

	for (size_t i = 0; i < ARRAY_SIZE(fixed_options); i++) {
		if (curl_easy_setopt(easy, fixed_options[i].option, fixed_options[i].value))
			return err_set(&x->why, EIO, "the curl library refuses option %d",
				       (int)fixed_options[i].option);
	}
	set_callbacks(x);
	set_body(x);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(easy, CURLOPT_SHARE, x->h->share);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
			 c->connect_timeout_ms ? c->connect_timeout_ms : 10000L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, x->q.timeout_ms);
	set_proxy(x);
	set_ca(easy, c);
	return curl_easy_setopt(easy, CURLOPT_URL, x->url)
		       ? err_set(&x->why, ENOMEM, "could not begin the request: out of memory")
		       : 0;
}

void xfer_free(struct xfer *x)
{
	curl_slist_free_all(x->headers);
	cancel_unref(x->q.cancel);
	http_resp_release(&x->resp);
	free(x->method);
	free(x->url);
	free(x);
}

/* What curl's results mean: errno, the beginning of the sentence, and whether the system's errno says more. */
static const struct result {
	CURLcode code;
	int no;
	const char *what;
	bool os_errno;
} results[] = {
	{CURLE_COULDNT_RESOLVE_HOST,     EHOSTUNREACH, "could not find the address of",                false},
	{CURLE_COULDNT_RESOLVE_PROXY,    EHOSTUNREACH, "could not find the address of the proxy for",
	 false											      },
	{CURLE_COULDNT_CONNECT,          ECONNREFUSED, "could not connect to",                         true },
	{CURLE_OPERATION_TIMEDOUT,       ETIMEDOUT,    "waited too long for",                          false},
	{CURLE_SSL_CONNECT_ERROR,        EPROTO,       "could not agree on TLS with",                  false},
	{CURLE_PEER_FAILED_VERIFICATION, EPROTO,       "could not verify the certificate of",          false},
	{CURLE_SSL_CACERT_BADFILE,       EPROTO,       "could not read the CA certificates to verify", false},
	{CURLE_UNSUPPORTED_PROTOCOL,     EPROTO,       "the answer is not HTTP from",                  false},
	{CURLE_WEIRD_SERVER_REPLY,       EPROTO,       "the answer is not HTTP from",                  false},
	{CURLE_OUT_OF_MEMORY,            ENOMEM,       "out of memory while talking to",               false},
	{CURLE_GOT_NOTHING,              EIO,          "the connection was closed without a reply by", false},
	{CURLE_PARTIAL_FILE,             EIO,          "the reply was broken off by",                  false},
	{CURLE_OK,		       EIO,          "the connection broke to",                      true }, /* every other result */
};

static const struct result *find_result(CURLcode code)
{
	const struct result *r = results;

	while (r->code != code && r->code != CURLE_OK)
		r++;
	return r;
}

/* A handshake that was cut off is a broken connection, no disagreement: for those OpenSSL has an error of its own. */
static CURLcode what_broke(CURLcode code, const char *said)
{
	bool cut = !strstr(said, "error:") || strstr(said, "unexpected eof");

	return code == CURLE_SSL_CONNECT_ERROR && cut ? CURLE_RECV_ERROR : code;
}

/* The host of a proxy, without what it may hold of a password. */
static const char *proxy_host(const char *proxy, char out[128])
{
	const char *at = strrchr(proxy, '@');

	return http_authority(at ? at + 1 : proxy, out);
}

/* What a proxy said instead of making the tunnel, or that there is none. False: it is not to blame. */
static bool explain_proxy(struct xfer *x, CURLcode code)
{
	const char *url = x->q.direct ? NULL : config_proxy(x->h->config, x->url);
	char proxy[128], host[128], reason[128];
	long status = 0, os = 0;

	if (!url)
		return false;
	proxy_host(url, proxy);
	http_authority(x->url, host);
	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
	if (code == CURLE_COULDNT_CONNECT && os > 0)
		err_set(&x->why, EHOSTUNREACH, "could not connect to the proxy %s for %s: %s",
			proxy, host, strerror_r((int)os, reason, sizeof reason));
	else if (status == 407)
		err_set(&x->why, EACCES,
			"the proxy %s asks for a user and a password (HTTP 407): set HTTPS_PROXY to "
			"http://USER:PASSWORD@HOST:PORT",
			proxy);
	else if (status >= 500)
		err_set(&x->why, EHOSTUNREACH, "the proxy %s could not reach %s (HTTP %ld)", proxy,
			host, status);
	else if (status >= 300)
		err_set(&x->why, EACCES, "the proxy %s refuses to reach %s (HTTP %ld)", proxy, host,
			status);
	else
		return false;
	return true;
}

void xfer_explain(struct xfer *x, CURLcode code)
{
	const char *said = x->curl_says[0] ? x->curl_says : curl_easy_strerror(code);
	const struct result *r = find_result(what_broke(code, said));
	char host[128], reason[128];
	int no = r->no;
	long os = 0;

	if (explain_proxy(x, code))
		return;
	curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
	if (r->os_errno && os > 0 && os < 512) {
		said = strerror_r((int)os, reason, sizeof reason);
		no = code == CURLE_COULDNT_CONNECT ? (int)os : no;
	}
	bool word = islower((unsigned char)said[1]); /* not "SSL ..." */
	err_set(&x->why, no, "%s %s: %c%s", r->what, http_authority(x->url, host),
		word ? tolower((unsigned char)said[0]) : said[0], said + 1);
}

/* Appends one header line; a line break in it would let a value pose as further headers. */
static int add_line(struct xfer *x, const char *name, const char *value)
{
	char *line = str_printf(*value ? "%s: %s" : "%s;", name, value);
	struct curl_slist *list;

	if (!line)
		return -1;
	list = line[strcspn(line, "\r\n")] ? NULL : curl_slist_append(x->headers, line);
	free(line);
	if (!list)
		return -1;
	x->headers = list;
	return 0;
}

/* What curl would add by itself and nobody signed: off with it. */
static int silence_curl(struct xfer *x, const struct http_headers *given)
{
	static const char *const own[][2] = {
		{"Expect",       "Expect:"      },
		{"Content-Type", "Content-Type:"},
		{"Accept",       "Accept:"      },
		{"User-Agent",   "User-Agent:"  }
        };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (given && http_header_get(given, own[i][0]))
			continue;
		struct curl_slist *list = curl_slist_append(x->headers, own[i][1]);
		if (!list)
			return -1;
		x->headers = list;
	}
	return 0;
}

static int copy_headers(struct xfer *x, const struct http_headers *given, struct err *e)
{
	int failed = silence_curl(x, given);

	for (size_t i = 0; !failed && given && i < given->n; i++) {
		if (add_line(x, given->rows[i].name, given->rows[i].value))
			return err_set(e, EINVAL,
				       "header '%s' cannot be sent: it holds a line break",
				       given->rows[i].name);
	}
	return failed ? err_set(e, ENOMEM, "could not begin the request: out of memory") : 0;
}

struct xfer *xfer_new(struct http *h, const struct http_req *q, struct err *e)
{
	struct xfer *x = calloc(1, sizeof *x);

	if (!x) {
		err_set(e, ENOMEM, "could not begin the request: out of memory");
		return NULL;
	}
	x->h = h;
	x->q = *q;
	x->q.cancel = cancel_ref(q->cancel);
	x->q.headers = NULL;
	x->resp.body.max = q->max_reply ? q->max_reply : MAX_REPLY;
	x->method = strdup(q->method);
	x->url = strdup(q->url);
	if (!x->method || !x->url) {
		err_set(e, ENOMEM, "could not begin the request: out of memory");
		xfer_free(x);
		return NULL;
	}
	if (copy_headers(x, q->headers, e)) {
		xfer_free(x);
		return NULL;
	}
	return x;
}
