"""The control plane, endpoints that run an echo model server, and invocations."""
import json
import os
import tarfile
import threading
import time

from botocore.exceptions import ClientError

from harness import B, IMAGE, MIB, archive, await_status, code_of, deploy, error_of, invoke, message_of


def test_model_refusals():
    sm, s3 = B.client("sagemaker"), B.client("s3")
    s3.put_object(Bucket="models", Key="m", Body=archive())
    good = {"Image": IMAGE, "ModelDataUrl": "s3://models/m"}

    def create(name="m1", role=B.run["role"], **c):
        return sm.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=dict(good, **c))
    assert message_of(create, ModelDataUrl="s3://models/none") == "Could not find model data at s3://models/none."
    assert "regular expression" in message_of(create, name="bad_name")
    assert "'modelName'" in message_of(create, name="a" * 64)
    assert "executionRoleArn" in message_of(create, role="arn:aws:iam::1:role/x")
    assert message_of(create, role="arn:aws:iam::999999999999:role/x").startswith("Could not assume role")
    assert "primaryContainer.image" in message_of(create, Image="")
    assert code_of(create, Environment={"1X": "y"}) == "ValidationException"
    assert code_of(create, Environment={"X": "y" * 1025}) == "ValidationException"
    assert code_of(sm.create_model, ModelName="x", ExecutionRoleArn=B.run["role"], Containers=[good, good]) == "ValidationException"
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    sm.create_model(ModelName="x", ExecutionRoleArn=B.run["role"], Containers=[good], VpcConfig=vpc)
    d = sm.describe_model(ModelName="x")
    assert d["Containers"] == [good] and d["VpcConfig"] == vpc and "PrimaryContainer" not in d
    sm.delete_model(ModelName="x")
    arn = create(Environment={"A": "b"})["ModelArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:model/m1"
    assert message_of(create) == 'Cannot create already existing model "%s".' % arn
    d = sm.describe_model(ModelName="m1")
    assert d["PrimaryContainer"]["Environment"] == {"A": "b"} and d["ModelArn"] == arn
    assert abs(d["CreationTime"].timestamp() - time.time()) < 60
    sm.delete_model(ModelName="m1")
    assert message_of(sm.describe_model, ModelName="m1") == 'Could not find model "%s".' % arn
    assert message_of(sm.delete_model, ModelName="m1") == 'Could not find model "%s".' % arn
    assert code_of(sm.create_training_job if False else sm.list_training_jobs) == "UnknownOperationException"


def test_config_refusals():
    sm = B.client("sagemaker")
    v = {"VariantName": "AllTraffic", "ModelName": "nope", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    assert message_of(sm.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[v]) == \
        'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/nope".'
    assert "productionVariants.1.member.instanceType" in message_of(
        sm.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[dict(v, InstanceType="large")])
    assert message_of(sm.create_endpoint, EndpointName="e", EndpointConfigName="none") == \
        'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none".'
    assert message_of(sm.describe_endpoint, EndpointName="e") == \
        'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e".'
    assert message_of(sm.delete_endpoint, EndpointName="e").startswith("Could not find endpoint ")


def test_lists_and_tags():
    sm = B.client("sagemaker")
    for n in range(5):
        sm.create_model(ModelName="list-%d" % n, ExecutionRoleArn=B.run["role"], PrimaryContainer={"Image": IMAGE},
                        Tags=[{"Key": "k", "Value": str(n)}])
    names = [m["ModelName"] for p in sm.get_paginator("list_models").paginate(NameContains="list-", MaxResults=2, SortBy="Name",
                                                                               SortOrder="Ascending") for m in p["Models"]]
    assert names == ["list-%d" % n for n in range(5)], names
    arn = sm.describe_model(ModelName="list-3")["ModelArn"]
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "3"}]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "z", "Value": ""}, {"Key": "k", "Value": "new"}])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "new"}, {"Key": "z", "Value": ""}]
    sm.delete_tags(ResourceArn=arn, TagKeys=["k"])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "z", "Value": ""}]
    assert code_of(sm.list_tags, ResourceArn=arn + "x") == "ValidationException"
    for n in range(5):
        sm.delete_model(ModelName="list-%d" % n)


