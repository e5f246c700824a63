"""The model server for PyTorch: AWS's own handlers, without TorchServe around them.

sagemaker-pytorch-inference decides how a model is loaded and asked, as in the
container; smfs_mms is what TorchServe is there.
"""
import os
import sys

import smfs_http as http
import smfs_legacy as legacy
import smfs_mms as mms
import smfs_toolkit as toolkit


def offer_names():
    """What scripts that stream their answers import of TorchServe."""
    send = {"send_intermediate_predict_response": mms.send_intermediate_predict_response}
    toolkit.as_module("ts", __path__=[])
    for package, name in (("ts.handler_utils", "utils"), ("ts.protocol", "otf_message_handler")):
        toolkit.as_module(package, __path__=[], **{name: toolkit.as_module("%s.%s" % (package, name), **send)})


def import_service():
    offer_names()
    import torch
    from sagemaker_pytorch_serving_container.handler_service import HandlerService
    return HandlerService(), torch.__version__


def reason(error):
    """What went wrong: below the toolkit's advice, PyTorch's own sentence."""
    text = str(error)
    if error.__cause__ is not None:
        text += " (%s)" % str(error.__cause__).strip().splitlines()[0]
    return text


def main():
    sys.dont_write_bytecode = True
    if legacy.downloads_code("pytorch"):
        import smfs_pytorch_legacy
        smfs_pytorch_legacy.main()
        return
    # TorchServe's workers begin there, and the toolkit looks for *.pt and *.pth in it.
    os.chdir(http.model_dir())
    mms.serve(mms.load("PyTorch", import_service, reason))


if __name__ == "__main__":
    http.start(main)
