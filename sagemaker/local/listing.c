/* listing.c: what ListModels, ListEndpointConfigs and ListEndpoints have in common. */
#include "sagemaker/hash.h"
#include "sagemaker/local/resources.h"
#include "sagemaker/local/validate.h"

static int by_name(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

static int by_time(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return x->created < y->created ? -1 : x->created > y->created ? 1 : by_name(a, b);
}

static int by_status(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int d = strcmp(x->status ? x->status : "", y->status ? y->status : "");

	return d ? d : by_name(a, b);
}

static bool wanted(const struct listed *l, const cJSON *in)
{
	const char *part = member_string(in, "NameContains"),
		   *status = member_string(in, "StatusEquals");

	return (!*part || strcasestr(l->name, part)) &&
	       (!*status || (l->status && streq(l->status, status))) &&
	       l->created < member_number(in, "CreationTimeBefore", 1e18) &&
	       l->created > member_number(in, "CreationTimeAfter", -1) &&
	       l->modified < member_number(in, "LastModifiedTimeBefore", 1e18) &&
	       l->modified >= member_number(in, "LastModifiedTimeAfter", 0);
}

static void add_row(struct request *r, const struct resource_kind *k, cJSON *list,
		    const struct listed *l)
{
	cJSON *j = cJSON_CreateObject();
	char arn[256];

	resource_arn(r->be, k, l->name, arn);
	cJSON_AddStringToObject(j, k->name_member, l->name);
	cJSON_AddStringToObject(j, k->arn_member, arn);
	cJSON_AddNumberToObject(j, "CreationTime", l->created);
	if (l->status) {
		cJSON_AddNumberToObject(j, "LastModifiedTime", l->modified);
		cJSON_AddStringToObject(j, "EndpointStatus", l->status);
	}
	cJSON_AddItemToArray(list, j);
}

/* Where the page begins: behind the row whose name the token holds. A row that is gone: from the start of what is left. */
static size_t page_start(const struct listed *rows, size_t n, const char *token)
{
	_cleanup_buf_ struct buf name = BUF_INIT(8192);

	if (!*token || unbase64(token, strlen(token), &name) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (streq(rows[i].name, buf_cstr(&name)))
			return i + 1;
	}
	return 0;
}

static void reply_page(struct request *r, const struct resource_kind *k, const struct listed *rows,
		       size_t n, const cJSON *in)
{
	_cleanup_buf_ struct buf token = BUF_INIT(256);
	size_t i = page_start(rows, n, member_string(in, "NextToken"));
	int max = (int)member_number(in, "MaxResults", 10);
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, k->list_member);

	for (; i < n && max; i++) {
		if (!wanted(&rows[i], in))
			continue;
		add_row(r, k, list, &rows[i]);
		buf_reset(&token);
		base64(rows[i].name, strlen(rows[i].name), &token);
		max--;
	}
	while (i < n && !wanted(&rows[i], in))
		i++;
	if (i < n)
		cJSON_AddStringToObject(out, "NextToken", buf_cstr(&token));
	reply_json(r, out);
}

void reply_list(struct request *r, const struct resource_kind *k, struct listed *rows, size_t n)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);

	if (!in)
		return;
	const char *by = member_string(in, "SortBy"), *order = member_string(in, "SortOrder");
	if (n) /* rows may be NULL else */
		qsort(rows, n, sizeof *rows,
		      streq(by, "Name")     ? by_name
		      : streq(by, "Status") ? by_status
					    : by_time);
	for (size_t i = 0; !streq(order, "Ascending") && i < n / 2; i++) {
		struct listed swap = rows[i];
		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = swap;
	}
	reply_page(r, k, rows, n, in);
}
