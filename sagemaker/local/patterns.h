/*
 * patterns.h: AWS's regular expressions, compiled once for the life of the backend: an invocation's headers are compared with several.
 */
#ifndef SAGEMAKER_LOCAL_PATTERNS_H
#define SAGEMAKER_LOCAL_PATTERNS_H

#include "sagemaker/err.h"

struct patterns;

/* patterns_new: none yet. patterns_free: NULL is fine. */
struct patterns *patterns_new(struct err *e) _must_check_;
void patterns_free(struct patterns *p);

/* patterns_match: whether all of s matches; a regex is a static string of the tables, known by its address. p NULL: compiled for this
 * once. A text that takes too many steps does not match. Any thread. */
bool patterns_match(struct patterns *p, const char *regex, const char *s);

#endif
