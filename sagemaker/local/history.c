#include "sagemaker/local/history.h"

#include "sagemaker/local/validate.h"

/* What a resource was until `until`. */
struct past {
	struct past *next; /* younger */
	const struct resource_kind *kind;
	char name[64];
	double until;
	cJSON *json; /* NULL: it was not there */
};

struct history {
	double seconds;
	pthread_mutex_t mu; /* guards what follows */
	struct past *first, **last;
};

struct history *history_new(double seconds)
{
	struct history *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->seconds = seconds;
	h->last = &h->first;
	pthread_mutex_init(&h->mu, NULL);
	return h;
}

/* Whatever ended before the time that is answered about, and all when asked to. */
static void prune_locked(struct history *h, double before)
{
	while (h->first && h->first->until <= before) {
		struct past *p = h->first;

		h->first = p->next;
		cJSON_Delete(p->json);
		free(p);
	}
	if (!h->first)
		h->last = &h->first;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	prune_locked(h, time_mono() + 1);
	pthread_mutex_destroy(&h->mu);
	free(h);
}

void history_note(struct history *h, const struct resource_kind *k, const char *name, cJSON *before)
{
	struct past *p = h ? calloc(1, sizeof *p) : NULL;

	if (!p) {
		cJSON_Delete(before);
		return;
	}
	*p = (struct past){.kind = k, .until = time_mono(), .json = before};
	snprintf(p->name, sizeof p->name, "%s", name);
	SCOPED_LOCK(&h->mu);
	prune_locked(h, p->until - h->seconds);
	*h->last = p;
	h->last = &p->next;
}

/* The oldest that is not over yet tells how it was. */
static const struct past *find_locked(struct history *h, const struct resource_kind *k,
				      const char *name)
{
	prune_locked(h, time_mono() - h->seconds);
	for (const struct past *p = h->first; p; p = p->next) {
		if (p->kind == k && strcasecmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

bool history_describe(struct history *h, const struct resource_kind *k, const char *name,
		      cJSON **out)
{
	*out = NULL;
	if (!h)
		return false;
	SCOPED_LOCK(&h->mu);
	const struct past *p = find_locked(h, k, name);
	if (p && p->json)
		*out = cJSON_Duplicate(p->json, true);
	return p != NULL;
}

/* Statuses are static text in a row; those of a description are not. */
static const char *static_status(const char *status)
{
	static const char *const all[] = {"Creating",    "InService", "Updating",
					  "RollingBack", "Failed",    "Deleting"};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (streq(all[i], status))
			return all[i];
	}
	return NULL;
}

static void put_row(struct listed *l, const struct past *p)
{
	*l = (struct listed){.created = member_number(p->json, "CreationTime", 0),
			     .modified = member_number(p->json, "LastModifiedTime", 0),
			     .status = static_status(member_string(p->json, "EndpointStatus"))};
	memcpy(l->name, p->name, sizeof l->name);
}

struct listed *history_list(struct history *h, const struct resource_kind *k, struct listed *rows,
			    size_t *n)
{
	size_t kept = 0, most = *n;

	if (!h)
		return rows;
	SCOPED_LOCK(&h->mu);
	for (size_t i = 0; i < *n; i++) {
		if (!find_locked(h, k, rows[i].name))
			rows[kept++] = rows[i];
	}
	for (const struct past *p = h->first; p; p = p->next)
		most++;
	struct listed *all = reallocarray(rows, most + 1, sizeof *all);
	if (!all) {
		free(rows);
		*n = 0;
		return NULL;
	}
	for (const struct past *p = h->first; p; p = p->next) {
		if (p->kind == k && p->json && find_locked(h, k, p->name) == p)
			put_row(&all[kept++], p);
	}
	*n = kept;
	return all;
}
