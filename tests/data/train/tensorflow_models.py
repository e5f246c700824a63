"""Trains the TensorFlow models of tests/data with TensorFlow 2.15.

The estimator is the one of Amazon's blog post on bringing your own model; 2.15
is the last TensorFlow that has estimators.
usage: tensorflow_models.py OUT
"""
import json
import os
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_iris

INPUT = "inputs"


def iris():
    data = load_iris()
    order = np.random.RandomState(0).permutation(len(data.data))
    return data.data[order].astype("float32"), data.target[order].astype("int32")


def serving_input_fn():
    spec = {INPUT: tf.io.FixedLenFeature(dtype=tf.float32, shape=[4])}
    return tf.compat.v1.estimator.export.build_parsing_serving_input_receiver_fn(spec)()


def write_expected(path, content_type, requests):
    with open(os.path.join(path, "expected.json"), "w") as out:
        json.dump({"framework": "tensorflow", "version": tf.__version__,
                   "content_type": content_type, "requests": requests}, out, indent=1)
        out.write("\n")


def train_estimator(out):
    """out/export/Servo/N: the post's DNNClassifier, serving tf.Example."""
    features, labels = iris()

    def input_fn():
        return tf.data.Dataset.from_tensor_slices(({INPUT: features}, labels)).repeat().batch(30)

    columns = [tf.feature_column.numeric_column(INPUT, shape=[4])]
    config = tf.estimator.RunConfig(tf_random_seed=1, save_summary_steps=None)
    # The default of the TensorFlow of the post; 2.15's learns 50 times slower.
    optimizer = tf.keras.optimizers.legacy.Adagrad(0.05)
    classifier = tf.estimator.DNNClassifier(feature_columns=columns, hidden_units=[10, 20, 10],
                                            n_classes=3, config=config, optimizer=optimizer)
    classifier.train(input_fn=input_fn, steps=1000)
    classifier.export_saved_model(os.path.join(out, "export", "Servo"), serving_input_fn)

    samples = [[6.4, 3.2, 4.5, 1.5], [5.1, 3.5, 1.4, 0.2], [6, 3, 4, 1], [7.7, 2.6, 6.9, 2.3]]
    predicted = classifier.predict(
        lambda: tf.data.Dataset.from_tensors({INPUT: np.array(samples, "float32")}))
    answers = [p["probabilities"].tolist() for p in predicted]
    write_expected(out, "application/json",
                   [{"body": body, "probabilities": probabilities}
                    for body, probabilities in zip(samples, answers)])


def train_keras(out):
    """out/iris/1: a Keras model saved with two signatures of named tensors."""
    tf.keras.utils.set_random_seed(1)
    features, labels = iris()
    model = tf.keras.Sequential([
        tf.keras.layers.Input(shape=(4,), name="flower"),
        tf.keras.layers.Dense(16, activation="relu"),
        tf.keras.layers.Dense(3, activation="softmax", name="probabilities"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(features, labels, epochs=60, batch_size=16, verbose=0)
    model.export(os.path.join(out, "iris", "1"))
    strip_debug_info(os.path.join(out, "iris", "1"))

    samples = [[6.4, 3.2, 4.5, 1.5], [5.1, 3.5, 1.4, 0.2], [7.7, 2.6, 6.9, 2.3]]
    answers = model(np.array(samples, "float32")).numpy().tolist()
    write_expected(out, "application/json", [
        {"body": {"instances": samples}, "output": {"predictions": answers}},
        {"body": {"inputs": samples}, "output": {"outputs": answers}},
        {"body": samples, "output": {"predictions": answers}},
        {"body": samples[0], "output": {"predictions": answers[:1]}},
    ])


class Shapes(tf.Module):
    """Named, typed tensors of every kind that requests are checked against."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x"),
                                  tf.TensorSpec([None], tf.int64, name="n")])
    def two(self, x, n):
        return {"scaled": x * tf.cast(n, tf.float32)[:, None], "next": n + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def words(self, text):
        return {"upper": tf.strings.upper(text), "raw_bytes": text, "long": tf.strings.length(text) > 3}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def inverse(self, x):
        return {"inverse": 1 / x}


def save_shapes(out):
    """out/shapes/{1,2}: two versions, three signatures, no variables."""
    for version in ("1", "2"):
        module = Shapes()
        signatures = {"serving_default": module.two, "words": module.words,
                      "inverse": module.inverse}
        if version == "1":
            signatures = {"serving_default": module.inverse}
        target = os.path.join(out, "shapes", version)
        tf.saved_model.save(module, target, signatures=signatures)
        strip_debug_info(target)
    write_expected(out, "application/json", [
        {"body": {"instances": [{"x": [1, 2.5], "n": 3}, {"x": [0, -1], "n": 2}]},
         "output": {"predictions": [{"scaled": [3.0, 7.5], "next": 4},
                                    {"scaled": [0.0, -2.0], "next": 3}]}},
        {"body": {"inputs": {"x": [[1, 2.5]], "n": [3]}},
         "output": {"outputs": {"scaled": [[3.0, 7.5]], "next": [4]}}},
    ])


def strip_debug_info(path):
    """Leaves out what no loader reads: debug info and the fingerprint."""
    shutil.rmtree(os.path.join(path, "assets"), ignore_errors=True)
    for name in ("fingerprint.pb", "keras_metadata.pb"):
        if os.path.exists(os.path.join(path, name)):
            os.remove(os.path.join(path, name))


def damage(out):
    """out/bad: copies of the Keras export that lack something."""
    source = os.path.join(out, "tensorflow-keras", "iris", "1")
    for name, path in (("tensorflow-truncated", "saved_model.pb"),
                       ("tensorflow-truncated-variables", "variables/variables.data-00000-of-00001")):
        target = os.path.join(out, "bad", name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, os.path.join(target, "iris", "1"))
        path = os.path.join(target, "iris", "1", path)
        os.truncate(path, os.path.getsize(path) // 2)
    target = os.path.join(out, "bad", "tensorflow-no-variables")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, os.path.join(target, "iris", "1"),
                    ignore=shutil.ignore_patterns("variables.data*"))


def main(out):
    tf.random.set_seed(1)
    tf.get_logger().setLevel("ERROR")
    for name in ("tensorflow-estimator", "tensorflow-keras", "tensorflow-shapes"):
        shutil.rmtree(os.path.join(out, name), ignore_errors=True)
        os.makedirs(os.path.join(out, name))
    train_estimator(os.path.join(out, "tensorflow-estimator"))
    train_keras(os.path.join(out, "tensorflow-keras"))
    save_shapes(os.path.join(out, "tensorflow-shapes"))
    damage(out)


if __name__ == "__main__":
    main(sys.argv[1])
