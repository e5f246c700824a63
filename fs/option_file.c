/* option_file.c: $XDG_CONFIG_HOME/sagemakerfs/config: a line is what follows -o, "role = ARN" or "ro"; # begins a comment. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "fs/dirs.h"
#include "fs/options.h"
#include "sagemaker/buf.h"

#define MAX_FILE ((size_t)256 << 10)

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	for (end = s + strlen(s); end > s && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	return s;
}

static int take_line(struct options *o, char *line, option_set_fn *set, struct err *e)
{
	char *name = trim(line), *value = strchr(name, '=');

	if (!*name || *name == '#')
		return 0;
	if (!value)
		return set(o, name, e);
	*value++ = '\0';
	_cleanup_free_ char *item = str_printf("%s=%s", trim(name), trim(value));
	return item ? set(o, item, e) : err_set(e, ENOMEM, "out of memory");
}

int option_file(struct options *o, option_set_fn *set, struct err *e)
{
	_cleanup_free_ char *dir = dirs_path(DIRS_CONFIG, NULL);
	_cleanup_free_ char *path = dir ? str_printf("%s/config", dir) : NULL;
	_cleanup_buf_ struct buf text = BUF_INIT(MAX_FILE);
	char *next;
	int n = 1;

	if (!path)
		return 0; /* nobody's home */
	if (buf_read_file(&text, AT_FDCWD, path) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0
							   : err_errno(e, "cannot read '%s'", path);
	for (char *line = text.data; line; line = next, n++) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (take_line(o, line, set, e) < 0)
			return err_prefix(e, "%s:%d", path, n);
	}
	return 0;
}
