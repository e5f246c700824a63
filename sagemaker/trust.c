#include "sagemaker/trust.h"

#include <fnmatch.h>

#include "sagemaker/json.h"
#include "sagemaker/policy.h"

/* Policies have one thing or a list of things nearly everywhere: the nth of either. */
static const cJSON *nth(const cJSON *one_or_list, int n)
{
	if (cJSON_IsArray(one_or_list))
		return cJSON_GetArrayItem(one_or_list, n);
	return n == 0 ? one_or_list : NULL;
}

static bool names_service(const cJSON *services, const char *suffix)
{
	char own[128];
	const cJSON *item;

	snprintf(own, sizeof own, "sagemaker.%s", suffix);
	for (int i = 0; (item = nth(services, i)); i++) {
		const char *name = cJSON_GetStringValue(item);

		if (name && (streq(name, POLICY_SERVICE) || streq(name, own)))
			return true;
	}
	return false;
}

/* {"AWS": "*"} is every account, and no service. */
static bool is_about_us(const cJSON *statement, const char *suffix)
{
	const cJSON *principal = cJSON_GetObjectItemCaseSensitive(statement, "Principal");
	const cJSON *not_these = cJSON_GetObjectItemCaseSensitive(statement, "NotPrincipal");

	if (not_these)
		return !names_service(cJSON_GetObjectItemCaseSensitive(not_these, "Service"),
				      suffix);
	if (cJSON_IsString(principal))
		return streq(principal->valuestring, "*");
	return names_service(cJSON_GetObjectItemCaseSensitive(principal, "Service"), suffix);
}

static bool matches_action(const cJSON *actions)
{
	const cJSON *item;

	for (int i = 0; (item = nth(actions, i)); i++) {
		const char *pattern = cJSON_GetStringValue(item);

		if (pattern && fnmatch(pattern, "sts:AssumeRole", FNM_CASEFOLD) == 0)
			return true;
	}
	return false;
}

static bool is_about_assuming(const cJSON *statement)
{
	const cJSON *but_these = cJSON_GetObjectItemCaseSensitive(statement, "NotAction");

	if (but_these)
		return !matches_action(but_these);
	return matches_action(cJSON_GetObjectItemCaseSensitive(statement, "Action"));
}

bool trust_admits(const char *policy, size_t n, const char *suffix)
{
	_cleanup_json_ cJSON *document = json_parse(policy, n, NULL);
	const cJSON *statements = cJSON_GetObjectItemCaseSensitive(document, "Statement");
	const cJSON *statement;
	bool allowed = false;

	for (int i = 0; (statement = nth(statements, i)); i++) {
		const char *effect = json_text(statement, "Effect");

		if (!effect || !is_about_us(statement, suffix) || !is_about_assuming(statement))
			continue;
		if (streq(effect, "Allow"))
			allowed = true;
		else if (streq(effect, "Deny") &&
			 !cJSON_GetObjectItemCaseSensitive(statement, "Condition"))
			return false;
	}
	return allowed;
}
