#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>

#include "build_config.h"
#include "sagemaker/creds_internal.h"
#include "sagemaker/imds.h"
#include "sagemaker/json.h"

#define RELATIVE "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL     "AWS_CONTAINER_CREDENTIALS_FULL_URI"

#define CONTAINER_HOST    "http://169.254.170.2"
#define CONTAINER_TRIES   3
#define CONTAINER_SILENCE 2000 /* ms */
#define CONTAINER_PAUSE   1000
#define MAX_ANSWER        ((size_t)64 << 10)
#define MAX_TOKEN         ((size_t)64 << 10)
#define ROLE_PATH         "latest/meta-data/iam/security-credentials/"
#define WINDOW_S          (15 * 60)

static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"};

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not ask for AWS keys: out of memory");
}

static int take(const struct buf *text, const struct origin *s, struct lease *out, struct err *e)
{
	_cleanup_secret_json_ cJSON *o = json_parse(text->data, text->len, e);

	return o ? lease_take_json(out, o, names, 4, s->from, e) : -1;
}

/* Containers (ECS, EKS, Greengrass) --------------------------------------------------------- */

int find_container(struct look *l, struct origin *out, struct err *e)
{
	(void)l;
	if (!getenv(RELATIVE) && !getenv(FULL))
		return 0;
	out->from = strdup("the container's credentials endpoint");
	return out->from ? 1 : no_memory(e);
}

/* The host of an URL, without brackets and port. */
static bool url_host(const char *url, char *host, size_t size)
{
	const char *at = strstr(url, "://");

	at = at ? at + 3 : "";
	size_t n = strcspn(at, "/?#");
	const char *user = memrchr(at, '@', n);
	if (user) {
		n -= (size_t)(user + 1 - at);
		at = user + 1;
	}
	if (*at == '[') {
		at++;
		n = strcspn(at, "]");
	} else {
		n = MIN(n, strcspn(at, ":"));
	}
	if (!n || n >= size)
		return false;
	memcpy(host, at, n);
	host[n] = '\0';
	return true;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Keys in clear only from this machine and the addresses that AWS gave to its agents (botocore: ContainerMetadataFetcher). */
static int check_url(const char *url, struct err *e)
{
	static const char *const allowed[] = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23",
					      "localhost"};
	char host[256];

	if (strncasecmp(url, "https://", 8) == 0)
		return 0;
	if (strncasecmp(url, "http://", 7) != 0 || !url_host(url, host, sizeof host))
		return err_set(e, EINVAL, FULL " is no URL: it takes http://HOST/PATH");
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (strcasecmp(host, allowed[i]) == 0)
			return 0;
	}
	return is_loopback(host)
		       ? 0
		       : err_set(e, EACCES,
				 FULL
				 " names host '%.100s': without TLS, keys are taken only from "
				 "this machine, 169.254.170.2, 169.254.170.23 and fd00:ec2::23",
				 host);
}

static char *container_url(struct err *e)
{
	const char *relative = getenv(RELATIVE), *full = getenv(FULL);
	char *url = relative ? str_printf(CONTAINER_HOST "%s", relative) : strdup(full ? full : "");

	if (!url) {
		no_memory(e);
		return NULL;
	}
	if (!check_url(url, e))
		return url;
	free(url);
	return NULL;
}

/* The token, read anew each time: the agent replaces the file. token without data: there is none. */
static int read_token(struct buf *token, struct err *e)
{
	const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *text = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");

	if (path && buf_read_file(token, AT_FDCWD, path))
		return err_errno(e, "could not read the authorization token '%s'", path);
	if (!path && text && buf_str(token, text))
		return no_memory(e);
	return token->data && token->data[strcspn(token->data, "\r\n")]
		       ? err_set(e, EACCES, "the authorization token%s%s has a line break in it",
				 path ? " in " : "", path ? path : "")
		       : 0;
}

static int add_token(struct http_headers *h, struct err *e)
{
	struct buf token = BUF_INIT(MAX_TOKEN);
	int failed = read_token(&token, e);

	if (!failed && token.data && http_header_add(h, "Authorization", token.data))
		failed = no_memory(e);
	if (token.data)
		explicit_bzero(token.data, token.cap);
	buf_release(&token);
	return failed;
}

static int ask_container(const struct fetch *f, const struct http_req *q, const struct origin *s,
			 struct lease *out, struct err *e)
{
	struct http_resp r _cleanup_(resp_wipe) = {0};

	if (http_exchange(f->http, q, &r, e))
		return -1;
	if (r.status != 200)
		return err_set(e, EACCES, "%s answered with HTTP %ld", s->from, r.status);
	return take(&r.body, s, out, e);
}

int fetch_container(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	struct http_headers h _cleanup_(http_headers_release) = {NULL, 0};
	_cleanup_free_ char *url = container_url(e);

	if (!url || add_token(&h, e))
		return -1;
	if (http_header_add(&h, "Accept", "application/json") ||
	    http_header_add(&h, "User-Agent", "sagemakerfs/" SMFS_VERSION))
		return no_memory(e);
	const struct http_req q = {
		.method = "GET",
		.url = url,
		.headers = &h,
		.max_reply = MAX_ANSWER,
		.silence_ms = CONTAINER_SILENCE,
		.cancel = f->cancel,
		.direct = true,
	};
	for (int tries = 1; ask_container(f, &q, s, out, e); tries++) {
		if (tries == CONTAINER_TRIES || e->no == ECANCELED || e->no == ENOMEM ||
		    cancel_sleep(f->cancel, CONTAINER_PAUSE))
			return -1;
	}
	return 0;
}

/* Instances (EC2) -------------------------------------------------------------------------- */

int find_instance(struct look *l, struct origin *out, struct err *e)
{
	const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");

	(void)l;
	if (disabled && strcasecmp(disabled, "true") == 0)
		return 0;
	out->from = strdup("the instance's role");
	return out->from ? 1 : no_memory(e);
}

/* Where the service cannot renew keys it gives out old ones, which then hold longer than they say: botocore asks again after the
 * window and 2 to 10 minutes more. */
static void extend(struct lease *out)
{
	int64_t now = (int64_t)time(NULL), more;
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof dice, 0) != sizeof dice)
		dice = 0;
	more = WINDOW_S + 120 + dice % 481;
	if (now >= out->expires - more)
		out->expires = now + more;
}

static int ask_instance(struct imds *m, const struct fetch *f, const struct origin *s,
			struct lease *out, struct err *e)
{
	struct buf path _cleanup_(buf_release) = BUF_INIT(1024);
	struct buf answer _cleanup_(buf_release) = BUF_INIT(MAX_ANSWER);

	buf_str(&path, ROLE_PATH);
	if (imds_get(m, ROLE_PATH, &path, f->cancel, e))
		return e->no == ENOENT ? err_set(e, EACCES, "the instance has no role") : -1;
	path.data[strcspn(path.data, "\r\n")] = '\0';
	int failed = imds_get(m, path.data, &answer, f->cancel, e);
	if (!failed)
		failed = take(&answer, s, out, e);
	if (answer.data)
		explicit_bzero(answer.data, answer.cap);
	if (!failed)
		extend(out);
	return failed;
}

/* The last resort: where it has nothing, there are no keys at all. */
int fetch_instance(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e)
{
	struct imds *m = imds_new(f->http, s->profile, e);
	int failed = m ? ask_instance(m, f, s, out, e) : -1;

	imds_free(m);
	if (failed && e->no != ECANCELED && e->no != ENOMEM) {
		struct err why = *e;

		origin_none(s->profile, why.text, e);
	}
	return failed;
}
