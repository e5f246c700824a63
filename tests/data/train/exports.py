"""Writes the small exports of tests/data that recognition is tested on, each by its framework itself.

usage: exports.py KIND OUT      KIND: a function below; needs that framework

The data is the same everywhere: three clouds of points in four dimensions.
"""
import json
import os
import pickle
import sys

import numpy

CENTRES = ((0, 0, 1, 0), (3, 1, 0, 2), (1, 4, 2, 5))


def points():
    random = numpy.random.RandomState(1)
    data = numpy.concatenate([centre + random.normal(0, 0.5, (40, 4)) for centre in CENTRES])
    return data.astype("float32"), numpy.arange(3).repeat(40)


def at(out, *path):
    full = os.path.join(out, *path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def expect(out, framework, version, rows, output):
    with open(at(out, "expected.json"), "w") as file:
        json.dump({"framework": framework, "version": version,
                   "requests": [{"body": numpy.asarray(rows).tolist(), "output": numpy.asarray(output).tolist()}]}, file)


def sklearn(out):
    import joblib
    import sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    out = os.path.join(out, "sklearn-points")
    data, labels = points()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data, labels)
    joblib.dump(model, at(out, "joblib", "model.joblib"))
    joblib.dump(model, at(out, "packed", "model.joblib"), compress=3)
    with open(at(out, "pickle", "model.pkl"), "wb") as file:
        pickle.dump(model, file)
    expect(out, "sklearn", sklearn.__version__, data[::40], model.predict(data[::40]))


def xgboost(out):
    import xgboost
    out = os.path.join(out, "xgboost-points")
    data, labels = points()
    model = xgboost.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 2, "nthread": 1, "seed": 1},
                          xgboost.DMatrix(data, labels), 4)
    model.save_model(at(out, "json", "model.json"))
    model.save_model(at(out, "ubj", "model.ubj"))
    with open(at(out, "xgboost-model", "xgboost-model"), "wb") as file:
        pickle.dump(model, file)
    classifier = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(data, labels)
    with open(at(out, "classifier", "model.pkl"), "wb") as file:
        pickle.dump(classifier, file)
    expect(out, "xgboost", xgboost.__version__, data[::40], model.predict(xgboost.DMatrix(data[::40])))


def lightgbm(out):
    import lightgbm
    out = os.path.join(out, "lightgbm-points")
    data, labels = points()
    model = lightgbm.train({"objective": "multiclass", "num_class": 3, "num_leaves": 4, "num_threads": 1, "verbose": -1,
                            "min_data_in_leaf": 5}, lightgbm.Dataset(data, labels), 3)
    model.save_model(at(out, "text", "model.txt"))
    expect(out, "lightgbm", lightgbm.__version__, data[::40], model.predict(data[::40]))


def onnx(out):
    """Two layers, as one file and with its weights beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
    out = os.path.join(out, "onnx-points")
    random = numpy.random.RandomState(2)
    weights = [random.normal(0, 1, shape).astype("float32") for shape in ((4, 8), (8,), (8, 3), (3,))]
    nodes = [helper.make_node("Gemm", ["input", "w1", "b1"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Gemm", ["r", "w2", "b2"], ["scores"])]
    graph = helper.make_graph(
        nodes, "points", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(w, name) for w, name in zip(weights, ("w1", "b1", "w2", "b2"))])
    model = helper.make_model(graph, producer_name="points", ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model)
    rows = points()[0][::40]
    expect(out, "onnx", onnx.__version__, rows, ReferenceEvaluator(model).run(None, {"input": rows})[0])
    onnx.save(model, at(out, "one", "model.onnx"))
    onnx.save(model, at(out, "beside", "model.onnx"), save_as_external_data=True, location="model.bin", size_threshold=0)


def pytorch(out):
    import torch
    out = os.path.join(out, "pytorch-points")
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    torch.jit.script(model).save(at(out, "script", "model.pt"))
    torch.save(model.state_dict(), at(out, "weights", "model.pth"))
    torch.save(model, at(out, "module", "model.pth"))
    torch.save(model.state_dict(), at(out, "old", "model.pth"), _use_new_zipfile_serialization=False)
    rows = points()[0][::40]
    with torch.no_grad():
        expect(out, "pytorch", torch.__version__, rows, model(torch.from_numpy(rows)))


def huggingface(out):
    import transformers
    config = transformers.DistilBertConfig(vocab_size=40, dim=8, n_layers=1, n_heads=2, hidden_dim=16,
                                           max_position_embeddings=16, num_labels=2)
    model = transformers.DistilBertForSequenceClassification(config)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "very"]
    vocabulary = at(out, "vocab.txt")
    with open(vocabulary, "w") as file:
        file.write("\n".join(words) + "\n")
    tokenizer = transformers.DistilBertTokenizer(vocabulary)
    os.remove(vocabulary)
    for name, size in (("one", "1GB"), ("shards", "2KB")):
        target = os.path.join(out, "huggingface-tiny", name)
        model.save_pretrained(target, safe_serialization=True, max_shard_size=size)
        tokenizer.save_pretrained(target)


def gluon(out):
    import mxnet
    out = os.path.join(out, "mxnet-gluon")
    mxnet.random.seed(1)
    net = mxnet.gluon.nn.HybridSequential()
    net.add(mxnet.gluon.nn.Dense(8, activation="relu"), mxnet.gluon.nn.Dense(3))
    net.initialize()
    net.hybridize()
    rows = points()[0][::40]
    output = net(mxnet.nd.array(rows)).asnumpy()
    net.export(at(out, "export", "points"), epoch=0)
    expect(out, "mxnet", mxnet.__version__, rows, output)


def tensorflow(out):
    """Two versions, a table whose words are an asset."""
    import tensorflow
    out = os.path.join(out, "tensorflow-words")
    words = at(out, "words.txt")
    with open(words, "w") as file:
        file.write("bad\ngood\n")

    class Words(tensorflow.Module):
        def __init__(self, add):
            super().__init__()
            self.add = tensorflow.Variable(add, dtype=tensorflow.int64)
            self.table = tensorflow.lookup.StaticHashTable(tensorflow.lookup.TextFileInitializer(
                words, tensorflow.string, tensorflow.lookup.TextFileIndex.WHOLE_LINE,
                tensorflow.int64, tensorflow.lookup.TextFileIndex.LINE_NUMBER), -1)

        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None], tensorflow.string, "words")])
        def number(self, words):
            return {"number": self.table.lookup(words) + self.add}

    for version, add in (("1", 0), ("2", 10)):
        module = Words(add)
        tensorflow.saved_model.save(module, at(out, "words", version, ""), signatures=module.number)
    os.remove(words)


globals()[sys.argv[1]](sys.argv[2])
