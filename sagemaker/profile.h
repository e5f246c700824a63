/*
 * profile.h: the files that AWS's tools share, ~/.aws/config and ~/.aws/credentials, one profile at a time.
 *
 * The format is INI with three habits of its own: "[profile NAME]" in the config file, nested settings (indented
 * lines under a key without a value: skipped), and comments that begin after white space. Lines have no length
 * limit of their own: session tokens are long.
 */
#ifndef SAGEMAKER_PROFILE_H
#define SAGEMAKER_PROFILE_H

#include "sagemaker/err.h"

enum profile_file { PROFILE_CREDENTIALS, PROFILE_CONFIG };

/* profile_path: where the file is, from AWS_SHARED_CREDENTIALS_FILE / AWS_CONFIG_FILE or under the home directory;
 * allocated, NULL when there is no home directory or memory is out. */
char *profile_path(enum profile_file which);

/* profile_read: calls fn for every setting of the profile (NULL: "default"); *found (may be NULL) says whether the file
 * has it. A file that does not exist has no profiles and is no error. EACCES..., EINVAL (too large) with the path.
 * The strings that fn sees live only during the call; the memory they were in is cleared afterwards. */
typedef void profile_fn(void *arg, const char *key, const char *value);
int profile_read(enum profile_file which, const char *profile, bool *found, profile_fn *fn,
		 void *arg, struct err *e) _must_check_;

#endif
