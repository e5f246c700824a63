/*
 * ini.h: INI files as AWS's tools read them, which is as Python's configparser.RawConfigParser does: [section] headers
 * to the last ']', "key = value" or "key: value", keys without regard to case, lines indented deeper than their key
 * go on with its value, comments are whole lines, [DEFAULT] gives its settings to every section. A section or key that
 * is there twice, and a line that is none of all this, make the whole file unusable, as they do there.
 */
#ifndef SAGEMAKER_INI_H
#define SAGEMAKER_INI_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

struct ini_pair {
	char *key; /* in lower case */
	char *value; /* lines joined by '\n'; begins with '\n' where a key without a value has indented lines */
	size_t section;
	size_t line;
};

struct ini_section {
	const char *name; /* what is between the brackets, blanks included */
	size_t line;
};

struct ini {
	struct buf text; /* all strings are in it */
	struct ini_section
		*sections; /* in the file's order; the first is [DEFAULT], there or not */
	size_t n_sections;
	struct ini_pair *pairs; /* sorted by section and key */
	size_t n_pairs;
};

/* ini_read: the file PATH, at most 1 MiB. A path that is no regular file, or that may not be read, has no sections and is no
 * error. EINVAL: malformed, with the line; EFBIG; ENOMEM. Released by the caller in any case. */
int ini_read(struct ini *ini, const char *path, struct err *e) _must_check_;

/* ini_each: calls fn for every setting of a section, those of [DEFAULT] first. The indented lines of a key without a
 * value are settings of their own: "s3 =\n  addressing_style = path" is "s3.addressing_style". */
typedef void ini_fn(void *arg, const char *key, const char *value);
int ini_each(const struct ini *ini, size_t section, ini_fn *fn, void *arg, struct err *e)
	_must_check_;

/* ini_release: frees, after clearing all texts: they may be keys. */
void ini_release(struct ini *ini);
#define _cleanup_ini_ _cleanup_(ini_release)

#endif
