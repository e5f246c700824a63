/* settings.h: sagemaker.json, what the user says about a model. Every key is optional; an unknown one is a mistake. */
#ifndef SAGEMAKER_SETTINGS_H
#define SAGEMAKER_SETTINGS_H

#include "sagemaker/package.h"

#define SETTINGS_FILE "sagemaker.json"
#define SETTINGS_MAX  ((size_t)64 << 10) /* bytes of the file */

/* settings_parse: text (n bytes) into *out, which is overwritten; to be released in every case. EINVAL names the key. */
int settings_parse(const char *text, size_t n, struct package_settings *out, struct err *e)
	_must_check_;
/* settings_override: what `over` says wins; env is merged key by key. */
int settings_override(struct package_settings *s, const struct package_settings *over,
		      struct err *e) _must_check_;
void settings_init(struct package_settings *s);
void settings_release(struct package_settings *s);

#endif
