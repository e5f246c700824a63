/*
 * users.h: who uses what: looked for at the service before something is deleted. Blocking, thread-safe; errors as control.h gives
 * them.
 *
 * What an endpoint serves is found by its configuration, that by its model, that by ModelDataUrl: so an archive that no model
 * names is used by no endpoint, whoever made it.
 */
#ifndef SAGEMAKER_USERS_H
#define SAGEMAKER_USERS_H

#include "sagemaker/control.h"

#define USERS_MODELS_MAX 1000 /* models are described one by one */

struct archive_use {
	char *uri; /* s3://BUCKET/KEY; the caller's */
	bool used; /* out */
};

/* users_of_archives: which of the archives some model of the account names, of those made after `after` (epoch seconds): the
 * archive itself, or a prefix that it lies below. E2BIG: more models than USERS_MODELS_MAX are to be looked at. */
int users_of_archives(struct aws *a, struct archive_use *archives, size_t n, double after,
		      struct cancel *c, struct err *e) _must_check_;

/* users_of_archives_named: the same, and fn is told each model and which of the archives it names. */
int users_of_archives_named(struct aws *a, struct archive_use *archives, size_t n, double after,
			    void (*fn)(void *arg, const char *model, size_t which), void *arg,
			    struct cancel *c, struct err *e) _must_check_;

/* users_of_config: 1: an endpoint other than `endpoint` ("" for none) runs on the configuration, which was made at `made` (only
 * endpoints that changed since can); 0: none; -1: could not be told. At most max endpoints are looked at, 0: all. */
int users_of_config(struct aws *a, const char *config, double made, const char *endpoint,
		    size_t max, struct cancel *c, struct err *e) _must_check_;

/* users_of_model: 1: a configuration other than `config` names the model. Beyond max configurations (0: no limit): 0. */
int users_of_model(struct aws *a, const char *model, const char *config, size_t max,
		   struct cancel *c, struct err *e) _must_check_;

#endif
