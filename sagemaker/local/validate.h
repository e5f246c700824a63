/* validate.h: requests of the control plane against rows that say what each member may be. */
#ifndef SAGEMAKER_LOCAL_VALIDATE_H
#define SAGEMAKER_LOCAL_VALIDATE_H

#include "sagemaker/local/request.h"

enum kind { K_STRING, K_INT, K_NUMBER, K_BOOL, K_LIST, K_MAP, K_STRUCT };

struct pattern {
	const char *text; /* AWS's regular expression, for the message */
	bool (*matches)(const char *s);
};

extern const struct pattern PATTERN_NAME, PATTERN_ROLE, PATTERN_IMAGE, PATTERN_S3_URL,
	PATTERN_INSTANCE, PATTERN_ARN, PATTERN_ENV_KEY;

struct member {
	const char *name;
	enum kind kind;
	bool required;
	double min, max; /* of a string's or list's length, of a number; max 0: none */
	const struct pattern *pattern;
	const struct member *of; /* K_STRUCT; K_LIST: members of each element */
	const char *unsupported; /* non-NULL: refused when present, with this reason */
};

#define MEMBERS_END                             \
 {                                              \
  NULL, K_STRING, false, 0, 0, NULL, NULL, NULL \
 }

/* The rows of a tag: for a member Tags (tags.c). */
extern const struct member TAG_MEMBERS[];

/* validate: the request's JSON body against rows, ended by MEMBERS_END. NULL: refused, replied; else owned by the caller. */
cJSON *validate(struct request *r, const struct member *rows);
/* member_string: "" when absent. member_number: otherwise when absent. */
const char *member_string(const cJSON *j, const char *name);
double member_number(const cJSON *j, const char *name, double otherwise);

#endif
