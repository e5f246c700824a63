"""Trains the XGBoost models of the tests, in the runtime that will serve them.

usage: xgboost_models.py OUT      writes OUT/model/xgboost-model (probabilities of three classes), OUT/pickled, OUT/two (regressions)
                                  and OUT/binary, each of a model's files, and OUT/expected.json
"""
import json
import os
import pickle
import sys

import xgboost
from sklearn.datasets import load_iris

ROUNDS = 10


def fit(data, labels, **parameters):
    return xgboost.train(dict(parameters, max_depth=3, nthread=1, seed=1), xgboost.DMatrix(data, labels), ROUNDS)


def save(model, out, *path):
    """As XGBoost's own JSON: it needs no name to be known by."""
    file = os.path.join(out, *path)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "wb") as f:
        f.write(model.save_raw("json"))


def main(out):
    data = load_iris()
    rows = data.data[[0, 75, 149]]
    asked = xgboost.DMatrix(rows)
    classes = fit(data.data, data.target, objective="multi:softprob", num_class=3)
    save(classes, out, "model", "xgboost-model")
    save(classes, out, "model", ".hidden")
    os.makedirs(os.path.join(out, "pickled"))
    with open(os.path.join(out, "pickled", "xgboost-model"), "wb") as file:
        pickle.dump(classes, file)
    regressions = [fit(data.data, data.target, objective="reg:squarederror", eta=eta) for eta in (0.1, 0.3)]
    for number, model in enumerate(regressions):
        save(model, out, "two", "xgboost-model-%d" % number)
    binary = fit(data.data, data.target == 2, objective="binary:logistic")
    save(binary, out, "binary", "xgboost-model")
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump({"framework": "xgboost", "version": xgboost.__version__, "rows": rows.tolist(),
                   "probabilities": classes.predict(asked).tolist(),
                   "regressions": [m.predict(asked).tolist() for m in regressions],
                   "binary": binary.predict(asked).tolist()}, file)


main(sys.argv[1])
