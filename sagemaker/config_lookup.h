/*
 * config_lookup.h: settings of AWS's tools by name: the environment, then the profile. Used by config*.c only.
 */
#ifndef SAGEMAKER_CONFIG_LOOKUP_H
#define SAGEMAKER_CONFIG_LOOKUP_H

#include "sagemaker/err.h"

/* What a profile and its services section say, but for keys. */
struct lookup {
	struct lookup_row {
		char *key, *value;
	} * rows;

	size_t n;
	bool no_memory;
	const char *under; /* put before keys that are read now */
};

/* Where a setting may be, in the order it is asked: first the environment. */
struct setting_name {
	const char *env[2], *key[2];
};

/* lookup_load: what the profile (NULL: "default") says in both files. under: put before every key, "" for none. */
int lookup_load(struct lookup *l, const char *profile, bool *found, struct err *e) _must_check_;
/* lookup_services: adds a services section, its keys with "services." before them. *found: whether it is there. */
int lookup_services(struct lookup *l, const char *section, bool *found, struct err *e) _must_check_;
void lookup_release(struct lookup *l);

/* lookup_text: the value, NULL: not set (or empty); *from (may be NULL) becomes the name it was found under, static. */
const char *lookup_text(const struct lookup *l, const struct setting_name *name, const char **from);

/* lookup_flag: true or false into *out, which stays as it is when nothing is set. EINVAL: another value. */
int lookup_flag(const struct lookup *l, const struct setting_name *name, bool *out,
		const char **from, struct err *e) _must_check_;

/* lookup_choice: the index of the value among choices (NULL-terminated, three at most) into *out, or as lookup_flag. */
int lookup_choice(const struct lookup *l, const struct setting_name *name,
		  const char *const choices[4], int *out, struct err *e) _must_check_;

/* lookup_copy: a copy of the value into *member where that is NULL and the setting is there. ENOMEM */
int lookup_copy(const struct lookup *l, const struct setting_name *name, char **member,
		const char **from, struct err *e) _must_check_;

#endif
