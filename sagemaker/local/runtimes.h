/* runtimes.h: the Python environments that run models, one directory FRAMEWORK-VERSION each, and the model servers. */
#ifndef SAGEMAKER_LOCAL_RUNTIMES_H
#define SAGEMAKER_LOCAL_RUNTIMES_H

#include "sagemaker/err.h"

struct runtime {
	char framework[32];
	char version[32];
	char dir[512];
};

/* runtime_choose: for a framework's version: the same minor version, else the nearest of its major version, else the
 * newest. strict: only the same minor. ENOENT with the command that installs one. */
int runtime_choose(const char *framework, const char *version, bool strict, struct runtime *out,
		   struct err *e) _must_check_;
/* runtime_server: the model server's program for a framework. ENOENT. */
int runtime_server(const char *framework, char out[512], struct err *e) _must_check_;

#endif
