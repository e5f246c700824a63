"""InvokeEndpointAsync: 202 at once, the answer as an object; nothing is lost when the backend is killed, nothing is answered twice."""
import json
import time

from test_conformance import backend
from harness import B, IMAGE, archive, await_status, code_of, deploy, error_of, invoke, message_of, until

HEADERS = ("OutputLocation", "FailureLocation")


def create(name, client=None, **output):
    s3, sm = B.client("s3"), B.client("sagemaker")
    s3.put_object(Bucket="models", Key=name + "/model.tar.gz", Body=archive())
    sm.create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": IMAGE, "ModelDataUrl": "s3://models/%s/model.tar.gz" % name})
    output = output or {"S3OutputPath": "s3://models/out/", "S3FailurePath": "s3://models/failed"}
    sm.create_endpoint_config(
        EndpointConfigName=name, AsyncInferenceConfig=dict({"OutputConfig": output}, **client or {}),
        ProductionVariants=[{"VariantName": "A", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return await_status(name, "InService")


def ask(body=None, name="later", **kw):
    if body is not None:
        kw["Body"] = json.dumps(body).encode()
    return B.client("sagemaker-runtime").invoke_endpoint_async(EndpointName=name, ContentType="application/json", **kw)


def read(url, seconds=30):
    """The object at url, once it is there."""
    s3, (bucket, key) = B.client("s3"), url[5:].split("/", 1)
    end = time.time() + seconds
    while True:
        try:
            r = s3.get_object(Bucket=bucket, Key=key)
            return r["Body"].read(), r
        except s3.exceptions.NoSuchKey:
            assert time.time() < end, url
            time.sleep(0.05)


def test_async():
    d = create("later")
    assert d["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == "s3://models/out/", d
    r = ask({"x": 1})
    assert r["ResponseMetadata"]["HTTPStatusCode"] == 202 and r["InferenceId"], r
    assert r["OutputLocation"].startswith("s3://models/out/") and r["OutputLocation"].endswith(".out"), r
    assert r["FailureLocation"].startswith("s3://models/failed/") and r["FailureLocation"].endswith("-error.out"), r
    body, head = read(r["OutputLocation"])
    assert json.loads(body) == {"echo": '{"x": 1}', "content_type": "application/json"} and head["ContentType"] == "application/json"
    B.client("s3").put_object(Bucket="models", Key="in/a", Body=b"[" + b"1," * 500000 + b"1]")
    r = ask(InputLocation="s3://models/in/a", InferenceId="mine", S3OutputPathExtension="day/1", Filename="answer.json")
    assert r["InferenceId"] == "mine" and r["OutputLocation"] == "s3://models/out/day/1/answer.json", r
    assert len(json.loads(read(r["OutputLocation"])[0])["echo"]) == 1000003


def test_async_failures():
    body, _ = read(ask({"status": 503, "text": "tired"})["FailureLocation"])
    assert body == b'Received server error (503) from primary with message "tired"', body
    assert b"timed out" in read(ask({"sleep": 20}, InvocationTimeoutSeconds=1)["FailureLocation"])[0]
    assert b"there is no object s3://models/in/none" in read(ask(InputLocation="s3://models/in/none")["FailureLocation"])[0]
    assert code_of(ask, {}, name="none") == "ValidationError"
    assert "either InputLocation or a Body" in message_of(ask)
    assert "either InputLocation or a Body" in message_of(ask, {}, InputLocation="s3://models/in/a")
    assert error_of(ask, "x" * 128000)["ResponseMetadata"]["HTTPStatusCode"] == 413
    deploy("plain")
    assert "has no AsyncInferenceConfig" in message_of(ask, {}, name="plain")
    for kw, member in (({"RequestTTLSeconds": 59}, "requestTTLSeconds"), ({"InvocationTimeoutSeconds": 3601}, "invocationTimeoutSeconds"),
                       ({"S3OutputPathExtension": "s3://x"}, "s3OutputPathExtension"), ({"Filename": "a.b.c"}, "filename")):
        try:
            assert "at '%s' failed to satisfy constraint" % member in message_of(ask, {}, **kw)
        except Exception as e:  # botocore's own check
            assert "Invalid" in str(e), e
    refused = message_of(B.client("sagemaker").create_endpoint_config, EndpointConfigName="x", ProductionVariants=[
        {"VariantName": "A", "ModelName": "later", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}],
        AsyncInferenceConfig={"OutputConfig": {}})
    assert "needs OutputConfig.S3OutputPath" in refused, refused


def test_async_request_that_waits_too_long():
    """What is still in the queue when its time is over fails, with an object that says so; it is never asked."""
    with backend("ttl", "--async-ttl", "1"):
        B.client("s3").create_bucket(Bucket="models")
        create("short", {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}})
        first = ask({"sleep": 2.5}, name="short")
        second, third = ask({"n": 2}, name="short"), ask({"n": 3}, name="short", RequestTTLSeconds=60)
        body, _ = read(second["FailureLocation"])
        assert body == b"The request was not processed within its RequestTTLSeconds.", body
        assert json.loads(json.loads(read(third["OutputLocation"])[0])["echo"])["n"] == 3
        assert read(first["OutputLocation"])[0]
        s3 = B.client("s3")
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket="models", Prefix="out/")["Contents"]]
        assert len(keys) == 2, keys


def test_async_survives_kill():
    create("queue", {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}})
    asked = [ask({"sleep": 0.3, "n": n}, name="queue") for n in range(20)]
    read(asked[0]["OutputLocation"])
    for _ in range(2):
        B.kill()
        B.start()
        await_status("queue", "InService")
        time.sleep(0.7)
    etags = {}
    for n, r in enumerate(asked):
        body, head = read(r["OutputLocation"])
        assert json.loads(json.loads(body)["echo"])["n"] == n
        etags[n] = head["LastModified"], head["ETag"]
    time.sleep(1.5)
    for n, r in enumerate(asked):
        head = read(r["OutputLocation"])[1]
        assert etags[n] == (head["LastModified"], head["ETag"]), "answered once"


def test_async_of_a_deleted_endpoint():
    asked = [ask({"sleep": 1}, name="queue") for _ in range(6)]
    sm = B.client("sagemaker")
    sm.delete_endpoint(EndpointName="queue")
    await_status("queue", "gone")
    sm.delete_endpoint(EndpointName="later")
    await_status("later", "gone")
    assert asked and until(lambda: "endpoint queue is gone and " in open(B.store + "/log").read())
