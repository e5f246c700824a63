/*
 * old_code.h: models for containers that take the user's code only from a tar.gz of its own in S3 (images_wants_sourcedir). The
 * model's archive is that tar.gz, too: the files of code/ stand at its top once more, and SAGEMAKER_SUBMIT_DIRECTORY names the
 * archive itself. So there is one object, which is published, shared and deleted as one.
 */
#ifndef SAGEMAKER_OLD_CODE_H
#define SAGEMAKER_OLD_CODE_H

#include "sagemaker/package.h"

/* old_code_wanted: whether the image that this plan would take by its settings, else by what its files were made with, is such a
 * one of that framework. */
bool old_code_wanted(const struct package_plan *p, const char *framework);
/* old_code_add: the files of code/ at the top, and the program that the container imports; nothing for a plan of another container.
 * Call it once the layout is done. -1: memory, or a file that cannot be read. */
int old_code_add(struct package_plan *p, struct err *e) _must_check_;
/* old_code_environment: a copy of CreateModel's Environment (NULL: none) with what such a container does not start without, as far
 * as it is not there: where the code is, region and log level. NULL: out of memory. */
cJSON *old_code_environment(const cJSON *environment, const char *image_uri, const char *region,
			    const char *data_url);

#endif
