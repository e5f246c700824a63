/*
 * images.h: which container image serves a framework version in a region on an instance type.
 *
 * The table is generated at build time from scripts/data (facts of the SageMaker Python SDK); see docs/images.md.
 */
#ifndef SAGEMAKER_IMAGES_H
#define SAGEMAKER_IMAGES_H

#include "sagemaker/buf.h"
#include "sagemaker/err.h"

#define IMAGE_VERSION_MAX 32 /* bytes of a version with its NUL */

struct image {
	char uri[256];
	char framework
		[32]; /* "tensorflow", "mxnet", "pytorch", "sklearn", "xgboost", "huggingface" */
	char version[IMAGE_VERSION_MAX]; /* full version, aliases resolved */
	char processor[8];               /* "cpu", "gpu", "arm64" */
	char py[8];                      /* "py2", "py3", ... "" when the tag names none */
};

/* images_uri: version full ("2.19.0") or alias ("2.19"), py "" for the default. Hugging Face's version is the one of
 * transformers, with the base framework behind it where the user cares: "4.26", "4.26.0-tensorflow", "4.26-pytorch1.13".
 * EINVAL, with the versions that exist, for a combination AWS has no image for (unknown version, region without registry,
 * graviton without arm64 image, gpu of a cpu-only). */
int images_uri(const char *framework, const char *version, const char *py, const char *region,
	       const char *instance_type, struct image *out, struct err *e) _must_check_;
/* images_default_version: the lowest version with an image for that region and instance type that is not older than at_least
 * ("" or NULL: the newest). EINVAL as above when all are older. */
int images_default_version(const char *framework, const char *at_least, const char *region,
			   const char *instance_type, char out[IMAGE_VERSION_MAX], struct err *e)
	_must_check_;
/* images_parse: what an image URI is (framework, version, processor); false when it is none of the table's repositories, whose
 * registry may be anyone's (a mirror), or has no version in its tag. An image for cpu and gpu alike is "cpu". */
bool images_parse(const char *uri, struct image *out);
/* images_wants_sourcedir: whether that version's container takes the user's code only from a tar.gz of its own in S3, which
 * SAGEMAKER_SUBMIT_DIRECTORY names: TensorFlow to 1.10, MXNet to 1.3, PyTorch to 1.1. */
bool images_wants_sourcedir(const char *framework, const char *version);
/* images_registries: the accounts whose registries have images for a region, each once, at most max; how many. Static strings. */
size_t images_registries(const char *region, const char *out[], size_t max);
/* images_known: whether AWS has images of that framework. */
bool images_known(const char *framework);
/* images_check_type: EINVAL where type has not an instance type's form, ml.FAMILY.SIZE; which of them exist changes by the month, so the
 * service has the last word. */
int images_check_type(const char *type, struct err *e) _must_check_;
/* version_compare: <0, 0, >0 by numeric components; "2.9" < "2.10" < "2.10.1". */
int version_compare(const char *a, const char *b);

#endif
