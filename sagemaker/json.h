/* json.h: reading and making the JSON of AWS calls: short forms around cJSON that take NULL for "absent". */
#ifndef SAGEMAKER_JSON_H
#define SAGEMAKER_JSON_H

#include "sagemaker/err.h"

/* json_parse: a document from n bytes, owned by the caller. NULL: not JSON (EPROTO), with *e. */
cJSON *json_parse(const void *p, size_t n, struct err *e);

/* json_text, json_number: a member, or NULL / 0 when it is absent or of another type. o may be NULL. */
const char *json_text(const cJSON *o, const char *key);
double json_number(const cJSON *o, const char *key);
/* json_count: a number as a count: 0 when negative or absent, at most INT_MAX. */
int json_count(const cJSON *o, const char *key);

/* json_copy: the text of a member into out, cut to its size; "" when absent. */
void json_copy(const cJSON *o, const char *key, char *out, size_t size);

/* json_any: whether some string anywhere in j is such that is(arg, key, text) says so; key is its member's name or NULL. */
bool json_any(const cJSON *j, bool (*is)(void *arg, const char *key, const char *text), void *arg);

/* json_put, json_put_number: set a member; a NULL value sets none. */
void json_put(cJSON *o, const char *key, const char *value);
void json_put_number(cJSON *o, const char *key, double value);

#endif
