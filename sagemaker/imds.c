#include "sagemaker/imds.h"

#include <errno.h>
#include <limits.h>

#include "build_config.h"
#include "sagemaker/profile.h"

#define TOKEN_PATH    "latest/api/token"
#define TOKEN_LIFE    "21600" /* seconds: the most there is */
#define MAX_DOCUMENT  ((size_t)256 << 10)
#define MAX_TIMEOUT_S 3600

enum setting { ENDPOINT, MODE, IPV6, TIMEOUT, ATTEMPTS, SETTINGS };

static const struct {
	const char *env, *key;
} names[SETTINGS] = {
	[ENDPOINT] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT",      "ec2_metadata_service_endpoint"     },
	[MODE] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode"},
	[IPV6] = {"AWS_IMDS_USE_IPV6",                      "imds_use_ipv6"                     },
	[TIMEOUT] = {"AWS_METADATA_SERVICE_TIMEOUT",           "metadata_service_timeout"          },
	[ATTEMPTS] = {"AWS_METADATA_SERVICE_NUM_ATTEMPTS",      "metadata_service_num_attempts"     },
};

static const struct config no_config;

struct imds {
	struct http *http, *own; /* own: http, when it ends with us */
	char *value[SETTINGS];
	bool no_memory;
	const char *base;
	long timeout_s, attempts;
	char *token;
};

/* Settings --------------------------------------------------------------------------------- */

static void keep(struct imds *m, enum setting s, const char *value)
{
	free(m->value[s]);
	m->value[s] = strdup(value);
	m->no_memory = m->no_memory || !m->value[s];
}

static void take_line(void *arg, const char *key, const char *value)
{
	for (enum setting s = 0; s < SETTINGS; s++) {
		if (streq(key, names[s].key))
			keep(arg, s, value);
	}
}

static int number(const struct imds *m, enum setting s, long most, long *out, struct err *e)
{
	const char *text = m->value[s];
	char *end;

	*out = 1;
	if (!text)
		return 0;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || end == text || *end || *out < 1 || *out > most)
		return err_set(e, EINVAL, "'%.60s' is no value for %s: it takes a number from 1",
			       text, names[s].key);
	return 0;
}

static int choose_base(struct imds *m, struct err *e)
{
	const char *url = m->value[ENDPOINT], *mode = m->value[MODE];
	bool v6 = mode ? strcasecmp(mode, "ipv6") == 0
		       : m->value[IPV6] && strcasecmp(m->value[IPV6], "true") == 0;

	if (mode && !v6 && strcasecmp(mode, "ipv4") != 0)
		return err_set(e, EINVAL, "'%.60s' is no value for %s: it takes IPv4 or IPv6", mode,
			       names[MODE].key);
	m->base = url && *url ? url : v6 ? "http://[fd00:ec2::254]/" : "http://169.254.169.254/";
	if (!starts_with(m->base, "http://") && !starts_with(m->base, "https://"))
		return err_set(e, EINVAL, "'%.60s' is no value for %s: it takes http://HOST",
			       m->base, names[ENDPOINT].key);
	return 0;
}

static int read_settings(struct imds *m, const char *profile, struct err *e)
{
	if (profile_read_both(profile, NULL, take_line, m, e))
		return -1;
	for (enum setting s = 0; s < SETTINGS; s++) {
		const char *value = getenv(names[s].env);

		if (value)
			keep(m, s, value);
	}
	if (m->no_memory)
		return err_set(e, ENOMEM, "could not keep the settings: out of memory");
	return choose_base(m, e) || number(m, TIMEOUT, MAX_TIMEOUT_S, &m->timeout_s, e) ||
			       number(m, ATTEMPTS, INT_MAX, &m->attempts, e)
		       ? -1
		       : 0;
}

struct imds *imds_new(struct http *h, const char *profile, struct err *e)
{
	const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
	struct imds *m;

	if (disabled && strcasecmp(disabled, "true") == 0) {
		err_set(e, ENOTSUP,
			"the instance metadata service is switched off (AWS_EC2_METADATA_DISABLED)");
		return NULL;
	}
	m = calloc(1, sizeof *m);
	if (!m) {
		err_set(e, ENOMEM, "could not ask the instance metadata service: out of memory");
		return NULL;
	}
	if (!read_settings(m, profile, e)) {
		m->http = h ? h : (m->own = http_new(&no_config, e));
		if (m->http)
			return m;
	}
	imds_free(m);
	return NULL;
}

static void drop_token(struct imds *m)
{
	if (m->token)
		explicit_bzero(m->token, strlen(m->token));
	free(m->token);
	m->token = NULL;
}

void imds_free(struct imds *m)
{
	if (!m)
		return;
	http_free(m->own);
	drop_token(m);
	for (enum setting s = 0; s < SETTINGS; s++)
		free(m->value[s]);
	free(m);
}

