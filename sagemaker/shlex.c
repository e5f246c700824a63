#include "sagemaker/shlex.h"

#include <errno.h>

static const char white[] = " \t\r\n";

struct word {
	const char *from;
	char *to;
	char quote; /* the one that is open */
};

static void take_char(struct word *w)
{
	*w->to++ = *w->from++;
}

/* A backslash: inside double quotes it quotes only itself and them. -1: there is nothing behind it. */
static int take_escape(struct word *w)
{
	char next = w->from[1];

	if (!next)
		return -1;
	if (w->quote && next != '"' && next != '\\')
		take_char(w);
	else
		w->from++;
	take_char(w);
	return 0;
}

static bool is_quote(const struct word *w)
{
	return w->quote ? *w->from == w->quote : (*w->from == '\'' || *w->from == '"');
}

static int take_word(struct word *w)
{
	while (*w->from && (w->quote || !strchr(white, *w->from))) {
		if (is_quote(w)) {
			w->quote = (char)(w->quote ? '\0' : *w->from);
			w->from++;
		} else if (*w->from == '\\' && w->quote != '\'') {
			if (take_escape(w))
				return -1;
		} else {
			take_char(w);
		}
	}
	*w->to++ = '\0';
	return w->quote ? -1 : 0;
}

char **shlex_split(const char *line, size_t *n)
{
	size_t len = strlen(line), most = len / 2 + 2;
	/* a word with its NUL takes no more than it and the blank behind it did */
	char **words = malloc(most * sizeof *words + len + 1);
	struct word w = {line, (char *)(words + most), '\0'};

	*n = 0;
	if (!words)
		return NULL;
	for (w.from += strspn(w.from, white); *w.from; w.from += strspn(w.from, white)) {
		words[(*n)++] = w.to;
		if (take_word(&w)) {
			free(words);
			errno = EINVAL;
			return NULL;
		}
	}
	words[*n] = NULL;
	return words;
}
