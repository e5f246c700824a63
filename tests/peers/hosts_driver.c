/*
 * usage: hosts_driver                      lines "SERVICE REGION FIPS DUALSTACK" (numbers) in; "URL REGION" or "refused: WHY" out
 *        hosts_driver settings [REGION]    what the environment and the shared files come to, as JSON
 */
#include "sagemaker/config.h"

static cJSON *text(const char *s)
{
	return s ? cJSON_CreateString(s) : cJSON_CreateNull();
}

static void answer(int service, char *region, int fips, int dualstack)
{
	const struct config c = {.region = region, .fips = fips == 1, .dualstack = dualstack == 1};
	struct host h;
	struct err e;

	if (host_find(&c, (enum service)service, NULL, &h, &e))
		printf("refused: %s\n", e.text);
	else
		printf("%s %s\n", h.url, h.region);
}

static int answer_all(void)
{
	int service, fips, dualstack;
	char region[48];

	while (scanf("%d %47s %d %d", &service, region, &fips, &dualstack) == 4) {
		if (service < 0 || service >= SERVICES)
			return 1;
		answer(service, region, fips, dualstack);
	}
	return 0;
}

/* An URL as a request for the bucket has it. */
static cJSON *with_bucket(const struct host *h, const char *bucket)
{
	_cleanup_buf_ struct buf url = BUF_INIT(0);
	bool in_path = host_path_style(h, bucket);

	if (host_put(h, in_path ? NULL : bucket, &url) ||
	    (in_path && buf_printf(&url, "/%s", bucket)))
		return NULL;
	return text(buf_cstr(&url));
}

static cJSON *describe(const struct config *c, enum service s)
{
	cJSON *out = cJSON_CreateObject();
	struct host h;
	struct err e;

	if (host_find(c, s, NULL, &h, &e)) {
		cJSON_AddItemToObject(out, "refused", text(e.text));
		return out;
	}
	cJSON_AddItemToObject(out, "url", text(h.url));
	cJSON_AddItemToObject(out, "region", text(h.region));
	cJSON_AddItemToObject(out, "proxy", text(config_proxy(c, h.url)));
	if (s == SERVICE_S3) {
		cJSON_AddItemToObject(out, "bucket", with_bucket(&h, "plain-bucket"));
		cJSON_AddItemToObject(out, "dotted", with_bucket(&h, "dotted.bucket"));
	}
	return out;
}

static int show_settings(const char *region)
{
	struct config c _cleanup_(config_release) = {.region = region ? strdup(region) : NULL,
						     .allow_http = true};
	_cleanup_json_ cJSON *out = cJSON_CreateObject();
	struct err e;

	if (config_load(&c, &e)) {
		cJSON_AddItemToObject(out, "refused", text(e.text));
	} else {
		cJSON_AddItemToObject(out, "region", text(c.region));
		cJSON_AddItemToObject(out, "ca_bundle", text(c.ca_bundle));
		for (int i = 0; i < SERVICES; i++)
			cJSON_AddItemToObject(out, service_key((enum service)i),
					      describe(&c, (enum service)i));
	}
	_cleanup_free_ char *json = cJSON_PrintUnformatted(out);
	return json && puts(json) >= 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && streq(argv[1], "settings"))
		return show_settings(argc > 2 ? argv[2] : NULL);
	return answer_all();
}
