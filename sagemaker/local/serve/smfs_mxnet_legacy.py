"""The containers of MXNet up to 1.3: mxnet_container on container_support (to 1.2), then
sagemaker_mxnet_container on sagemaker-containers (1.3).

Both load model-symbol.json, model-0000.params and model-shapes.json by themselves, take
code from S3, and differ in the arguments of the user's functions and in their errors.
"""
import csv
import io
import json
import os
import sys

import smfs_http as http
import smfs_legacy as legacy
import smfs_packages as packages
import smfs_toolkit as toolkit

FILES = ("model-symbol.json", "model-0000.params", "model-shapes.json")


def batch_size():
    """As 1.3 calls its default model_fn, the variable has no effect."""
    if not legacy.uses_container_support("mxnet"):
        return 1
    return int(os.environ.get("SAGEMAKER_DEFAULT_MODEL_FIRST_DIMENSION_SIZE", "1"))


def default_model(directory):
    """A Module bound to the shapes that the model states, its first dimension the preferred batch size."""
    import mxnet as mx
    for name in FILES:
        if not os.path.exists(os.path.join(directory, name)):
            raise ValueError("missing %s file" % name)
    with open(os.path.join(directory, FILES[2])) as file:
        shapes = [(row["name"], [batch_size() or row["shape"][0]] + row["shape"][1:]) for row in json.load(file)]
    symbol, arguments, auxiliary = mx.model.load_checkpoint(os.path.join(directory, "model"), 0)
    module = mx.mod.Module(symbol=symbol, context=mx.cpu(), data_names=[name for name, _ in shapes], label_names=None)
    module.bind(for_training=False, data_shapes=shapes)
    module.set_params(arguments, auxiliary, allow_missing=True)
    return module


def is_module(model):
    import mxnet as mx
    if isinstance(model, mx.module.BaseModule):
        return True
    if isinstance(model, mx.gluon.block.Block):
        return False
    raise ValueError("Unsupported model type: %s" % type(model).__name__)


def iterator(model, array):
    """The rows as batches of the model's size; zeros fill the last one up and are no part of the answer."""
    import mxnet as mx
    [(_, shape)] = [(d[0], d[1]) for d in model.data_shapes]
    missing = max(0, shape[0] - array.shape[0])
    if missing:
        array = mx.nd.concat(array, mx.nd.zeros((missing,) + array.shape[1:]), dim=0)
    batches = mx.io.NDArrayIter(array, batch_size=shape[0], last_batch_handle="pad")
    if missing:
        batches.getpad = lambda: missing
    return batches


# ---- to 1.2 ----

def module_input(model, data, content_type):
    import mxnet as mx
    if content_type == toolkit.JSON:
        return iterator(model, mx.nd.array(json.loads(data)))
    if content_type != toolkit.CSV:
        raise legacy.UnsupportedContentTypeError(content_type)
    if len(model.data_shapes) != 1:
        raise legacy.UnsupportedInputShapeError(len(model.data_shapes))
    shape = tuple(model.data_shapes[0][1][1:])
    rows = [[float(cell) for cell in row] for row in csv.reader(io.StringIO(data))]
    return iterator(model, mx.nd.array(rows).reshape((len(rows),) + shape))


def module_output(prediction, accept):
    rows = [row.asnumpy() for row in prediction]
    if accept == toolkit.JSON:
        return json.dumps([row.tolist() for row in rows]), accept
    if accept != toolkit.CSV:
        raise legacy.UnsupportedAcceptTypeError(accept)
    out = io.StringIO()
    csv.writer(out).writerows(row.flatten().tolist() for row in rows)
    return out.getvalue(), accept


def block_input(data, content_type):
    import mxnet as mx
    if content_type != toolkit.JSON:
        raise legacy.UnsupportedContentTypeError(content_type)
    return mx.nd.array(json.loads(data))


def block_output(prediction, accept):
    if accept != toolkit.JSON:
        raise legacy.UnsupportedAcceptTypeError(accept)
    return json.dumps(prediction.asnumpy().tolist()), accept


def transformer(model, user):
    """transform(content, content type, accept). Of a Module the user's functions get the model first, and
    process_request_fn may stand for two of them; of a Gluon block only predict_fn does."""
    def own(name, default):
        return getattr(user, name, None) or default

    if hasattr(user, "transform_fn"):
        return lambda data, content_type, accept: user.transform_fn(model, data, content_type, accept)
    if not is_module(model):
        read, predict = own("input_fn", block_input), own("predict_fn", lambda block, data: block(data))
        write = own("output_fn", block_output)
        return lambda data, content_type, accept: write(predict(model, read(data, content_type)), accept)
    read, predict = own("input_fn", module_input), own("predict_fn", lambda module, data: module.predict(data))
    process = own("process_request_fn", lambda model, data, kind: predict(model, read(model, data, kind)))
    write = own("output_fn", module_output)
    return lambda data, content_type, accept: write(process(model, data, content_type), accept)


def container_support():
    user = legacy.user_module()
    if user is None:
        http.fail("this container runs no model without a script, which may be empty: name one by SAGEMAKER_PROGRAM and, "
                  "by SAGEMAKER_SUBMIT_DIRECTORY, the tar.gz in S3 that has it")
    try:
        transform = transformer(getattr(user, "model_fn", default_model)(http.model_dir()), user)
    except BaseException as error:
        http.log_exception("cannot load the model")
        http.fail("cannot load the model: %s: %s" % (type(error).__name__, error))
    legacy.run(transform)


# ---- 1.3 ----

class Defaults:
    """The container's own functions; which ones depends on what model_fn returned."""

    def __init__(self):
        self.model, self.types = None, ()

    def model_fn(self, directory):
        return default_model(directory)

    def loaded(self, model):
        self.model, self.types = model, (toolkit.JSON, toolkit.CSV) if is_module(model) else (toolkit.JSON,)

    def input_fn(self, data, content_type):
        import mxnet as mx
        if content_type not in self.types:
            raise toolkit.UnsupportedFormatError(content_type)
        array = mx.nd.array(toolkit.decode(data, content_type).astype("float32"))
        if not is_module(self.model):
            return array
        if content_type == toolkit.CSV:
            array = array.reshape(self.model.data_shapes[0][1])
        return iterator(self.model, array)

    def predict_fn(self, data, model):
        return model.predict(data) if is_module(model) else model(data)

    def output_fn(self, prediction, accept):
        if accept not in self.types:
            raise toolkit.UnsupportedFormatError(accept)
        return toolkit.Response(toolkit.encode(prediction.asnumpy().tolist(), accept), mimetype=accept)


def sagemaker_containers(version):
    if not toolkit.program():
        http.fail("this container runs no model without a script, which may be empty: name one by SAGEMAKER_PROGRAM and, "
                  "by SAGEMAKER_SUBMIT_DIRECTORY, the tar.gz in S3 that has it")
    own = Defaults()
    toolkit.serve("MXNet", version, {name: getattr(own, name) for name in ("model_fn", "loaded", "input_fn", "predict_fn", "output_fn")})


def main():
    sys.dont_write_bytecode = True
    packages.install(toolkit.code_dir())
    import mxnet
    if legacy.uses_container_support("mxnet"):
        http.log_version("MXNet", mxnet.__version__)
        container_support()
    else:
        sagemaker_containers(mxnet.__version__)
