"""Trains the scikit-learn model of the tests, in the runtime that will serve it: pickles fit one version only.

usage: sklearn_models.py OUT      writes OUT/{model,columns,texts}/model.joblib and OUT/expected.json
"""
import json
import os
import sys

import joblib
import pandas
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


FRAME = pandas.DataFrame({"age": [22, 57, 46, 63, 31, 28], "city": ["NY", "Köln", "Paris", "Köln", "NY", "Paris"],
                          "income": [77058.5, 14694, 7952, 8960, 51000, 64000]})
TEXTS = ["good film", "bad, awful film", "great fun", "awful bad"]


def save(out, name, model):
    os.makedirs(os.path.join(out, name))
    joblib.dump(model, os.path.join(out, name, "model.joblib"))
    return model


def columns(out):
    """A pipeline that takes a DataFrame with text in it, and nothing else."""
    steps = ColumnTransformer([("numbers", StandardScaler(), ["age", "income"]),
                               ("words", OneHotEncoder(handle_unknown="ignore"), ["city"])])
    return save(out, "columns", make_pipeline(steps, LogisticRegression()).fit(FRAME, ["old" if a > 40 else "young" for a in FRAME.age]))


def main(out):
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)
    save(out, "model", model)
    texts = save(out, "texts", make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0]))
    rows = data.data[[0, 75, 149]].astype("float32")
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump({"framework": "sklearn", "version": sklearn.__version__, "rows": rows.tolist(),
                   "labels": model.predict(rows).tolist(),
                   "records": FRAME.to_dict("records"), "people": columns(out).predict(FRAME).tolist(),
                   "texts": TEXTS, "moods": texts.predict(TEXTS).tolist(),
                   "probabilities": model.predict_proba(rows).tolist()}, file)


main(sys.argv[1])
