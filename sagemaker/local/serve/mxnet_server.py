"""The model server for MXNet: AWS's own handlers, without the Java in front.

sagemaker-mxnet-inference decides how a model is loaded and asked, as in the
container; smfs_mms is what multi-model-server is there.
"""
import os
import sys

import smfs_http as http
import smfs_legacy as legacy
import smfs_mms as mms

# What the container sets, when the user has not.
CONTAINER_ENVIRONMENT = {
    "MXNET_CPU_WORKER_NTHREADS": "1", "MXNET_CPU_PRIORITY_NTHREADS": "1",
    "MXNET_KVSTORE_REDUCTION_NTHREADS": "1", "OMP_NUM_THREADS": "1",
}


def prepare_environment():
    for name, value in CONTAINER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.dont_write_bytecode = True
    if sys.version_info < (3, 12):
        # The standard distutils (MXNet asks it for a version) loads faster
        # than the copy that setuptools would put in its place.
        os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")


def import_service():
    """AWS's handler service. scipy.stats, which MXNet imports for quantizing
    only and does without, is kept out meanwhile: it costs 0.3 s."""
    sys.modules["scipy.stats"] = None
    try:
        import mxnet
        from sagemaker_mxnet_serving_container.handler_service import HandlerService
    finally:
        del sys.modules["scipy.stats"]
    return HandlerService(), mxnet.__version__


def reason(error):
    """What went wrong, without MXNet's C++ stack around it."""
    text = str(error).split("Stack trace:")[0].strip()
    if "Traceback (most recent call last)" in text:
        text = text.rpartition("Error: ")[2]
    return text


def main():
    prepare_environment()
    if legacy.downloads_code("mxnet"):
        import smfs_mxnet_legacy
        smfs_mxnet_legacy.main()
        return
    mms.serve(mms.load("MXNet", import_service, reason))


if __name__ == "__main__":
    http.start(main)
