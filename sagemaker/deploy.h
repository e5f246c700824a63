/*
 * deploy.h: from a published archive to an endpoint and back: three calls with undo, and the deletion of what they made.
 *
 * An attempt is one try to deploy. Its model and endpoint configuration are both called smfs-NAME-SUFFIX, where the suffix is
 * random and known to the caller before the first call, so that a crash at any point leaves nothing that cannot be found again:
 * deploy_recover() finishes or undoes an attempt by its endpoint's name and suffix alone.
 *
 * Blocking, thread-safe; errors as control.h gives them, with "create model ...: " in front.
 */
#ifndef SAGEMAKER_DEPLOY_H
#define SAGEMAKER_DEPLOY_H

#include "sagemaker/control.h"

#define DEPLOY_PREFIX "smfs-"
#define DEPLOY_SUFFIX 9 /* 8 characters and a NUL */

/* Keys of our tags: endpoint (its name), attempt (the suffix), digest (of the archive), delete (a wish, see deploy_delete). A
 * resource takes 50 tags, so the user may add the rest. */
#define DEPLOY_TAGS      "sagemakerfs:"
#define DEPLOY_USER_TAGS (50 - 4)

/* The name rule of endpoints, for messages, and its check (the length too). */
#define DEPLOY_NAME_RULE "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
bool deploy_name_ok(const char *endpoint);

/* deploy_suffix: a new random suffix. deploy_resource: the name of an attempt's model and configuration. */
int deploy_suffix(char out[DEPLOY_SUFFIX], struct err *e) _must_check_;
void deploy_resource(const char *endpoint, const char *suffix, char out[64]);
/* deploy_made: whether a model or configuration of this name was made by an attempt for this endpoint. */
bool deploy_made(const char *resource, const char *endpoint);
/* deploy_made_by_any: whether it has the form of such a name, for whatever endpoint. */
bool deploy_made_by_any(const char *resource);

/* All strings are borrowed; environment may be NULL. */
struct deployment {
	const char *endpoint, *suffix;
	const char *role, *image, *data_url;
	const char *digest; /* of the archive's content, for the tag; "" for none */
	const cJSON *environment;
	const char *instance_type;
	int instance_count;
	const struct tag *tags; /* the user's, at most DEPLOY_USER_TAGS */
	size_t n_tags;
};

enum deploy_step { DEPLOY_NOTHING, DEPLOY_MODEL, DEPLOY_CONFIG, DEPLOY_ENDPOINT };

struct deploy_hooks {
	/* taking: the step's call is about to be sent: remember it durably. -1: it is not taken and the attempt is undone. */
	int (*taking)(void *arg, enum deploy_step step, struct err *e);
	void *arg;
};

struct deploy_result {
	char arn[256]; /* of the endpoint, on success */
	bool untagged; /* the service did not permit tags (sagemaker:AddTags): something was made without */
	bool leftovers; /* on failure: parts of the attempt may be at the service still (undo failed, or nobody answered):
			  * call deploy_recover later */
};

/* deploy_create: CreateModel, CreateEndpointConfig (one variant AllTraffic of weight 1), CreateEndpoint; 0 when the last was
 * accepted. On failure what this attempt made is removed again, newest first; failures of that are appended to *e.
 * A create whose reply was lost counts as made when the service describes just that. */
int deploy_create(struct aws *a, const struct deployment *d, const struct deploy_hooks *h,
		  struct deploy_result *out, struct cancel *c, struct err *e) _must_check_;

/* deploy_recover: an attempt that nobody knows the end of: *adopted is true when its endpoint exists, else its parts are
 * removed. -1: could not be told or removed; call again later. */
int deploy_recover(struct aws *a, const char *endpoint, const char *suffix, bool *adopted,
		   struct cancel *c, struct err *e) _must_check_;

/* deploy_delete: DeleteEndpoint, once. ACCEPTED: it is Deleting now. GONE: there is none. REFUSED: the service does not delete
 * while it is being created or updated; the wish was noted as a tag (best effort): call again later. */
enum deploy_deletion { DEPLOY_ACCEPTED, DEPLOY_GONE, DEPLOY_REFUSED };

int deploy_delete(struct aws *a, const char *endpoint, enum deploy_deletion *out, struct cancel *c,
		  struct err *e) _must_check_;

/* deploy_release: after deploy_delete: removes the endpoint's configuration, then its model ("": not known, then the one that the
 * configuration's attempt made), each only if an attempt for this endpoint made it and nothing else uses it. Already gone is success. */
int deploy_release(struct aws *a, const char *endpoint, const char *config, const char *model,
		   struct cancel *c, struct err *e) _must_check_;

#endif
