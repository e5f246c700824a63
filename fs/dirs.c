#include "fs/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "sagemaker/buf.h"

static const struct {
	const char *env, *below_home;
} places[] = {
	[DIRS_DATA] = {"XDG_DATA_HOME",   ".local/share"},
	[DIRS_STATE] = {"XDG_STATE_HOME",  ".local/state"},
	[DIRS_CACHE] = {"XDG_CACHE_HOME",  ".cache"      },
	[DIRS_CONFIG] = {"XDG_CONFIG_HOME", ".config"     },
};

static char *home(void)
{
	const char *env = getenv("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (env && *env == '/')
		return strdup(env);
	if (getpwuid_r(getuid(), &pw, text, sizeof text, &found) == 0 && found && found->pw_dir)
		return strdup(found->pw_dir);
	return NULL;
}

char *dirs_path(enum dirs which, struct err *e)
{
	const char *env = getenv(places[which].env);
	_cleanup_free_ char *h = NULL;
	char *path = NULL;

	/* Relative paths there are invalid, says the specification. */
	if (env && *env == '/') {
		path = str_printf("%s/sagemakerfs", env);
	} else {
		h = home();
		if (!h) {
			err_set(e, ENOENT, "no home directory: set HOME or %s", places[which].env);
			return NULL;
		}
		path = str_printf("%s/%s/sagemakerfs", h, places[which].below_home);
	}
	if (!path)
		err_set(e, ENOMEM, "out of memory");
	return path;
}

int dirs_make(const char *path, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	for (char *p = copy + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char was = *p;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return err_errno(e, "cannot make directory '%s'", copy);
		if (!was)
			break;
		*p = was;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(e, "cannot open directory '%s'", path) : fd;
}
