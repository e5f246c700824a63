"""SageMaker SDK version 3's resources (sagemaker-core): Model, EndpointConfig, Endpoint: create, wait, invoke, update, delete.

usage: sdk_v3.py DATA      DATA: tests/data; AWS comes from the environment
"""
import io
import json
import os
import sys
import tarfile

import boto3
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

DATA = sys.argv[1]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu"
BUCKET = "sdk-v3-models"


def check(name, good, detail=""):
    print(f"ok {name}" if good else f"FAIL {name}: {detail}", flush=True)


def upload():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        t.add(os.path.join(DATA, "tensorflow-keras", "iris"), "iris")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="iris/model.tar.gz", Body=out.getvalue())
    return f"s3://{BUCKET}/iris/model.tar.gz"


def main():
    model = Model.create(model_name="v3", execution_role_arn=os.environ["SAGEMAKER_ROLE_ARN"],
                         primary_container=ContainerDefinition(image=IMAGE, model_data_url=upload()))
    check("Model.create", model.get_name() == "v3", model)
    variant = ProductionVariant(variant_name="AllTraffic", model_name="v3", initial_instance_count=1, instance_type="ml.m5.large",
                                initial_variant_weight=1.0)
    config = EndpointConfig.create(endpoint_config_name="v3", production_variants=[variant])
    endpoint = Endpoint.create(endpoint_name="v3", endpoint_config_name="v3")
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    check("Endpoint.wait_for_status", endpoint.endpoint_status == "InService", endpoint.endpoint_status)
    expected = json.load(open(os.path.join(DATA, "tensorflow-keras", "expected.json")))["requests"][0]
    reply = endpoint.invoke(body=json.dumps(expected["body"]), content_type="application/json")
    got = json.loads(reply.body.read())["predictions"][0]
    want = expected["output"]["predictions"][0]
    check("Endpoint.invoke answers the framework's own numbers", all(abs(a - b) < 1e-5 for a, b in zip(got, want)), got)
    EndpointConfig.create(endpoint_config_name="v3-b", production_variants=[variant])
    endpoint.endpoint_config_name = "v3-b"
    endpoint.update()
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    endpoint.refresh()
    check("Endpoint.update", endpoint.endpoint_config_name == "v3-b", endpoint.endpoint_config_name)
    names = [e.endpoint_name for e in Endpoint.get_all()]
    check("Endpoint.get_all", names == ["v3"], names)
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=60)
    config.delete()
    model.delete()
    print()  # behind the SDK's progress
    check("all deleted", not list(Endpoint.get_all()) and not list(Model.get_all()))


main()
