/*
 * creds_internal.h: what the files behind creds.h share. creds.c keeps keys and hands them out; creds_chain.c decides whose
 * turn it is; one file for each family of providers fetches.
 */
#ifndef SAGEMAKER_CREDS_INTERNAL_H
#define SAGEMAKER_CREDS_INTERNAL_H

#include "sagemaker/creds.h"
#include "sagemaker/hosts.h"
#include "sagemaker/http.h"

#define MAX_ROLES 16 /* profiles that name each other as their source */

/* Settings of a profile, kept apart from the file; a later put of the same key counts. */
struct setting {
	char *key, *value;
};

struct texts {
	struct setting *rows;
	size_t n;
	bool failed; /* memory was out */
};

void texts_put(void *texts, const char *key, const char *value); /* a profile_fn */
const char *texts_get(const struct texts *s, const char *key);   /* NULL: absent */
bool texts_equal(const struct texts *a, const struct texts *b);
void texts_release(struct texts *s); /* clears the values first */

/* Keys with the time they end, epoch seconds; 0: never, or nobody knows. */
struct lease {
	struct keys keys;
	int64_t expires;
};

/* Where keys come from: found once, fetched as often as they end. */
struct origin {
	const struct provider *provider;
	char *profile; /* whose settings they are */
	struct texts settings;
	char *from;          /* for sentences: "profile 'dev' by sso_session" */
	bool env;            /* web identity: the environment's settings count */
	struct origin *base; /* a role: whose keys ask for it */
	struct lease
		lease; /* at once: the keys; a base: the last that were fetched, the fetching thread's */
};

/* What a look along the chain knows. */
struct look {
	const struct config *config;
	const char *profile; /* never NULL */
	bool named;          /* by the caller: the environment's keys do not count */
	const char *visited[MAX_ROLES];
	size_t n_visited;
	struct texts settings; /* of the profile, both files */
};

/* What fetching works with. */
struct fetch {
	const struct config *config;
	struct http *http;
	struct cancel *cancel;
};

/* One row for each way of getting keys. */
struct provider {
	const char *name;      /* what botocore calls it */
	const char *canonical; /* the same as a credential_source; NULL: it is none */
	bool by_profile;       /* looked at for a source_profile too */
	/* 1: the look ends here, *out is filled; 0: not this way; -1: this way, but it cannot work. */
	int (*find)(struct look *l, struct origin *out, struct err *e);
	/* NULL: find has put the keys into out->lease */
	int (*fetch)(const struct fetch *f, const struct origin *s, struct lease *out,
		     struct err *e);
};

/* creds_chain.c */
struct origin *origin_find(const struct config *c, struct err *e);
void origin_free(struct origin *s);
bool origin_equal(const struct origin *a, const struct origin *b);
/* origin_lease: the keys of a source, fetched where they must be. */
int origin_lease(const struct fetch *f, struct origin *s, struct lease *out, struct err *e)
	_must_check_;
/* origin_by_profile: the rows that look at a profile, for a source_profile; *out NULL: none of them. */
int origin_by_profile(struct look *l, struct origin **out, struct err *e) _must_check_;
int origin_by_role(struct look *l, struct origin **out, struct err *e) _must_check_;
int origin_by_name(struct look *l, const char *canonical, struct origin **out, struct err *e)
	_must_check_;
/* origin_none: there are no keys anywhere; why: what came of the last resort. Returns -1. */
int origin_none(const char *profile, const char *why, struct err *e);
int look_read(struct look *l, bool *found, struct err *e) _must_check_;

/* creds_keys.c: keys that are there at once */
int find_explicit(struct look *l, struct origin *out, struct err *e);
int find_env(struct look *l, struct origin *out, struct err *e);
int find_credentials_file(struct look *l, struct origin *out, struct err *e);
int find_config_file(struct look *l, struct origin *out, struct err *e);
int find_ec2_file(struct look *l, struct origin *out, struct err *e);
int find_boto_file(struct look *l, struct origin *out, struct err *e);

/* creds_role.c: STS */
int find_role(struct look *l, struct origin *out, struct err *e);
int fetch_role(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e);
int find_web_identity(struct look *l, struct origin *out, struct err *e);
int fetch_web_identity(const struct fetch *f, const struct origin *s, struct lease *out,
		       struct err *e);

/* creds_sso.c: IAM Identity Center */
int find_sso(struct look *l, struct origin *out, struct err *e);
int fetch_sso(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e);

/* creds_login.c: `aws login` */
int find_login(struct look *l, struct origin *out, struct err *e);
int fetch_login(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e);

/* creds_process.c */
int find_process(struct look *l, struct origin *out, struct err *e);
int fetch_process(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e);

/* creds_machine.c: what the container or the machine has */
int find_container(struct look *l, struct origin *out, struct err *e);
int fetch_container(const struct fetch *f, const struct origin *s, struct lease *out,
		    struct err *e);
int find_instance(struct look *l, struct origin *out, struct err *e);
int fetch_instance(const struct fetch *f, const struct origin *s, struct lease *out, struct err *e);

/* creds_util.c */
const char *creds_env(const char *name); /* NULL: not set, or empty */
/* keys_take: copies the three (token NULL: none) and checks that they can be keys; from: for the sentence. */
int keys_take(struct keys *k, const char *access, const char *secret, const char *token,
	      const char *from, struct err *e) _must_check_;
/* lease_take_json: keys and end from an object of members named by `names`: access, secret, token, end. The last two may be
 * absent where `needs` is 2, and a missing end is none then. */
int lease_take_json(struct lease *out, const cJSON *o, const char *const names[4], int needs,
		    const char *from, struct err *e) _must_check_;
/* json_secret_free: frees a document after clearing every text in it (also as a cleanup attribute). */
void json_secret_free(cJSON *o);
void json_secret_freep(cJSON **o);
#define _cleanup_secret_json_ _cleanup_(json_secret_freep)
void lease_wipe(struct lease *l);
#define _cleanup_lease_ _cleanup_(lease_wipe)
/* time_read: epoch seconds of "2026-11-24T10:00:00Z", with an offset, "UTC" or a fraction too; -1: it is none. */
int64_t time_read(const char *text);
void time_write(int64_t t, char out[32]); /* the first form */
/* from_profile: "profile 'NAME' by KEY" into s->from; -1: memory is out. */
int from_profile(struct origin *s, const char *key, struct err *e);

/* creds_call.c: calls without a session, with AWS's retries */
struct creds_call {
	enum service service;
	const char *region; /* NULL: the config's */
	const char *method, *path, *query;
	const struct http_headers *headers;
	const char *body;
	const struct keys *keys; /* NULL: not signed */
	/* adds to the headers what depends on the URL, for each attempt; may be NULL */
	int (*prepare)(void *arg, const char *url, struct http_headers *h, struct err *e);
	void *arg;
};

int creds_call(const struct fetch *f, const struct creds_call *q, struct http_resp *r,
	       struct err *e) _must_check_;
/* resp_wipe: frees a reply, clearing its body. */
void resp_wipe(struct http_resp *r);

/* creds_cache.c: the token files that the AWS CLI keeps */
/* cache_read: the JSON in DIRECTORY/KEY.json (owned by the caller); NULL: there is none, or it is none. */
cJSON *cache_read(const char *directory, const char *key);
/* cache_write: replaces it as a whole, mode 0600. */
int cache_write(const char *directory, const char *key, const cJSON *o, struct err *e) _must_check_;

#endif
