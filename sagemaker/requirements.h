/* requirements.h: what the model's code needs: its requirements.txt, its syntax, its imports. */
#ifndef SAGEMAKER_REQUIREMENTS_H
#define SAGEMAKER_REQUIREMENTS_H

#include "sagemaker/plan.h"

/* requirements_name: whether code/requirements.txt names a package ("onnxruntime", "lightgbm>=4": what stands before the
 * condition), in any spelling that pip takes for the same. */
int requirements_name(const struct package_plan *p, const char *package, bool *named, struct err *e)
	_must_check_;
/* requirements_module: the same by what is imported of the package ("cv2" of opencv-python). */
int requirements_module(const struct package_plan *p, const char *module, bool *is, struct err *e)
	_must_check_;
/* requirements_check: lines that pip refuses make the plan not whole, EINVAL. Members have their places. */
int requirements_check(struct package_plan *p, struct err *e) _must_check_;

#endif
