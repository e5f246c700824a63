#include <arpa/inet.h>
#include <errno.h>

#include "sagemaker/config.h"

/* The host of an URL into host: without brackets, user and port. */
static bool url_host(const char *url, char *host, size_t size)
{
	const char *at = strstr(url, "://");
	size_t n;

	if (!at)
		return false;
	at += 3;
	n = strcspn(at, "/?#");
	if (memchr(at, '@', n))
		return false;
	if (*at == '[') {
		at++;
		n = strcspn(at, "]");
	} else {
		n = strcspn(at, ":/?#");
	}
	if (!n || n >= size)
		return false;
	memcpy(host, at, n);
	host[n] = '\0';
	return true;
}

bool config_is_loopback(const char *url)
{
	struct in_addr v4;
	struct in6_addr v6;
	char host[256];

	if (!url_host(url, host, sizeof host))
		return false;
	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void config_cut_slashes(char *s)
{
	for (size_t n = strlen(s); n && s[n - 1] == '/'; n--)
		s[n - 1] = '\0';
}

static bool has_blank_or_control(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return true;
	}
	return false;
}

int config_check_url(const char *url, const char *from, bool allow_http, struct err *e)
{
	bool tls = starts_with(url, "https://"), plain = starts_with(url, "http://");
	char host[256];

	if (has_blank_or_control(url))
		return err_set(e, EINVAL,
			       "%s is no endpoint URL: it has a blank or a control character in it",
			       from);
	if (!(tls || plain) || !url_host(url, host, sizeof host))
		return err_set(
			e, EINVAL,
			"%s is '%s', which is no endpoint URL: it takes the form https://HOST[:PORT]",
			from, strchr(url, '@') ? "(not shown)" : url);
	if (url[strcspn(url, "?#")])
		return err_set(e, EINVAL,
			       "%s is '%s', which is no endpoint URL: it has a query or a fragment",
			       from, url);
	if (plain && !allow_http && !config_is_loopback(url))
		return err_set(e, EINVAL,
			       "%s is '%s', which is refused: plain http is only for this machine "
			       "(127.0.0.1, localhost); use https, or say -o allow_http",
			       from, url);
	return 0;
}
