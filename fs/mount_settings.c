#include <ctype.h>

#include "fs/mount.h"
#include "sagemaker/creds.h"

/* "AWS_REGION", "'region' of profile 'dev'", or what it says itself. */
static void put_from(const struct config *c, const char *from, struct buf *out)
{
	if (!from)
		return;
	if (islower((unsigned char)from[0]) && !strchr(from, ' '))
		buf_printf(out, " ('%s' of profile '%s')", from,
			   c->profile ? c->profile : "default");
	else
		buf_printf(out, " (%s)", from);
}

static void put_row(const struct config *c, const char *name, const char *value, const char *from,
		    struct buf *out)
{
	if (!value)
		return;
	buf_printf(out, "%-10s %s", name, value);
	put_from(c, from, out);
	buf_char(out, '\n');
}

/* A proxy's URL may hold a password: none of what comes before the host is shown. */
static void put_proxy(const char *name, const char *url, const char *from, struct buf *out)
{
	if (!url)
		return;
	const char *host = strstr(url, "://");
	const char *at = strrchr(url, '@');
	int scheme = host ? (int)(host - url) : 0;

	host = at ? at + 1 : host ? host + 3 : url;
	buf_printf(out, "%-10s %.*s://%s (%s)\n", name, scheme, url, host, from ? from : "given");
}

static void put_keys(struct mount *m, struct buf *out)
{
	size_t start = out->len;

	buf_str(out, "keys       of ");
	if (creds_source(aws_creds(m->aws), out, NULL) == 0)
		buf_char(out, '\n');
	else if (out->data)
		out->data[out->len = start] = '\0'; /* found no more: the calls say why */
}

static const enum service used[] = {SERVICE_S3, SERVICE_SAGEMAKER, SERVICE_RUNTIME, SERVICE_STS,
				    SERVICE_IAM};

static void put_endpoint(const struct mount *m, enum service s, const char *name, struct buf *out)
{
	buf_printf(out, "endpoint   %s%s%s", name, *name ? " " : "", aws_host(m->aws, s)->url);
	put_from(&m->config, m->config.url_from[s], out);
	buf_char(out, '\n');
}

static void put_kinds(const struct config *c, struct buf *out)
{
	put_row(c, "fips", c->fips ? "true" : NULL, c->fips_from, out);
	put_row(c, "dualstack", c->dualstack ? "true" : NULL, c->dualstack_from, out);
}

/* Whether one setting is where all services are. */
static bool one_for_all(const struct config *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		if (!c->url_from[used[i]] || !streq(c->url_from[used[i]], c->url_from[used[0]]))
			return false;
	}
	return true;
}

void mount_place(const struct mount *m, struct buf *out)
{
	const struct config *c = &m->config;

	put_row(c, "region", c->region, c->region_from, out);
	if (c->isolated)
		return;
	put_kinds(c, out);
	if (one_for_all(c)) {
		put_endpoint(m, used[0], "", out);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		if (c->url_from[used[i]])
			put_endpoint(m, used[i], service_key(used[i]), out);
	}
}

void mount_settings(struct mount *m, struct buf *out)
{
	const struct config *c = &m->config;

	put_row(c, "profile", c->profile, c->profile_from, out);
	put_keys(m, out);
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		put_endpoint(m, used[i], service_key(used[i]), out);
	put_row(c, "ca_bundle", c->ca_bundle, c->ca_from, out);
	put_proxy("http_proxy", c->proxy_http, c->proxy_http_from, out);
	put_proxy("https_proxy", c->proxy_https, c->proxy_https_from, out);
	put_row(c, "no_proxy", c->no_proxy, c->no_proxy_from, out);
	put_row(c, "allow_http", c->allow_http ? "true" : NULL, NULL, out);
}