def test_endpoint():
    d = deploy("Echo", env={"SEEN": "yes", "SAGEMAKERFS_LISTEN_FD": "99"})
    assert d["EndpointName"] == "Echo" and d["EndpointArn"].endswith("endpoint/echo")
    v = d["ProductionVariants"][0]
    assert v["VariantName"] == "AllTraffic" and v["CurrentInstanceCount"] == 1
    assert v["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    r = invoke("Echo", b'[6.4, 3.2]', Accept="application/json", CustomAttributes="tfs-method=predict")
    assert r["InvokedProductionVariant"] == "AllTraffic" and r["ContentType"] == "application/json"
    assert json.loads(r["Body"].read())["echo"] == "[6.4, 3.2]"
    assert 'Cannot create already existing endpoint "' in message_of(
        B.client("sagemaker").create_endpoint, EndpointName="echo", EndpointConfigName="Echo")
    names = [e["EndpointName"] for e in B.client("sagemaker").list_endpoints(StatusEquals="InService")["Endpoints"]]
    assert names == ["Echo"]


def test_environment():
    env = json.loads(invoke("Echo", b'{"env": true}')["Body"].read())
    assert env["SEEN"] == "yes" and env["SAGEMAKERFS_LISTEN_FD"] == "3", env
    assert env["SAGEMAKERFS_FRAMEWORK_VERSION"] == "2.19.0"
    assert not [k for k in env if k.startswith("AWS_")] and "SAGEMAKERFS_RUNTIMES" not in env
    assert env["SAGEMAKER_BASE_DIR"] == "/opt/ml" or env["SAGEMAKER_BASE_DIR"].startswith(B.store)
    log = os.path.join(B.store, "logs/Echo/AllTraffic", os.path.basename(os.path.dirname(env["HOME"])), "log")
    assert "served by tensorflow 9.9.9" in open(log).read()


def test_invoke_errors():
    rt = B.client("sagemaker-runtime")
    r = error_of(rt.invoke_endpoint, EndpointName="none", Body=b"")
    assert r["Error"]["Code"] == "ValidationError" and r["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert r["Error"]["Message"] == "Endpoint none of account 123456789012 not found."
    r = error_of(invoke, "Echo", b'{"status": 400, "text": "bad input"}')
    assert r["Error"]["Code"] == "ModelError" and r["ResponseMetadata"]["HTTPStatusCode"] == 424, r
    assert r["OriginalStatusCode"] == 400 and r["OriginalMessage"] == "bad input", r
    assert r["Error"]["Message"].startswith('Received client error (400) from primary with message "bad input". See https://')
    r = error_of(invoke, "Echo", b'{"status": 503, "text": "tired"}')
    assert "Received server error (503)" in r["Error"]["Message"] and r["OriginalStatusCode"] == 503
    assert "not found" in message_of(invoke, "Echo", TargetVariant="other")


def test_invoke_sizes():
    assert len(invoke("Echo", b'{"bytes": 10000000}')["Body"].read()) == 10000000
    body = b"[" + b"1," * (10 * MIB) + b"1]"
    assert json.loads(invoke("Echo", body)["Body"].read())["echo"].encode() == body
    r = error_of(invoke, "Echo", b"x" * (26214400 + 1))
    assert r["ResponseMetadata"]["HTTPStatusCode"] == 413, r
    assert r["Error"]["Message"] == "HTTP content length exceeded 26214400 bytes."
    assert invoke("Echo", b"", ContentType="text/csv")["Body"].read()


def test_many_invocations_at_once():
    times, failures = [], []

    def one():
        try:
            began = time.time()
            invoke("Echo", b'{"sleep": 1}')["Body"].read()
            times.append(time.time() - began)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=one) for _ in range(40)]
    began = time.time()
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures, failures[0]
    assert time.time() - began < 20, time.time() - began
    assert len(open("/proc/%d/status" % B.process.pid).read()) and threads_of(B.process.pid) < 20


