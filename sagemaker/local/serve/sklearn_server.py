"""The model server for scikit-learn: the user's script loads the model, as in AWS's container."""
import sys

import smfs_http as http
import smfs_packages as packages
import smfs_toolkit as toolkit


def input_fn(data, content_type):
    import numpy
    array = toolkit.decode(data, content_type)
    return array.astype(numpy.float32) if content_type in toolkit.UTF8_TYPES else array


def predict_fn(data, model):
    return model.predict(data)


def output_fn(prediction, accept):
    return toolkit.Response(toolkit.encode(prediction, accept), mimetype=accept)


# There is no default model_fn: only the script knows how it saved the model.
DEFAULTS = {"input_fn": input_fn, "predict_fn": predict_fn, "output_fn": output_fn}


def main():
    sys.dont_write_bytecode = True
    if not toolkit.program():
        http.fail("the scikit-learn container runs no model without a script: put one with model_fn beside the "
                  "model and name it by SAGEMAKER_PROGRAM (inference.py) and SAGEMAKER_SUBMIT_DIRECTORY "
                  "(/opt/ml/model/code, or the s3:// URL of a sourcedir.tar.gz) in the model's Environment")
    packages.install(toolkit.code_dir())
    import sklearn
    toolkit.serve("scikit-learn", sklearn.__version__, DEFAULTS, http.version_hint("sklearn", sklearn.__version__))


if __name__ == "__main__":
    http.start(main)
