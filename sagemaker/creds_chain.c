#include <errno.h>

#include "sagemaker/buf.h"
#include "sagemaker/creds_internal.h"
#include "sagemaker/profile.h"

/* In botocore's order (credentials.py, create_credential_resolver): the first that finds something is whose keys are used,
 * whether they can be got or not. */
static const struct provider providers[] = {
	{"explicit",		      NULL,                  false, find_explicit,         NULL              },
	{"env",			   "Environment",         false, find_env,              NULL              },
	{"assume-role",                   NULL,                  false, find_role,             fetch_role        },
	{"assume-role-with-web-identity", NULL,                  true,  find_web_identity,     fetch_web_identity},
	{"sso",			   NULL,                  true,  find_sso,              fetch_sso         },
	{"shared-credentials-file",       NULL,                  true,  find_credentials_file, NULL              },
	{"login",			 NULL,                  true,  find_login,            fetch_login       },
	{"custom-process",                NULL,                  true,  find_process,          fetch_process     },
	{"config-file",                   NULL,                  true,  find_config_file,      NULL              },
	{"ec2-credentials-file",          NULL,                  false, find_ec2_file,         NULL              },
	{"boto-config",                   NULL,                  false, find_boto_file,        NULL              },
	{"container-role",                "EcsContainer",        false, find_container,        fetch_container   },
	{"iam-role",		      "Ec2InstanceMetadata", false, find_instance,         fetch_instance    },
};

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "could not keep credentials: out of memory");
}

void origin_free(struct origin *s)
{
	if (!s)
		return;
	origin_free(s->base);
	texts_release(&s->settings);
	lease_wipe(&s->lease);
	free(s->profile);
	free(s->from);
	free(s);
}

static void origin_freep(struct origin **s)
{
	origin_free(*s);
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
	if (!a || !b)
		return a == b;
	return a->provider == b->provider && streq(a->profile, b->profile) && a->env == b->env &&
	       texts_equal(&a->settings, &b->settings) && origin_equal(a->base, b->base) &&
	       (a->provider->fetch || memcmp(&a->lease, &b->lease, sizeof a->lease) == 0);
}

/* One row's turn: as its find, with the source in *out. */
static int try_row(const struct provider *p, struct look *l, struct origin **out, struct err *e)
{
	struct origin *s _cleanup_(origin_freep)
	= calloc(1, sizeof *s);

	*out = NULL;
	if (!s || !(s->profile = strdup(l->profile)))
		return no_memory(e);
	s->provider = p;
	int r = p->find(l, s, e);
	if (r == 1 && s->settings.failed)
		return no_memory(e);
	if (r == 1)
		*out = steal(s);
	return r;
}

static int try_rows(bool by_profile, struct look *l, struct origin **out, struct err *e)
{
	*out = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
		if (by_profile && !providers[i].by_profile)
			continue;
		int r = try_row(&providers[i], l, out, e);
		if (r)
			return r < 0 ? -1 : 0;
	}
	return 0;
}

int origin_by_profile(struct look *l, struct origin **out, struct err *e)
{
	return try_rows(true, l, out, e);
}

int origin_by_role(struct look *l, struct origin **out, struct err *e)
{
	size_t i = 0;

	while (providers[i].find != find_role)
		i++;
	return try_row(&providers[i], l, out, e) < 0 ? -1 : 0;
}

int origin_by_name(struct look *l, const char *canonical, struct origin **out, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
		const char *name = providers[i].canonical;

		if (name && streq(name, canonical)) {
			int r = try_row(&providers[i], l, out, e);

			if (r == 0)
				return err_set(
					e, EACCES,
					"no keys found in '%s', the credential_source of profile '%s'",
					canonical, l->profile);
			return r < 0 ? -1 : 0;
		}
	}
	return err_set(e, EINVAL,
		       "'%.60s', the credential_source of profile '%s', is none: it takes "
		       "Environment, EcsContainer or Ec2InstanceMetadata",
		       canonical, l->profile);
}

int look_read(struct look *l, bool *found, struct err *e)
{
	texts_release(&l->settings);
	if (profile_read_both(l->profile, found, texts_put, &l->settings, e))
		return -1;
	return l->settings.failed ? no_memory(e) : 0;
}

/* Where the shared files are, for sentences. */
struct places {
	char *credentials, *config;
};

static void places_find(struct places *p)
{
	p->credentials = profile_path(PROFILE_CREDENTIALS);
	p->config = profile_path(PROFILE_CONFIG);
}

static void places_release(struct places *p)
{
	free(p->credentials);
	free(p->config);
}

static const char *place(const char *path, const char *otherwise)
{
	return path ? path : otherwise;
}

static void say_unreadable(const char *path, struct err *e)
{
	if (path && access(path, R_OK) && errno == EACCES)
		err_append(e, "'%s' may not be read", path);
}

static int unknown_profile(const struct look *l, struct err *e)
{
	struct places p _cleanup_(places_release);

	places_find(&p);
	err_set(e, EACCES, "profile '%s' is neither in '%s' nor in '%s'", l->profile,
		place(p.credentials, "~/.aws/credentials"), place(p.config, "~/.aws/config"));
	say_unreadable(p.credentials, e);
	say_unreadable(p.config, e);
	return -1;
}

int origin_none(const char *profile, const char *why, struct err *e)
{
	struct places p _cleanup_(places_release);

	places_find(&p);
	err_set(e, EACCES,
		"no AWS keys found: not in the environment (AWS_ACCESS_KEY_ID, "
		"AWS_SECRET_ACCESS_KEY), not under profile '%s' in '%s' nor in '%s', and %s; run 'aws "
		"configure' or 'aws login', or mount 'local' to need none",
		profile, place(p.credentials, "~/.aws/credentials"),
		place(p.config, "~/.aws/config"), why);
	say_unreadable(p.credentials, e);
	say_unreadable(p.config, e);
	return -1;
}

static int find_any(struct look *l, struct origin **out, struct err *e)
{
	bool known;

	if (look_read(l, &known, e))
		return -1;
	if (l->config->profile && !known)
		return unknown_profile(l, e);
	return try_rows(false, l, out, e);
}

struct origin *origin_find(const struct config *c, struct err *e)
{
	struct look l = {.config = c,
			 .profile = c->profile ? c->profile : "default",
			 .named = c->profile_named};
	struct origin *out = NULL;
	int failed;

	l.visited[l.n_visited++] = l.profile;
	/* keys that were given need no files, not even whole ones */
	if (c->access_key)
		failed = try_row(&providers[0], &l, &out, e) < 0;
	else
		failed = find_any(&l, &out, e);
	texts_release(&l.settings);
	if (!failed && !out)
		origin_none(l.profile,
			    "the instance metadata service is switched off "
			    "(AWS_EC2_METADATA_DISABLED)",
			    e);
	return out;
}

int origin_lease(const struct fetch *f, struct origin *s, struct lease *out, struct err *e)
{
	if (!s->provider->fetch) {
		*out = s->lease;
		return 0;
	}
	return s->provider->fetch(f, s, out, e);
}
