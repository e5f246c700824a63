/* listing.c: what ListModels, ListEndpointConfigs and ListEndpoints have in common. */
#include "sagemaker/hash.h"
#include "sagemaker/local/history.h"
#include "sagemaker/local/resources.h"
#include "sagemaker/local/validate.h"

/* Where a row stands in a list: every order ends with the name, so no two rows stand at the same place. */
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

struct order {
	const char *name; /* SortBy */
	int (*compare)(const void *a, const void *b);
	bool ascending;
};

static struct order order_of(const cJSON *in)
{
	static const struct order rows[] = {
		{"CreationTime", by_time,   false},
		{"Name",         by_name,   false},
		{"Status",       by_status, false},
	};
	const char *by = member_string(in, "SortBy");
	struct order o = rows[0];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (streq(by, rows[i].name))
			o = rows[i];
	}
	o.ascending = streq(member_string(in, "SortOrder"), "Ascending");
	return o;
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

/* A token says where its page ended, in which order: rows that came or went in between neither repeat nor hide others. */
static void put_token(struct buf *out, const struct order *o, const struct listed *l)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "SortBy", o->name);
	cJSON_AddBoolToObject(j, "Ascending", o->ascending);
	cJSON_AddNumberToObject(j, "Created", l->created);
	cJSON_AddStringToObject(j, "Status", l->status ? l->status : "");
	cJSON_AddStringToObject(j, "Name", l->name);
	char *text = cJSON_PrintUnformatted(j);
	if (text)
		base64(text, strlen(text), out);
	cJSON_free(text);
}

/* What a token holds; out->status points into it. NULL: no token of a list in this order. */
static cJSON *read_token(const char *token, const struct order *o, struct listed *out)
{
	_cleanup_buf_ struct buf text = BUF_INIT(8192);
	_cleanup_json_ cJSON *j =
		unbase64(token, strlen(token), &text) < 0 ? NULL : cJSON_Parse(buf_cstr(&text));
	const char *name = member_string(j, "Name");

	if (!*name || !streq(member_string(j, "SortBy"), o->name) ||
	    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "Ascending")) != o->ascending)
		return NULL;
	*out = (struct listed){.created = member_number(j, "Created", 0),
			       .status = member_string(j, "Status")};
	snprintf(out->name, sizeof out->name, "%s", name);
	return steal(j);
}

/* The first row behind the one that the token names. */
static size_t page_start(const struct listed *rows, size_t n, const struct order *o,
			 const struct listed *after)
{
	size_t i = 0;

	while (i < n &&
	       (o->ascending ? o->compare(&rows[i], after) <= 0 : o->compare(&rows[i], after) >= 0))
		i++;
	return i;
}

static void reply_page(struct request *r, const struct resource_kind *k, const struct listed *rows,
		       size_t n, const cJSON *in, const struct order *o)
{
	_cleanup_buf_ struct buf token = BUF_INIT(2048);
	const char *given = member_string(in, "NextToken");
	const struct listed *last = NULL;
	struct listed after = {0};
	size_t i = 0;

	_cleanup_json_ cJSON *held = *given ? read_token(given, o, &after) : NULL;
	if (*given && !held) {
		reply_error(r, 400, "ValidationException",
			    "NextToken is not one that this call gave for this order");
		return;
	}
	if (*given)
		i = page_start(rows, n, o, &after);
	int max = (int)member_number(in, "MaxResults", 10);
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, k->list_member);
	for (; i < n && max; i++) {
		if (!wanted(&rows[i], in))
			continue;
		add_row(r, k, list, &rows[i]);
		last = &rows[i];
		max--;
	}
	while (i < n && !wanted(&rows[i], in))
		i++;
	if (i < n && last) {
		put_token(&token, o, last);
		cJSON_AddStringToObject(out, "NextToken", buf_cstr(&token));
	}
	reply_json(r, out);
}

static void sort(struct listed *rows, size_t n, const struct order *o)
{
	if (n) /* rows may be NULL else */
		qsort(rows, n, sizeof *rows, o->compare);
	for (size_t i = 0; !o->ascending && i < n / 2; i++) {
		struct listed swap = rows[i];
		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = swap;
	}
}

void reply_list(struct request *r, const struct resource_kind *k, struct listed *rows, size_t n)
{
	_cleanup_json_ cJSON *in = validate(r, NULL);

	if (in) {
		struct order o = order_of(in);

		rows = history_list(r->be->history, k, rows, &n);
		sort(rows, n, &o);
		reply_page(r, k, rows, n, in, &o);
	}
	free(rows);
}
