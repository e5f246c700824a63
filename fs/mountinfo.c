#include "fs/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "sagemaker/buf.h"

/* "\040" and its like, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The word after n others; its length. */
static const char *word(const char *line, int n, size_t *len)
{
	while (n-- > 0) {
		line += strcspn(line, " ");
		line += *line == ' ';
	}
	*len = strcspn(line, " ");
	return line;
}

static char *word_copy(const char *line, int n)
{
	size_t len;
	const char *at = word(line, n, &len);
	char *copy = strndup(at, len);

	if (copy)
		unescape(copy);
	return copy;
}

/* "...,user_id=1000,...", which the kernel writes itself; -1: not there. */
static long uid_of(const char *options)
{
	const char *at = strstr(options, ",user_id=");

	return at ? strtol(at + strlen(",user_id="), NULL, 10) : -1;
}

/* 36 35 0:40 / MOUNTPOINT rw,... shared:1 ... - fuse.sagemakerfs SOURCE rw,... */
static int take_line(struct mount_lines *l, const char *line)
{
	const char *after = strstr(line, " - ");

	if (!after || !starts_with(after + 3, "fuse.sagemakerfs "))
		return 0;
	struct mount_line *rows = realloc(l->rows, (l->n + 1) * sizeof *rows);
	if (!rows)
		return -1;
	l->rows = rows;
	struct mount_line *m = &rows[l->n++];
	m->mountpoint = word_copy(line, 4);
	m->source = word_copy(after + 3, 1);
	m->device = word_copy(line, 2);
	m->uid = uid_of(after);
	return m->mountpoint && m->source && m->device ? 0 : -1;
}

int mountinfo_read(struct mount_lines *out, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT((size_t)16 << 20);

	*out = (struct mount_lines){0};
	if (buf_read_file(&text, AT_FDCWD, "/proc/self/mountinfo") < 0)
		return err_errno(e, "cannot read '/proc/self/mountinfo'");
	char *save = NULL;
	for (char *line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (take_line(out, line) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static void line_release(struct mount_line *m)
{
	free(m->mountpoint);
	free(m->source);
	free(m->device);
}

void mountinfo_own(struct mount_lines *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->rows[i].uid == (long)getuid())
			l->rows[kept++] = l->rows[i];
		else
			line_release(&l->rows[i]);
	}
	l->n = kept;
}

void mountinfo_release(struct mount_lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		line_release(&l->rows[i]);
	free(l->rows);
	*l = (struct mount_lines){0};
}

const struct mount_line *mountinfo_find(const struct mount_lines *l, const char *path)
{
	for (size_t i = l->n; i-- > 0;) {
		if (streq(l->rows[i].mountpoint, path))
			return &l->rows[i];
	}
	return NULL;
}

const struct mount_line *mountinfo_around(const struct mount_lines *l, const char *path)
{
	const struct mount_line *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < l->n; i++) {
		const char *at = l->rows[i].mountpoint;
		size_t n = strlen(at);
		bool inside = strncmp(path, at, n) == 0 && (path[n] == '\0' || path[n] == '/');

		if (inside && n >= best_len) {
			best = &l->rows[i];
			best_len = n;
		}
	}
	return best;
}

static char *resolve(const char *path, struct err *e)
{
	char real[PATH_MAX];

	if (realpath(path, real))
		return strdup(real);
	err_errno(e, "'%s'", path);
	return NULL;
}

static void strip_slashes(char *path)
{
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/';)
		path[--n] = '\0';
}

char *path_absolute(const char *path, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	strip_slashes(copy);
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	/* A path that ends in no name of its own is resolved whole. */
	if (!*last || streq(last, ".") || streq(last, ".."))
		return resolve(copy, e);
	if (slash)
		*slash = '\0';
	_cleanup_free_ char *dir = resolve(!slash ? "." : *copy ? copy : "/", e);
	return dir ? str_printf("%s/%s", streq(dir, "/") ? "" : dir, last) : NULL;
}
