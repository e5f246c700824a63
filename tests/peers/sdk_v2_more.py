"""Deploys a trained model with its script by the SageMaker Python SDK (version 2), asks it, and deletes it.

usage: sdk_v2_more.py FRAMEWORK TRAINED WORK      TRAINED: model/ and expected.json; WORK: an empty directory
"""
import json
import os
import shutil
import sys
import tarfile

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.huggingface import HuggingFaceModel
from sagemaker.pytorch import PyTorchModel
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.sklearn import SKLearnModel
from sagemaker.xgboost import XGBoostModel

FRAMEWORK, TRAINED, WORK = sys.argv[1:]
SESSION = sagemaker.Session()
EXPECTED = json.load(open(os.path.join(TRAINED, "expected.json"), encoding="utf-8"))

SKLEARN_SCRIPT = """
import inflection  # of requirements.txt
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""

XGBOOST_SCRIPT = """
import os
import xgboost
from sagemaker_xgboost_container import encoder

def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "xgboost-model"))
    return booster

def input_fn(body, content_type):
    return encoder.libsvm_to_dmatrix(body) if "libsvm" in content_type else encoder.csv_to_dmatrix(body, dtype=float)
"""

PYTORCH_SCRIPT = """
import torch

def predict_fn(data, model):
    with torch.no_grad():
        return torch.softmax(model(data), 1)
"""


def check(name, good, detail=""):
    print(f"ok {FRAMEWORK}: {name}" if good else f"FAIL {FRAMEWORK}: {name}: {detail}", flush=True)


def upload():
    path = os.path.join(WORK, "model.tar.gz")
    os.makedirs(WORK, exist_ok=True)
    with tarfile.open(path, "w:gz") as t:
        for entry in sorted(os.listdir(os.path.join(TRAINED, "model"))):
            t.add(os.path.join(TRAINED, "model", entry), entry)
    return SESSION.upload_data(path, key_prefix=FRAMEWORK)


def script(text, name="entry.py"):
    path = os.path.join(WORK, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def close(got, want):
    return np.allclose(np.array(got, "float64").ravel(), np.array(want, "float64").ravel(), atol=1e-5)


def ask(predictor, way, want, body, serializer=None, deserializer=None):
    if serializer:
        predictor.serializer, predictor.deserializer = serializer, deserializer
    answer = predictor.predict(body)
    check(f"predict by {way} answers the framework's own numbers", close(answer, want), answer)


def sklearn(data):
    script("inflection==0.5.1\n", "source/requirements.txt")
    source = os.path.dirname(script(SKLEARN_SCRIPT, "source/entry.py"))
    model = SKLearnModel(model_data=data, framework_version="1.2-1", entry_point="entry.py", source_dir=source,
                         sagemaker_session=SESSION)
    yield model
    rows = np.array(EXPECTED["rows"], "float32")
    ask(model.predictor, "npy", EXPECTED["labels"], rows)
    ask(model.predictor, "csv", EXPECTED["labels"], rows, CSVSerializer(), CSVDeserializer())
    ask(model.predictor, "json", EXPECTED["labels"], rows, JSONSerializer(), JSONDeserializer())


def xgboost(data):
    model = XGBoostModel(model_data=data, framework_version="1.7-1", entry_point=script(XGBOOST_SCRIPT), sagemaker_session=SESSION)
    yield model
    rows, want = EXPECTED["rows"], EXPECTED["probabilities"]
    ask(model.predictor, "libsvm", want, "\n".join(
        "0 " + " ".join(f"{i}:{x}" for i, x in enumerate(row)) for row in rows))
    ask(model.predictor, "csv", want, np.array(rows), CSVSerializer(), CSVDeserializer())


def pytorch(data):
    model = PyTorchModel(model_data=data, framework_version="2.1", py_version="py310", entry_point=script(PYTORCH_SCRIPT),
                         sagemaker_session=SESSION)
    yield model
    rows = np.array(EXPECTED["rows"], "float32")
    ask(model.predictor, "npy", EXPECTED["probabilities"], rows)
    ask(model.predictor, "json", EXPECTED["probabilities"], rows, JSONSerializer(), JSONDeserializer())


def huggingface(data):
    model = HuggingFaceModel(model_data=data, transformers_version="4.37.0", pytorch_version="2.1.0", py_version="py310",
                             sagemaker_session=SESSION)
    yield model
    answer = model.predictor.predict({"inputs": EXPECTED["texts"]})
    check("predict answers the framework's own numbers", close([row["score"] for row in answer], [rows[0]["score"] for rows in EXPECTED["answers"]]), answer)


def main():
    steps = {"sklearn": sklearn, "xgboost": xgboost, "pytorch": pytorch, "huggingface": huggingface}[FRAMEWORK](upload())
    model = next(steps)
    model.predictor = model.deploy(initial_instance_count=1, instance_type="ml.m5.large")
    print()  # behind the SDK's "---!"
    name = model.predictor.endpoint_name
    status = SESSION.sagemaker_client.describe_endpoint(EndpointName=name)["EndpointStatus"]
    check("deploy waits until it is in service", status == "InService", status)
    for _ in steps:
        pass
    model.predictor.delete_endpoint()
    model.delete_model()
    names = [e["EndpointName"] for e in SESSION.sagemaker_client.list_endpoints(StatusEquals="InService")["Endpoints"]]
    check("delete_endpoint", name not in names, names)
    shutil.rmtree(WORK)


main()
