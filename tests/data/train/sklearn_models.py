"""Trains the scikit-learn model of the tests, in the runtime that will serve it: pickles fit one version only.

usage: sklearn_models.py OUT      writes OUT/model/model.joblib and OUT/expected.json
"""
import json
import os
import sys

import joblib
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(out):
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)
    os.makedirs(os.path.join(out, "model"))
    joblib.dump(model, os.path.join(out, "model", "model.joblib"))
    rows = data.data[[0, 75, 149]].astype("float32")
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump({"framework": "sklearn", "version": sklearn.__version__, "rows": rows.tolist(),
                   "labels": model.predict(rows).tolist(),
                   "probabilities": model.predict_proba(rows).tolist()}, file)


main(sys.argv[1])
