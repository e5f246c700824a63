#include "sagemaker/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>

#include "sagemaker/buf.h"

#define MAX_FILE ((size_t)1 << 20)

static const struct {
	const char *env, *name;
} files[] = {
	[PROFILE_CREDENTIALS] = {"AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"},
	[PROFILE_CONFIG] = {"AWS_CONFIG_FILE",             ".aws/config"     },
};

static char *under_home(const char *name)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char text[1024];

	if (!home || !*home) {
		if (getpwuid_r(getuid(), &entry, text, sizeof text, &found) || !found)
			return NULL;
		home = entry.pw_dir;
	}
	return str_printf("%s/%s", home, name);
}

char *profile_path(enum profile_file which)
{
	const char *path = getenv(files[which].env);

	if (!path || !*path)
		return under_home(files[which].name);
	return starts_with(path, "~/") ? under_home(path + 2) : strdup(path);
}

/* Cuts white space off both ends, in place. */
static char *trim(char *s)
{
	static const char white[] = " \t\r\v\f";
	size_t n;

	s += strspn(s, white);
	n = strlen(s);
	while (n && strchr(white, s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

/* The name in "[profile NAME]" or "[NAME]"; NULL for a section that is no profile of this file. */
static const char *section_name(enum profile_file which, char *line)
{
	char *end = strchr(line, ']');
	bool prefixed = false;
	char *name;

	if (!end)
		return NULL;
	*end = '\0';
	name = trim(line + 1);
	if (which == PROFILE_CONFIG && starts_with(name, "profile") && strchr(" \t", name[7])) {
		prefixed = name[7] != '\0';
		name = trim(name + 7);
	}
	if (which == PROFILE_CONFIG && !prefixed && !streq(name, "default"))
		return NULL;
	size_t n = strlen(name);
	if (n >= 2 && (*name == '"' || *name == '\'') && name[n - 1] == *name) {
		name[n - 1] = '\0';
		name++;
	}
	return name;
}

/* A comment begins with '#' or ';' after white space. */
static void cut_comment(char *value)
{
	for (char *at = value; *at; at++) {
		if ((*at == '#' || *at == ';') && (at == value || strchr(" \t", at[-1]))) {
			*at = '\0';
			return;
		}
	}
}

struct reader {
	enum profile_file which;
	const char *profile;
	bool found, inside;
	profile_fn *fn;
	void *arg;
};

static void read_line(struct reader *r, char *line)
{
	bool nested = *line == ' ' || *line == '\t';
	char *text = trim(line), *equals;

	if (!*text || *text == '#' || *text == ';')
		return;
	if (*text == '[' && !nested) {
		const char *name = section_name(r->which, text);

		r->inside = name && streq(name, r->profile);
		r->found = r->found || r->inside;
		return;
	}
	equals = strchr(text, '=');
	if (!r->inside || nested || !equals)
		return;
	*equals = '\0';
	cut_comment(equals + 1);
	r->fn(r->arg, trim(text), trim(equals + 1));
}

int profile_read(enum profile_file which, const char *profile, bool *found, profile_fn *fn,
		 void *arg, struct err *e)
{
	_cleanup_free_ char *path = profile_path(which);
	_cleanup_buf_ struct buf text = BUF_INIT(MAX_FILE);
	struct reader r = {which, profile ? profile : "default", false, false, fn, arg};
	int failed;

	if (found)
		*found = false;
	if (!path)
		return 0;
	failed = buf_read_file(&text, AT_FDCWD, path);
	if (failed && errno != ENOENT && errno != ENOTDIR)
		err_errno(e, "could not read '%s'", path);
	else
		failed = 0;
	for (char *line = text.data, *next; !failed && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		read_line(&r, line);
	}
	if (text.data)
		explicit_bzero(text.data, text.cap);
	if (found)
		*found = r.found;
	return failed;
}
