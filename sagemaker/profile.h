/*
 * profile.h: the files that AWS's tools share, ~/.aws/config and ~/.aws/credentials, one section at a time.
 *
 * Read as botocore reads them (configloader.py, session.py): ini.h's format, "[profile NAME]" and "[default]" in the
 * config file and "[NAME]" in the credentials file, names quoted as in a shell, of two sections with one name
 * ("[default]" and "[profile default]") the later one alone. Lines have no length limit: session tokens are long.
 */
#ifndef SAGEMAKER_PROFILE_H
#define SAGEMAKER_PROFILE_H

#include "sagemaker/err.h"

enum profile_file { PROFILE_CREDENTIALS, PROFILE_CONFIG };

/* SECTION_SSO_SESSION "[sso-session NAME]" and SECTION_SERVICES "[services NAME]" are in the config file only. */
enum profile_section { SECTION_PROFILE, SECTION_SSO_SESSION, SECTION_SERVICES };

/* profile_expand: a path with $NAME, ${NAME} and a leading ~ replaced; allocated, NULL: memory is out or no home. */
char *profile_expand(const char *path);

/* profile_path: where the file is, from AWS_SHARED_CREDENTIALS_FILE / AWS_CONFIG_FILE (unset or empty: under the home
 * directory); allocated, NULL when there is no home directory or memory is out. */
char *profile_path(enum profile_file which);

/* profile_section_read: calls fn for every setting of the section (name NULL: "default"); *found (may be NULL) says whether
 * the file has it. Keys come in lower case; settings nested under a key ("s3 =\n  endpoint_url = URL") come as
 * "s3.endpoint_url". fn may be called twice for one key: the later call counts. A file that does not exist or may not be
 * read has no sections and is no error. EINVAL (malformed, with the line), EFBIG, ENOMEM, with the path.
 * The strings that fn sees live only during the call; the memory they were in is cleared afterwards. */
typedef void profile_fn(void *arg, const char *key, const char *value);
int profile_section_read(enum profile_file which, enum profile_section kind, const char *name,
			 bool *found, profile_fn *fn, void *arg, struct err *e) _must_check_;

/* profile_read: a profile's settings in one file. */
int profile_read(enum profile_file which, const char *profile, bool *found, profile_fn *fn,
		 void *arg, struct err *e) _must_check_;

/* profile_read_both: a profile's settings in the config file and after them those in the credentials file, which count
 * more: what botocore's session looks settings up in. */
int profile_read_both(const char *profile, bool *found, profile_fn *fn, void *arg, struct err *e)
	_must_check_;

#endif
