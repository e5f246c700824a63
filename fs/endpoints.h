/* endpoints.h: endpoints/: deploy by mkdir, delete by rmdir, attributes, waiting. */
#ifndef FS_ENDPOINTS_H
#define FS_ENDPOINTS_H

#include "fs/mount.h"

struct endpoints *endpoints_start(struct mount *m, struct err *e) _must_check_;
/* endpoints_stop: gives deletions grace_ms. With linger_ms > 0 what is not done then goes on until endpoints_stop is called again. */
void endpoints_stop(struct endpoints *s, long grace_ms, long linger_ms);
/* endpoints_unfinished: deletions that are not over. */
size_t endpoints_unfinished(struct endpoints *s);
/* endpoints_await: waits at most ms for a change of them (the mount is gone already). */
void endpoints_await(struct endpoints *s, long ms);
void endpoints_free(struct endpoints *s);
void endpoints_entry(struct endpoints *s, struct node_make *how);

/* endpoints_changed: called (no lock held, any thread) whenever an endpoint appears, goes, or changes state: invoke/ uses it for
 * waiting opens. One listener. */
void endpoints_listen(struct endpoints *s, void (*fn)(void *arg, const char *name), void *arg);

enum endpoint_phase {
	EP_ABSENT,
	EP_CREATING,
	EP_UPDATING,
	EP_IN_SERVICE,
	EP_FAILED,
	EP_DELETING,
	EP_UNKNOWN
};

struct endpoint_info {
	enum endpoint_phase phase; /* EP_CREATING includes uploading */
	char content_type[64];     /* of its model's framework; "application/json" when unknown */
	char status[64];           /* as shown */
	char model[64];
};

/* endpoints_info: what is known without the network; false: nothing known or older than max_age_ms: ask endpoints_refresh. */
bool endpoints_info(struct endpoints *s, const char *name, long max_age_ms,
		    struct endpoint_info *out);
/* endpoints_refresh: describe NAME (job thread). 0 with EP_ABSENT in out when it does not exist. */
int endpoints_refresh(struct endpoints *s, const char *name, struct endpoint_info *out,
		      struct cancel *c, struct err *e) _must_check_;
/* endpoints_glance: whether NAME exists, for a lookup: false: the service has to be asked (endpoints_refresh). Names of a listing
 * of late are believed, and so is what is known when very many are looked up. Only out->phase is set. */
bool endpoints_glance(struct endpoints *s, const char *name, struct endpoint_info *out);

/* endpoints_stream: a directory with one entry per endpoint: node_ops.list and .more of it call this. What is known is given at
 * once where a list takes several pages, else the service is asked; the first listing is given as its pages come in. Never blocks. */
struct stream_kind {
	enum room room; /* whose .error has the reason of a failure */
	mode_t type;    /* of the endpoints' entries */

	const struct stream_extra {
		const char *name;
		mode_t type;
	} * extras; /* further entries, ends with a NULL name */
};

void endpoints_stream(struct endpoints *s, struct req *r, struct dirfill *f,
		      const struct stream_kind *kind);
/* endpoints_failed: an invocation failed: text (the sentence's line, then the container's own words) becomes the endpoint's
 * `error`, at most 64 KiB of it. */
void endpoints_failed(struct endpoints *s, const char *name, const char *text);
/* endpoints_uses_model: name of an endpoint that uses a version of models/MODEL (for rm -r: EBUSY), false when none. Job thread. */
bool endpoints_uses_model(struct endpoints *s, const char *model, char endpoint[64],
			  struct cancel *c);
/* endpoints_each_archive: fn for each endpoint whose model data is known, with its URI. Job thread. */
void endpoints_each_archive(struct endpoints *s,
			    void (*fn)(void *arg, const char *endpoint, const char *uri), void *arg,
			    struct cancel *c);
/* endpoints_default_type: what a plain mkdir deploys on (.defaults/instance_type). Quick. */
void endpoints_default_type(struct endpoints *s, char out[32]);
void endpoints_status(struct endpoints *s, struct buf *out); /* lines for `sagemakerfs status` */

#endif