/* Requests --------------------------------------------------------------------------------- */

/* What one try came to: an answer that is final either way, or a reason to try again. */
enum outcome { GOOD, FINAL, AGAIN };

struct request {
	const char *method, *path, *header, *value;
	enum outcome (*judge)(const struct http_resp *r);
};

/* 404, 403, 405: as in botocore, a service without tokens; one that gets no token out to us says nothing at all. */
static enum outcome judge_token(const struct http_resp *r)
{
	static const long final[] = {400, 403, 404, 405};

	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		if (r->status == final[i])
			return FINAL;
	}
	return r->status == 200 && r->body.len ? GOOD : AGAIN;
}

static enum outcome judge_document(const struct http_resp *r)
{
	return r->status == 200 && r->body.len ? GOOD : AGAIN;
}

static int ask_once(struct imds *m, const struct request *q, struct cancel *cancel,
		    struct http_resp *r, struct err *e)
{
	struct http_headers headers _cleanup_(http_headers_release) = {NULL, 0};
	bool slash = ends_with(m->base, "/");
	_cleanup_free_ char *url = str_printf("%s%s%s", m->base, slash ? "" : "/", q->path);
	const struct http_req request = {
		.method = q->method,
		.url = url,
		.headers = &headers,
		.max_reply = MAX_DOCUMENT,
		.silence_ms = m->timeout_s * 1000,
		.cancel = cancel,
		.direct = true,
	};

	if (!url || http_header_add(&headers, q->header, q->value) ||
	    http_header_add(&headers, "User-Agent", "sagemakerfs/" SMFS_VERSION))
		return err_set(e, ENOMEM,
			       "could not ask the instance metadata service: out of memory");
	return http_exchange(m->http, &request, r, e);
}

/* 0: a good reply in *r. -1: *e says why there is none; r->status is 0 when nobody answered. */
static int ask(struct imds *m, const struct request *q, struct cancel *cancel, struct http_resp *r,
	       struct err *e)
{
	for (long i = 0;; i++) {
		http_resp_release(r);
		*r = (struct http_resp){0};
		int failed = ask_once(m, q, cancel, r, e);
		enum outcome is = failed ? AGAIN : q->judge(r);

		if (is == GOOD)
			return 0;
		if (!failed)
			err_set(e, r->status == 404 ? ENOENT : EIO,
				"the instance metadata service answered '%s' with HTTP %ld",
				q->path, r->status);
		if (is == FINAL || e->no == ECANCELED || e->no == ENOMEM || i + 1 >= m->attempts)
			return -1;
	}
}

static int fetch_token(struct imds *m, struct cancel *cancel, struct err *e)
{
	static const struct request q = {"PUT", TOKEN_PATH, "X-aws-ec2-metadata-token-ttl-seconds",
					 TOKEN_LIFE, judge_token};
	struct http_resp r _cleanup_http_resp_ = {0};

	if (ask(m, &q, cancel, &r, e)) {
		if (e->no == ETIMEDOUT)
			return err_append(e, "in a container, its hop limit must be at least 2");
		if (r.status)
			return err_set(
				e, EACCES,
				"the instance metadata service gives no session token (HTTP %ld), "
				"and without one it is not asked",
				r.status);
		return -1;
	}
	m->token = buf_steal(&r.body);
	return 0;
}

int imds_get(struct imds *m, const char *path, struct buf *out, struct cancel *cancel,
	     struct err *e)
{
	struct http_resp r _cleanup_http_resp_ = {0};

	for (int tries = 0; tries < 2; tries++) {
		if (!m->token && fetch_token(m, cancel, e))
			return -1;
		const struct request q = {"GET", path, "X-aws-ec2-metadata-token", m->token,
					  judge_document};
		int failed = ask(m, &q, cancel, &r, e);
		if (!failed)
			failed = buf_add(out, r.body.data, r.body.len);
		if (r.body.data)
			explicit_bzero(r.body.data, r.body.len);
		if (r.status != 401)
			return failed;
		drop_token(m); /* it has expired */
	}
	return -1;
}

int imds_region(const char *profile, char region[64], struct cancel *cancel, struct err *e)
{
	_cleanup_buf_ struct buf zone = BUF_INIT(63);
	struct imds *m = imds_new(NULL, profile, e);

	region[0] = '\0';
	if (!m)
		return -1;
	int failed = imds_get(m, "latest/meta-data/placement/availability-zone/", &zone, cancel, e);
	if (!failed && zone.len) {
		memcpy(region, zone.data, zone.len - 1); /* "eu-west-1a" without its letter */
		region[zone.len - 1] = '\0';
	}
	imds_free(m);
	return failed;
}
