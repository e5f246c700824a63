"""The model server for Hugging Face: AWS's own handlers on Transformers, without the Java in front.

sagemaker-huggingface-inference-toolkit makes a pipeline of the model's files and asks it, as in the
container; smfs_mms is what multi-model-server is there.
"""
import os
import sys

import smfs_http as http
import smfs_mms as mms
import smfs_toolkit as toolkit


class PredictionException(Exception):
    """multi-model-server's: an error whose status the handler chooses."""

    def __init__(self, message, error_code=500):
        super().__init__(message)
        self.message, self.error_code = message, error_code


def offer_names():
    """What the toolkit imports of multi-model-server."""
    service = toolkit.as_module("mms.service", PredictionException=PredictionException)
    toolkit.as_module("mms", service=service, __path__=[])


def import_service():
    offer_names()
    import transformers
    from sagemaker_huggingface_inference_toolkit.handler_service import HuggingFaceHandlerService
    return HuggingFaceHandlerService(), transformers.__version__


def check_environment():
    """The container would download what these name; a model server here has no network."""
    if os.environ.get("HF_MODEL_ID") and not os.environ["HF_MODEL_ID"].startswith("/"):
        http.fail("HF_MODEL_ID names '%s' of the Hugging Face Hub, which a model server without network cannot download: "
                  "put the model's files (save_pretrained) into model.tar.gz" % os.environ["HF_MODEL_ID"])


def main():
    sys.dont_write_bytecode = True
    check_environment()
    # What is not in the model is looked for on the Hub otherwise, which takes long to fail.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    mms.serve(mms.load("Hugging Face", import_service))


if __name__ == "__main__":
    http.start(main)
