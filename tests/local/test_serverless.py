"""Serverless variants: a process while it is used, none when it is not; what a cold start makes wait; how many at once."""
import glob
import json
import os
import threading
import time

from botocore.exceptions import ClientError

from harness import B, IMAGE, archive, await_status, code_of, error_of, invoke, message_of
from test_conformance import backend

CONFIG = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}


def create(name, files=None, **config):
    s3, sm = B.client("s3"), B.client("sagemaker")
    s3.put_object(Bucket="models", Key=name + "/model.tar.gz", Body=archive(files) if files else archive())
    sm.create_model(ModelName=name, ExecutionRoleArn=B.run["role"], PrimaryContainer={
        "Image": IMAGE, "ModelDataUrl": "s3://models/%s/model.tar.gz" % name})
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": dict(CONFIG, **config)}])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)


def processes():
    """The model servers that run: children of the backend's spawner."""
    children = lambda pid: open("/proc/%d/task/%d/children" % (pid, pid)).read().split()
    found = []
    for spawner in children(B.process.pid):
        found += children(int(spawner))
    return found


def await_processes(n, seconds=20):
    end = time.time() + seconds
    while len(processes()) != n:
        assert time.time() < end, processes()
        time.sleep(0.02)


def refused_one(name):
    """The error of an invocation too many. Those that are on their way here may take a while to get to the backend; until
    then one more is let in, and answered."""
    for _ in range(50):
        try:
            invoke(name)
        except ClientError as e:
            return e.response
    raise AssertionError("none is refused")


def test_serverless_refusals():
    sm = B.client("sagemaker")
    sm.create_model(ModelName="less", ExecutionRoleArn=B.run["role"], PrimaryContainer={"Image": IMAGE})
    variant = {"VariantName": "A", "ModelName": "less", "ServerlessConfig": CONFIG}

    def refused(*variants):
        return message_of(sm.create_endpoint_config, EndpointConfigName="less", ProductionVariants=list(variants))
    assert "without InstanceType" in refused(dict(variant, InstanceType="ml.m5.large", InitialInstanceCount=1))
    assert "multiple of 1024" in refused(dict(variant, ServerlessConfig={"MemorySizeInMB": 1025, "MaxConcurrency": 1}))
    assert "must not exceed" in refused(dict(variant, ServerlessConfig=dict(CONFIG, ProvisionedConcurrency=3)))
    assert "the only one" in refused(variant, dict(variant, VariantName="B"))
    for bad in ({"MemorySizeInMB": 7168, "MaxConcurrency": 1}, {"MemorySizeInMB": 1024, "MaxConcurrency": 201}):
        assert "productionVariants.1.member.serverlessConfig." in refused(dict(variant, ServerlessConfig=bad))
    assert "needs InstanceType" in refused({"VariantName": "A", "ModelName": "less"})
    sm.delete_model(ModelName="less")


def test_cold_start_that_takes_too_long():
    """An invocation waits for a serverless variant's process for so long, then is told; the process may still come."""
    with backend("cold", "--serverless-idle", "0.3", "--serverless-wait", "2"):
        B.client("s3").create_bucket(Bucket="models")
        create("slow", (("export/Servo/1/saved_model.pb", b"x"), ("ready-in-1", b"")))
        await_status("slow", "InService")
        await_processes(0)
        assert json.loads(invoke("slow")["Body"].read())["echo"] == "[1, 2]", "one second is within two"
        create("never", (("never-ready", b""),))
        assert "did not pass the ping health check" in await_status("never", "Failed")["FailureReason"]
        await_processes(0)
        model, = [os.path.dirname(path) for path in glob.glob(B.store + "/endpoints/*/*/model/ready-in-1")]
        os.chmod(model, 0o755)
        os.rename(model + "/ready-in-1", model + "/never-ready")  # what the next start sees
        r = error_of(invoke, "slow")
        assert (r["Error"]["Code"], r["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503), r
        assert r["Error"]["Message"] == "The model server of endpoint slow did not get ready in time.", r


def test_serverless():
    sm = None
    with backend("serverless", "--serverless-idle", "1"):
        sm = B.client("sagemaker")
        B.client("s3").create_bucket(Bucket="models")
        create("less", (("export/Servo/1/saved_model.pb", b"x"), ("ready-in-0.5", b"")))
        v = await_status("less", "InService")["ProductionVariants"][0]
        assert v["CurrentServerlessConfig"] == CONFIG and "CurrentInstanceCount" not in v, v
        assert sm.describe_endpoint_config(EndpointConfigName="less")["ProductionVariants"][0]["ServerlessConfig"] == CONFIG
        await_processes(0)
        assert sm.describe_endpoint(EndpointName="less")["EndpointStatus"] == "InService"

        # Two that come while there is no process wait for the one that is started; neither takes a thread.
        threads, answers = len(os.listdir("/proc/%d/task" % B.process.pid)), []
        both = [threading.Thread(target=lambda: answers.append(json.loads(invoke("less", b'{"env": 1, "sleep": 3}')["Body"].read())))
                for _ in range(2)]
        for t in both:
            t.start()
        await_processes(1)
        r = refused_one("less")
        assert (r["Error"]["Code"], r["Error"]["Message"]) == ("ThrottlingException", "Rate exceeded"), r
        assert len(os.listdir("/proc/%d/task" % B.process.pid)) == threads
        for t in both:
            t.join()
        assert len(answers) == 2 and answers[0]["TMPDIR"] == answers[1]["TMPDIR"]
        assert error_of(invoke, "less", b"x" * ((4 << 20) + 1))["ResponseMetadata"]["HTTPStatusCode"] == 413
        assert invoke("less", b"x" * 4000000)["Body"].read()
        await_processes(0)

        wish = lambda **kw: {"EndpointName": "less", "DesiredWeightsAndCapacities": [dict(VariantName="AllTraffic", **kw)]}
        update = sm.update_endpoint_weights_and_capacities
        assert "has no DesiredInstanceCount" in message_of(update, **wish(DesiredInstanceCount=2))
        assert "must not exceed" in message_of(update, **wish(ServerlessUpdateConfig={"ProvisionedConcurrency": 3}))
        update(**wish(ServerlessUpdateConfig={"MaxConcurrency": 3, "ProvisionedConcurrency": 1}))
        while sm.describe_endpoint(EndpointName="less")["EndpointStatus"] == "Updating":
            time.sleep(0.02)
        v = sm.describe_endpoint(EndpointName="less")["ProductionVariants"][0]
        assert v["CurrentServerlessConfig"] == dict(CONFIG, MaxConcurrency=3, ProvisionedConcurrency=1), v
        time.sleep(2.5)
        assert len(processes()) == 1, "a provisioned one stays"
        created = sm.describe_endpoint(EndpointName="less")["CreationTime"]
        B.kill()
        B.start()
        sm = B.client("sagemaker")
        d = await_status("less", "InService")
        assert d["CreationTime"] == created, "the same endpoint, to the last digit"
        v = d["ProductionVariants"][0]
        assert v["CurrentServerlessConfig"]["MaxConcurrency"] == 3, v
        create("bad", (("crash-at-start", b""),))
        assert "did not pass the ping health check" in await_status("bad", "Failed")["FailureReason"]
        sm.delete_endpoint(EndpointName="less")
        await_status("less", "gone")
        assert code_of(invoke, "less") == "ValidationError"
