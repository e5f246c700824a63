#include "sagemaker/deploy.h"

#include <ctype.h>
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "sagemaker/aws_errors.h"
#include "sagemaker/json.h"
#include "sagemaker/users.h"

/* A name made a moment ago may not be visible to the next call yet: asked again for so long. */
#define LATE_MS       60000
#define VISIBLE_MS    3000 /* what was made may be described as absent for so long */
#define LOOK_AGAIN_MS 250
/* Looking for other users of a part stops here: beyond it, the name alone (unique per attempt) has to do. */
#define USERS_MAX     50

static const char suffix_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32: no bias */

bool deploy_name_ok(const char *endpoint)
{
	size_t n = strlen(endpoint);

	if (n < 1 || n > 63 || endpoint[0] == '-' || endpoint[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (endpoint[i] != '-' &&
		    !(isascii(endpoint[i]) && isalnum((unsigned char)endpoint[i])))
			return false;
	return true;
}

int deploy_suffix(char out[DEPLOY_SUFFIX], struct err *e)
{
	unsigned char raw[DEPLOY_SUFFIX - 1];

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return err_errno(e, "no random numbers for a name");
	for (size_t i = 0; i < sizeof raw; i++)
		out[i] = suffix_alphabet[raw[i] % 32];
	out[DEPLOY_SUFFIX - 1] = '\0';
	return 0;
}

/* What an attempt's names for this endpoint begin with: "smfs-NAME-", the whole with suffix at most 63 characters. */
static size_t resource_prefix(const char *endpoint, char out[64])
{
	const int room = 63 - (int)strlen(DEPLOY_PREFIX) - 1 - (DEPLOY_SUFFIX - 1);

	return (size_t)snprintf(out, 64, DEPLOY_PREFIX "%.*s-", room, endpoint);
}

void deploy_resource(const char *endpoint, const char *suffix, char out[64])
{
	size_t n = resource_prefix(endpoint, out);

	snprintf(out + n, 64 - n, "%.*s", DEPLOY_SUFFIX - 1, suffix);
}

bool deploy_made(const char *resource, const char *endpoint)
{
	char prefix[64];
	size_t n = resource_prefix(endpoint, prefix);

	return starts_with(resource, prefix) && strlen(resource) == n + DEPLOY_SUFFIX - 1 &&
	       strspn(resource + n, suffix_alphabet) == DEPLOY_SUFFIX - 1;
}

bool deploy_made_by_any(const char *resource)
{
	const size_t least = strlen(DEPLOY_PREFIX) + 1 + 1 + DEPLOY_SUFFIX - 1;
	size_t n = strlen(resource);
	const char *suffix = n >= least ? resource + n - (DEPLOY_SUFFIX - 1) : "";

	return starts_with(resource, DEPLOY_PREFIX) && *suffix && suffix[-1] == '-' &&
	       strspn(suffix, suffix_alphabet) == DEPLOY_SUFFIX - 1;
}

/* One run of deploy_create. */
struct attempt {
	struct aws *a;
	const struct deployment *d;
	const struct deploy_hooks *h;
	struct deploy_result *out;
	struct cancel *c;
	char name[64]; /* of model and configuration */
	bool unsure;   /* the step at hand may have been taken, whatever was said last */
	struct tag tags[3 + DEPLOY_USER_TAGS];
	size_t n_tags;
};

static void put_tag(struct attempt *t, struct tag tag)
{
	if (tag.value[0] && t->n_tags < ARRAY_SIZE(t->tags))
		t->tags[t->n_tags++] = tag;
}

static void choose_tags(struct attempt *t)
{
	const struct deployment *d = t->d;

	put_tag(t, (struct tag){DEPLOY_TAGS "endpoint", d->endpoint});
	put_tag(t, (struct tag){DEPLOY_TAGS "attempt", d->suffix});
	put_tag(t, (struct tag){DEPLOY_TAGS "digest", d->digest});
	for (size_t i = 0; i < d->n_tags && t->n_tags < ARRAY_SIZE(t->tags); i++)
		t->tags[t->n_tags++] = d->tags[i];
}

static int make_model(struct attempt *t, const struct tag *tags, size_t n, struct err *e)
{
	const struct model_desc m = {.name = t->name,
				     .role = t->d->role,
				     .image = t->d->image,
				     .data_url = t->d->data_url,
				     .environment = t->d->environment};

	return control_create_model(t->a, &m, tags, n, t->c, e);
}

static int make_config(struct attempt *t, const struct tag *tags, size_t n, struct err *e)
{
	const struct endpoint_config_desc d = {.name = t->name,
					       .model = t->name,
					       .instance_type = t->d->instance_type,
					       .instance_count = t->d->instance_count};

	return control_create_endpoint_config(t->a, &d, tags, n, t->c, e);
}

static int make_endpoint(struct attempt *t, const struct tag *tags, size_t n, struct err *e)
{
	return control_create_endpoint(t->a, t->d->endpoint, t->name, tags, n, t->out->arn, t->c,
				       e);
}

/* What the service knows of a part. ABSENT may be said for a moment of what was just made: its reads are eventually consistent. */
enum seen { SEEN_ABSENT = -2, SEEN_UNASKED = -1, SEEN_OTHER, SEEN_OURS };

static enum seen unseen(const struct err *e)
{
	return control_not_found(e) ? SEEN_ABSENT : SEEN_UNASKED;
}

/* same_*: whether the service has exactly what this attempt asked for. */
static enum seen same_model(struct attempt *t, struct err *e)
{
	struct model_state m;

	if (control_describe_model(t->a, t->name, &m, t->c, e))
		return unseen(e);
	return streq(m.data_url, t->d->data_url) && streq(m.image, t->d->image) ? SEEN_OURS
										: SEEN_OTHER;
}

static enum seen same_config(struct attempt *t, struct err *e)
{
	struct endpoint_config_state s;

	if (control_describe_endpoint_config(t->a, t->name, &s, NULL, t->c, e))
		return unseen(e);
	return streq(s.model, t->name) && streq(s.instance_type, t->d->instance_type) ? SEEN_OURS
										      : SEEN_OTHER;
}

static enum seen endpoint_is_of(struct aws *a, const char *endpoint, const char *config,
				char arn[256], struct cancel *c, struct err *e)
{
	struct endpoint_state s;

	if (control_describe_endpoint(a, endpoint, &s, c, e))
		return unseen(e);
	memcpy(arn, s.arn, sizeof s.arn);
	return streq(s.config, config) ? SEEN_OURS : SEEN_OTHER;
}

static enum seen same_endpoint(struct attempt *t, struct err *e)
{
	return endpoint_is_of(t->a, t->d->endpoint, t->name, t->out->arn, t->c, e);
}

/* The steps in their order; late: what the service says when it does not see the step before yet. */
static const struct step {
	enum deploy_step id;
	const char *what, *late;
	int (*make)(struct attempt *t, const struct tag *tags, size_t n, struct err *e);
	enum seen (*same)(struct attempt *t, struct err *e);
} steps[] = {
	{DEPLOY_MODEL,    "create model",                  NULL,                                    make_model,    same_model},
	{DEPLOY_CONFIG,   "create endpoint configuration", "Could not find model \"",               make_config,
	 same_config													 },
	{DEPLOY_ENDPOINT, "create endpoint",               "Could not find endpoint configuration", make_endpoint,
	 same_endpoint												       },
};

static int64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Tags on a create need sagemaker:AddTags besides the create itself. */
static bool tagging_denied(const struct err *e)
{
	return e->no == EACCES && strstr(e->text, "AddTags");
}

/* Not acted on, as often as the retries of one call allow: an account's rate is shared by all who use it. */
static bool is_throttled(const struct err *e)
{
	return e->no == EBUSY &&
	       (strstr(e->code, "Throttl") || starts_with(e->code, "TooManyRequests"));
}

/* Whether what refuses the step will pass. */
static bool passes(const struct step *s, const struct err *e)
{
	return is_throttled(e) || (s->late && strstr(e->text, s->late));
}

/* Sends the step's call until it is made or refused for good. */
static int step_send(struct attempt *t, const struct step *s, struct err *e)
{
	const int64_t until = monotonic_ms() + LATE_MS;

	for (long pause = 250;; pause = MIN(pause * 2, 4000)) {
		if (s->make(t, t->tags, t->out->untagged ? 0 : t->n_tags, e) == 0)
			return 0;
		t->unsure |= aws_may_have_acted(e);
		if (!t->out->untagged && tagging_denied(e)) {
			t->out->untagged = true;
			continue;
		}
		if (!passes(s, e) || monotonic_ms() >= until)
			return -1;
		if (cancel_sleep(t->c, pause)) {
			e->no = ECANCELED; /* and an answer all the same: nothing was made */
			return -1;
		}
	}
}

/* Whether to ask again after a moment: what was just made may not be seen yet. Cancelled: nobody knows. */
static bool look_again(enum seen *seen, int64_t until, struct cancel *c)
{
	if (*seen != SEEN_ABSENT || monotonic_ms() >= until)
		return false;
	if (cancel_sleep(c, LOOK_AGAIN_MS) == 0)
		return true;
	*seen = SEEN_UNASKED;
	return false;
}

/* Whether the step was taken although its reply did not say so. One that exists is there, whether seen or not; an endpoint costs
 * money, so that its absence must last. */
static enum seen step_seen(struct attempt *t, const struct step *s, bool exists, struct err *e)
{
	const int64_t until = exists || s->id == DEPLOY_ENDPOINT ? monotonic_ms() + VISIBLE_MS : 0;
	enum seen seen;

	do {
		err_clear(e);
		seen = s->same(t, e);
	} while (look_again(&seen, until, t->c));
	return seen;
}

/* One step, whole. A lost reply is decided by asking; if nobody answers that either, the endpoint's step is left to
 * deploy_recover: its configuration must not be pulled from under an endpoint that may exist. */
static int step_take(struct attempt *t, const struct step *s, struct err *e)
{
	struct err asked;

	t->unsure = false;
	if (t->h && t->h->taking && t->h->taking(t->h->arg, s->id, e))
		return -1;
	if (step_send(t, s, e) == 0)
		return 0;
	if (!control_exists(e) && !t->unsure)
		return -1;
	enum seen seen = step_seen(t, s, control_exists(e), &asked);
	if (seen == SEEN_OURS) {
		err_clear(e);
		return 0;
	}
	if (s->id == DEPLOY_ENDPOINT &&
	    (seen == SEEN_UNASKED || (seen == SEEN_ABSENT && control_exists(e))))
		t->out->leftovers = true;
	return -1;
}

static int gone_or(int rc, const struct err *e)
{
	return rc && !control_not_found(e) ? -1 : 0;
}

/* Removes configuration and model of an attempt; what is not there is fine. Tries both. */
static int undo(struct aws *a, const char *name, enum deploy_step reached, struct cancel *c,
		struct err *e)
{
	struct err second;
	int rc = 0;

	if (reached >= DEPLOY_CONFIG && gone_or(control_delete_endpoint_config(a, name, c, e), e))
		rc = err_prefix(e, "remove endpoint configuration '%s'", name);
	if (reached >= DEPLOY_MODEL &&
	    gone_or(control_delete_model(a, name, c, &second), &second)) {
		if (rc == 0)
			*e = second;
		else
			err_append(e, "%s", second.text);
		rc = err_prefix(e, "remove model '%s'", name);
	}
	return rc;
}

int deploy_create(struct aws *a, const struct deployment *d, const struct deploy_hooks *h,
		  struct deploy_result *out, struct cancel *c, struct err *e)
{
	struct attempt t = {.a = a, .d = d, .h = h, .out = out, .c = c};
	struct err after;

	memset(out, 0, sizeof *out);
	deploy_resource(d->endpoint, d->suffix, t.name);
	choose_tags(&t);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (step_take(&t, &steps[i], e) == 0)
			continue;
		/* A step that was refused made nothing; one that nobody answered may have. */
		enum deploy_step reached = t.unsure ? steps[i].id : steps[i].id - 1;

		err_prefix(e, "%s '%s'", steps[i].what, i == 2 ? d->endpoint : t.name);
		err_clear(&after);
		if (!out->leftovers && undo(a, t.name, reached, c, &after)) {
			out->leftovers = true;
			err_append(e, "%s", after.text);
		}
		return -1;
	}
	return 0;
}

int deploy_recover(struct aws *a, const char *endpoint, const char *suffix, bool *adopted,
		   struct cancel *c, struct err *e)
{
	char name[64], arn[256];

	*adopted = false;
	deploy_resource(endpoint, suffix, name);
	const int64_t until = monotonic_ms() + VISIBLE_MS;
	enum seen seen;
	do {
		err_clear(e);
		seen = endpoint_is_of(a, endpoint, name, arn, c, e);
	} while (look_again(&seen, until, c));
	if (seen == SEEN_UNASKED)
		return err_prefix(e, "look for endpoint '%s'", endpoint);
	if (seen == SEEN_OURS) {
		*adopted = true;
		return 0;
	}
	return undo(a, name, DEPLOY_ENDPOINT, c, e);
}

/* The tag tells every mount of the account that somebody asked for this. */
static void tag_unwanted(struct aws *a, const char *arn, struct cancel *c)
{
	const struct tag wish = {DEPLOY_TAGS "delete", "requested"};
	struct err ignored;

	if (control_add_tags(a, arn, &wish, 1, c, &ignored))
		return; /* the caller's own record of the wish is what counts */
}

int deploy_delete(struct aws *a, const char *endpoint, enum deploy_deletion *out, struct cancel *c,
		  struct err *e)
{
	struct endpoint_state s;

	*out = DEPLOY_ACCEPTED;
	if (control_delete_endpoint(a, endpoint, c, e) == 0)
		return 0;
	if (control_not_found(e)) {
		*out = DEPLOY_GONE;
		return 0;
	}
	if (!control_in_progress(e) && !aws_may_have_acted(e))
		return err_prefix(e, "delete endpoint '%s'", endpoint);
	/* In progress may be our own deletion, whose reply was lost. What a Describe does not find may have been made just now:
	 * only DeleteEndpoint itself says for sure that there is none. */
	struct err asked;
	err_clear(&asked);
	bool seen = control_describe_endpoint(a, endpoint, &s, c, &asked) == 0;
	if (seen && streq(s.status, "Deleting"))
		return 0;
	if (!control_in_progress(e))
		return err_prefix(e, "delete endpoint '%s'", endpoint);
	*out = DEPLOY_REFUSED;
	if (seen)
		tag_unwanted(a, s.arn, c);
	return 0;
}

/* 1: an endpoint other than this one runs on the configuration. */
static int config_used(struct aws *a, const char *endpoint, const char *config, struct cancel *c,
		       struct err *e)
{
	_cleanup_json_ cJSON *raw = NULL;
	struct endpoint_config_state s;

	if (control_describe_endpoint_config(a, config, &s, &raw, c, e))
		return -1;
	return users_of_config(a, config, json_number(raw, "CreationTime"), endpoint, USERS_MAX, c,
			       e);
}

/* 1: it stays, somebody uses it. Not being allowed to look for users is no reason to leave what is ours. */
static int release_config(struct aws *a, const char *endpoint, const char *config, struct cancel *c,
			  struct err *e)
{
	int used = config_used(a, endpoint, config, c, e);

	if (used > 0)
		return 1;
	/* What is not described may have been made just now; only the deletion itself says for sure that there is none. */
	if (used < 0 && e->no != EACCES && !control_not_found(e))
		return -1;
	return gone_or(control_delete_endpoint_config(a, config, c, e), e);
}

static int release_model(struct aws *a, const char *config, const char *model, struct cancel *c,
			 struct err *e)
{
	int used = users_of_model(a, model, config, USERS_MAX, c, e);

	if (used > 0)
		return 0;
	if (used < 0 && e->no != EACCES)
		return -1;
	return gone_or(control_delete_model(a, model, c, e), e);
}

int deploy_release(struct aws *a, const char *endpoint, const char *config, const char *model,
		   struct cancel *c, struct err *e)
{
	if (deploy_made(config, endpoint)) {
		int rc = release_config(a, endpoint, config, c, e);

		if (rc < 0)
			return err_prefix(e, "remove endpoint configuration '%s'", config);
		if (rc > 0)
			return 0; /* and so is its model in use */
		if (!model[0])
			model = config; /* what an attempt makes has one name */
	}
	if (deploy_made(model, endpoint) && release_model(a, config, model, c, e))
		return err_prefix(e, "remove model '%s'", model);
	return 0;
}
