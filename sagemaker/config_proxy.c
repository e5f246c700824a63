#include <errno.h>

#include "sagemaker/buf.h"
#include "sagemaker/config.h"

/*
 * As botocore, which asks Python's urllib (getproxies_environment, proxy_bypass_environment): both cases, the lower one first,
 * where an empty one switches the proxy off; HTTP_PROXY not in a CGI program, whose clients could set it.
 */
static const struct proxy_name {
	const char *lower, *upper;
	size_t member, from;
} proxy_names[] = {
	{"http_proxy",  "HTTP_PROXY",  offsetof(struct config, proxy_http),
	 offsetof(struct config, proxy_http_from) },
	{"https_proxy", "HTTPS_PROXY", offsetof(struct config, proxy_https),
	 offsetof(struct config, proxy_https_from)},
	{"no_proxy",    "NO_PROXY",    offsetof(struct config, no_proxy),
	 offsetof(struct config, no_proxy_from)   },
};

static const char *ask(const struct proxy_name *name, const char **from)
{
	const char *value = getenv(name->lower);

	*from = name->lower;
	if (!value) {
		bool forged = streq(name->upper, "HTTP_PROXY") && getenv("REQUEST_METHOD");

		value = forged ? NULL : getenv(name->upper);
		*from = name->upper;
	}
	return value && *value ? value : NULL;
}

/* HOST, HOST:PORT, [HOST]:PORT, perhaps with a path of no meaning. */
static bool is_authority(const char *at)
{
	size_t n = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/");

	if (!n || n > strlen(at))
		return false;
	at += n;
	if (*at == ':')
		at += 1 + strspn(at + 1, "0123456789");
	return !*at || *at == '/';
}

/* The value may hold a password: it is not shown. */
static int check_proxy(const char *value, const char *from, struct err *e)
{
	const char *scheme = strstr(value, "//"), *user = strrchr(value, '@');

	for (const char *s = value; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return err_set(
				e, EINVAL,
				"%s is no proxy's URL: it has a blank or a control character in it",
				from);
	}
	return is_authority(user     ? user + 1
			    : scheme ? scheme + 2
				     : value)
		       ? 0
		       : err_set(e, EINVAL,
				 "%s is no proxy's URL: it takes the form http://[USER:PASSWORD@]HOST:PORT",
				 from);
}

int config_proxies(struct config *c, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(proxy_names); i++) {
		char **member = (char **)(void *)((char *)c + proxy_names[i].member);
		const char **from = (const char **)(void *)((char *)c + proxy_names[i].from);
		const char *name, *value = ask(&proxy_names[i], &name);
		bool hosts = member == &c->no_proxy;

		if (!value)
			continue;
		if (!hosts && check_proxy(value, name, e))
			return -1;
		/* Without a scheme it is a host: "proxy:3128", "//proxy:3128". */
		*member = hosts || strstr(value, "://") ? strdup(value)
			  : starts_with(value, "//")    ? str_printf("http:%s", value)
							: str_printf("http://%s", value);
		if (!*member)
			return err_set(e, ENOMEM, "could not keep the settings: out of memory");
		*from = name;
	}
	return 0;
}

/* Whether host ends with the n characters of name, as a whole or after a dot. */
static bool is_under(const char *host, size_t len, const char *name, size_t n)
{
	return len >= n && strncasecmp(host + len - n, name, n) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

/* host without and with its port. */
static bool is_listed(const char *host, size_t len, size_t with_port, const char *list)
{
	for (; *list; list += *list == ',') {
		size_t n = strcspn(list, ",");
		const char *name = list, *end = list + n;

		list = end;
		while (name < end && strchr(" \t", *name))
			name++;
		while (end > name && strchr(" \t", end[-1]))
			end--;
		while (name < end && *name == '.')
			name++;
		n = (size_t)(end - name);
		if (n && (is_under(host, len, name, n) || is_under(host, with_port, name, n)))
			return true;
	}
	return false;
}

const char *config_proxy(const struct config *c, const char *url)
{
	const char *proxy = starts_with(url, "https://") ? c->proxy_https : c->proxy_http;
	const char *host = strstr(url, "://");

	if (!proxy || !host || config_is_loopback(url))
		return NULL;
	host += 3;
	size_t with_port = strcspn(host, "/?#");
	size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
	if (!c->no_proxy)
		return proxy;
	return streq(c->no_proxy, "*") || is_listed(host, MIN(n, with_port), with_port, c->no_proxy)
		       ? NULL
		       : proxy;
}
