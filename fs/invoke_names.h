/* invoke_names.h: what a name in invoke/ means: an endpoint, and the type of the bytes written there. */
#ifndef FS_INVOKE_NAMES_H
#define FS_INVOKE_NAMES_H

#include "sagemaker/util.h"

#define ENDPOINT_NAME_MAX 63

/* invoke_name: "iris" or "iris.csv" -> endpoint "iris", and for the second the content type ("text/csv"); *type is NULL when the
 * endpoint's own type is meant. -1: no endpoint can have that name. */
int invoke_name(const char *name, char endpoint[ENDPOINT_NAME_MAX + 1], const char **type)
	_must_check_;

/* invoke_is_json: whether bodies of this type are held until their brackets balance. */
bool invoke_is_json(const char *type);

#endif
