/* option_bucket.c: which buckets and prefixes can be used. */
#include <errno.h>

#include "fs/options.h"
#include "sagemaker/s3_bucket.h"

/* With a model's name, its version and "model.tar.gz" after it, the key of an archive stays within S3's 1024 bytes. */
#define PREFIX_MAX 800

static bool is_plain(const char *p)
{
	while ((unsigned char)*p >= ' ' && *p != 0x7f && *p != '\\')
		p++;
	return !*p;
}

/* Tools and services normalize empty parts, "." and ".." away; SageMaker would then not find what was uploaded. */
static bool is_prefix(const char *p)
{
	if (strlen(p) > PREFIX_MAX || !is_plain(p))
		return false;
	for (size_t n; *p; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		if (n == 0 || (n <= 2 && strspn(p, ".") >= n))
			return false;
	}
	return true;
}

int option_check_bucket(const char *name, const char *prefix, struct err *e)
{
	if (!s3_is_bucket_name(name))
		return err_set(
			e, EINVAL,
			"option 'bucket': '%s' is no bucket name: it takes 3 to 63 of a-z 0-9 - . and begins and "
			"ends with a letter or digit",
			name);
	if (!is_prefix(prefix))
		return err_set(
			e, EINVAL,
			"option 'bucket': '%.100s' is no prefix: it takes up to %d bytes, without empty parts, '.', "
			"'..', backslashes and control characters",
			prefix, PREFIX_MAX);
	return 0;
}
