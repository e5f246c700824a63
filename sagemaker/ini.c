#include "sagemaker/ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MAX_FILE ((size_t)1 << 20)

/* What is being read: the option that an indented line goes on with, and how deep that option itself is indented. */
struct reader {
	struct ini *ini;
	const char *path;
	size_t section, line;
	bool in_section, in_option;
	size_t indent;
	char *value_end; /* of the last pair's value, where more lines go */
	size_t room_sections, room_pairs;
};

static bool is_space(char c)
{
	return isspace((unsigned char)c) || (c >= 0x1c && c <= 0x1f);
}

/* Cuts white space off both ends, in place. */
static char *trim(char *s)
{
	size_t n;

	while (is_space(*s))
		s++;
	n = strlen(s);
	while (n && is_space(s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

static int malformed(const struct reader *r, struct err *e, const char *what)
{
	return err_set(e, EINVAL, "'%s', line %zu: %s", r->path, r->line, what);
}

static int no_memory(const char *path, struct err *e)
{
	return err_set(e, ENOMEM, "could not read '%s': out of memory", path);
}

/* Room for one more row in an array that grows by doubling. */
static int grow(void *array, size_t n, size_t *room, size_t row)
{
	void **at = array;

	if (n < *room)
		return 0;
	size_t more = *room ? *room * 2 : 16;
	void *p = reallocarray(*at, more, row);
	if (!p)
		return -1;
	*at = p;
	*room = more;
	return 0;
}

static int begin_section(struct reader *r, const char *name, struct err *e)
{
	struct ini *ini = r->ini;

	r->in_section = true;
	r->in_option = false;
	if (ini->n_sections && streq(name, "DEFAULT")) {
		r->section = 0;
		return 0;
	}
	if (grow(&ini->sections, ini->n_sections, &r->room_sections, sizeof *ini->sections))
		return no_memory(r->path, e);
	r->section = ini->n_sections;
	ini->sections[ini->n_sections++] = (struct ini_section){name, r->line};
	return 0;
}

static int begin_option(struct reader *r, char *text, struct err *e)
{
	size_t n = strcspn(text, "=:");
	struct ini *ini = r->ini;

	if (!text[n])
		return malformed(r, e, "neither a section nor a setting");
	if (!n)
		return malformed(r, e, "a setting without a name");
	if (grow(&ini->pairs, ini->n_pairs, &r->room_pairs, sizeof *ini->pairs))
		return no_memory(r->path, e);
	text[n] = '\0';
	char *key = trim(text), *value = trim(text + n + 1);
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	ini->pairs[ini->n_pairs++] = (struct ini_pair){key, value, r->section, r->line};
	r->value_end = value + strlen(value);
	r->in_option = true;
	return 0;
}

/* The line moves up behind what the value has so far: there is always room, for the value's lines were not shorter. */
static void go_on(struct reader *r, const char *text)
{
	size_t n = strlen(text);

	*r->value_end++ = '\n';
	memmove(r->value_end, text, n + 1);
	r->value_end += n;
}

/* "[NAME]", whatever comes behind the last ']': the name; NULL: no header. */
static const char *header_name(char *text)
{
	char *end = *text == '[' ? strrchr(text, ']') : NULL;

	if (!end || end == text + 1)
		return NULL;
	*end = '\0';
	return text + 1;
}

static int begin_line(struct reader *r, char *text, struct err *e)
{
	const char *name = header_name(text);

	if (name)
		return begin_section(r, name, e);
	return r->in_section ? begin_option(r, text, e)
			     : malformed(r, e, "a setting before the first [section]");
}

static int read_line(struct reader *r, char *line, struct err *e)
{
	size_t indent = 0;

	r->line++;
	while (is_space(line[indent]))
		indent++;
	char *text = trim(line);
	if (*text == '#' || *text == ';')
		return 0;
	if (!*text || (r->in_option && indent > r->indent)) {
		if (r->in_option)
			go_on(r, text);
		return 0;
	}
	r->indent = indent;
	return begin_line(r, text, e);
}

/* Line ends are "\n", "\r\n" and "\r". */
static char *cut_line(char *line)
{
	size_t n = strcspn(line, "\r\n");
	char *next = line + n;

	if (!*next)
		return NULL;
	next += starts_with(next, "\r\n") ? 2 : 1;
	line[n] = '\0';
	return *next ? next : NULL;
}

/* The lines of a value that begins with a line break are settings themselves. */
static int check_nested(struct reader *r, const struct ini_pair *p, struct err *e)
{
	r->line = p->line;
	if (*p->value != '\n')
		return 0;
	for (const char *line = p->value, *next; line; line = next) {
		next = strchr(line + 1, '\n');
		size_t n = next ? (size_t)(next - line) : strlen(line);
		if (n > 1 && !memchr(line, '=', n))
			return malformed(r, e, "an indented line below it is no setting");
	}
	return 0;
}

static int by_section_and_key(const void *a, const void *b)
{
	const struct ini_pair *x = a, *y = b;

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	int d = strcmp(x->key, y->key);
	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static int finish_pairs(struct reader *r, struct err *e)
{
	struct ini *ini = r->ini;

	if (ini->n_pairs)
		qsort(ini->pairs, ini->n_pairs, sizeof *ini->pairs, by_section_and_key);
	for (size_t i = 0; i < ini->n_pairs; i++) {
		struct ini_pair *p = &ini->pairs[i];
		size_t n = strlen(p->value);

		while (n && is_space(p->value[n - 1]))
			p->value[--n] = '\0';
		if (check_nested(r, p, e))
			return -1;
		if (i && p[-1].section == p->section && streq(p[-1].key, p->key))
			return malformed(r, e,
					 "a setting that this section already has; remove one");
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct ini_section *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static int check_sections(struct reader *r, struct err *e)
{
	const struct ini *ini = r->ini;
	_cleanup_free_ struct ini_section *sorted = calloc(ini->n_sections, sizeof *sorted);

	if (!sorted)
		return no_memory(r->path, e);
	memcpy(sorted, ini->sections, ini->n_sections * sizeof *sorted);
	qsort(sorted, ini->n_sections, sizeof *sorted, by_name);
	for (size_t i = 1; i < ini->n_sections; i++) {
		r->line = sorted[i].line;
		if (streq(sorted[i - 1].name, sorted[i].name))
			return malformed(r, e, "a section that the file already has; join the two");
	}
	return 0;
}

static int parse(struct ini *ini, const char *path, struct err *e)
{
	struct reader r = {.ini = ini, .path = path};

	if (ini->text.data && strlen(ini->text.data) != ini->text.len)
		return err_set(e, EINVAL, "'%s' has a zero byte in it: it is no text", path);
	if (begin_section(&r, "DEFAULT", e))
		return -1;
	r.in_section = false;
	for (char *line = ini->text.data, *next; line; line = next) {
		next = cut_line(line);
		if (read_line(&r, line, e))
			return -1;
	}
	return finish_pairs(&r, e) || check_sections(&r, e) ? -1 : 0;
}

int ini_read(struct ini *ini, const char *path, struct err *e)
{
	struct stat st;

	*ini = (struct ini){.text = BUF_INIT(MAX_FILE)};
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return 0;
	/* in one piece: what grows leaves copies of keys behind */
	if (buf_reserve(&ini->text, MIN((size_t)st.st_size + 1, MAX_FILE)))
		buf_terminate(&ini->text);
	if (buf_read_file(&ini->text, AT_FDCWD, path)) {
		if (errno == EFBIG || errno == ENOMEM)
			return err_errno(e, "could not read '%s'", path);
		return 0;
	}
	return parse(ini, path, e);
}

/* No setting has a name as long as is passed over here. */
static int each_nested(const struct ini_pair *p, ini_fn *fn, void *arg)
{
	_cleanup_free_ char *copy = strdup(p->value);
	char key[256];

	if (!copy)
		return -1;
	for (char *line = copy, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = '\0';
		int n = snprintf(key, sizeof key, "%s.%s", p->key, trim(line));
		if (n > 0 && (size_t)n < sizeof key)
			fn(arg, key, trim(equals + 1));
	}
	explicit_bzero(copy, strlen(p->value));
	return 0;
}

int ini_each(const struct ini *ini, size_t section, ini_fn *fn, void *arg, struct err *e)
{
	for (size_t i = 0; i < ini->n_pairs; i++) {
		const struct ini_pair *p = &ini->pairs[i];

		if (p->section && p->section != section)
			continue;
		if (*p->value != '\n')
			fn(arg, p->key, p->value);
		else if (each_nested(p, fn, arg))
			return err_set(e, ENOMEM, "could not keep a setting: out of memory");
	}
	return 0;
}

void ini_release(struct ini *ini)
{
	if (ini->text.data)
		explicit_bzero(ini->text.data, ini->text.cap);
	buf_release(&ini->text);
	free(ini->sections);
	free(ini->pairs);
	*ini = (struct ini){0};
}
