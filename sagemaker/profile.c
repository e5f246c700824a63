#include "sagemaker/profile.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>

#include "sagemaker/ini.h"
#include "sagemaker/shlex.h"

static const struct {
	const char *env, *path;
} files[] = {
	[PROFILE_CREDENTIALS] = {"AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"},
	[PROFILE_CONFIG] = {"AWS_CONFIG_FILE",             "~/.aws/config"     },
};

/* What a section's header begins with in the config file. */
static const char *const marks[] = {
	[SECTION_PROFILE] = "profile",
	[SECTION_SSO_SESSION] = "sso-session",
	[SECTION_SERVICES] = "services",
};

static int add_home(struct buf *out)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char text[1024];

	if (home && *home)
		return buf_str(out, home);
	if (getpwuid_r(getuid(), &entry, text, sizeof text, &found) || !found)
		return -1;
	return buf_str(out, entry.pw_dir);
}

/* The length of "$NAME" or "${NAME}" at s, its value in *value; 0: it is none, or not set, and stays as it is. */
static size_t variable(const char *s, const char **value)
{
	bool braces = s[1] == '{';
	const char *name = s + 1 + braces, *end = name;
	char text[128];

	while (braces ? *end && *end != '}' : isalnum((unsigned char)*end) || *end == '_')
		end++;
	size_t n = (size_t)(end - name);
	if (!n || n >= sizeof text || (braces && !*end))
		return 0;
	memcpy(text, name, n);
	text[n] = '\0';
	*value = getenv(text);
	return *value ? (size_t)(end - s) + braces : 0;
}

char *profile_expand(const char *path)
{
	struct buf out = BUF_INIT((size_t)64 << 10);
	bool failed = false;

	if (*path == '~' && (!path[1] || path[1] == '/')) {
		failed = add_home(&out) != 0;
		path++;
	}
	while (*path && !failed) {
		const char *value = NULL;
		size_t n = *path == '$' ? variable(path, &value) : 0;

		failed = (n ? buf_str(&out, value) : buf_char(&out, *path)) != 0;
		path += n ? n : 1;
	}
	if (failed) {
		buf_release(&out);
		return NULL;
	}
	return buf_steal(&out);
}

char *profile_path(enum profile_file which)
{
	const char *path = getenv(files[which].env);

	return profile_expand(path && *path ? path : files[which].path);
}

/* Whether a section of the config file is the one of this kind and name. A header whose quotes do not fit together, or
 * with more than one name, is none. */
static bool is_named(const char *header, enum profile_section kind, const char *name)
{
	size_t n;

	if (kind == SECTION_PROFILE && streq(header, "default"))
		return streq(name, "default");
	if (!starts_with(header, marks[kind]))
		return false;
	_cleanup_free_ char **words = shlex_split(header, &n);
	return words && n == 2 && streq(words[1], name);
}

static int read_named(const char *path, enum profile_file which, enum profile_section kind,
		      const char *name, bool *found, profile_fn *fn, void *arg, struct err *e)
{
	struct ini ini _cleanup_ini_;
	size_t section = 0;

	if (ini_read(&ini, path, e))
		return -1;
	for (size_t i = 1; i < ini.n_sections; i++) {
		const char *header = ini.sections[i].name;

		if (which == PROFILE_CONFIG ? is_named(header, kind, name) : streq(header, name))
			section = i;
	}
	*found = section > 0;
	return section ? ini_each(&ini, section, fn, arg, e) : 0;
}

int profile_section_read(enum profile_file which, enum profile_section kind, const char *name,
			 bool *found, profile_fn *fn, void *arg, struct err *e)
{
	_cleanup_free_ char *path = profile_path(which);
	bool ignored;

	if (!found)
		found = &ignored;
	*found = false;
	if (!path || (which == PROFILE_CREDENTIALS && kind != SECTION_PROFILE))
		return 0;
	return read_named(path, which, kind, name ? name : "default", found, fn, arg, e);
}

int profile_read(enum profile_file which, const char *profile, bool *found, profile_fn *fn,
		 void *arg, struct err *e)
{
	return profile_section_read(which, SECTION_PROFILE, profile, found, fn, arg, e);
}

int profile_read_both(const char *profile, bool *found, profile_fn *fn, void *arg, struct err *e)
{
	bool in_config, in_credentials;

	if (profile_read(PROFILE_CONFIG, profile, &in_config, fn, arg, e) ||
	    profile_read(PROFILE_CREDENTIALS, profile, &in_credentials, fn, arg, e))
		return -1;
	if (found)
		*found = in_config || in_credentials;
	return 0;
}
