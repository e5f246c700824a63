"""An MXNet model on an endpoint with boto3 alone: upload, deploy, predict, delete.

usage: boto3_digits.py MODEL IMAGE.json      the directory with model-symbol.json, model-0000.params and
                                             model-shapes.json; a drawn digit as nested lists; prints ten probabilities

Where AWS is, and with which keys, comes from the environment, as always.
"""
import io
import os
import sys
import tarfile

import boto3

MODEL, DIGIT = sys.argv[1:]
NAME = "boto3-digits"

# A flat archive, and a script: the container starts with an empty one, but not with none.
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w:gz") as tar:
    for name in ("model-symbol.json", "model-0000.params", "model-shapes.json"):
        tar.add(os.path.join(MODEL, name), name)
    tar.addfile(tarfile.TarInfo("code/mnist.py"))

session = boto3.Session()
account = session.client("sts").get_caller_identity()["Account"]
bucket = f"sagemaker-{session.region_name}-{account}"
s3 = session.client("s3")
if session.region_name == "us-east-1":
    s3.create_bucket(Bucket=bucket)
else:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": session.region_name})
s3.put_object(Bucket=bucket, Key="model/boto3-digits.tar.gz", Body=archive.getvalue())

sagemaker = session.client("sagemaker")
image = f"763104351884.dkr.ecr.{session.region_name}.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=os.environ["SAGEMAKER_ROLE_ARN"], PrimaryContainer={
    "Image": image, "ModelDataUrl": f"s3://{bucket}/model/boto3-digits.tar.gz",
    "Environment": {"SAGEMAKER_PROGRAM": "mnist.py"}})
sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[{
    "VariantName": "AllTraffic", "ModelName": NAME, "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}])
sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 900})

with open(DIGIT, "rb") as body:
    answer = session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=NAME, ContentType="application/json", Body=body.read())
print(answer["Body"].read().decode("utf-8"))

sagemaker.delete_endpoint(EndpointName=NAME)
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
sagemaker.delete_model(ModelName=NAME)
