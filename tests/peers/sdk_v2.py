"""The two notebooks of the blog post as programs of the SageMaker Python SDK (version 2) and nothing else: upload, model with an entry
point, deploy, predict, delete. Whatever AWS it reaches comes from the environment.

usage: sdk_v2.py DATA WORK      DATA: tests/data; WORK: an empty directory
"""
import json
import os
import shutil
import socket
import sys
import tarfile
import threading

import numpy as np
import sagemaker
from sagemaker.mxnet import MXNetModel
from sagemaker.tensorflow import TensorFlowModel

DATA, WORK = sys.argv[1:]
SESSION = sagemaker.Session()

# The post's model takes serialized tf.Examples: what a script that comes with it is for.
TENSORFLOW_SCRIPT = """
import json
import requests

def handler(data, context):
    body = {"examples": [{"inputs": json.loads(data.read().decode("utf-8"))}]}
    reply = requests.post(context.rest_uri.replace(":predict", ":classify"), json=body)
    if reply.status_code != 200:
        raise ValueError(reply.text)
    return reply.content, context.accept_header
"""

MXNET_SCRIPT = """
import mxnet as mx

def train(*args):
    raise RuntimeError("hosting does not train")
"""


def pack(name, source, below=""):
    path = os.path.join(WORK, name, "model.tar.gz")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tarfile.open(path, "w:gz") as t:
        for entry in sorted(os.listdir(source)):
            t.add(os.path.join(source, entry), below + entry)
    return path


def script(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def check(name, good, detail=""):
    print(f"ok {name}" if good else f"FAIL {name}: {detail}", flush=True)


def host(name, model, instance_type="ml.m4.xlarge"):
    predictor = model.deploy(initial_instance_count=1, instance_type=instance_type)
    print()  # behind the SDK's "---!"
    status = SESSION.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointStatus"]
    check(f"{name}: deploy waits until it is in service", status == "InService", status)
    made = SESSION.sagemaker_client.describe_model(ModelName=model.name)
    check(f"{name}: the role is the generated file's", made["ExecutionRoleArn"] == os.environ["SAGEMAKER_ROLE_ARN"], made)
    return predictor


def close(got, want):
    return np.allclose(np.array(got, "float64").ravel(), np.array(want, "float64").ravel(), atol=1e-5)


def end(name, predictor, model):
    predictor.delete_endpoint()
    model.delete_model()
    names = [e["EndpointName"] for e in SESSION.sagemaker_client.list_endpoints(StatusEquals="InService")["Endpoints"]]
    check(f"{name}: delete_endpoint", predictor.endpoint_name not in names, names)


def tensorflow():
    data = SESSION.upload_data(pack("tensorflow", os.path.join(DATA, "tensorflow-estimator", "export"), "export/"),
                               key_prefix="model")
    check("tensorflow: upload_data", data.endswith("/model/model.tar.gz"), data)
    model = TensorFlowModel(model_data=data, framework_version="2.19", entry_point=script("inference.py", TENSORFLOW_SCRIPT),
                            sagemaker_session=SESSION)
    predictor = host("tensorflow", model)
    expected = json.load(open(os.path.join(DATA, "tensorflow-estimator", "expected.json")))["requests"][0]
    answer = predictor.predict(json.loads(expected["body"]) if isinstance(expected["body"], str) else expected["body"])
    scores = [score for _, score in answer["results"][0]]
    check("tensorflow: predict answers the framework's own numbers", close(scores, expected["probabilities"]), answer)
    end("tensorflow", predictor, model)


def mxnet():
    data = SESSION.upload_data(pack("mxnet", os.path.join(DATA, "mxnet-digits", "model")), key_prefix="model")
    model = MXNetModel(model_data=data, framework_version="1.9.0", py_version="py38", entry_point=script("mnist.py", MXNET_SCRIPT),
                       sagemaker_session=SESSION)
    predictor = host("mxnet", model)
    expected = json.load(open(os.path.join(DATA, "mxnet-digits", "expected.json")))["requests"][0]
    answer = predictor.predict(json.loads(expected["body"]) if isinstance(expected["body"], str) else expected["body"])
    check("mxnet: predict answers ten probabilities, the framework's own", close(answer, expected["output"]), answer)
    end("mxnet", predictor, model)


def old_mxnet():
    """A container of the post's time: the SDK puts the script into a tar.gz of its own in S3."""
    data = SESSION.upload_data(pack("old", os.path.join(DATA, "mxnet-digits", "model")), key_prefix="old")
    model = MXNetModel(model_data=data, framework_version="1.2.1", py_version="py3", entry_point=script("mnist.py", MXNET_SCRIPT),
                       sagemaker_session=SESSION)
    predictor = host("mxnet 1.2", model)
    made = SESSION.sagemaker_client.describe_model(ModelName=model.name)["PrimaryContainer"]["Environment"]
    check("mxnet 1.2: the script is in S3", made["SAGEMAKER_SUBMIT_DIRECTORY"].startswith("s3://"), made)
    expected = json.load(open(os.path.join(DATA, "mxnet-digits", "expected.json")))["requests"][0]
    answer = predictor.predict(expected["body"])
    check("mxnet 1.2: predict answers the framework's own numbers", close(answer, expected["output"]), answer)
    end("mxnet 1.2", predictor, model)


def role():
    """What the documentation says of get_execution_role: it asks AWS's own STS, wherever the environment points. A proxy that
    notes the question and answers nothing stands in the way."""
    proxy = socket.create_server(("127.0.0.1", 0))
    asked = []

    def note():
        connection, _ = proxy.accept()
        asked.append(connection.recv(4096).decode("utf-8", "replace"))
        connection.close()

    threading.Thread(target=note, daemon=True).start()
    os.environ.update(HTTPS_PROXY=f"http://127.0.0.1:{proxy.getsockname()[1]}", AWS_MAX_ATTEMPTS="1")
    try:
        asked.append(sagemaker.get_execution_role())
    except Exception as e:  # whatever the SDK makes of it
        asked.append(repr(e))
    check("get_execution_role asks AWS's own STS", asked[0].startswith("CONNECT sts.") and ".amazonaws.com:443" in asked[0], asked)


def main():
    tensorflow()
    mxnet()
    old_mxnet()
    role()
    shutil.rmtree(WORK)


main()
