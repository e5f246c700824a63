/* log_filter.c: CloudWatch's filter patterns for plain text. Those of JSON, columns and regular expressions are refused. */
#include <errno.h>

#include "sagemaker/local/log_calls.h"

static bool is_term_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (unsigned char)c >= 0x80;
}

/* A phrase in quotes; \" and \\ stand for themselves. Behind its end, NULL: it has none. */
static const char *read_phrase(const char *p, char *out, size_t size)
{
	size_t n = 0;

	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (n + 1 < size)
			out[n++] = *p;
	}
	out[n] = '\0';
	return *p ? p + 1 : NULL;
}

static const char *read_word(const char *p, char *out, size_t size, struct err *e)
{
	size_t n = strcspn(p, " \t\n");

	for (size_t i = 0; i < n; i++) {
		if (!is_term_char(p[i])) {
			err_set(e, EINVAL, "Invalid character(s) in term '%.*s'", (int)MIN(n, 200u),
				p);
			return NULL;
		}
	}
	copy_text(out, size, p, MIN(n, size - 1));
	return p + n;
}

/* One term; behind it, NULL: *e. */
static const char *read_term(struct log_filter *f, const char *p, struct err *e)
{
	char *out = f->terms[f->n].text;
	const size_t size = sizeof f->terms[0].text;

	f->terms[f->n].kind = (char)(*p == '?' || *p == '-' ? *p : '+');
	p += *p == '?' || *p == '-';
	if (*p != '"')
		p = read_word(p, out, size, e);
	else if (!(p = read_phrase(p, out, size)))
		err_set(e, EINVAL, "Invalid filter pattern: a quote is not closed");
	f->n += p && *out;
	return p;
}

int log_filter_parse(struct log_filter *f, const char *pattern, struct err *e)
{
	const char *p = pattern + strspn(pattern, " \t\n");

	f->n = 0;
	if (*p && strchr("{[%", *p))
		return err_set(
			e, EINVAL,
			"Invalid filter pattern: the local backend takes terms and \"phrases\", no JSON, columns or %%regular "
			"expressions%%");
	while (p && *p) {
		if (f->n == ARRAY_SIZE(f->terms))
			return err_set(e, EINVAL, "Invalid filter pattern: more than %zu terms",
				       ARRAY_SIZE(f->terms));
		p = read_term(f, p, e);
		if (p)
			p += strspn(p, " \t\n");
	}
	return p ? 0 : -1;
}

/* As AWS: ?terms count only when there are no others that must be there. */
bool log_filter_match(const struct log_filter *f, const char *text, size_t len)
{
	bool needs = false, may = false, one = false;

	for (size_t i = 0; i < f->n; i++) {
		const char *term = f->terms[i].text;
		bool there = memmem(text, len, term, strlen(term)) != NULL;

		if (f->terms[i].kind == '?') {
			may = true;
			one = one || there;
		} else if (there != (f->terms[i].kind == '+')) {
			return false;
		}
		needs = needs || f->terms[i].kind == '+';
	}
	return needs || !may || one;
}
