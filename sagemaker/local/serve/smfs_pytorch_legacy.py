"""The containers of PyTorch before 1.2: sagemaker-containers around the user's script, which comes from S3."""
import sys

import smfs_http as http
import smfs_packages as packages
import smfs_toolkit as toolkit


def input_fn(data, content_type):
    import torch
    array = toolkit.decode(data, content_type)
    return torch.FloatTensor(array) if content_type in toolkit.UTF8_TYPES else torch.from_numpy(array)


def predict_fn(data, model):
    import torch
    model.eval()
    with torch.no_grad():
        return model(data)


def output_fn(prediction, accept):
    import torch
    if isinstance(prediction, torch.Tensor):
        prediction = prediction.detach().numpy()
    return toolkit.Response(toolkit.encode(prediction, accept), mimetype=accept)


DEFAULTS = {"input_fn": input_fn, "predict_fn": predict_fn, "output_fn": output_fn}


def main():
    sys.dont_write_bytecode = True
    if not toolkit.program():
        http.fail("PyTorch's containers before 1.2 run no model without a script: name one with model_fn by "
                  "SAGEMAKER_PROGRAM and, by SAGEMAKER_SUBMIT_DIRECTORY, the tar.gz in S3 that has it")
    packages.install(toolkit.code_dir())
    import torch
    toolkit.serve("PyTorch", torch.__version__, DEFAULTS, http.version_hint("pytorch", torch.__version__))
