/*
 * model_data.h: the files of a container: an archive that is unpacked (ModelDataUrl, or S3Object with Gzip), one object as it is
 * (S3Object, None), or all objects under a prefix (S3Prefix, None).
 */
#ifndef SAGEMAKER_LOCAL_MODEL_DATA_H
#define SAGEMAKER_LOCAL_MODEL_DATA_H

#include "sagemaker/cancel.h"
#include "sagemaker/local/backend.h"

enum data_kind { DATA_NONE, DATA_ARCHIVE, DATA_OBJECT, DATA_PREFIX };

struct model_data {
	enum data_kind kind;
	const char *url; /* in the container's JSON */
};

/* model_data_read: what a ContainerDefinition says. -1: a combination that there is not (EINVAL), the sentence for CreateModel. */
int model_data_read(const cJSON *container, struct model_data *out, struct err *e) _must_check_;

/* model_data_exists: 1, 0 (*e has AWS's sentence), -1 our own trouble. Takes the database's lock. */
int model_data_exists(struct backend *be, const struct model_data *d, struct err *e) _must_check_;

/* model_data_fetch: into the empty directory, its bytes compared with what was uploaded. Blocking; cancel ends it. */
int model_data_fetch(struct backend *be, const struct model_data *d, int dirfd,
		     struct cancel *cancel, struct err *e) _must_check_;

/*
 * model_data_code: what the container's Environment names as the user's code: for SAGEMAKER_SUBMIT_DIRECTORY with an s3:// URL in
 * a container that downloads it (those on sagemaker-containers: scikit-learn, XGBoost, and the older ones of TensorFlow, MXNet and
 * PyTorch) the archive, else DATA_NONE.
 */
void model_data_code(const cJSON *container, struct model_data *out);

#endif
