/*
 * api.h: what AWS's models say of the requests that the local backend takes: types, required members, lengths, ranges, patterns,
 * enumerations. Tables that scripts/make-api-table generates from scripts/data/aws-api.json (facts of botocore's models).
 */
#ifndef SAGEMAKER_LOCAL_API_H
#define SAGEMAKER_LOCAL_API_H

#include "sagemaker/util.h"

enum api_kind { API_STRUCT, API_LIST, API_MAP, API_STRING, API_INT, API_NUMBER, API_BOOL };

struct api_member;

struct api_shape {
	enum api_kind kind;
	bool has_min, has_max;
	double min, max; /* of a number's value, a string's characters, a list's or map's entries */
	const char
		*pattern;  /* AWS's (Java's) regular expression for the whole string; NULL: none */
	const char *regex; /* the same as PCRE2 says it; NULL: as pattern */
	const char *const *values;        /* enumeration, ended by NULL; NULL: none */
	const struct api_member *members; /* of a structure, ended by a NULL name; NULL: none */
	const struct api_shape *key;      /* of a map */
	const struct api_shape *item;     /* of a list's elements, a map's values */
};

struct api_member {
	const char *name;
	const struct api_shape *shape;
	bool required;
	const char *header; /* REST services: the HTTP header that brings it; NULL: none does */
};

struct api_call {
	const char *
		target; /* X-Amz-Target: "SageMaker.CreateModel"; "sagemaker-runtime.InvokeEndpoint" has none */
	const struct api_shape *input;
};

extern const struct api_call api_calls[]; /* ended by a NULL target */

#endif