def threads_of(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def test_two_endpoints():
    deploy("second", env={"SEEN": "second"})
    for name, seen in (("Echo", "yes"), ("second", "second")):
        assert json.loads(invoke(name, b'{"env": true}')["Body"].read())["SEEN"] == seen


def test_restart_of_a_crashed_model():
    r = error_of(invoke, "second", b'{"exit": 7}')
    assert r["Error"]["Code"] == "ModelError", r
    end = time.time() + 15
    while True:
        try:
            assert json.loads(invoke("second", b"[1]")["Body"].read())["echo"] == "[1]"
            break
        except ClientError as e:
            assert e.response["Error"]["Code"] in ("ServiceUnavailable", "ModelError"), e.response
            assert time.time() < end
            time.sleep(0.1)
    assert B.client("sagemaker").describe_endpoint(EndpointName="second")["EndpointStatus"] == "InService"


def listening():
    """How many sockets the backend listens on."""
    held = set()
    for fd in os.listdir("/proc/%d/fd" % B.process.pid):
        try:
            held.add(os.readlink("/proc/%d/fd/%s" % (B.process.pid, fd)))
        except FileNotFoundError:
            pass
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(1 for row in rows if row[3] == "0A" and "socket:[%s]" % row[9] in held)


def test_delete():
    sm = B.client("sagemaker")
    sockets = listening()
    sm.delete_endpoint_config(EndpointConfigName="second")
    sm.delete_model(ModelName="second")
    assert invoke("second")["Body"].read()
    before = len(os.listdir(B.store + "/endpoints"))
    sm.delete_endpoint(EndpointName="second")
    await_status("second", "gone")
    assert len(os.listdir(B.store + "/endpoints")) == before - 1
    assert listening() == sockets - 1
    assert code_of(invoke, "second") == "ValidationError"


def test_crash_at_start():
    d = deploy("crash", archive([("a/crash-at-start", b"")]), wait="Failed")
    reason = d["FailureReason"]
    assert reason.startswith("The primary container for production variant AllTraffic did not pass the ping health check. "
                             "Please check CloudWatch logs for this endpoint."), reason
    assert "exit code 3" in reason and "Last lines: " in reason and len(reason) <= 1024, reason
    assert " It said: the model asked for a crash at start; Last lines: " in reason, reason
    assert code_of(invoke, "crash") == "ValidationError"
    B.client("sagemaker").delete_endpoint(EndpointName="crash")
    await_status("crash", "gone")


def test_never_ready_and_delete_in_progress():
    sm = B.client("sagemaker")
    deploy("never", archive([("never-ready", b"")]), wait=None)
    await_status("never", "Creating")
    time.sleep(0.5)
    assert "Cannot update in-progress endpoint" in message_of(sm.delete_endpoint, EndpointName="never")
    assert code_of(invoke, "never") == "ValidationError"


def test_hostile_archives():
    def link(i):
        i.type, i.linkname, i.size = tarfile.SYMTYPE, "/etc/passwd", 0

    def device(i):
        i.type, i.size = tarfile.CHRTYPE, 0
    bad = {
        "outside": archive([("../../escape", b"x")]),
        "absolute": archive([("/tmp/smfs-escape", b"x")]),
        "link": archive([("a", b"")], link),
        "device": archive([("a", b"")], device),
        "garbage": b"this is no archive at all" * 100,
        "cut": archive([("a", os.urandom(100000))])[:50000],
    }
    for name, data in bad.items():
        reason = deploy(name, data, wait="Failed")["FailureReason"]
        assert "Failed to extract model data archive" in reason, (name, reason)
        B.client("sagemaker").delete_endpoint(EndpointName=name)
    assert not os.path.exists("/tmp/smfs-escape") and not os.path.exists(B.store + "/escape")
    for name in bad:
        await_status(name, "gone")


def test_changed_object_is_refused():
    s3 = B.client("s3")
    seen = set(os.listdir(B.store + "/objects"))
    data = archive([("a", os.urandom(200000))])
    s3.put_object(Bucket="models", Key="rotten/model.tar.gz", Body=data)
    path = os.path.join(B.store, "objects", (set(os.listdir(B.store + "/objects")) - seen).pop())
    with open(path, "r+b") as f:
        f.seek(150000)
        f.write(b"rotten")
    sm = B.client("sagemaker")
    sm.create_model(ModelName="rotten", ExecutionRoleArn=B.run["role"],
                    PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://models/rotten/model.tar.gz"})
    sm.create_endpoint_config(EndpointConfigName="rotten", ProductionVariants=[{
        "VariantName": "AllTraffic", "ModelName": "rotten", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}])
    sm.create_endpoint(EndpointName="rotten", EndpointConfigName="rotten")
    assert "have changed since they were uploaded" in await_status("rotten", "Failed")["FailureReason"]


def test_unknown_image_and_no_runtime():
    reason = deploy("foreign", image="example.com/mine:1", wait="Failed")["FailureReason"]
    assert "cannot run the image 'example.com/mine:1'" in reason
    mx = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
    reason = deploy("mx", image=mx, wait="Failed")["FailureReason"]
    assert "scripts/runtimes mxnet" in reason, reason
    torch = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.1.0-cpu-py310"
    reason = deploy("torch", image=torch, wait="Failed")["FailureReason"]
    assert "no model server for 'pytorch'" in reason, reason  # echo-serve has none
