"""The same in the container of its time: TensorFlow 1.10, whose script comes from S3 and which takes a bare list.

usage: boto3_iris_1_10.py EXPORT      the directory with Servo/NUMBER/saved_model.pb; prints the answer

A list is one tf.Example with the key `inputs`; the answer is TensorFlow Serving's message as JSON.
"""
import io
import json
import os
import sys
import tarfile

import boto3

EXPORT = sys.argv[1]
NAME = "boto3-iris-1-10"
ROW = [6.4, 3.2, 4.5, 1.5]
SCRIPT = b"""
import json
from google.protobuf import json_format

def output_fn(response, accept):
    classes = json.loads(json_format.MessageToJson(response))["result"]["classifications"][0]["classes"]
    return json.dumps({c["label"]: c["score"] for c in classes})
"""


def upload(key, add):
    """A tar.gz in SageMaker's default bucket; its address."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        add(tar)
    s3.put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
    return f"s3://{bucket}/{key}"


def add_script(tar):
    member = tarfile.TarInfo("iris_dnn_classifier.py")
    member.size = len(SCRIPT)
    tar.addfile(member, io.BytesIO(SCRIPT))


session = boto3.Session()
account = session.client("sts").get_caller_identity()["Account"]
bucket = f"sagemaker-{session.region_name}-{account}"
s3 = session.client("s3")
if session.region_name == "us-east-1":
    s3.create_bucket(Bucket=bucket)
else:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": session.region_name})
model = upload("model/model.tar.gz", lambda tar: tar.add(EXPORT, "export"))
source = upload("model/sourcedir.tar.gz", add_script)

sagemaker = session.client("sagemaker")
image = f"520713654638.dkr.ecr.{session.region_name}.amazonaws.com/sagemaker-tensorflow:1.10.0-cpu-py2"
sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=os.environ["SAGEMAKER_ROLE_ARN"], PrimaryContainer={
    "Image": image, "ModelDataUrl": model,
    "Environment": {"SAGEMAKER_PROGRAM": "iris_dnn_classifier.py", "SAGEMAKER_SUBMIT_DIRECTORY": source,
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20", "SAGEMAKER_REGION": session.region_name}})
sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[{
    "VariantName": "AllTraffic", "ModelName": NAME, "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}])
sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 900})

answer = session.client("sagemaker-runtime").invoke_endpoint(
    EndpointName=NAME, ContentType="application/json", Body=json.dumps(ROW))
print(answer["Body"].read().decode("utf-8"))

sagemaker.delete_endpoint(EndpointName=NAME)
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
sagemaker.delete_model(ModelName=NAME)
