"""A TensorFlow model on an endpoint with boto3 alone: upload, deploy, predict, delete.

usage: boto3_iris.py EXPORT      the directory with Servo/NUMBER/saved_model.pb; prints the answer

The export is an estimator's: its signature takes serialized tf.Examples, which code/inference.py
makes of plain numbers. Where AWS is, and with which keys, comes from the environment, as always.
"""
import io
import json
import os
import sys
import tarfile

import boto3

EXPORT = sys.argv[1]
NAME = "boto3-iris"
ROW = [6.4, 3.2, 4.5, 1.5]
HANDLER = b"""
import json
import requests

def handler(data, context):
    row = [float(x) for x in json.loads(data.read().decode("utf-8"))]
    reply = requests.post(context.rest_uri.replace(":predict", ":classify"), json={"examples": [{"inputs": row}]})
    if reply.status_code != 200:
        raise ValueError(reply.text)
    return reply.content, context.accept_header
"""

# An archive that has export/Servo/NUMBER and code/inference.py.
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w:gz") as tar:
    tar.add(EXPORT, "export")
    script = tarfile.TarInfo("code/inference.py")
    script.size = len(HANDLER)
    tar.addfile(script, io.BytesIO(HANDLER))

# SageMaker's default bucket.
session = boto3.Session()
account = session.client("sts").get_caller_identity()["Account"]
bucket = f"sagemaker-{session.region_name}-{account}"
s3 = session.client("s3")
if session.region_name == "us-east-1":
    s3.create_bucket(Bucket=bucket)
else:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": session.region_name})
s3.put_object(Bucket=bucket, Key="model/boto3-iris.tar.gz", Body=archive.getvalue())

sagemaker = session.client("sagemaker")
image = f"763104351884.dkr.ecr.{session.region_name}.amazonaws.com/tensorflow-inference:2.19.0-cpu"
sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=os.environ["SAGEMAKER_ROLE_ARN"], PrimaryContainer={
    "Image": image, "ModelDataUrl": f"s3://{bucket}/model/boto3-iris.tar.gz"})
sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[{
    "VariantName": "AllTraffic", "ModelName": NAME, "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}])
sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 900})

answer = session.client("sagemaker-runtime").invoke_endpoint(
    EndpointName=NAME, ContentType="application/json", Body=json.dumps(ROW))
print(answer["Body"].read().decode("utf-8"))

# What was made is deleted, so that nothing keeps costing.
sagemaker.delete_endpoint(EndpointName=NAME)
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
sagemaker.delete_model(ModelName=NAME)
