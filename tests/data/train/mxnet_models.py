"""Trains the MXNet models of tests/data with MXNet 1.9.1 and its Module API.

usage: mxnet_models.py OUT
"""
import json
import os
import shutil
import sys

import mxnet as mx
import numpy as np
from sklearn.datasets import load_digits, load_iris

BATCH = 10


def fit(symbol, features, labels, epochs):
    mx.random.seed(1)
    np.random.seed(1)
    train = mx.io.NDArrayIter(features, labels, BATCH, shuffle=True)
    module = mx.mod.Module(symbol, context=mx.cpu())
    module.fit(train, num_epoch=epochs, optimizer="adam", initializer=mx.init.Xavier(),
               optimizer_params={"learning_rate": 0.01})
    return module


def save(module, directory, prefix, epochs):
    """As in the post: a checkpoint, and the data's shape beside it.

    The shapes are written before anything scores: score() and predict() rebind
    the module to another batch size.
    """
    os.makedirs(directory)
    for epoch in epochs:
        module.save_checkpoint(os.path.join(directory, prefix), epoch)
    shapes = [{"shape": list(d.shape), "name": d.name} for d in module.data_shapes]
    with open(os.path.join(directory, prefix + "-shapes.json"), "w") as out:
        json.dump(shapes, out)


def predictions(directory, prefix, epoch, samples):
    """Loads the checkpoint again and predicts each sample by itself."""
    symbol, args, aux = mx.model.load_checkpoint(os.path.join(directory, prefix), epoch)
    module = mx.mod.Module(symbol, label_names=None)
    shape = (1,) + samples[0].shape
    module.bind(for_training=False, data_shapes=[("data", shape)])
    module.set_params(args, aux, allow_missing=True)
    answers = []
    for sample in samples:
        module.forward(mx.io.DataBatch([mx.nd.array(sample[None])]))
        answers.append(module.get_outputs()[0].asnumpy())
    return answers


def write_expected(directory, samples, answers):
    requests = [{"body": sample[None].tolist(), "output": answer.tolist()}
                for sample, answer in zip(samples, answers)]
    with open(os.path.join(os.path.dirname(directory), "expected.json"), "w") as out:
        json.dump({"framework": "mxnet", "version": mx.__version__,
                   "content_type": "application/json", "requests": requests}, out)
        out.write("\n")


def iris_network():
    data = mx.sym.Variable("data")
    hidden = mx.sym.Activation(mx.sym.FullyConnected(data, num_hidden=16, name="fc1"),
                               act_type="relu", name="relu1")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(hidden, num_hidden=3, name="fc2"),
                                name="softmax")


def digits_network():
    data = mx.sym.Variable("data")
    conv = mx.sym.Convolution(data, kernel=(3, 3), num_filter=8, name="conv1")
    pool = mx.sym.Pooling(mx.sym.Activation(conv, act_type="relu", name="relu1"),
                          pool_type="max", kernel=(2, 2), stride=(2, 2), name="pool1")
    hidden = mx.sym.FullyConnected(mx.sym.flatten(pool), num_hidden=32, name="fc1")
    hidden = mx.sym.Activation(hidden, act_type="relu", name="relu2")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(hidden, num_hidden=10, name="fc2"),
                                name="softmax")


def train_iris(out):
    """Prefix `iris`, epochs 3 and 7, which differ: the higher one counts."""
    data = load_iris()
    features, labels = data.data.astype("float32"), data.target.astype("float32")
    directory = os.path.join(out, "mxnet-iris", "model")
    shutil.rmtree(directory, ignore_errors=True)
    older = fit(iris_network(), features, labels, 3)
    save(older, directory, "iris", [3])
    module = fit(iris_network(), features, labels, 30)
    module.save_checkpoint(os.path.join(directory, "iris"), 7)
    samples = [features[i] for i in (0, 75, 149)]
    write_expected(directory, samples, predictions(directory, "iris", 7, samples))


def train_digits(out):
    """Prefix `model`, epoch 0, as in the post."""
    data = load_digits()
    features = (data.images[:, None] / 16).astype("float32")
    labels = data.target.astype("float32")
    directory = os.path.join(out, "mxnet-digits", "model")
    shutil.rmtree(directory, ignore_errors=True)
    save(fit(digits_network(), features, labels, 5), directory, "model", [0])
    samples = [features[i] for i in (0, 1, 8)]
    write_expected(directory, samples, predictions(directory, "model", 0, samples))


def damage(out):
    """out/bad: a checkpoint that lacks *-shapes.json, one with half its parameters."""
    for name in ("mxnet-no-shapes", "mxnet-truncated"):
        target = os.path.join(out, "bad", name)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        for file in ("iris-symbol.json", "iris-0007.params"):
            shutil.copy(os.path.join(out, "mxnet-iris", "model", file), target)
    shutil.copy(os.path.join(out, "mxnet-iris", "model", "iris-shapes.json"), target)
    path = os.path.join(target, "iris-0007.params")
    os.truncate(path, os.path.getsize(path) // 2)


def main(out):
    train_iris(out)
    train_digits(out)
    damage(out)


if __name__ == "__main__":
    main(sys.argv[1])
