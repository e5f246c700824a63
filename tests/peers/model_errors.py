"""What clients see of models whose code misbehaves: boto3 against a real TensorFlow model with a hostile handler.

usage: model_errors.py MODEL      MODEL: a directory with NAME/NUMBER/saved_model.pb; AWS comes from the environment
"""
import io
import json
import os
import sys
import tarfile
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HANDLER = b"""
import os, sys, time

def handler(data, context):
    text = data.read().decode()
    if text == "print":
        for n in range(20000):
            print("line %d" % n)
    if text == "unicode":
        raise ValueError("\\u00fcber \\U0001f600 \\ud800")
    if text == "long":
        raise ValueError("x" * 3000000)
    if text == "exit":
        sys.exit("enough")
    if text == "large":
        return b"x" * (27 << 20), "text/plain"
    if text == "type":
        return 42, "text/plain"
    if text == "die":
        os._exit(3)
    return text, "text/plain"
"""
NAME = "hostile"


def check(name, good, detail=""):
    print(f"ok {name}" if good else f"FAIL {name}: {detail}", flush=True)


def deploy(model):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(model, "iris")
        script = tarfile.TarInfo("code/inference.py")
        script.size = len(HANDLER)
        tar.addfile(script, io.BytesIO(HANDLER))
    s3, sm = boto3.client("s3"), boto3.client("sagemaker")
    s3.create_bucket(Bucket="hostile-models")
    s3.put_object(Bucket="hostile-models", Key="model.tar.gz", Body=archive.getvalue())
    sm.create_model(ModelName=NAME, ExecutionRoleArn=os.environ["SAGEMAKER_ROLE_ARN"], PrimaryContainer={
        "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19.0-cpu",
        "ModelDataUrl": "s3://hostile-models/model.tar.gz"})
    sm.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[{
        "VariantName": "A", "ModelName": NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    return sm


def main():
    sm = deploy(sys.argv[1])
    runtime = boto3.client("sagemaker-runtime", config=Config(retries={"max_attempts": 1}))

    def invoke(text):
        return runtime.invoke_endpoint(EndpointName=NAME, ContentType="text/plain", Body=text.encode())["Body"].read().decode()

    def error(text):
        try:
            return {"answer": invoke(text)[:100]}
        except ClientError as e:
            r = e.response
            return dict(r["Error"], http=r["ResponseMetadata"]["HTTPStatusCode"], status=r.get("OriginalStatusCode"),
                        original=r.get("OriginalMessage", ""))

    for word, said in (("unicode", "\u00fcber \U0001f600 \ud800"), ("exit", "enough"), ("type", "must be text or bytes")):
        e = error(word)
        good = (e.get("Code"), e.get("http"), e.get("status")) == ("ModelError", 424, 500)
        check(f"{word}: ModelError 424 with the container's status and words",
              good and said in json.loads(e["original"])["error"] and "Received server error (500)" in e["Message"], e)
    e = error("long")
    check("long: ModelError; the message has the beginning", e.get("Code") == "ModelError" and "x" * 1000 in e["original"],
          str(e)[:300])
    e = error("large")
    check("large: what is over the limit is an error", e.get("http") in (413, 424), str(e)[:300])
    check("print: much in the log, and an answer", invoke("print") == "print")
    e = error("die")
    check("die: ModelError", (e.get("Code"), e.get("http"), e.get("status")) == ("ModelError", 424, 500), e)
    for _ in range(300):
        last = error("alive")
        if "answer" in last:
            break
        time.sleep(0.1)
    check("die: it is started again, with 503 until then", last == {"answer": "alive"}, last)
    check("the endpoint stayed InService", sm.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService")
    logs = boto3.client("logs")
    for pattern in ("enough", "line 19999", "\u00fcber"):
        events = logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{NAME}", filterPattern=f'"{pattern}"')["events"]
        check(f"the log has '{pattern}'", events, events)
    sm.delete_endpoint(EndpointName=NAME)


main()
