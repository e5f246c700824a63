/*
 * creds.h: the caller's AWS keys. Order now: explicit (config), environment, shared credentials/config file
 * (profile). A profile named by the caller (not by AWS_PROFILE) disables environment keys, as in botocore. Thread-safe.
 */
#ifndef SAGEMAKER_CREDS_H
#define SAGEMAKER_CREDS_H

#include "sagemaker/config.h"
#include "sagemaker/err.h"

struct keys {
	char access[128];
	char secret[256];
	char token[4096]; /* "" without */
};

struct creds;

/* creds_new: borrows c for its life. creds_get: copies today's keys; EACCES with what was looked for where. */
struct creds *creds_new(const struct config *c, struct err *e) _must_check_;
int creds_get(struct creds *cr, struct keys *out, struct err *e) _must_check_;
/* creds_refresh: the service refused the keys as expired: the next creds_get reads everything anew. (Shared files that
 * changed are read anew without it.) */
void creds_refresh(struct creds *cr);
void creds_free(struct creds *cr);
/* keys_wipe: clears key memory (also as a cleanup attribute). */
void keys_wipe(struct keys *k);

#endif
