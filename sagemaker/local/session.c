#include "sagemaker/local/session.h"

#include <errno.h>
#include <time.h>

#include "sagemaker/buf.h"
#include "sagemaker/hash.h"

#define PREFIX "ASIA"

/* A digest of the purpose and what the token says, under the store's secret. */
static void derive(const struct backend *be, const char *purpose, const struct session *s,
		   char out[SHA256_HEX])
{
	unsigned char digest[SHA256_LEN];
	char text[512];
	int n = snprintf(text, sizeof text, "%s\n%s\n%lld\n%s", purpose, s->access,
			 (long long)s->expires, s->who);

	hmac_sha256(be->secret_key, strlen(be->secret_key), text, (size_t)n, digest);
	hex(digest, sizeof digest, out);
}

static void set_secret(const struct backend *be, struct session *s)
{
	char text[SHA256_HEX];

	derive(be, "secret", s, text);
	memcpy(s->secret, text, sizeof s->secret - 1); /* zeroed before: it ends */
	explicit_bzero(text, sizeof text);
}

int session_make(const struct backend *be, const char *who, int64_t seconds, struct session *out,
		 struct err *e)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(sizeof out->token),
				 token = BUF_INIT(sizeof out->token - 1);
	char mac[SHA256_HEX], tail[17];

	*out = (struct session){.expires = (int64_t)time(NULL) + seconds};
	if ((size_t)snprintf(out->who, sizeof out->who, "%s", who) >= sizeof out->who)
		return err_set(e, EINVAL, "the name of the role's session is too long");
	random_text(tail, sizeof tail);
	for (char *p = tail; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	snprintf(out->access, sizeof out->access, PREFIX "%s", tail);
	derive(be, "token", out, mac);
	buf_printf(&plain, "%lld %s %s", (long long)out->expires, mac, out->who);
	base64(plain.data, plain.len, &token);
	snprintf(out->token, sizeof out->token, "%s", buf_cstr(&token));
	set_secret(be, out);
	return 0;
}

static bool same(const char *a, const char *b)
{
	unsigned char diff = strlen(a) != strlen(b);

	for (size_t i = 0; !diff && a[i]; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return !diff;
}

/* "EXPIRES MAC WHO" */
static bool split(const char *text, char mac[SHA256_HEX], struct session *out)
{
	char *end;

	out->expires = strtoll(text, &end, 10);
	if (end == text || *end != ' ' || strcspn(end + 1, " ") != SHA256_HEX - 1)
		return false;
	memcpy(mac, end + 1, SHA256_HEX - 1);
	mac[SHA256_HEX - 1] = '\0';
	end += SHA256_HEX;
	return *end == ' ' &&
	       (size_t)snprintf(out->who, sizeof out->who, "%s", end + 1) < sizeof out->who;
}

enum session_state session_read(const struct backend *be, const char *access, const char *token,
				struct session *out)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(sizeof out->token);
	char given[SHA256_HEX], mac[SHA256_HEX];

	*out = (struct session){.access = ""};
	if (!starts_with(access, PREFIX) || strlen(access) >= sizeof out->access || !token ||
	    unbase64(token, strlen(token), &plain) < 0 || !split(buf_cstr(&plain), given, out))
		return SESSION_UNKNOWN;
	snprintf(out->access, sizeof out->access, "%s", access);
	derive(be, "token", out, mac);
	if (!same(mac, given))
		return SESSION_UNKNOWN;
	set_secret(be, out);
	return out->expires > (int64_t)time(NULL) ? SESSION_GOOD : SESSION_EXPIRED;
}
