/* option_tags.c: -o tag.KEY=VALUE, checked as SageMaker checks tags, so that a slip ends the mount and not the first deployment. */
#include <errno.h>
#include <wchar.h>
#include <wctype.h>

#include "fs/options.h"
#include "sagemaker/buf.h"
#include "sagemaker/deploy.h"
#include "sagemaker/utf8_locale.h"

#define KEY_MAX   128 /* characters */
#define VALUE_MAX 256

static const char rule[] = "letters, digits, blanks and _.:/=+-@";

/* [\p{L}\p{Z}\p{N}_.:/=+\-@] */
static bool character_ok(wchar_t c)
{
	static const wchar_t blanks[] = {L' ', 0xa0, 0x2007, 0x202f, 0}; /* no spaces to iswspace */

	if (c < 0x80)
		return iswalnum((wint_t)c) || c == L' ' || wcschr(L"_.:/=+-@", c);
	return iswalnum((wint_t)c) || iswspace((wint_t)c) || wcschr(blanks, c);
}

static int check_text(const char *what, const char *text, size_t max, struct err *e)
{
	SCOPED_UTF8();
	mbstate_t state = {0};
	size_t chars = 0;

	for (const char *p = text; *p; chars++) {
		wchar_t c;
		size_t n = mbrtowc(&c, p, strlen(p), &state);

		if (n == (size_t)-1 || n == (size_t)-2 || !character_ok(c))
			return err_set(e, EINVAL, "the %s of tag '%s' has a character outside %s",
				       what, text, rule);
		p += n;
	}
	if (chars > max)
		return err_set(e, EINVAL, "the %s of tag '%.40s...' is longer than %zu characters",
			       what, text, max);
	return 0;
}

static int check(const struct options *o, const char *key, const char *value, struct err *e)
{
	if (!*key)
		return err_set(e, EINVAL, "a tag needs a key: tag.KEY=VALUE");
	if (strncasecmp(key, "aws:", 4) == 0)
		return err_set(e, EINVAL, "tag '%s': keys that begin with 'aws:' are AWS's own",
			       key);
	if (starts_with(key, DEPLOY_TAGS))
		return err_set(e, EINVAL,
			       "tag '%s': keys that begin with '" DEPLOY_TAGS
			       "' are set by sagemakerfs itself",
			       key);
	for (size_t i = 0; i < o->n_tags; i++)
		if (streq(o->tags[i].key, key))
			return err_set(e, EINVAL, "tag '%s' is given twice", key);
	if (o->n_tags == DEPLOY_USER_TAGS)
		return err_set(e, EINVAL, "more than %d tags: a resource has room for no more",
			       DEPLOY_USER_TAGS);
	return check_text("key", key, KEY_MAX, e) || check_text("value", value, VALUE_MAX, e) ? -1
											      : 0;
}

int option_tag(struct options *o, const char *text, struct err *e)
{
	_cleanup_free_ char *key = strdup(text);
	char *is = key ? strchr(key, '=') : NULL;

	if (!key)
		return err_set(e, ENOMEM, "out of memory");
	if (!is)
		return err_set(e, EINVAL, "option 'tag.%s' needs a value: tag.KEY=VALUE", text);
	*is = '\0';
	if (check(o, key, is + 1, e))
		return -1;
	struct tag *tags = reallocarray(o->tags, o->n_tags + 1, sizeof *tags);
	if (tags)
		o->tags = tags;
	char **texts = reallocarray(o->tag_texts, o->n_tags + 1, sizeof *texts);
	if (texts)
		o->tag_texts = texts;
	if (!tags || !texts)
		return err_set(e, ENOMEM, "out of memory");
	tags[o->n_tags] = (struct tag){key, is + 1};
	texts[o->n_tags++] = steal(key);
	return 0;
}

void option_tags_release(struct options *o)
{
	for (size_t i = 0; i < o->n_tags; i++)
		free(o->tag_texts[i]);
	free(o->tag_texts);
	free(o->tags);
}
