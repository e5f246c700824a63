/*
 * history.h: what Describe and List calls answered a while ago, for a backend that is as slow to notice as AWS is (serve --stale):
 * a resource that was just made is not found yet, one that has just changed or gone looks as it did.
 *
 * Its lock is the last but logger.mu: history calls nobody.
 */
#ifndef SAGEMAKER_LOCAL_HISTORY_H
#define SAGEMAKER_LOCAL_HISTORY_H

#include "sagemaker/local/resources.h"

struct history;

/* history_new: of the last `seconds`. NULL: out of memory. history_free: takes NULL. */
struct history *history_new(double seconds);
void history_free(struct history *h);

/* history_note: the resource is about to change: before is what Describe answers until now (taken over; NULL: not found).
 * Without a history (h NULL) before is dropped. */
void history_note(struct history *h, const struct resource_kind *k, const char *name,
		  cJSON *before);
/* history_describe: whether the answer is another one than the present's: *out (owned by the caller; NULL: not found). */
bool history_describe(struct history *h, const struct resource_kind *k, const char *name,
		      cJSON **out);
/* history_list: n malloc'ed rows as they were; takes over rows, returns others (NULL: out of memory or none). */
struct listed *history_list(struct history *h, const struct resource_kind *k, struct listed *rows,
			    size_t *n);

#endif
